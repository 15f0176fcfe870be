import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { PORT, PROGRAM, Rig, rightStatus } from "./rig.ts";

Deno.test("down of a server that does not run is done at once and signals nobody", async () => {
  const rig = new Rig();
  const { kind, row } = await rig.down();
  assertEquals([kind, row.state, rig.signalled], ["done", "stopped", []]);
  assertEquals(rig.host.clock.monotonic(), 0);
});

Deno.test("down ends its server and forgets it, twice as well as once", async () => {
  const rig = new Rig();
  await rig.up();
  const [pid] = rig.spawned;
  const { kind, row } = await rig.down();
  assertEquals([kind, row.state, row.recovered?.killed], ["done", "stopped", [pid ?? 0]]);
  assertEquals(await rig.record(), null);
  assertEquals((await rig.down()).kind, "done");
});

Deno.test("down latches want = down before it ends anything", async () => {
  const rig = new Rig();
  await rig.up();
  const server = rig.host.processes.get(rig.spawned[0] ?? 0);
  let seen: Promise<unknown> = Promise.resolve();
  server.react = () => {
    seen = rig.record().then((record) => [record?.want, record?.state]);
    return "ends";
  };
  await rig.down();
  assertEquals(await seen, ["down", "stopping"]);
});

Deno.test("down leaves an unbranded co-holder of the port alone, says so and keeps the record", async () => {
  const rig = new Rig();
  await rig.up();
  const [ours] = rig.spawned;
  const { pid } = rig.foreign();
  const { kind, row } = await rig.down();
  assertEquals([kind, row.recovered?.killed], ["no", [ours ?? 0]]);
  assertStringIncludes(row.message, "still held");
  assertStringIncludes(row.message, `pid ${pid}`);
  assert(rig.host.processes.isAlive(pid));
  assert(await rig.record() !== null);
  assert(rig.host.clock.monotonic() >= 2000 && rig.host.clock.monotonic() < 2500);
});

Deno.test("down ends the branded process that the fresh pid file names, beside the recorded one", async () => {
  const rig = new Rig();
  await rig.up();
  const [ours] = rig.spawned;
  const server = rig.host.processes.add({ argv: [PROGRAM, "--pid-file", "x"], listens: [PORT] });
  rig.host.files.put(rig.folder.paths.pidFile, `${server.pid}\n`);
  const { kind, row } = await rig.down();
  assertEquals([kind, row.recovered?.killed], ["done", [ours ?? 0, server.pid]]);
});

Deno.test("down without a definition knows a server by what its start noted, and gives it the noted grace", async () => {
  const rig = new Rig();
  await rig.up({ stop: { grace: "7s" } });
  const [ours = 0] = rig.spawned;
  rig.host.processes.end(ours);
  const react = () => ({ endsAfterMs: 6500 });
  const server = rig.host.processes.add({ argv: [PROGRAM, "--pid-file", "x"], listens: [PORT], react });
  rig.host.files.put(rig.folder.paths.pidFile, `${server.pid}\n`);
  const { kind, row } = await rig.down({}, { definition: null });
  assertEquals([kind, row.recovered?.killed, await rig.record()], ["done", [server.pid], null]);
  assertEquals(rig.host.processes.signals.map(({ signal }) => signal), ["SIGTERM"]);
});

Deno.test("down without a definition and without those notes keeps the record of what its pid file names", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  const server = rig.host.processes.add({ argv: [PROGRAM, "--pid-file", "x"], listens: [PORT] });
  rig.host.files.put(rig.folder.paths.pidFile, `${server.pid}\n`);
  await rig.host.files.remove(rig.folder.paths.overrides);
  const { kind, row } = await rig.down({}, { definition: null });
  assertEquals([kind, rig.signalled], ["refused", []]);
  assertStringIncludes(row.message, `Cannot tell whether pid ${server.pid}`);
  assert(await rig.record() !== null);
  assertEquals((await rig.down()).row.recovered?.killed, [server.pid]);
});

Deno.test("down ends nobody on account of a pid file that names an unbranded process", async () => {
  const rig = new Rig();
  await rig.up();
  const { pid } = rig.host.processes.add({ argv: ["python3"], listens: [PORT] });
  rig.host.files.put(rig.folder.paths.pidFile, `${pid}\n`);
  await rig.down();
  assert(rig.host.processes.isAlive(pid));
});

Deno.test("down forgets a dead server and leaves the foreign process on its port alone", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  const { pid } = rig.foreign(rightStatus());
  const { kind, row } = await rig.down();
  assertEquals([kind, rig.signalled, await rig.record()], ["done", [], null]);
  assertStringIncludes(row.message, `pid ${pid}`);
});

