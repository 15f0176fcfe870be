import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { IdleWatch } from "../../src/supervisor/watch.ts";
import { writeLease } from "../../src/registry/process_files.ts";
import type { StartedBy } from "../../src/registry/record.ts";
import { Rig } from "../lifecycle/rig.ts";

const IDLE_MS = 1000;

/** A server, up and recorded as started by `startedBy`, and the watch over its clients. */
async function rigOf(startedBy: StartedBy): Promise<{ rig: Rig; idle: IdleWatch }> {
  const rig = new Rig();
  await rig.up({}, { startedBy });
  return { rig, idle: new IdleWatch(rig.host, rig.folder, IDLE_MS) };
}

/** A client that holds a lease. */
async function client(rig: Rig): Promise<number> {
  const { pid, startTime } = rig.host.processes.add({ argv: ["client"] });
  await writeLease(rig.host, rig.folder.paths.leases, { pid, start_token: startTime, since: "2026-01-01" });
  return pid;
}

Deno.test("isOver() answers yes once no client was there for the whole time", async () => {
  const { rig, idle } = await rigOf("connect");
  assertEquals(await idle.isOver(), false);
  await rig.host.clock.advance(IDLE_MS - 1);
  assertEquals(await idle.isOver(), false);
  await rig.host.clock.advance(1);
  assertEquals(await idle.isOver(), true);
});

Deno.test("isOver() answers no for as long as one of several clients lives", async () => {
  const { rig, idle } = await rigOf("connect");
  const [one] = [await client(rig), await client(rig)];
  rig.host.processes.end(one, { code: null, signal: "SIGKILL" });
  for (let turn = 0; turn < 5; turn++) {
    await rig.host.clock.advance(IDLE_MS);
    assertEquals(await idle.isOver(), false);
  }
});

Deno.test("isOver() takes a lease for over when its client was killed, and removes it", async () => {
  const { rig, idle } = await rigOf("connect");
  const pid = await client(rig);
  assertEquals(await idle.isOver(), false);
  rig.host.processes.end(pid, { code: null, signal: "SIGKILL" });
  assertEquals(await idle.isOver(), false);
  assertEquals(await rig.host.files.stat(join(rig.folder.paths.leases, `${pid}.json`)), null);
  await rig.host.clock.advance(IDLE_MS);
  assertEquals(await idle.isOver(), true);
});

Deno.test("isOver() takes a lease for over when another process has its client's number now", async () => {
  const { rig, idle } = await rigOf("connect");
  const { pid } = rig.host.processes.add({ argv: ["foreign"] });
  await writeLease(rig.host, rig.folder.paths.leases, { pid, start_token: "proc:x:1", since: "2026-01-01" });
  await idle.isOver();
  await rig.host.clock.advance(IDLE_MS);
  assertEquals(await idle.isOver(), true);
});

Deno.test("isOver() counts anew when a client came and went", async () => {
  const { rig, idle } = await rigOf("connect");
  await idle.isOver();
  await rig.host.clock.advance(IDLE_MS - 1);
  const pid = await client(rig);
  assertEquals(await idle.isOver(), false);
  rig.host.processes.end(pid, { code: 0, signal: null });
  assertEquals(await idle.isOver(), false);
  await rig.host.clock.advance(IDLE_MS - 1);
  assertEquals(await idle.isOver(), false);
  await rig.host.clock.advance(1);
  assertEquals(await idle.isOver(), true);
});

for (const startedBy of ["up", "run"] as const) {
  Deno.test(`isOver() never answers yes when ${startedBy} started the server`, async () => {
    const { rig, idle } = await rigOf(startedBy);
    await idle.isOver();
    await rig.host.clock.advance(100 * IDLE_MS);
    assertEquals(await idle.isOver(), false);
  });
}

Deno.test("isOver() answers no once up pinned a server that a client had started", async () => {
  const { rig, idle } = await rigOf("connect");
  await idle.isOver();
  await rig.up();
  await rig.host.clock.advance(IDLE_MS);
  assertEquals(await idle.isOver(), false);
});

Deno.test("isOver() does not care when the time of day jumps", async () => {
  const { rig, idle } = await rigOf("connect");
  await idle.isOver();
  rig.host.clock.now = () => Date.UTC(2030, 0, 1);
  assertEquals(await idle.isOver(), false);
  rig.host.clock.now = () => 0;
  await rig.host.clock.advance(IDLE_MS);
  assertEquals(await idle.isOver(), true);
});
