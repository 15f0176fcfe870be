import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { newSessionId, projectSlug } from "../../src/link/session_id.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";

const cases: [path: string, slug: string][] = [
  ["/home/me/My Game", "my-game"],
  ["/home/me/my_game/", "my-game"],
  ["C:\\Users\\me\\Games\\Dungeon 2", "dungeon-2"],
  ["--Weird!!__Name--", "weird-name"],
  ["/a/Ünïcode", "n-code"],
  ["/a/日本", "project"],
  ["/", "project"],
  ["", "project"],
  ["/a/...", "project"],
];

for (const [path, slug] of cases) {
  Deno.test(`projectSlug() of ${JSON.stringify(path)} is ${slug}`, () =>
    assertEquals(projectSlug(path), slug));
}

Deno.test("newSessionId() is slug@4hex with another suffix for every call", async () => {
  const { random } = await createDenoHost();
  const ids = Array.from({ length: 8 }, () => newSessionId("/games/Demo", random));
  for (const id of ids) assertMatch(id, /^demo@[0-9a-f]{4}$/);
  assertNotEquals(new Set(ids).size, 1);
});
