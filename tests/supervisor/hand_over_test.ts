import { assert, assertEquals } from "@std/assert";
import type { FakeProcess } from "../host/fake_host.ts";
import { PORT, PROGRAM, rightStatus } from "../lifecycle/rig.ts";
import { INTERVAL_MS, Played } from "./played.ts";

interface Successor {
  argv?: string[];
  /** In the group of the server, with its instance token. */
  inGroup?: boolean;
  inPidFile?: boolean;
  listensAfterMs?: number | null;
  /** How the server itself ends. */
  code?: number;
}

/** The server starts another process, and ends. */
async function handOver(
  played: Played,
  {
    argv = [PROGRAM, "--pid-file", "x"],
    inGroup = true,
    inPidFile = true,
    listensAfterMs = 1000,
    code = 0,
  }: Successor,
): Promise<FakeProcess> {
  const { host, folder, statuses } = played.rig;
  await played.until("ready");
  const [first = 0] = played.rig.spawned;
  const { groupId, env } = host.processes.get(first);
  const next = host.processes.add({ argv, parentPid: 1, ...inGroup ? { groupId, env } : {} });
  if (inPidFile) host.files.put(folder.paths.pidFile, `${next.pid}\n`);
  statuses.set(next.pid, rightStatus());
  const listen = () => void next.listens.push({ port: PORT, address: "127.0.0.1" });
  if (listensAfterMs === 0) listen();
  else if (listensAfterMs !== null) host.clock.after(listensAfterMs, listen);
  played.crash(code);
  return next;
}

const FOLLOWED: { who: string; successor: Successor }[] = [
  { who: "the branded process in its group that its pid file names", successor: {} },
  { who: "that one though it takes long to listen", successor: { listensAfterMs: 9000 } },
  {
    who: "the process in its group that serves its port by then",
    successor: { inPidFile: false, argv: ["node", "new-self.js"], listensAfterMs: 0 },
  },
  { who: "its new self that no pid file names", successor: { inPidFile: false, listensAfterMs: 3000 } },
];
for (const { who, successor } of FOLLOWED) {
  Deno.test(`run() follows ${who}, ends nothing and counts no restart`, async () => {
    const played = Played.start();
    const next = await handOver(played, successor);
    await played.until("ready", 2);
    await played.rig.host.clock.advance(3 * INTERVAL_MS);
    const { spawned, signalled } = played.rig;
    assertEquals([played.of("restarting"), spawned.length, signalled], [[], 1, []]);
    const record = await played.rig.record();
    assertEquals([record?.pid, record?.state, record?.restarts], [next.pid, "ready", 0]);

    // It is watched like any other: its end is a crash.
    played.rig.host.processes.end(next.pid, { code: 3, signal: null });
    await played.until("ready", 3);
    assertEquals(played.of("restarting").length, 1);
    await played.stop();
  });
}

const NOT_FOLLOWED: { who: string; successor: Successor; ended: boolean }[] = [
  {
    who: "what it left behind in its group, which serves nothing",
    successor: { inPidFile: false, argv: ["browser"], listensAfterMs: null },
    ended: true,
  },
  {
    who: "a child that a crashed server left on its port",
    successor: { inPidFile: false, argv: ["node", "worker.js"], listensAfterMs: 0, code: 1 },
    ended: true,
  },
  {
    who: "a process elsewhere that its pid file names",
    successor: { inGroup: false, listensAfterMs: null },
    ended: false,
  },
];
for (const { who, successor, ended } of NOT_FOLLOWED) {
  Deno.test(`run() does not follow ${who}`, async () => {
    const played = Played.start();
    const next = await handOver(played, successor);
    await played.until("ready", 2);
    const { host, spawned } = played.rig;
    assertEquals([played.of("restarting").length, spawned.length], [1, 2]);
    assertEquals(host.processes.isAlive(next.pid), !ended);
    assertEquals((await played.rig.record())?.pid, spawned[1]);
    await played.stop();
  });
}

Deno.test("run() ends a successor that never serves as a start that failed", async () => {
  const played = Played.start();
  const next = await handOver(played, { listensAfterMs: null });
  await played.until("start_failed");
  assert(!played.rig.host.processes.isAlive(next.pid));
  await played.until("ready", 2);
  assertEquals(played.of("restarting").length, 1);
  await played.stop();
});

Deno.test("down is not held up by a successor that may be about to listen", async () => {
  const played = Played.start();
  const next = await handOver(played, { inPidFile: false, listensAfterMs: null });
  await played.rig.host.clock.advance(300);
  const { kind } = await played.rig.down();
  assertEquals([kind, played.rig.host.processes.isAlive(next.pid)], ["done", false]);
  assertEquals((await played.ended()).kind, "stopped");
});
