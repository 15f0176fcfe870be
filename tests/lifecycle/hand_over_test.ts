import { assert, assertEquals } from "@std/assert";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import type { FakeChild } from "../host/fake_host.ts";
import { PORT, PROGRAM, Rig, rightStatus } from "./rig.ts";

/** The launcher starts the server, which listens after `listensAfterMs`, and ends after `endsAfterMs`. */
function handOver(rig: Rig, child: FakeChild, listensAfterMs: number, endsAfterMs = 10): void {
  const { processes, clock, files } = rig.host;
  const server = processes.add({ argv: [PROGRAM, "--pid-file", "x"], parentPid: child.process.pid });
  files.put(rig.folder.paths.pidFile, `${server.pid}\n`);
  rig.statuses.set(server.pid, rightStatus());
  clock.after(listensAfterMs, () => void server.listens.push({ port: PORT, address: "127.0.0.1" }));
  if (endsAfterMs === 0) child.exit(0);
  else clock.after(endsAfterMs, () => child.exit(0));
}

Deno.test("up follows a launcher that hands over through the pid file and ends", async () => {
  const rig = new Rig();
  rig.program((child) => handOver(rig, child, 2000));
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state], ["done", "ready"]);
  assert(row.pid !== rig.spawned[0]);
  const record = await rig.record();
  assertEquals([record?.pid, record?.launcher_pid], [row.pid, rig.spawned[0]]);
});

Deno.test("a launcher that is gone before it can be looked at leaves a record that can be read", async () => {
  const rig = new Rig();
  rig.program((child) => handOver(rig, child, 100, 0));
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state], ["done", "ready"]);
  const record = await rig.record();
  assertEquals([record?.pid, record?.launcher_start_token], [row.pid, "never"]);
  const stopped = await rig.down();
  assertEquals([stopped.kind, stopped.row.recovered?.killed], ["done", [row.pid ?? 0]]);
});

Deno.test("down ends the server that a dead launcher handed over to", async () => {
  const rig = new Rig();
  rig.program((child) => handOver(rig, child, 100));
  const { row } = await rig.up();
  const stopped = await rig.down();
  assertEquals([stopped.kind, stopped.row.recovered?.killed], ["done", [row.pid ?? 0]]);
});

Deno.test("up gives an unbranded successor five seconds before it calls the start dead", async () => {
  const rig = new Rig();
  rig.program((child) => {
    const other = rig.host.processes.add({ argv: ["something-else"] });
    rig.host.files.put(rig.folder.paths.pidFile, `${other.pid}\n`);
    rig.host.clock.after(10, () => child.exit(0));
  });
  const { kind } = await rig.up();
  assertEquals(kind, "crashed");
  const elapsed = rig.host.clock.monotonic();
  assert(elapsed >= 5000 && elapsed < 6000, `${elapsed}`);
});

// ---------------------------------------------------------------------------------------------------- the refresh

const UVX: WrittenServer = {
  command: undefined,
  launch: [{ tier: "uvx", command: PROGRAM, args: ["--from", "docs==2.4.2", "docs"] }],
  refreshArgs: ["--refresh"],
};

function argsOf(rig: Rig): string[][] {
  return rig.host.processes.spawned.map(({ options }) => options.args.slice(0, 3));
}

Deno.test("up tries once more with the refresh first, when uvx ended before the server got anywhere", async () => {
  const rig = new Rig();
  rig.program((child) => child.options.args[0] === "--refresh" ? rig.serve(child) : child.exit(1));
  const { kind } = await rig.up(UVX);
  assertEquals(kind, "done");
  assertEquals(argsOf(rig), [["--from", "docs==2.4.2", "docs"], ["--refresh", "--from", "docs==2.4.2"]]);
  assertEquals(rig.host.processes.spawned.map(({ options }) => options.args.length), [
    argsLength(rig, 0),
    argsLength(rig, 0) + 1,
  ]);
  assertEquals((await rig.record())?.launcher_pid, rig.spawned[1]);
});

function argsLength(rig: Rig, index: number): number {
  return rig.host.processes.spawned[index]?.options.args.length ?? 0;
}

Deno.test("up refreshes only once", async () => {
  const rig = new Rig();
  rig.program((child) => child.exit(1));
  assertEquals((await rig.up(UVX)).kind, "crashed");
  assertEquals(rig.spawned.length, 2);
});

Deno.test("up may refresh again at the next up", async () => {
  const rig = new Rig();
  rig.program((child) => child.exit(1));
  await rig.up(UVX);
  await rig.up(UVX);
  assertEquals(rig.spawned.length, 4);
});

Deno.test("up does not refresh a server that wrote its pid file before it ended", async () => {
  const rig = new Rig();
  rig.program((child) => {
    rig.host.files.put(rig.folder.paths.pidFile, `${child.process.pid}\n`);
    child.exit(1);
  });
  assertEquals((await rig.up(UVX)).kind, "crashed");
  assertEquals(rig.spawned.length, 1);
});

Deno.test("up does not refresh a tier other than uvx", async () => {
  const rig = new Rig();
  rig.program((child) => child.exit(1));
  await rig.up({ ...UVX, launch: [{ tier: "system", command: PROGRAM }] });
  assertEquals(rig.spawned.length, 1);
});

Deno.test("up does not refresh without refreshArgs", async () => {
  const rig = new Rig();
  rig.program((child) => child.exit(1));
  await rig.up({ ...UVX, refreshArgs: undefined });
  assertEquals(rig.spawned.length, 1);
});

Deno.test("up ends with crashed, without a loop, when the refresh can't even be started", async () => {
  const rig = new Rig();
  rig.program((child) => {
    rig.host.processes.refusedPrograms.set(PROGRAM, "no longer");
    child.exit(1);
  });
  const { kind } = await rig.up(UVX);
  assert(kind === "crashed" || kind === "no_command", kind);
  assertEquals(rig.spawned.length, 1);
});

Deno.test("up tells the refreshed child its owner as it told the first", async () => {
  const rig = new Rig();
  rig.program((child) => child.exit(1));
  const { pid } = rig.host.processes.add();
  await rig.up({ ...UVX, ownerEnv: "DOCS_OWNER" }, { ownerPid: pid });
  const owners = rig.host.processes.spawned.map(({ options }) => options.env.DOCS_OWNER);
  assertEquals(owners, [String(pid), String(pid)]);
});

Deno.test("up gives each try a cookie of its own", async () => {
  const rig = new Rig();
  rig.program((child) => child.exit(1));
  await rig.up(UVX);
  const instanceTokens = rig.host.processes.spawned.map(({ options }) => options.env.FOSTER_TOKEN);
  assertEquals(new Set(instanceTokens).size, 2);
});

Deno.test("up gives a refreshed start its whole time again", async () => {
  const rig = new Rig();
  rig.program((child) => {
    if (child.options.args[0] !== "--refresh") rig.host.clock.after(800, () => child.exit(1));
    else rig.host.clock.after(800, () => rig.serve(child));
  });
  assertEquals((await rig.up(UVX, { timeoutMs: 1000 })).kind, "done");
});
