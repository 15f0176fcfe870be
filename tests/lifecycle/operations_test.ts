import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { PLAIN_START, startServer } from "../../src/lifecycle/start/start.ts";
import { definitionOf, PORT, Rig } from "./rig.ts";

const signal = new AbortController().signal;

Deno.test("startServer() says guarded at once when it may not wait and another foster holds the start", async () => {
  const rig = new Rig();
  const lock = await rig.folder.lock({ waitMs: 0, signal });
  const { kind, row } = await rig.up({}, { waitForReady: false });
  assertEquals([kind, row.state], ["guarded", "guarded"]);
  assertStringIncludes(row.hint, 'foster status "docs"');
  assertEquals([rig.host.clock.monotonic(), rig.spawned], [0, []]);
  lock?.release();
});

Deno.test("startServer() waits for another foster's start and then adopts what it started", async () => {
  const rig = new Rig();
  const both = Promise.all([rig.up(), rig.up()]);
  const paths = (await both).map(({ row }) => row.startup_path).sort();
  assertEquals(paths, ["adopted", "spawned"]);
  assertEquals(rig.spawned.length, 1);
});

Deno.test("startServer() ends as interrupted when the user interrupts the wait for the lock", async () => {
  const rig = new Rig();
  const lock = await rig.folder.lock({ waitMs: 0, signal });
  const interrupt = new AbortController();
  rig.host.clock.after(100, () => interrupt.abort(new Error("interrupted")));
  const world = { ...rig.world, signal: interrupt.signal };
  const { kind } = await rig.host.clock.run(startServer(world, definitionOf({}), PLAIN_START));
  assertEquals(kind, "interrupted");
  lock?.release();
});

Deno.test("startServer() ends what it spawned when the user interrupts the start", async () => {
  const rig = new Rig();
  rig.program(() => {});
  const interrupt = new AbortController();
  rig.host.clock.after(500, () => interrupt.abort(new Error("interrupted")));
  const world = { ...rig.world, signal: interrupt.signal };
  const { kind } = await rig.host.clock.run(startServer(world, definitionOf({}), PLAIN_START));
  assertEquals(kind, "interrupted");
  assert(!rig.host.processes.isAlive(rig.spawned[0] ?? 0));
});

Deno.test("startServer() lets the lock go however it ends", async () => {
  const rig = new Rig();
  await rig.up({ command: "no-such-program" });
  const lock = await rig.folder.lock({ waitMs: 0, signal });
  assert(lock !== null);
  lock.release();
});

Deno.test("startServer() returns with the spawn when it need not wait for ready", async () => {
  const rig = new Rig();
  rig.program((child) => void rig.host.clock.after(5000, () => rig.serve(child)));
  const { kind, row } = await rig.up({}, { waitForReady: false });
  assertEquals([kind, row.state, row.startup_path], ["done", "spawning", "spawned"]);
  assertEquals((await rig.record())?.state, "spawning");
  assertEquals((await rig.up()).row.state, "ready");
  assertEquals(rig.spawned.length, 1);
});

Deno.test("startServer() keeps what --port said until down", async () => {
  const rig = new Rig();
  assertEquals((await rig.up({}, { port: PORT + 1 })).row.port, PORT + 1);
  assertEquals((await rig.up()).row.port, PORT + 1);
  await rig.down();
  assertEquals((await rig.up()).row.port, PORT);
});

Deno.test("startServer() restarts its server when the definition changed, and names what changed", async () => {
  const rig = new Rig();
  await rig.up();
  const { row } = await rig.up({ env: { DOCS_LEVEL: "debug" } });
  assertEquals(row.recovered?.killed, [rig.spawned[0] ?? 0]);
  assertStringIncludes(row.message, "env");
});

Deno.test("startServer() restarts nothing when only what is no part of the start changed", async () => {
  const rig = new Rig();
  await rig.up();
  const { row } = await rig.up({ stop: { grace: "9s" }, requiredTools: [], labels: ["new"] });
  assertEquals([row.startup_path, row.recovered], ["adopted", null]);
});

Deno.test("a down that is asked while a server starts ends both within moments", async () => {
  const rig = new Rig();
  rig.program(() => {});
  const starting = rig.up({ ready: { check: "http", timeout: "60s" } });
  rig.host.clock.after(1000, () => void (stopping = rig.down()));
  let stopping = Promise.resolve<Awaited<ReturnType<Rig["down"]>> | null>(null);
  const { kind } = await starting;
  assertEquals(kind, "no");
  assertEquals((await stopping)?.kind, "done");
  assert(!rig.host.processes.isAlive(rig.spawned[0] ?? 0));
  assert(rig.host.clock.monotonic() < 2500, `${rig.host.clock.monotonic()}`);
});
