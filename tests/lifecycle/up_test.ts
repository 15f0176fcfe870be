import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { HostError } from "../../src/host/host.ts";
import { STATE_CODES } from "../../src/registry/state_label.ts";
import { PORT, PROGRAM, Rig, rightStatus } from "./rig.ts";

Deno.test("up spawns, records launcher, version and ports, and is ready", async () => {
  const rig = new Rig();
  const { kind, row } = await rig.up({ wsPort: 9500 });
  const [pid] = rig.spawned;
  assertEquals(kind, "done");
  assertEquals([row.state, row.state_code, row.startup_path], ["ready", STATE_CODES.ready, "spawned"]);
  assertEquals([row.pid, row.recovered, row.adoption], [pid ?? 0, null, null]);
  const record = await rig.record();
  assertEquals([record?.launcher_pid, record?.pgid, record?.state], [pid, pid, "ready"]);
  assertEquals([record?.version, record?.server_name, record?.ws_port], ["2.4.2", "docs-server", 9500]);
});

Deno.test("up writes its record with the cookie before it spawns", async () => {
  const rig = new Rig();
  let cookie = "";
  rig.program(async (child) => {
    const record = await rig.record();
    assertEquals([record?.state, record?.pid, record?.launcher_pid], ["spawning", null, null]);
    cookie = child.options.env.FOSTER_TOKEN ?? "";
    assertEquals(record?.token, cookie);
    rig.serve(child);
  });
  await rig.up();
  assert(cookie.includes(":docs:"));
});

Deno.test("up says no_command before it touches the pid file of an earlier start", async () => {
  const rig = new Rig();
  rig.host.files.put(rig.slot.paths.pidFile, "812\n");
  const { kind, row } = await rig.up({ command: "no-such-program" });
  assertEquals([kind, row.state, row.startup_path], ["noCommand", "no_command", "no_command"]);
  assertEquals(rig.host.files.text(rig.slot.paths.pidFile), "812\n");
  assertStringIncludes(row.message, "no-such-program");
});

Deno.test("up starts at the next try after no command was found", async () => {
  const rig = new Rig();
  await rig.up({ command: "no-such-program" });
  assertEquals((await rig.up()).kind, "done");
});

Deno.test("up wipes the pid file and spawns nothing when the port is reserved", async () => {
  const rig = new Rig();
  rig.host.net.reserved = [[PORT - 1, PORT + 1]];
  rig.host.files.put(rig.slot.paths.pidFile, "812\n");
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.startup_path], ["portExcluded", "port_excluded", "reserved"]);
  assertEquals(rig.host.files.text(rig.slot.paths.pidFile), null);
  assertEquals(rig.spawned, []);
  assertStringIncludes(row.hint, "winnat");
});

Deno.test("up says no_command rather than port_excluded when both hold", async () => {
  const rig = new Rig();
  rig.host.net.reserved = [[PORT, PORT]];
  assertEquals((await rig.up({ command: "no-such-program" })).kind, "noCommand");
});

Deno.test("up moves a reserved WebSocket port and says so, and never the HTTP port", async () => {
  const rig = new Rig();
  rig.host.net.reserved = [[9500, 9599]];
  const { kind, row } = await rig.up({ wsPort: 9500 });
  assertEquals([kind, row.port, row.ws_port], ["done", PORT, 9600]);
  assert(rig.warnings.some((text) => text.includes("9500") && text.includes("9600")));
});

Deno.test("up leaves no pid file of an earlier start to a child that fails", async () => {
  const rig = new Rig();
  rig.host.files.put(rig.slot.paths.pidFile, "812\n");
  rig.program((child) => child.exit(3));
  assertEquals((await rig.up()).kind, "crashed");
  assertEquals(rig.host.files.text(rig.slot.paths.pidFile), null);
});

Deno.test("up is crashed when the child can't be started, and tries again at the next up", async () => {
  const rig = new Rig();
  rig.program(() => {
    throw new HostError("failed", "no more processes");
  });
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.startup_path], ["crashed", "crashed", "crashed"]);
  assertStringIncludes(row.message, "no more processes");
  rig.program((child) => rig.serve(child));
  assertEquals((await rig.up()).kind, "done");
});