Deno.test("down signals nobody when the recorded pid was given to another process", async () => {
  const rig = new Rig();
  await rig.up();
  const [pid] = rig.spawned;
  rig.host.processes.recycle(pid ?? 0, { argv: [PROGRAM, "--pid-file", "x"], listens: [PORT] });
  await rig.down();
  assertEquals(rig.signalled, []);
});

Deno.test("down signals nobody and keeps the record when the recorded process can't be looked at", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.unreadable.set(rig.spawned[0] ?? 0, "hidepid");
  const { kind, row } = await rig.down();
  assertEquals([kind, rig.signalled], ["refused", []]);
  assertStringIncludes(row.message, "hidepid");
  assert(await rig.record() !== null);
});

Deno.test("down keeps the record of a server that survives everything", async () => {
  const rig = new Rig();
  await rig.up();
  const server = rig.host.processes.get(rig.spawned[0] ?? 0);
  server.react = () => "ignores";
  const { kind, row } = await rig.down();
  assertEquals([kind, row.state], ["no", "stopping"]);
  assert(await rig.record() !== null);
});

Deno.test("down removes the session file only when the server is proven gone", async () => {
  const rig = new Rig();
  const session = { session: { env: "DOCS_SESSION", payload: { run: "1" } } };
  await rig.up(session);
  const server = rig.host.processes.get(rig.spawned[0] ?? 0);
  server.react = () => "ignores";
  await rig.down(session);
  assert(rig.host.files.text(server.env.DOCS_SESSION ?? "") !== null);
  server.react = () => "ends";
  await rig.down(session);
  assertEquals(rig.host.files.text(server.env.DOCS_SESSION ?? ""), null);
});

Deno.test("down ends the supervisor before the server", async () => {
  const rig = new Rig();
  await rig.up();
  const supervisor = rig.host.processes.add();
  await rig.rewrite({ supervisor: { pid: supervisor.pid, start_token: supervisor.startTime } });
  await rig.down();
  assertEquals(rig.signalled[0], supervisor.pid);
});

Deno.test("down leaves a process alone that was given the supervisor's pid", async () => {
  const rig = new Rig();
  await rig.up();
  const supervisor = rig.host.processes.add();
  await rig.rewrite({ supervisor: { pid: supervisor.pid, start_token: "proc:boot:earlier" } });
  await rig.down();
  assert(rig.host.processes.isAlive(supervisor.pid));
});

Deno.test("down ends what the dying server leaves behind in its group when it is gone already", async () => {
  const rig = new Rig();
  await rig.up();
  const server = rig.host.processes.get(rig.spawned[0] ?? 0);
  server.react = () => {
    rig.host.processes.add({ pid: 7000, env: { ...server.env }, groupId: server.groupId });
    return "ends";
  };
  const { kind } = await rig.down();
  assertEquals(kind, "done");
  assert(!rig.host.processes.isAlive(7000));
});

// ------------------------------------------------------------------------------------------- restart and handoff

Deno.test("restart --force without any proof refuses and ends nobody", async () => {
  const rig = new Rig();
  const { pid } = rig.foreign(rightStatus());
  const { kind, row } = await rig.up({}, { restart: "force" });
  assertEquals([kind, rig.signalled, rig.spawned], ["refused", [], []]);
  assertStringIncludes(row.message, `pid ${pid}`);
  assertStringIncludes(row.hint, "foster recover");
});

Deno.test("restart --force ends the reload parent and its worker", async () => {
  const rig = new Rig();
  rig.program((child) => {
    rig.serve(child);
    const { pid, groupId } = child.process;
    rig.host.processes.add({ parentPid: pid, groupId, listens: [PORT] });
  });
  await rig.up();
  const [parent] = rig.spawned;
  rig.program((child) => rig.serve(child));
  const { kind, row } = await rig.up({}, { restart: "force" });
  assertEquals(kind, "done");
  assertEquals(row.recovered?.killed.length, 2);
  assert(row.recovered?.killed.includes(parent ?? 0));
});

Deno.test("restart --force leaves an unbranded co-listener alone and is incompatible with what it finds then", async () => {
  const rig = new Rig();
  await rig.up();
  const foreign = rig.foreign(rightStatus({ server_version: "9.9.9" }));
  const { kind, row } = await rig.up({}, { restart: "force" });
  assert(rig.host.processes.isAlive(foreign.pid));
  assertEquals([kind, row.state], ["incompatible", "incompatible"]);
  assertStringIncludes(row.message, "9.9.9");
});

