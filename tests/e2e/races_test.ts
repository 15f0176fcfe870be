import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { join } from "@std/path";
import { Foster, type Foster as User, handles, isAlive, isFree, until } from "./harness.ts";
import { tiny } from "./tiny.ts";

const SLOW_DEMO = {
  extends: "demo",
  args: ["demo-server", "--port", "${port}", "--pid-file", "${pidFile}", "--delay", "1500ms"],
  wsPort: null,
};

/** The only key of the state folder. */
async function keyOf(foster: User): Promise<string> {
  const folder = join(foster.stateDir, "servers");
  return await until("a server's folder", async () => {
    try {
      for await (const { name } of Deno.readDir(folder)) return name;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return null;
  });
}

/** Its record, as soon as it satisfies `wanted`. */
async function recordOnce(
  foster: User,
  wanted: (record: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  const key = await keyOf(foster);
  return await until("the record", async () => {
    const record = await foster.record(key);
    return record !== null && wanted(record) ? record : null;
  });
}

const hasChild = (record: Record<string, unknown>) => record.launcher_pid !== null;

Deno.test("up spawns one server when twenty start it at once, and all twenty succeed", async () => {
  await using foster = await Foster.create();
  const all = await Promise.all(
    Array.from({ length: 20 }, () => foster.run(["up", "demo", "--json"], { timeoutMs: 90_000 })),
  );
  assertEquals(all.map((each) => each.code), Array(20).fill(0), all.map((each) => each.stderr).join(""));
  assertEquals(new Set(all.map((each) => each.row().pid)).size, 1);
  assertEquals(all.filter((each) => each.row().startup_path === "spawned").length, 1);
  const events = await foster.events("demo");
  assertEquals(events.filter((each) => each.event === "spawned").length, 1);
});

Deno.test("up replaces a server that was killed, and says nothing of adoption", async () => {
  await using foster = await Foster.create();
  const first = (await foster.expect(0, ["up", "demo", "--json"])).row();
  Deno.kill(first.pid, "SIGKILL");
  await until("its end", async () => !await isAlive(first.pid));

  const listed = (await foster.expect(0, ["ps", "--json"])).row();
  assertEquals([listed.state, listed.process], ["crashed", "gone"]);
  assertEquals((await foster.expect(1, ["status", "demo", "--json"])).row().state, "crashed");

  const second = (await foster.expect(0, ["up", "demo", "--json"])).row();
  assertEquals([second.startup_path, second.adoption, second.port], ["spawned", null, first.port]);
  assertNotEquals(second.pid, first.pid);
  assertEquals(await foster.servers(), [second.pid]);
});

Deno.test("up finds the server of a foster that was killed in the middle of its start", async () => {
  await using foster = await Foster.create();
  await foster.define({ slow: SLOW_DEMO });
  const starting = foster.start(["up", "slow"]);
  const { launcher_pid } = await recordOnce(foster, hasChild);
  starting.kill("SIGKILL");
  await starting.finish(5000);

  const row = (await foster.expect(0, ["up", "slow", "--json"])).row();
  assertEquals([row.state, row.pid], ["ready", launcher_pid]);
  assertEquals(await foster.servers(), [row.pid]);
  assertEquals((await foster.record(row.key))?.pid, row.pid);
});

for (const delayMs of [0, 3, 6, 12, 25]) {
  Deno.test(`up leaves one recorded server when a foster was killed ${delayMs} ms after its first record`, async () => {
    await using foster = await Foster.create();
    const count = join(foster.folder, "count");
    await foster.define({ t: tiny("auto", { options: ["--delay=150", `--count-file=${count}`] }) });
    const starting = foster.start(["up", "t"]);
    await recordOnce(foster, () => true);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    starting.kill("SIGKILL");
    await starting.finish(5000);

    const row = (await foster.expect(0, ["up", "t", "--json"])).row();
    assertEquals(row.state, "ready");
    assertEquals(await foster.servers(), [row.pid]);
    const record = await foster.record(row.key);
    assertEquals([record?.pid, record?.launcher_pid, record?.state], [row.pid, row.pid, "ready"]);
    assertEquals((await Deno.readTextFile(count)).trim().split("\n"), [String(row.pid)]);

    await foster.expect(0, ["down", "t"]);
    assertEquals(await foster.servers(), []);
    assertEquals(isFree(row.port), true);
  });
}

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`up ends with ${code} on ${signal}, and what it spawned with it`, async () => {
    await using foster = await Foster.create();
    await foster.define({ slow: SLOW_DEMO });
    const starting = foster.start(["up", "slow"]);
    const { launcher_pid } = await recordOnce(foster, hasChild);
    starting.kill(signal);
    const ended = await starting.finish();
    assertEquals(ended.code, code, ended.stderr);
    assertEquals(await isAlive(Number(launcher_pid)), false);
    assertEquals(await foster.servers(), []);
  });
}

