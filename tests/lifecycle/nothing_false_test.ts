/**
 * What foster says of a place, and what it leaves alone: a full disk, its own servers under other names, kept ports.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { HostError } from "../../src/host/host.ts";
import { sampleRecord } from "../registry/sample.ts";
import { PORT, PROGRAM, Rig, rightStatus } from "./rig.ts";

// ------------------------------------------------------------------------------------------------ a full disk

const WRITES = ["writeAtomic", "writeNew", "append", "copy"] as const;

function fillDisk(rig: Rig): void {
  for (const write of WRITES) {
    rig.host.files[write] = () => Promise.reject(new HostError("no_space", "no space left"));
  }
}

for (
  const [what, again] of [
    ["restart", (rig: Rig) => rig.up({}, { restart: "yes" })],
    ["restart --force", (rig: Rig) => rig.up({}, { restart: "force" })],
    ["handoff", (rig: Rig) => rig.down({}, { handoff: true })],
  ] as const
) {
  Deno.test(`${what} ends nothing on a full disk, and names it`, async () => {
    const rig = new Rig();
    await rig.up();
    fillDisk(rig);
    const { kind, row } = await again(rig);
    assertEquals([kind, row.state, rig.signalled], ["failed", "ready", []]);
    assertStringIncludes(row.message, "the disk is full");
    assertStringIncludes(row.message, "nothing was ended");
    assertStringIncludes(row.hint, "free some space");
  });
}

Deno.test("recover ends nobody on a full disk", async () => {
  const rig = new Rig();
  const foreign = rig.stranger(rightStatus({ server_version: "1.0.0" }));
  await rig.folder.prepare();
  fillDisk(rig);
  const { kind } = await rig.up({}, { recover: true });
  assertEquals([kind, rig.signalled, rig.host.processes.isAlive(foreign.pid)], ["failed", [], true]);
});

Deno.test("restart leaves nothing behind of the question whether it can write", async () => {
  const rig = new Rig();
  await rig.up();
  await rig.up({}, { restart: "yes" });
  assertEquals(rig.host.files.paths().filter((path) => path.includes("room")), []);
});

// ------------------------------------------------------------------------------------------- who ended a process

Deno.test("down does not say that it ended a process that had ended by itself before it was signalled", async () => {
  const rig = new Rig();
  await rig.up();
  const [pid = 0] = rig.spawned;
  const worker = rig.host.processes.add({ argv: [PROGRAM, "worker"], groupId: pid, parentPid: pid });
  worker.react = () => "ends";
  // The worker goes by itself as soon as its server is asked to end: foster signals the group, then nobody is left.
  rig.host.processes.end(pid);
  const { row } = await rig.down();
  assert(!row.recovered?.killed.includes(pid), JSON.stringify(row.recovered));
});

// ------------------------------------------------------------------------------- another server of foster's own

async function otherServer(rig: Rig, status = rightStatus()) {
  const holder = rig.stranger(status);
  const other = rig.world.state.server("docs-12345678");
  await other.prepare();
  await other.write(sampleRecord({
    key: "docs-12345678",
    config: "/work/old/foster.json",
    pid: holder.pid,
    start_token: holder.startTime,
    pgid: holder.groupId,
    launcher_pid: holder.pid,
    launcher_start_token: holder.startTime,
    port: PORT,
  }));
  return holder;
}

Deno.test("up calls another server of foster's own by name, file and what ends it", async () => {
  const rig = new Rig();
  await otherServer(rig);
  const { kind, row } = await rig.up({ identity: {}, version: undefined });
  assertEquals([kind, row.state, rig.signalled], ["foreign_port", "foreign_port", []]);
  assertStringIncludes(row.message, 'which is foster server "docs" of /work/old/foster.json');
  assertStringIncludes(row.hint, "foster down docs-12345678");
});

Deno.test("up of a second worktree does not silently use the server of the first", async () => {
  const rig = new Rig();
  await otherServer(rig);
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.adoption, rig.signalled], ["incompatible", "incompatible", null, []]);
  assertStringIncludes(row.message, "/work/old/foster.json");
});

Deno.test("recover does not end another server of foster's own under a second name", async () => {
  const rig = new Rig();
  const holder = await otherServer(rig, rightStatus({ server_version: "1.0.0" }));
  const { row } = await rig.up({}, { recover: true });
  assertEquals([rig.signalled, rig.host.processes.isAlive(holder.pid)], [[], true]);
  assertStringIncludes(row.hint, "foster down docs-12345678");
});

Deno.test("status and down name another server of foster's own on the port", async () => {
  const rig = new Rig();
  await otherServer(rig);
  for (const row of [await rig.status(), (await rig.down()).row]) {
    assertEquals(row.state, "stopped");
    assertStringIncludes(row.message, "/work/old/foster.json");
    assertStringIncludes(row.hint, "foster down docs-12345678");
  }
});

Deno.test("up does not take a process for another server's whose record names it with another start time", async () => {
  const rig = new Rig();
  const holder = await otherServer(rig);
  rig.host.processes.recycle(holder.pid, { argv: ["python3"], listens: [PORT] });
  const { row } = await rig.up({ identity: {}, version: undefined });
  assertStringIncludes(row.message, "which foster did not start");
});

// ----------------------------------------------------------------------------------------------- kept ports

Deno.test("up says how to get another automatic port, and --port auto chooses and keeps one", async () => {
  const rig = new Rig();
  const written = { port: "auto", identity: { statusPath: "/status" } } as const;
  const first = (await rig.up(written)).row.port ?? 0;
  await rig.down(written);
  rig.stranger(null, { listens: [first] });
  const held = await rig.up(written);
  assertEquals(held.kind, "foreign_port");
  assertStringIncludes(held.row.hint, 'foster up "docs" --port auto');
  const chosen = await rig.up(written, { port: "auto" });
  assertEquals([chosen.kind, chosen.row.port === first], ["done", false]);
  await rig.down(written);
  assertEquals((await rig.up(written)).row.port, chosen.row.port);
});

Deno.test("--port auto moves a running server to its new port, and holds until down where the definition names one", async () => {
  const rig = new Rig();
  assertEquals((await rig.up()).row.port, PORT);
  const moved = await rig.up({}, { port: "auto" });
  assertEquals([moved.kind, moved.row.port === PORT], ["done", false]);
  assertStringIncludes(moved.row.message, "port");
  assertEquals((await rig.up()).row.port, moved.row.port);
  await rig.down();
  assertEquals((await rig.up()).row.port, PORT);
});
