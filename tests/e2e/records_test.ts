import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { StateFolder } from "../../src/registry/store.ts";
import { exists, Foster, type Foster as User, isAlive, until } from "./harness.ts";
import { tiny } from "./tiny.ts";

async function started(foster: User): Promise<{ pid: number; key: string; path: string; text: string }> {
  await foster.define({ t: tiny("auto") });
  const { pid, key } = (await foster.expect(0, ["up", "t", "--json"])).row();
  const path = join(foster.stateDir, "servers", key, "record.json");
  return { pid, key, path, text: await Deno.readTextFile(path) };
}

/** The lengths that a torn write can leave: every one near the ends, some between. */
function lengths(total: number): number[] {
  const all = Array.from({ length: total - 1 }, (_, index) => index);
  return all.filter((length) => length < 12 || length > total - 12 || length % 97 === 0);
}

Deno.test("a record that is cut anywhere, or holds something else, is set aside, and rebuilt while its process is foster's", async () => {
  await using foster = await Foster.create();
  const { pid, key, path, text } = await started(foster);
  const folder = new StateFolder(await createDenoHost(), foster.stateDir).server(key);
  const spoiled = [
    ...lengths(text.length).map((length) => text.slice(0, length)),
    text.replace('"schema": 1', '"schema": 99'),
    text.replace(/"pid": \d+/, '"pid": "1"'),
    "\0".repeat(text.length),
  ];
  let aside = 0;
  for (const content of spoiled) {
    await Deno.writeTextFile(path, content);
    assertEquals((await folder.read()).kind, "corrupt", content);
    const rebuilt = await folder.readOrHeal();
    assertEquals(rebuilt?.pid, pid);
    assertEquals(await Deno.readTextFile(`${path}.corrupt-${++aside}`), content);
    assertEquals((await folder.read()).kind, "record");
  }
  // The closing line break alone is no loss.
  await Deno.writeTextFile(path, text.slice(0, -1));
  assertEquals((await folder.read()).kind, "record");
});

const SPOILED: [title: string, spoil: (text: string) => string][] = [
  ["is empty", () => ""],
  ["is cut in the middle", (text) => text.slice(0, text.length / 2)],
  ["belongs to another server", (text) => text.replace(/"key": "[^"]*"/, '"key": "other"')],
];

for (const [title, spoil] of SPOILED) {
  Deno.test(`a record that ${title} is reported by ps and status, and healed by up`, async () => {
    await using foster = await Foster.create();
    const { pid, key, path, text } = await started(foster);
    await Deno.writeTextFile(path, spoil(text));

    const listed = (await foster.expect(0, ["ps", "--json"])).row();
    assertEquals([listed.key, listed.process], [key, "unknown"]);
    assertMatch(listed.message, /can't be trusted/);
    const shown = (await foster.expect(1, ["status", "t", "--json"])).row();
    assertMatch(shown.message, /record can't be trusted/);
    await foster.expect(0, ["ps"]);
    await foster.expect(1, ["status", "t"]);
    assertEquals(await Deno.readTextFile(path), spoil(text));
    assertEquals(await exists(`${path}.corrupt-1`), false);

    const row = (await foster.expect(0, ["up", "t", "--json"])).row();
    assertEquals([row.startup_path, row.adoption, row.pid], ["adopted", "managed", pid]);
    assertEquals(await Deno.readTextFile(`${path}.corrupt-1`), spoil(text));
    assertEquals((await foster.record(key))?.pid, pid);
  });
}

Deno.test("down ends the server of a record that can't be read", async () => {
  await using foster = await Foster.create();
  const { pid, path, text } = await started(foster);
  await Deno.writeTextFile(path, text.slice(0, 100));
  const row = (await foster.expect(0, ["down", "t", "--json"])).row();
  assertEquals(row.recovered?.killed, [pid]);
  assertEquals(await isAlive(pid), false);
});

Deno.test("a record that can't be read is replaced when its server is gone, and never stands in the way", async () => {
  await using foster = await Foster.create();
  const { pid, path, text } = await started(foster);
  Deno.kill(pid, "SIGKILL");
  await Deno.writeTextFile(path, text.slice(0, 100));
  const row = (await foster.expect(0, ["up", "t", "--json"])).row();
  assertEquals([row.state, row.startup_path], ["ready", "spawned"]);
  assert(row.pid !== pid);

  await Deno.writeTextFile(path, "{");
  Deno.kill(row.pid, "SIGKILL");
  await foster.expect(0, ["down", "t"]);
  assertEquals((await foster.expect(0, ["ps", "--json"])).json().servers, []);
  assertEquals(await exists(`${path}.corrupt-2`), true);
});

Deno.test("a folder in the record's place is reported and set aside", async () => {
  await using foster = await Foster.create();
  const { pid, path } = await started(foster);
  await Deno.remove(path);
  await Deno.mkdir(path);
  assertMatch((await foster.expect(0, ["ps", "--json"])).row().message, /directory/);
  assertEquals((await foster.expect(0, ["up", "t", "--json"])).row().pid, pid);
});

Deno.test("a record that somebody removed is written again while its process is foster's, and only then", async () => {
  await using foster = await Foster.create();
  const { pid, key, path } = await started(foster);
  for (const [verb, code] of [["ps", 0], ["status", 0], ["up", 0]] as const) {
    await Deno.remove(path);
    const names = verb === "ps" ? [] : ["t"];
    const row = (await foster.expect(code, [verb, ...names, "--json"])).row();
    assertEquals([row.pid, row.state, row.key], [pid, "ready", key], verb);
    if (verb !== "up") await foster.expect(0, ["up", "t"]);
  }
  await Deno.remove(path);
  await foster.expect(0, ["down", "--all"]);
  assertEquals([await isAlive(pid), await exists(path)], [false, false]);
  assertEquals((await foster.expect(0, ["ps", "--json"])).json().servers, []);

  const next = (await foster.expect(0, ["up", "t", "--json"])).row();
  Deno.kill(next.pid, "SIGKILL");
  await until("its end", async () => !await isAlive(next.pid));
  await Deno.remove(path);
  assertEquals((await foster.expect(0, ["ps", "--json"])).json().servers, []);
});