Deno.test("up acts on a dead child at once, with its exit code and last words", async () => {
  const rig = new Rig();
  rig.program((child) => {
    child.log("one\nModuleNotFoundError: No module named 'docs'\n");
    rig.host.clock.after(200, () => child.exit(3));
  });
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.startup_path], ["crashed", "crashed", "crashed"]);
  assertStringIncludes(row.message, "exit code 3");
  assertStringIncludes(row.message, "No module named");
  assertStringIncludes(row.hint, "uv cache clean");
  assert(rig.host.clock.monotonic() < 1000, `${rig.host.clock.monotonic()}`);
  assertEquals((await rig.record())?.last_exit?.code, 3);
});

Deno.test("up never calls a child that a signal ended a success", async () => {
  const rig = new Rig();
  rig.program((child) => {
    rig.host.clock.after(50, () => rig.host.processes.end(child.process.pid, { signal: "SIGKILL" }));
  });
  const { kind, row } = await rig.up();
  assertEquals(kind, "crashed");
  assertStringIncludes(row.message, "signal SIGKILL");
  assertEquals((await rig.record())?.last_exit?.signal, "SIGKILL");
});

Deno.test("up stops a child that never gets ready, and quotes what it saw last", async () => {
  const rig = new Rig();
  rig.program((child) => child.listen(PORT));
  const { kind, row } = await rig.up({ ready: { check: "http", timeout: "2s", probeTimeout: "500ms" } });
  assertEquals(kind, "notReady");
  assertStringIncludes(row.message, "404");
  assertStringIncludes(row.message, "stopped again");
  assert(!rig.host.processes.isAlive(rig.spawned[0] ?? 0));
});

// ------------------------------------------------------------------------------------------------------- adoption

Deno.test("up adopts its own running server and ends nothing", async () => {
  const rig = new Rig();
  await rig.up();
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.startup_path, row.adoption], ["done", "ready", "adopted", "managed"]);
  assertEquals(rig.spawned.length, 1);
  assertEquals(rig.signalled, []);
});

Deno.test("up heals a dead launcher: the record names the listener that carries our cookie", async () => {
  const rig = new Rig();
  rig.program((child) => rig.serve(child));
  await rig.up();
  const first = await rig.record();
  const { pid, env, groupId } = rig.host.processes.get(first?.pid ?? 0);
  const listener = rig.host.processes.add({ env, groupId, listens: [PORT] });
  rig.statuses.set(listener.pid, rightStatus());
  rig.host.processes.end(pid);
  const { row } = await rig.up();
  assertEquals([row.adoption, row.pid], ["managed", listener.pid]);
  assertEquals((await rig.record())?.pid, listener.pid);
});

Deno.test("up adopts the right server of somebody else as external and keeps no record of it", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  rig.host.files.put(rig.slot.paths.pidFile, "812\n");
  const { pid } = rig.stranger(rightStatus());
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.startup_path, row.adoption], ["done", "ready", "adopted", "external"]);
  assertEquals(await rig.record(), null);
  assertEquals(rig.host.files.text(rig.slot.paths.pidFile), null);
  assertStringIncludes(row.message, `pid ${pid}`);
  assert(!row.message.includes("-1"));
});

Deno.test("an external adoption gives no right to restart or stop", async () => {
  const rig = new Rig();
  const { pid } = rig.stranger(rightStatus());
  await rig.up();
  assertEquals((await rig.up({}, { restart: "force" })).kind, "refused");
  const { kind, row } = await rig.down();
  assertEquals([kind, row.adoption], ["refused", "external"]);
  assertStringIncludes(row.message, "external, left alone");
  assertEquals((await rig.down({}, { named: false })).kind, "done");
  assertEquals(rig.signalled, []);
  assert(rig.host.processes.isAlive(pid));
});

for (
  const [name, status] of [
    ["on another WebSocket port", rightStatus({ ws_port: 9600 })],
    ["that does not tell its WebSocket port", { name: "docs-server", server_version: "2.4.2" }],
    ["of another version", rightStatus({ ws_port: 9500, server_version: "2.4.1" })],
    ["without a version", { name: "docs-server", ws_port: 9500 }],
  ] as const
) {
  Deno.test(`up refuses the server of somebody else ${name}, and spawns nothing`, async () => {
    const rig = new Rig();
    rig.stranger(status);
    const { kind, row } = await rig.up({ wsPort: 9500 });
    assertEquals([kind, row.state, row.startup_path], ["incompatible", "incompatible", "incompatible"]);
    assertEquals([row.connection_blocked, row.can_recover_incompatible], [true, true]);
    assertEquals([rig.spawned, rig.signalled], [[], []]);
    assertStringIncludes(row.hint, "foster recover");
  });
}

