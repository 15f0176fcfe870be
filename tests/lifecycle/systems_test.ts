import { assert, assertEquals } from "@std/assert";
import type { System } from "../../src/host/host.ts";
import { PORT, PROGRAM, Rig, rightStatus } from "./rig.ts";

/** Found on every system without a look at PATH. */
const SELF = { command: "foster" };

function rigOn(system: System): Rig {
  const rig = new Rig({ system });
  rig.host.processes.program("/usr/bin/foster", (child) => rig.serve(child));
  return rig;
}

Deno.test("on Windows down ends the whole tree of its server, for there are no groups", async () => {
  const rig = rigOn("windows");
  rig.host.processes.program("/usr/bin/foster", (child) => {
    const server = rig.host.processes.add({ parentPid: child.process.pid, argv: ["node"] });
    const worker = rig.host.processes.add({ parentPid: server.pid, argv: ["node", "worker"] });
    server.listens.push({ port: PORT, address: "127.0.0.1" });
    rig.statuses.set(server.pid, rightStatus());
    worker.cwd = "/";
  });
  await rig.up(SELF);
  const bystander = rig.host.processes.add({ argv: [PROGRAM, "--pid-file", "x"] });
  const before = rig.host.processes.alive();
  const { kind, row } = await rig.down();
  assertEquals([kind, row.recovered?.killed.length], ["done", 3]);
  assert(rig.host.processes.isAlive(bystander.pid));
  assertEquals(rig.host.processes.alive().length, before.length - 3);
});

Deno.test("on Windows a record has no process group", async () => {
  const rig = rigOn("windows");
  await rig.up(SELF);
  assertEquals((await rig.record())?.pgid, null);
});

Deno.test("on Windows no owner is told to the child", async () => {
  const rig = rigOn("windows");
  const { pid } = rig.host.processes.add();
  await rig.up({ ...SELF, ownerEnv: "DOCS_OWNER" }, { ownerPid: pid });
  assertEquals(rig.host.processes.spawned[0]?.options.env.DOCS_OWNER, undefined);
});

for (const system of ["darwin", "windows"] as const) {
  Deno.test(`on ${system}, where cookies can't be read, the fresh pid file still names the server`, async () => {
    const rig = rigOn(system);
    rig.host.processes.program("/usr/bin/foster", (child) => {
      const server = rig.host.processes.add({ argv: [PROGRAM, "--pid-file", "x"] });
      rig.host.files.put(rig.folder.paths.pidFile, `${server.pid}\n`);
      rig.statuses.set(server.pid, rightStatus());
      server.listens.push({ port: PORT, address: "127.0.0.1" });
      rig.host.clock.after(10, () => child.exit(0));
    });
    const { row } = await rig.up(SELF);
    assertEquals(row.state, "ready");
    await rig.host.clock.advance(50);
    assertEquals((await rig.down()).row.recovered?.killed, [row.pid ?? 0]);
  });

  Deno.test(`on ${system} up adopts its own server again and ends only it`, async () => {
    const rig = rigOn(system);
    await rig.up(SELF);
    assertEquals((await rig.up(SELF)).row.adoption, "managed");
    assertEquals((await rig.down()).row.recovered?.killed, rig.spawned);
  });
}

/** A Python server whose worker keeps the inherited socket when its parent is gone. */
function orphanedWorker(rig: Rig, { parent = 0, listens = true } = {}) {
  const [server = 0] = rig.spawned;
  const worker = rig.host.processes.add({
    parentPid: 0,
    argv: ["python.exe", "-c", `spawn_main(parent_pid=${parent || server}, pipe_handle=5)`],
  });
  rig.host.processes.end(server);
  if (listens) worker.listens.push({ port: PORT, address: "127.0.0.1" });
  return worker;
}

for (const verb of ["down", "restart", "recover"] as const) {
  Deno.test(`on Windows ${verb} ends the worker that its server left on the port`, async () => {
    const rig = rigOn("windows");
    await rig.up(SELF);
    const worker = orphanedWorker(rig);
    const { row } = verb === "down"
      ? await rig.down(SELF)
      : await rig.up(SELF, verb === "restart" ? { restart: "yes" } : { recover: true });
    assertEquals(rig.host.processes.isAlive(worker.pid), false);
    assertEquals(row.recovered?.killed, [worker.pid]);
  });
}

for (
  const [what, given] of [
    ["of another parent", { parent: 99_999 }],
    ["that does not listen on its port", { listens: false }],
  ] as const
) {
  Deno.test(`on Windows down ends no worker ${what}`, async () => {
    const rig = rigOn("windows");
    await rig.up(SELF);
    const worker = orphanedWorker(rig, given);
    await rig.down(SELF);
    assertEquals([rig.host.processes.isAlive(worker.pid), rig.signalled], [true, []]);
  });
}

Deno.test("a worker's words count on Windows alone", async () => {
  const rig = rigOn("linux");
  await rig.up(SELF);
  const worker = orphanedWorker(rig);
  await rig.down(SELF);
  assertEquals([rig.host.processes.isAlive(worker.pid), rig.signalled], [true, []]);
});
