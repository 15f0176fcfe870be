/**
 * A supervisor beside another foster: what one does in the moment before the other has the lock.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type DownRequest, stopServer } from "../../src/lifecycle/stop/down.ts";
import { PLAIN_START, type StartOptions, startServer } from "../../src/lifecycle/start/start.ts";
import type { Outcome } from "../../src/lifecycle/row.ts";
import { writeLease } from "../../src/registry/process_files.ts";
import { definitionOf, Rig } from "../lifecycle/rig.ts";
import { INTERVAL_MS, Played } from "./played.ts";

const IDLE_MS = 1000;

/** Another foster's start, in time that the test lets pass. */
function otherStart(rig: Rig, options: Partial<StartOptions> = {}): Promise<Outcome> {
  return startServer(rig.world, definitionOf({}), { ...PLAIN_START, ...options });
}

function otherDown(rig: Rig): Promise<Outcome> {
  const request: DownRequest = {
    name: "docs",
    key: "docs",
    definition: definitionOf({}),
    named: true,
    handoff: false,
  };
  return stopServer(rig.world, request);
}

/**
 * Lets another foster do all its work in the moment before the lock is asked for again, once `isTime`. True once it is
 * done.
 */
function beforeNextLock(rig: Rig, work: () => Promise<unknown>, isTime = () => true): () => boolean {
  const { files } = rig.host;
  let isDone = false;
  files.tryLock = async (path, mode) => {
    if (!isTime()) return await Object.getPrototypeOf(files).tryLock.call(files, path, mode);
    // The class's own method is back.
    Reflect.deleteProperty(files, "tryLock");
    await work();
    isDone = true;
    return await files.tryLock(path, mode);
  };
  return () => isDone;
}

function startSlowly(rig: Rig): void {
  rig.program((child) => void rig.host.clock.after(400, () => rig.serve(child)));
}

// ---------------------------------------------------------------------------------- the end of a server without clients

async function client(rig: Rig): Promise<number> {
  const { pid, startTime } = rig.host.processes.add({ argv: ["client"] });
  await writeLease(rig.host, rig.folder.paths.leases, { pid, start_token: startTime, since: "2026-01-01" });
  return pid;
}

/** Its client's idle time is over, and `work` is done before the supervisor has the lock to end the server. */
async function idleUntil(work: (rig: Rig) => Promise<unknown>): Promise<Played> {
  const played = Played.start({}, { startedBy: "connect", idleMs: IDLE_MS });
  const { rig } = played;
  await played.until("ready");
  const isDone = beforeNextLock(rig, () => work(rig));
  await played.untilSeen(isDone);
  assertEquals(played.of("adopted"), []);
  await rig.host.clock.advance(INTERVAL_MS - IDLE_MS);
  assertEquals([played.hasEnded, rig.signalled], [false, []]);
  assertEquals([rig.spawned.length, (await rig.record())?.want], [1, "up"]);
  return played;
}

Deno.test("run() leaves an idle server alone that up pinned before the supervisor had the lock", async () => {
  const pinned: Outcome[] = [];
  const played = await idleUntil(async (rig) => pinned.push(await otherStart(rig)));
  const { rig } = played;
  const [pid = 0] = rig.spawned;
  assertEquals(pinned.map(({ kind, row }) => [kind, row.pid]), [["done", pid]]);
  await rig.host.clock.advance(3 * INTERVAL_MS);
  assertEquals([played.hasEnded, rig.signalled, (await rig.record())?.started_by], [false, [], "up"]);
  assertEquals(await played.stop(), { kind: "stopped" });
});

Deno.test("run() leaves an idle server to the client that came before the supervisor had the lock", async () => {
  let pid = 0;
  const played = await idleUntil(async (rig) => pid = await client(rig));
  const { rig } = played;
  await rig.host.clock.advance(3 * INTERVAL_MS);
  assertEquals([played.hasEnded, rig.signalled], [false, []]);
  rig.host.processes.end(pid);
  assertEquals(await played.ended(), { kind: "stopped" });
  assertEquals(played.of("stopped").map(({ reason }) => reason), ["no clients left"]);
  assertEquals(await rig.record(), null);
});

// --------------------------------------------------------------------------- a supervisor that comes after its server went