Deno.test("up reads the version from server_version before version", async () => {
  const rig = new Rig();
  rig.stranger(rightStatus({ version: "1.0.0" }));
  assertEquals((await rig.up()).row.adoption, "external");
});

Deno.test("up reads the version from version where server_version is missing", async () => {
  const rig = new Rig();
  rig.stranger({ name: "docs-server", version: "2.4.2" });
  assertEquals((await rig.up()).row.adoption, "external");
});

Deno.test("up believes no version of a server with a foreign name", async () => {
  const rig = new Rig();
  rig.stranger(rightStatus({ name: "other-server" }));
  const { kind, row } = await rig.up();
  assertEquals([kind, row.can_recover_incompatible], ["incompatible", false]);
  assert(!row.message.includes("2.4.2") || row.message.includes("unverified"));
});

Deno.test("up calls the holder of the port foreign when no name is expected", async () => {
  const rig = new Rig();
  rig.stranger(rightStatus());
  const { kind, row } = await rig.up({ identity: {} });
  assertEquals([kind, row.state], ["foreignPort", "foreign_port"]);
  assertEquals(rig.asked, 0);
});

Deno.test("up asks a stranger once for the whole of its answer", async () => {
  const rig = new Rig();
  rig.stranger(rightStatus({ server_version: "1.0.0" }));
  await rig.up();
  assertEquals(rig.asked, 1);
});

Deno.test("up asks a stranger once also when it gets no sensible answer", async () => {
  const rig = new Rig();
  rig.stranger();
  const { kind, row } = await rig.up();
  assertEquals([kind, rig.asked], ["incompatible", 1]);
  assertStringIncludes(row.message, "unverified server (HTTP 404)");
});

// ----------------------------------------------------------------------------------------- replacing and recovery

Deno.test("up ends nobody on the word of a status endpoint, and waits for nothing", async () => {
  const rig = new Rig();
  const { pid } = rig.stranger(rightStatus({ server_version: "1.0.0" }));
  await rig.up();
  assert(rig.host.processes.isAlive(pid));
  assertEquals(rig.host.clock.monotonic(), 0);
});

Deno.test("up replaces its own server of an older version, and says so", async () => {
  const rig = new Rig();
  rig.program((child) => rig.serve(child, { server_version: "2.4.1" }));
  await rig.up({ version: "2.4.1" });
  const [old] = rig.spawned;
  rig.program((child) => rig.serve(child));
  const { kind, row } = await rig.up();
  assertEquals(kind, "done");
  assertEquals(row.recovered?.killed, [old ?? 0]);
  assertStringIncludes(row.message, "version");
  assertEquals(rig.spawned.length, 2);
});

Deno.test("up resolves the WebSocket port afresh after it ended the holder", async () => {
  const rig = new Rig();
  await rig.up({ wsPort: 9500 });
  await rig.rewrite({ ws_port: 9600 });
  const { row } = await rig.up({ wsPort: 9500 }, { restart: "yes" });
  assertEquals([row.state, row.ws_port, (await rig.record())?.ws_port], ["ready", 9500, 9500]);
  assert(rig.host.processes.spawned[1]?.options.args.includes("9500"));
});

Deno.test("up asks again after it ended the holder: the earlier answer is stale", async () => {
  const rig = new Rig();
  const { pid } = rig.stranger(rightStatus({ server_version: "1.0.0" }));
  const next = rig.stranger(rightStatus(), { listens: [] });
  const end = rig.host.processes.get(pid);
  end.react = () => {
    next.listens.push({ port: PORT, address: "127.0.0.1" });
    return "ends";
  };
  const { row } = await rig.up({}, { recover: true });
  assertEquals(row.state === "incompatible" && row.message.includes("1.0.0"), false);
  assert(rig.asked >= 2);
  assert(rig.host.processes.isAlive(next.pid));
});

