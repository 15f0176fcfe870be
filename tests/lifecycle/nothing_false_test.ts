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
  const foreign = rig.foreign(rightStatus({ server_version: "1.0.0" }));
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
  const holder = rig.foreign(status);
  const other = rig.world.state.server("docs-12345678");
  await other.prepare();
  await other.write(sampleRecord({
    key: "docs-12345678",
    config: "/srv/old/foster.json",
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
  assertStringIncludes(row.message, 'which is foster server "docs" of /srv/old/foster.json');
  assertStringIncludes(row.hint, "foster down docs-12345678");
});

Deno.test("up of a second worktree does not silently use the server of the first", async () => {
  const rig = new Rig();
  await otherServer(rig);
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.adoption, rig.signalled], ["incompatible", "incompatible", null, []]);
  assertStringIncludes(row.message, "/srv/old/foster.json");
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
    assertStringIncludes(row.message, "/srv/old/foster.json");
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
  rig.foreign(null, { listens: [first] });
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

// ------------------------------------------------------------------------- between an end and the next start

for (
  const [what, act] of [
    ["restart", (rig: Rig) => rig.up({}, { restart: "yes" })],
    ["restart --force", (rig: Rig) => rig.up({}, { restart: "force" })],
    ["up that replaces", (rig: Rig) => rig.up({ args: ["--port", "${port}", "--pid-file", "x", "--new"] })],
    ["handoff", (rig: Rig) => rig.down({}, { handoff: true })],
  ] as const
) {
  Deno.test(`${what} leaves time for uv's cache after the old server is gone and before a new one starts`, async () => {
    const rig = new Rig();
    await rig.up();
    const [old = 0] = rig.spawned;
    const calls: unknown[] = [];
    rig.world.afterEnd = () => {
      calls.push([rig.host.processes.isAlive(old), rig.spawned.length]);
      return Promise.resolve();
    };
    await act(rig);
    assertEquals(calls, [[false, 1]]);
  });
}

Deno.test("recover leaves that time too, and where the port stays held", async () => {
  for (const stays of [false, true]) {
    const rig = new Rig();
    const foreign = rig.foreign(rightStatus({ server_version: "1.0.0" }));
    if (stays) foreign.react = () => "ignores";
    let calls = 0;
    rig.world.afterEnd = () => Promise.resolve(void calls++);
    const { kind } = await rig.up({}, { recover: true });
    assertEquals([kind, calls], [stays ? "incompatible" : "done", 1]);
  }
});

// ---------------------------------------------------------------------------------------------- stop.command

function withStopCommand(rig: Rig, does: () => void): { ran: string[][] } {
  const ran: string[][] = [];
  rig.host.files.put("/usr/bin/docker", "", 0o755);
  rig.host.processes.helper("/usr/bin/docker", (args) => {
    ran.push([...args]);
    does();
    return {};
  });
  return { ran };
}

const STOP = { stop: { grace: "500ms", command: ["docker", "stop", "docs-${port}"] } };

Deno.test("down runs stop.command first, and signals nobody that it ended", async () => {
  const rig = new Rig();
  await rig.up(STOP);
  const [pid = 0] = rig.spawned;
  const { ran } = withStopCommand(rig, () => rig.host.processes.end(pid));
  const { kind, row } = await rig.down(STOP);
  assertEquals([kind, rig.signalled, row.recovered?.killed], ["done", [], [pid]]);
  assertEquals(ran, [["stop", `docs-${PORT}`]]);
});

Deno.test("stop.command names what the start named by ${sessionId}", async () => {
  const rig = new Rig();
  const definition = {
    args: ["--port", "${port}", "--name", "docs-${sessionId}"],
    stop: { grace: "500ms", command: ["docker", "stop", "docs-${sessionId}"] },
  };
  await rig.up(definition);
  const [pid = 0] = rig.spawned;
  const { ran } = withStopCommand(rig, () => rig.host.processes.end(pid));
  const started = (await rig.host.processes.argv(pid))?.at(-1);
  await rig.down(definition);
  assertEquals(ran, [["stop", started ?? ""]]);
  assertEquals(/^docs-[0-9a-f]{16}$/.test(started ?? ""), true, started);
});

Deno.test("down goes on with the signals where stop.command fails or ends nothing", async () => {
  for (const fails of [false, true]) {
    const rig = new Rig();
    await rig.up(STOP);
    withStopCommand(rig, () => {
      if (fails) throw new HostError("failed", "no such container");
    });
    assertEquals([(await rig.down(STOP)).kind, rig.signalled.length], ["done", 1]);
    assertEquals(rig.warnings.some((text) => text.includes("no such container")), fails);
  }
});

Deno.test("down runs no stop.command for a server that is not running", async () => {
  const rig = new Rig();
  const { ran } = withStopCommand(rig, () => {});
  await rig.up(STOP);
  rig.host.processes.end(rig.spawned[0] ?? 0);
  await rig.down(STOP);
  assertEquals(ran, []);
});

// --------------------------------------------------------------------------------------------- lost variables

const NEEDS = { env: { TOKEN: "${env:DOCS_TOKEN}" } };

for (const again of ["up", "restart"] as const) {
  Deno.test(`${again} is refused where it would lack a variable that the server that ran last had`, async () => {
    const rig = new Rig({ env: { HOME: "/home/user", PATH: "/usr/bin:/bin", DOCS_TOKEN: "s3cret" } });
    await rig.up(NEEDS);
    if (again === "up") await rig.down(NEEDS);
    delete rig.host.env.values.DOCS_TOKEN;
    const before = rig.signalled.length;
    const { kind, row } = await rig.up(NEEDS, { restart: again === "restart" ? "yes" : "no" });
    assertEquals([kind, rig.signalled.length, rig.spawned.length], ["usage", before, 1]);
    assertStringIncludes(row.message, "${env:DOCS_TOKEN}");
    assertStringIncludes(row.hint, "--allow-unset");
    assert(!rig.host.files.paths().some((path) => rig.host.files.text(path)?.includes("s3cret")));
    const allowed = await rig.up(NEEDS, { restart: again === "restart" ? "yes" : "no", allowUnset: true });
    assertEquals([allowed.kind, rig.spawned.length], ["done", 2]);
  });
}

Deno.test("up uses a server that runs although a variable of its start is not set here", async () => {
  const rig = new Rig({ env: { HOME: "/home/user", PATH: "/usr/bin:/bin", DOCS_TOKEN: "s3cret" } });
  await rig.up(NEEDS);
  delete rig.host.env.values.DOCS_TOKEN;
  assertEquals((await rig.up(NEEDS)).row.adoption, "managed");
});

// ----------------------------------------------------------------------------------------------------- sessions

const SESSION = {
  session: {
    env: "DOCS_SESSION",
    payload: { session_id: "${sessionId}", capabilities: ["tools", "logging"], model: "${env:NO_SUCH}" },
  },
};

function sessionOf(rig: Rig): { file: string; session_id: string; capabilities: string[] } {
  const file = rig.host.processes.get(rig.spawned.at(-1) ?? 0).env.DOCS_SESSION ?? "";
  return { file, ...JSON.parse(rig.host.files.text(file) ?? "{}") };
}

Deno.test("a session file leaves out what came out empty, and has its capabilities in order", async () => {
  const rig = new Rig();
  await rig.up(SESSION);
  const { file: _, session_id, ...rest } = sessionOf(rig);
  assert(/^[0-9a-f]{16}$/.test(session_id));
  assertEquals(rest, { capabilities: ["logging", "tools"] } as typeof rest);
});

Deno.test("a supervised server stays one session over its restarts, each with a file of its own; another is a new one", async () => {
  for (const supervised of [true, false]) {
    const rig = new Rig();
    await rig.up(SESSION);
    const before = sessionOf(rig);
    const { pid, startTime } = rig.host.processes.add();
    if (supervised) await rig.rewrite({ supervisor: { pid, start_token: startTime } });
    await rig.up(SESSION, { restart: "yes" });
    const after = sessionOf(rig);
    assertEquals(after.session_id === before.session_id, supervised);
    assert(after.file !== before.file);
    assertEquals(rig.host.files.text(before.file), null);
  }
});

Deno.test("down of a server leaves the session files of its copies alone", async () => {
  const rig = new Rig();
  await rig.up(SESSION);
  const copy = rig.folder.sessionFile("abcdef");
  await rig.folder.writeSession(copy, { token: "x" });
  await rig.up(SESSION, { restart: "yes" });
  await rig.down(SESSION);
  assertEquals(rig.host.files.text(copy) === null, false);
});