Deno.test("restart keeps the record when its own server can't be ended", async () => {
  const rig = new Rig();
  await rig.up();
  const record = await rig.record();
  rig.host.processes.get(rig.spawned[0] ?? 0).react = () => "ignores";
  const { kind } = await rig.up({}, { restart: "force" });
  assertEquals(kind, "incompatible");
  assertEquals((await rig.record())?.token, record?.token);
  assertEquals(rig.spawned.length, 1);
});

Deno.test("restart of a server that does not run starts it", async () => {
  const rig = new Rig();
  assertEquals((await rig.up({}, { restart: "yes" })).row.startup_path, "spawned");
});

Deno.test("handoff stops the server so that another version can start", async () => {
  const rig = new Rig();
  await rig.up();
  const { kind } = await rig.down({}, { handoff: true });
  assertEquals([kind, await rig.record()], ["done", null]);
  rig.program((child) => rig.serve(child, { server_version: "3.0.0" }));
  assertEquals((await rig.up({ version: "3.0.0" })).kind, "done");
});

Deno.test("handoff without a strong proof leaves the holder of the port alone", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  const { pid } = rig.foreign(rightStatus());
  await rig.down({}, { handoff: true });
  assert(rig.host.processes.isAlive(pid));
  assertEquals(rig.signalled, []);
});

for (
  const { what, handoff, checkout, ended } of [
    { what: "handoff", handoff: true, checkout: false, ended: true },
    { what: "handoff in a checkout", handoff: true, checkout: true, ended: false },
    { what: "down", handoff: false, checkout: false, ended: false },
  ]
) {
  Deno.test(`${what} ${ended ? "ends" : "leaves"} the holder of the port that answers as the recorded server does`, async () => {
    const rig = new Rig();
    const devSource = { marker: "src/docs/__init__.py", mode: "prefix" as const };
    if (checkout) rig.host.files.put("/base/src/docs/__init__.py", "");
    await rig.up({ devSource });
    const [ours = 0] = rig.spawned;
    rig.host.processes.get(ours).listens.length = 0;
    const { pid } = rig.foreign(rightStatus());
    const { kind } = await rig.down({ devSource }, { handoff });
    assertEquals([rig.host.processes.isAlive(ours), rig.host.processes.isAlive(pid)], [false, !ended]);
    assertEquals([kind, await rig.record() === null], ended ? ["done", true] : ["no", false]);
  });
}

Deno.test("restart keeps the record where another process holds the port once its own is gone", async () => {
  for (const name of [null, "docs-server"]) {
    const identity = { name, statusPath: "/status" };
    const rig = new Rig();
    await rig.up({ identity });
    const [ours = 0] = rig.spawned;
    const { pid } = rig.foreign();
    const { kind, row } = await rig.up({ identity }, { restart: "yes" });
    assertEquals([kind, row.pid], [name === null ? "foreign_port" : "incompatible", null]);
    assertEquals([rig.host.processes.isAlive(ours), rig.host.processes.isAlive(pid)], [false, true]);
    const record = await rig.record();
    assertEquals([record?.pid, record?.port, record?.state], [null, PORT, "stopped"]);

    rig.host.processes.end(pid);
    assertEquals((await rig.up({ identity })).kind, "done");
  }
});

Deno.test("down ends and forgets nothing of another PID namespace, and says where to type it", async () => {
  const rig = new Rig();
  rig.host.processes.namespace = "4026532001";
  await rig.up();
  rig.host.processes.namespace = "4026531836";
  const { kind, row } = await rig.down();
  assertEquals([kind, rig.signalled], ["refused", []]);
  assertStringIncludes(row.message, "another PID namespace");
  rig.host.processes.namespace = "4026532001";
  assertEquals((await rig.record())?.want, "up");
});

Deno.test("up starts beside the record of another PID namespace where the port is free, and signals nothing", async () => {
  const rig = new Rig();
  rig.host.processes.namespace = "4026532001";
  await rig.up();
  const [theirs = 0] = rig.spawned;
  rig.host.processes.namespace = "4026531836";
  const held = await rig.up();
  assertEquals([held.kind === "done", rig.signalled], [false, []]);
  rig.host.processes.get(theirs).listens.length = 0;
  assertEquals((await rig.up()).kind, "done");
  assertEquals([rig.signalled, rig.host.processes.isAlive(theirs)], [[], true]);
  rig.host.processes.namespace = "4026532001";
  assertEquals((await rig.record())?.pid, theirs);
});
