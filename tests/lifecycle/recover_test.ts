import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { PORT, PROGRAM, Rig, rightStatus } from "./rig.ts";

Deno.test("up ends nobody on the word of a status endpoint, and waits for nothing", async () => {
  const rig = new Rig();
  const { pid } = rig.foreign(rightStatus({ server_version: "1.0.0" }));
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
  const { pid } = rig.foreign(rightStatus({ server_version: "1.0.0" }));
  const next = rig.foreign(rightStatus(), { listens: [] });
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
  const parent = rig.foreign(rightStatus({ server_version: "1.0.0" }));
  const worker = rig.foreign(null, { parentPid: parent.pid, groupId: parent.groupId });
  const { kind, row } = await rig.up({}, { recover: true });
  assertEquals([kind, row.state, row.startup_path], ["done", "ready", "spawned"]);
  assertEquals(row.recovered, { proof: "status_name", killed: [parent.pid, worker.pid] });
  assertEquals([row.connection_blocked, row.can_recover_incompatible], [false, false]);
});

Deno.test("recover is over with the recovery even when the start then fails", async () => {
  const rig = new Rig();
  const { pid } = rig.foreign(rightStatus({ server_version: "1.0.0" }));
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
  const stuck = rig.foreign(rightStatus({ server_version: "1.0.0" }), { react: () => "ignores" });
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
  const server = rig.foreign(rightStatus(), { argv });
  rig.host.files.put(rig.folder.paths.pidFile, `${server.pid}\n`);
  const { row } = await rig.up();
  assertEquals([row.adoption, row.pid], ["managed", server.pid]);
});

Deno.test("up does not believe a fresh pid file that names a foreign process without the signature", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  const { pid } = rig.foreign(rightStatus({ server_version: "1.0.0" }));
  rig.host.files.put(rig.folder.paths.pidFile, `${pid}\n`);
  assertEquals((await rig.up()).kind, "incompatible");
  assertEquals(rig.signalled, []);
});

Deno.test("up does not believe a pid file that is older than its spawn", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  const argv = [PROGRAM, "--pid-file", "x"];
  const { pid } = rig.foreign(rightStatus({ server_version: "1.0.0" }), { argv });
  rig.host.files.put(rig.folder.paths.pidFile, `${pid}\n`);
  const startedAt = Date.parse((await rig.record())?.started_at ?? "");
  rig.host.files.setModified(rig.folder.paths.pidFile, startedAt - 1000);
  assertEquals((await rig.up()).kind, "incompatible");
  assertEquals(rig.signalled, []);
});
