import { assertEquals, assertStringIncludes } from "@std/assert";
import { runFoster } from "../../src/cli/app.ts";
import { FakeHost } from "../host/fake_host.ts";
import { STATE, typed } from "./command_line.ts";

for (
  const [word, meant] of [
    ["start", "up"],
    ["stop", "down"],
    ["kill", "down"],
    ["list", "ps"],
    ["ls", "ps"],
    ["tail", "logs"],
    ["version", "--version"],
    ["statsu", "status"],
  ] as const
) {
  Deno.test(`runFoster() suggests ${meant} for ${word}, and does not run it`, async () => {
    for (const argv of [[word, "demo"], ["help", word]]) {
      const { code, stdout, stderr } = await typed(argv);
      assertEquals([code, stdout], [2, ""]);
      assertEquals(stderr, `unknown verb "${word}"\n  did you mean foster ${meant}?\n`);
    }
  });
}

Deno.test("runFoster() has nothing to suggest for a word that resembles none", async () => {
  const { code, stderr } = await typed(["constructor"]);
  assertEquals([code, stderr], [2, 'unknown verb "constructor"\n  foster --help lists the verbs\n']);
});

Deno.test("runFoster() ends with 70 and the cause when a promise fails that nobody waits for", async () => {
  const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
  let isWatched = false;
  const program = {
    ...host.program,
    onUnhandledRejection(handler: (reason: unknown) => void) {
      isWatched = true;
      handler(new TypeError("lost in between"));
      return () => isWatched = false;
    },
  };
  const code = await runFoster(Object.assign(host, { program }), ["ps"]);
  assertEquals([code, isWatched], [70, false]);
  assertStringIncludes(host.terminal.errText, "lost in between");
});
