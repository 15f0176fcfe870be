import { assertEquals, assertStringIncludes } from "@std/assert";
import { writeLease } from "../../src/registry/process_files.ts";
import { PORT, Rig, rightStatus } from "./rig.ts";

Deno.test("inspectServer() shows a server that runs, with what it says of itself", async () => {
  const rig = new Rig();
  await rig.up();
  await rig.host.clock.advance(90_000);
  const row = await rig.status();
  assertEquals([row.state, row.process, row.adoption], ["ready", "ours", "managed"]);
  assertEquals([row.actual_name, row.actual_version, row.expected_version], [
    "docs-server",
    "2.4.2",
    "2.4.2",
  ]);
  assertEquals([row.uptime_ms, row.connection_blocked, row.supervised], [90_000, false, false]);
});

Deno.test("inspectServer() shows a server that is gone as crashed, and what to type", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  const row = await rig.status();
  assertEquals([row.state, row.process, row.uptime_ms], ["crashed", "gone", null]);
  assertEquals(row.message, `its process (pid ${rig.spawned[0]}) is gone`);
  assertStringIncludes(row.hint, 'foster up "docs"');
});

Deno.test("inspectServer() shows a recycled pid as crashed, not as running", async () => {
  const rig = new Rig();
  await rig.up();
  rig.host.processes.recycle(rig.spawned[0] ?? 0, { listens: [PORT] });
  assertEquals([(await rig.status()).state, (await rig.status()).process], ["crashed", "recycled"]);
});

Deno.test("inspectServer() shows a living server that does not answer as not ready", async () => {
  const rig = new Rig();
  await rig.up();
  rig.statuses.clear();
  const row = await rig.status();
  assertEquals(row.state, "spawning");
  assertStringIncludes(row.message, "404");
});

Deno.test("inspectServer() shows our server of a wrong version as incompatible and blocked", async () => {
  const rig = new Rig();
  await rig.up();
  const row = await rig.status({ version: "3.0.0" });
  assertEquals([row.state, row.connection_blocked], ["incompatible", true]);
});

Deno.test("inspectServer() shows somebody else's server as external, by asking it", async () => {
  const rig = new Rig();
  const { pid } = rig.foreign(rightStatus());
  const row = await rig.status();
  assertEquals([row.state, row.adoption, row.actual_version], ["ready", "external", "2.4.2"]);
  assertStringIncludes(row.message, `pid ${pid}`);
});

Deno.test("inspectServer() shows nothing of a foreign process with another name but that it holds the port", async () => {
  const rig = new Rig();
  const { pid } = rig.foreign(rightStatus({ name: "other" }));
  const row = await rig.status();
  assertEquals([row.state, row.adoption, row.actual_version], ["stopped", null, ""]);
  assertStringIncludes(row.message, `pid ${pid}`);
});

Deno.test("inspectServer() shows a server that was never started as stopped", async () =>
  assertEquals((await new Rig().status()).state, "stopped"));

Deno.test("inspectServer() neither starts nor ends anything, whatever it sees", async () => {
  for (const arrange of ["nothing", "crashed", "foreign"] as const) {
    const rig = new Rig();
    if (arrange === "crashed") {
      await rig.up();
      rig.host.processes.end(rig.spawned[0] ?? 0);
    }
    if (arrange !== "nothing") rig.foreign(rightStatus({ server_version: "1.0.0" }));
    const before = [rig.spawned.length, await rig.record()];
    await rig.status();
    assertEquals([rig.spawned.length, await rig.record()], before, arrange);
    assertEquals(rig.signalled, [], arrange);
  }
});

Deno.test("inspectServer() counts the leases of living clients", async () => {
  const rig = new Rig();
  await rig.up();
  const alive = rig.host.processes.add();
  const since = "2026-01-01T00:00:00.000Z";
  const lease = (pid: number, start_token: string) =>
    writeLease(rig.host, rig.folder.paths.leases, { pid, start_token, since });
  await lease(alive.pid, alive.startTime);
  await lease(4444, "proc:boot:1");
  assertEquals((await rig.status()).leases, 1);
});

Deno.test("inspectServer() calls a server supervised only while its very supervisor lives", async () => {
  const rig = new Rig();
  await rig.up();
  const supervisor = rig.host.processes.add();
  await rig.rewrite({ supervisor: { pid: supervisor.pid, start_token: supervisor.startTime } });
  assertEquals((await rig.status()).supervised, true);
  rig.host.processes.recycle(supervisor.pid);
  assertEquals((await rig.status()).supervised, false);
});

Deno.test("inspectServer() says that an incompatible server can be recovered exactly where up says so", async () => {
  for (const name of ["docs-server", "another-server"]) {
    const rig = new Rig();
    rig.foreign(rightStatus({ name, server_version: "1.0.0" }));
    const status = await rig.status();
    const { row } = await rig.up();
    assertEquals(status.can_recover_incompatible, row.can_recover_incompatible, name);
    assertEquals(status.can_recover_incompatible, name === "docs-server");
    assertEquals(rig.signalled, []);
  }
});

Deno.test("inspectServer() counts the WebSocket port, as up does", async () => {
  const rig = new Rig();
  rig.foreign(rightStatus({ ws_port: 9999 }));
  const { state, connection_blocked, can_recover_incompatible, hint } = await rig.status({ wsPort: 9500 });
  assertStringIncludes(hint, 'foster recover "docs" replaces it');
  assertEquals([state, connection_blocked, can_recover_incompatible], ["incompatible", true, true]);
  const own = new Rig();
  own.program((child) => own.serve(child, { ws_port: 9500 }));
  await own.up({ wsPort: 9500 });
  assertEquals((await own.status({ wsPort: 9500 })).state, "ready");
  own.statuses.set(own.spawned[0] ?? 0, rightStatus({ ws_port: 0 }));
  const changed = await own.status({ wsPort: 9500 });
  assertEquals([changed.state, changed.can_recover_incompatible], ["incompatible", true]);
  assertStringIncludes(changed.message, "ws_port_mismatch");
});