Deno.test("recover ends the listeners that its name identifies, and starts again", async () => {
  const rig = new Rig();
  const parent = rig.stranger(rightStatus({ server_version: "1.0.0" }));
  const worker = rig.stranger(null, { parentPid: parent.pid, groupId: parent.groupId });
  const { kind, row } = await rig.up({}, { recover: true });
  assertEquals([kind, row.state, row.startup_path], ["done", "ready", "spawned"]);
  assertEquals(row.recovered, { proof: "status_name", killed: [parent.pid, worker.pid] });
  assertEquals([row.connection_blocked, row.can_recover_incompatible], [false, false]);
});

Deno.test("recover is over with the recovery even when the start then fails", async () => {
  const rig = new Rig();
  const { pid } = rig.stranger(rightStatus({ server_version: "1.0.0" }));
  rig.program((child) => child.exit(1));
  const { kind, row } = await rig.up({}, { recover: true });
  assertEquals([kind, row.state, row.recovered?.killed], ["crashed", "crashed", [pid]]);
  assertEquals(row.connection_blocked, false);
});

Deno.test("recover goes back to incompatible when the port is still held, and keeps the record", async () => {
  const rig = new Rig();
  await rig.up();
  const record = await rig.record();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  const stuck = rig.stranger(rightStatus({ server_version: "1.0.0" }), { react: () => "ignores" });
  const { kind, row } = await rig.up({}, { recover: true });
  assertEquals([kind, row.state, row.connection_blocked], ["incompatible", "incompatible", true]);
  assertEquals((await rig.record())?.token, record?.token);
  assertEquals(rig.spawned.length, 1);
  assert(rig.host.processes.isAlive(stuck.pid));
});

Deno.test("recover says what up says when there is nothing to recover", async () => {
  const rig = new Rig();
  assertEquals((await rig.up({}, { recover: true })).row.startup_path, "spawned");
  assertEquals((await rig.up({}, { recover: true })).row.startup_path, "adopted");
  assertEquals(rig.signalled, []);
});

Deno.test("up touches nothing when it can't tell whether the recorded process is its own", async () => {
  const rig = new Rig();
  await rig.up();
  const [pid] = rig.spawned;
  rig.host.processes.unreadable.set(pid ?? 0, "hidepid");
  const { kind, row } = await rig.up();
  assertEquals(kind, "refused");
  assertStringIncludes(row.message, "hidepid");
  assertEquals([rig.spawned.length, rig.signalled], [1, []]);
});

Deno.test("up is not held up by a dead record, whatever it says", async () => {
  for (const state of ["spawning", "ready", "crashed", "stopping", "incompatible", "foreign_port"] as const) {
    const rig = new Rig();
    await rig.up();
    rig.host.processes.end(rig.spawned[0] ?? 0);
    await rig.rewrite({ state, want: "down" });
    assertEquals((await rig.up()).row.state, "ready", state);
  }
});

Deno.test("up believes a fresh pid file that names a branded listener", async () => {
  const rig = new Rig();
  await rig.up();
  const [launcher] = rig.spawned;
  rig.host.processes.end(launcher ?? 0);
  const argv = [PROGRAM, "--pid-file", "x"];
  const server = rig.stranger(rightStatus(), { argv });
  rig.host.files.put(rig.slot.paths.pidFile, `${server.pid}\n`);
  const { row } = await rig.up();
  assertEquals([row.adoption, row.pid], ["managed", server.pid]);
});

Deno.test("up does not believe a fresh pid file that names an unbranded stranger", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  const { pid } = rig.stranger(rightStatus({ server_version: "1.0.0" }));
  rig.host.files.put(rig.slot.paths.pidFile, `${pid}\n`);
  assertEquals((await rig.up()).kind, "incompatible");
  assertEquals(rig.signalled, []);
});

Deno.test("up does not believe a pid file that is older than its spawn", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  const argv = [PROGRAM, "--pid-file", "x"];
  const { pid } = rig.stranger(rightStatus({ server_version: "1.0.0" }), { argv });
  rig.host.files.put(rig.slot.paths.pidFile, `${pid}\n`);
  const startedAt = Date.parse((await rig.record())?.started_at ?? "");
  rig.host.files.setModified(rig.slot.paths.pidFile, startedAt - 1000);
  assertEquals((await rig.up()).kind, "incompatible");
  assertEquals(rig.signalled, []);
});
