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
    ["upgrade", "update"],
    ["statsu", "status"],
    ["strat", "up"],
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

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test(`runFoster() ends with ${code} at a second ${signal}, although the first one still has something to end`, async () => {
    const host = new FakeHost({ env: { HOME: "/home/user", PATH: "/usr/bin", FOSTER_STATE_DIR: STATE } });
    const server = { command: "/usr/bin/slow", port: 3001, stop: { grace: "1h" } };
    host.files.put("/home/user/foster.json", JSON.stringify({ servers: { s: server } }));
    host.files.put("/usr/bin/slow", "", 0o755);
    const spawned = Promise.withResolvers<void>();
    host.processes.program("/usr/bin/slow", (child) => {
      child.process.react = () => "ignores";
      spawned.resolve();
    });
    const ends = runFoster(host, ["up", "s"]);
    await spawned.promise;
    await host.clock.advance(500);
    host.terminal.interrupt(signal);
    await host.clock.advance(1000);
    host.terminal.interrupt(signal);
    assertEquals(await host.clock.run(ends), code);
  });
}

Deno.test("verbs that take no names refuse them, and a name that begins with a dash stands after --", async () => {
  for (const verb of ["ps", "presets", "schema", "sweep", "init", "ui"]) {
    const { code, stderr } = await typed([verb, "extra"]);
    assertEquals([code, stderr], [2, `${verb} takes no names: extra\n`]);
  }
  const text = `{"servers": {"-v": {"command": "talker"}}}`;
  for (const argv of [["down", "--", "-v"], ["down", "--quiet", "--", "-v"]]) {
    const { stdout, stderr } = await typed(argv, { text });
    assertEquals([stdout.split("\n")[0]], ["✓ -v  stopped"], stderr);
  }
});

Deno.test("warm tries all of several names, and says what is wrong with each", async () => {
  const text = `{"servers": {"a": {"command": "no-such-program"}}}`;
  const { code, stdout } = await typed(["warm", "nothing", "a", "--json"], { text });
  const rows = JSON.parse(stdout).servers as { name: string; ok: boolean; message: string }[];
  assertEquals([code, rows.map(({ name, ok }) => [name, ok])], [2, [["nothing", false], ["a", false]]]);
  assertStringIncludes(rows[0]?.message ?? "", '"nothing" is no server');
  assertEquals((await typed(["warm", "a", "nothing"], { text })).code, 11, "the first failure's");
});

Deno.test("serve --stop answers in JSON where nothing runs, too", async () => {
  const { code, stdout } = await typed(["serve", "--stop", "--json"]);
  assertEquals([code, JSON.parse(stdout)], [0, { stopped: null, ended: [], running: [] }]);
});