const AFTER_DOWN: Record<string, (rig: Rig) => Promise<unknown>> = {
  "down took the server away": otherDown,
  "down left a record that is not wanted": (rig) => rig.rewrite({ want: "down", state: "stopping" }),
};
for (const [what, work] of Object.entries(AFTER_DOWN)) {
  Deno.test(`run() with adoptOnly starts and ends nothing once ${what} before the supervisor was there`, async () => {
    const rig = new Rig();
    await rig.up();
    const isDone = beforeNextLock(rig, () => work(rig));
    const played = Played.start({}, { rig, startedBy: "up", adoptOnly: true });
    await played.untilSeen(isDone);
    const signalled = [...rig.signalled];
    const record = await rig.record();
    await played.untilSeen(() => played.hasEnded || played.of("ready").length > 0);
    assertEquals(played.events, []);
    const end = await played.ended();
    assert(end.kind === "failed");
    assertEquals([end.outcome.kind, end.outcome.row.state], ["no", "stopped"]);
    assertMatch(end.outcome.row.message, /^"docs": stopped by foster down before it was supervised$/);
    assertEquals([rig.spawned.length, rig.signalled, await rig.record()], [1, signalled, record]);
  });
}

// ------------------------------------------------------------------ an interrupt while another foster has the lock

/** When the supervisor is interrupted, with another foster's restart in progress. */
const MOMENTS: Record<string, (played: Played) => Promise<void>> = {
  "the old server ends": (played) => played.untilSeen(() => played.rig.signalled.length === 1),
  "there is no record": async (played) => {
    const { files } = played.rig.host;
    let isGone = false;
    files.remove = async (path) => {
      const removed = await Object.getPrototypeOf(files).remove.call(files, path);
      if (path !== played.rig.folder.paths.record) return removed;
      Reflect.deleteProperty(files, "remove");
      played.interrupt();
      isGone = await played.rig.record() === null;
      return removed;
    };
    await played.untilSeen(() => isGone);
  },
  "the new server starts": (played) => played.untilSeen(() => played.rig.spawned.length === 2),
};
for (const [moment, arrive] of Object.entries(MOMENTS)) {
  Deno.test(`run() that is interrupted in a restart while ${moment} lets it finish, then ends the new server`, async () => {
    const played = Played.start();
    const { rig } = played;
    await played.until("ready");
    startSlowly(rig);
    const [first = 0] = rig.spawned;
    rig.host.processes.get(first).react = () => ({ endsAfterMs: 300 });
    const restarting = otherStart(rig, { restart: "yes" });
    await arrive(played);
    played.interrupt();

    const { kind, row } = await rig.host.clock.run(restarting);
    const [, second = 0] = rig.spawned;
    assertEquals([kind, row.pid, played.hasEnded], ["done", second, false]);
    assertEquals(new Set(rig.signalled), new Set([-first]));
    assertEquals(await played.ended(), { kind: "stopped" });
    assertEquals([rig.spawned.length, rig.signalled.at(-1)], [2, -second]);
    assertEquals([rig.host.processes.isAlive(second), await rig.record()], [false, null]);
  });
}

Deno.test("run() that is interrupted in a down leaves the server to that one, and ends before it", async () => {
  const played = Played.start();
  const { rig } = played;
  await played.until("ready");
  const [pid = 0] = rig.spawned;
  rig.host.processes.get(pid).react = () => ({ endsAfterMs: 400 });
  const stopping = otherDown(rig);
  await played.untilSeen(() => rig.signalled.length === 1);
  assertEquals(await played.stop(), { kind: "stopped" });
  assert(rig.host.processes.isAlive(pid));
  const { kind, row } = await rig.host.clock.run(stopping);
  assertEquals([kind, row.recovered?.killed, rig.signalled], ["done", [pid], [-pid]]);
});

for (const adoptOnly of [false, true]) {
  const what = adoptOnly ? "run() with adoptOnly" : "run()";
  Deno.test(`${what} that is interrupted before its turn leaves the server of another foster's restart`, async () => {
    const rig = new Rig();
    await rig.up();
    startSlowly(rig);
    const restarting = otherStart(rig, { restart: "yes" });
    const played = Played.start({}, { rig, adoptOnly });
    await played.untilSeen(() => rig.spawned.length === 2);
    assertEquals(await played.stop(), { kind: "stopped" });
    const [first = 0, second = 0] = rig.spawned;
    // It does not even wait for it.
    assertEquals(rig.statuses.has(second), false);
    const { kind, row } = await rig.host.clock.run(restarting);
    assertEquals([kind, row.pid], ["done", second]);
    assertEquals([rig.signalled, (await rig.record())?.pid], [[-first], second]);
  });
}

