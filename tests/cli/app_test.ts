import { assertEquals } from "@std/assert";
import { typed } from "./command_line.ts";

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
