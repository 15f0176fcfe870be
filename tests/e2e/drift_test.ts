import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { Foster, isAlive } from "./harness.ts";
import { tiny } from "./tiny.ts";

Deno.test("up restarts a server whose definition changed, and names what changed", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--name=first"] }) });
  const first = (await foster.expect(0, ["up", "t", "--json"])).row();
  assertEquals(first.recovered, null);

  const CHANGES: [says: RegExp, definition: Record<string, unknown>][] = [
    [/restarted because args changed/, tiny("auto", { options: ["--name=second"] })],
    [/restarted because env changed/, tiny("auto", { options: ["--name=second"], env: { A: "1" } })],
    [
      /restarted because cwd changed/,
      tiny("auto", { options: ["--name=second"], env: { A: "1" }, cwd: ".." }),
    ],
  ];
  let before = first;
  for (const [says, definition] of CHANGES) {
    await foster.define({ t: definition });
    const row = (await foster.expect(0, ["up", "t", "--json"])).row();
    assertMatch(row.message, says);
    assertEquals(row.recovered, { proof: "managed_record", killed: [before.pid] });
    assertEquals([row.startup_path, row.port], ["spawned", first.port]);
    assertNotEquals(row.pid, before.pid);
    assertEquals(await isAlive(before.pid), false);
    before = row;
  }

  // What has no part in how it runs restarts nothing.
  await foster.define({
    t: tiny("auto", {
      options: ["--name=second"],
      env: { A: "1" },
      cwd: "..",
      labels: ["x"],
      ready: { timeout: "9s" },
    }),
  });
  const same = (await foster.expect(0, ["up", "t", "--json"])).row();
  assertEquals([same.pid, same.startup_path, same.recovered], [before.pid, "adopted", null]);
});

Deno.test("--version is remembered until down", async () => {
  await using foster = await Foster.create();
  await foster.define({
    t: tiny("auto", { options: ["--version=${version}"], version: "1.0.0", identity: { name: "tiny" } }),
  });
  const first = (await foster.expect(0, ["up", "t", "--json"])).row();
  assertEquals(first.server.version, "1.0.0");
  const newer = (await foster.expect(0, ["up", "t", "--version", "2.5.0", "--json"])).row();
  assertEquals([newer.server.version, newer.recovered?.killed], ["2.5.0", [first.pid]]);
  const again = (await foster.expect(0, ["up", "t", "--json"])).row();
  assertEquals([again.pid, again.server.version], [newer.pid, "2.5.0"]);
  assertEquals((await foster.expect(0, ["status", "t", "--json"])).row().state, "ready");
  await foster.expect(0, ["down", "t"]);
  assertEquals((await foster.expect(0, ["up", "t", "--json"])).row().server.version, "1.0.0");
});

Deno.test("a server whose definition is gone is still shown and stopped, by name and by key", async () => {
  for (const by of ["name", "key"] as const) {
    await using foster = await Foster.create();
    await foster.define({ "old one": tiny("auto") });
    const up = (await foster.expect(0, ["up", "old one", "--json"])).row();
    await foster.define({ other: tiny("auto") });
    assertEquals((await foster.expect(0, ["status", up[by], "--json"])).row().pid, up.pid);
    assertMatch((await foster.expect(2, ["up", up[by]])).stderr, /old one|foster\.json/);
    const down = (await foster.expect(0, ["down", up[by], "--json"])).row();
    assertEquals([down.name, down.recovered?.killed], ["old one", [up.pid]]);
    assertEquals((await foster.expect(0, ["ps", "--json"])).json().servers, []);
  }
});

Deno.test("restart gives a new process on the same port", async () => {
  await using foster = await Foster.create();
  const first = (await foster.expect(0, ["up", "demo", "--json"])).row();
  const second = (await foster.expect(0, ["restart", "demo", "--json"])).row();
  assertEquals(second.recovered?.killed, [first.pid]);
  assertEquals([second.port, second.state], [first.port, "ready"]);
  const third = (await foster.expect(0, ["restart", "demo", "--force", "--json"])).row();
  assertEquals(third.recovered?.killed, [second.pid]);
});