for (const adoptOnly of [false, true]) {
  const what = adoptOnly ? "with adoptOnly leaves the server that runs already" : "ends the server";
  Deno.test(`run() ${what} when it is interrupted before it keeps that`, async () => {
    const rig = new Rig();
    await rig.up();
    const [pid = 0] = rig.spawned;
    const interrupt = () => Promise.resolve(played.interrupt());
    beforeNextLock(rig, interrupt);
    const played = Played.start({}, { rig, adoptOnly });
    assertEquals(await played.ended(), { kind: "stopped" });
    assertEquals([played.of("ready"), rig.signalled], [[], adoptOnly ? [] : [-pid]]);
    assertEquals((await rig.record())?.pid ?? null, adoptOnly ? pid : null);
  });
}

Deno.test("run() that is interrupted leaves the server to a supervisor that took it over before it had the lock", async () => {
  const played = Played.start();
  const { rig } = played;
  await played.until("ready");
  const { pid, startTime } = rig.host.processes.add({ argv: ["foster", "run"] });
  const supervisor = { pid, start_token: startTime };
  beforeNextLock(rig, () => rig.rewrite({ supervisor }));
  assertEquals(await played.stop(), { kind: "stopped" });
  assertEquals([rig.signalled, (await rig.record())?.supervisor], [[], supervisor]);
});

Deno.test("run() that is interrupted in its own start ends and forgets what it started", async () => {
  const rig = new Rig();
  startSlowly(rig);
  const played = Played.start({}, { rig });
  await played.untilSeen(() => rig.spawned.length === 1);
  assertEquals(await played.stop(), { kind: "stopped" });
  const [pid = 0] = rig.spawned;
  assertEquals([rig.signalled, rig.host.processes.isAlive(pid), await rig.record()], [[-pid], false, null]);
});

Deno.test("run() that is interrupted in its own start leaves the server that up started after it", async () => {
  const rig = new Rig();
  startSlowly(rig);
  const played = Played.start({}, { rig });
  await played.untilSeen(() => rig.spawned.length === 1);
  const outcomes: Outcome[] = [];
  beforeNextLock(rig, async () => outcomes.push(await otherStart(rig)));
  assertEquals(await played.stop(), { kind: "stopped" });
  const [first = 0, second = 0] = rig.spawned;
  assertEquals(outcomes.map(({ kind, row }) => [kind, row.pid]), [["done", second]]);
  assertEquals([rig.signalled, (await rig.record())?.pid], [[-first], second]);
  assert(rig.host.processes.isAlive(second));
});

// ------------------------------------------------------------------- a start before the lock with which it is given up

Deno.test("run() takes over the server that another foster started before it could give it up", async () => {
  const played = Played.start({ restart: { max: 0 } });
  const { rig } = played;
  await played.until("ready");
  const isDone = beforeNextLock(rig, () => otherStart(rig), () => played.of("exited").length > 0);
  played.crash();
  await played.until("adopted");
  const [, second = 0] = rig.spawned;
  assertEquals([isDone(), played.of("exhausted"), rig.signalled], [true, [], []]);
  assertEquals([rig.spawned.length, rig.host.processes.isAlive(second)], [2, true]);
  assertEquals([(await rig.record())?.pid, (await rig.record())?.state], [second, "ready"]);
  played.crash();
  assertEquals((await played.ended()).kind, "failed");
  assertEquals([played.of("exhausted").length, rig.spawned.length], [1, 2]);
});

Deno.test("run() takes over what another foster started after the last start that failed", async () => {
  const played = Played.start({ restart: { max: 0 } }, { timeoutMs: 500 });
  const { rig } = played;
  rig.program(() => {});
  const isDone = beforeNextLock(
    rig,
    () => {
      rig.program((child) => rig.serve(child));
      return otherStart(rig);
    },
    () => played.of("start_failed").length > 0,
  );
  await played.until("adopted");
  const [, second = 0] = rig.spawned;
  assertEquals([isDone(), played.of("exhausted"), rig.host.processes.isAlive(second)], [true, [], true]);
  assertEquals([(await rig.record())?.pid, rig.signalled.includes(-second)], [second, false]);
  assertEquals(await played.stop(), { kind: "stopped" });
});