Deno.test("up ends with 130 when it waits for another foster's start, which goes on", async () => {
  await using foster = await Foster.create();
  await foster.define({ slow: SLOW_DEMO });
  const first = foster.start(["up", "slow", "--json"]);
  await recordOnce(foster, hasChild);
  const second = foster.start(["up", "slow", "--verbose"]);
  // It cannot get the lock before the first is done.
  await until("the second heeds signals", () => handles(second.pid, "SIGINT"));
  second.kill("SIGINT");
  assertEquals((await second.finish(5000)).code, 130);
  assertEquals((await first.finish()).code, 0);
  assertEquals((await foster.servers()).length, 1);
});

Deno.test("down ends a start in progress: the child is gone and both verbs end", async () => {
  await using foster = await Foster.create();
  await foster.define({ slow: tiny("auto", { options: ["--delay=20000"] }) });
  const starting = foster.start(["up", "slow"]);
  const { launcher_pid } = await recordOnce(foster, hasChild);
  await foster.expect(0, ["down", "slow"]);
  const ended = await starting.finish(5000);
  assertEquals(ended.code, 1);
  assertMatch(ended.stderr, /"slow": stopped by foster down/);
  assertEquals(await isAlive(Number(launcher_pid)), false);
  assertEquals(await foster.servers(), []);
  assertEquals(await foster.record(await keyOf(foster)), null);
});

Deno.test("up --no-wait returns once the spawn is recorded, and with 18 while another foster starts it", async () => {
  await using foster = await Foster.create();
  await foster.define({ slow: SLOW_DEMO, other: tiny("auto", { options: ["--delay=300"] }) });
  const quick = (await foster.expect(0, ["up", "other", "--no-wait", "--json"])).row();
  assertEquals([quick.state, quick.startup_path], ["spawning", "spawned"]);
  assertEquals((await foster.record(quick.key))?.state, "spawning");

  const starting = foster.start(["up", "slow"]);
  await until("the start", async () => {
    for await (const { name } of Deno.readDir(join(foster.stateDir, "servers"))) {
      if (name.startsWith("slow-") && (await foster.record(name))?.launcher_pid != null) return true;
    }
    return false;
  });
  const guarded = await foster.expect(18, ["up", "slow", "--no-wait", "--json"]);
  assertEquals(guarded.row().state, "guarded");
  assertEquals((await starting.finish()).code, 0);

  const ready = (await foster.expect(0, ["up", "other", "--json"])).row();
  assertEquals([ready.state, ready.pid], ["ready", quick.pid]);
});

Deno.test("up tries every name and ends with the first failure's code", async () => {
  await using foster = await Foster.create();
  await foster.define({
    good: tiny("auto"),
    missing: { command: "no-such-program-here", port: "auto" },
    dies: tiny("auto", { options: ["--exit=3"] }),
  });
  const result = await foster.expect(11, ["up", "good", "missing", "dies", "--json"]);
  assertEquals(result.json().servers.map((row) => row.state), ["ready", "no_command", "crashed"]);
  assertEquals((await foster.run(["up", "dies", "missing"])).code, 10);
  const all = await foster.expect(11, ["up", "--json"]);
  assertEquals(all.json().servers.map((row) => row.name), ["good", "missing", "dies"]);
  assert((await foster.expect(0, ["down", "--json"])).json().servers.every((row) => row.state === "stopped"));
});
