import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { PORT, Rig, rightStatus } from "./rig.ts";

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
  rig.host.files.put(rig.folder.paths.pidFile, "812\n");
  const { pid } = rig.foreign(rightStatus());
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, row.startup_path, row.adoption], ["done", "ready", "adopted", "external"]);
  assertEquals(await rig.record(), null);
  assertEquals(rig.host.files.text(rig.folder.paths.pidFile), null);
  assertStringIncludes(row.message, `pid ${pid}`);
  assert(!row.message.includes("-1"));
});

Deno.test("an external adoption gives no right to restart or stop", async () => {
  const rig = new Rig();
  const { pid } = rig.foreign(rightStatus());
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
    rig.foreign(status);
    const { kind, row } = await rig.up({ wsPort: 9500 });
    assertEquals([kind, row.state, row.startup_path], ["incompatible", "incompatible", "incompatible"]);
    assertEquals([row.connection_blocked, row.can_recover_incompatible], [true, true]);
    assertEquals([rig.spawned, rig.signalled], [[], []]);
    assertStringIncludes(row.hint, "foster recover");
  });
}

Deno.test("up reads the version from server_version before version", async () => {
  const rig = new Rig();
  rig.foreign(rightStatus({ version: "1.0.0" }));
  assertEquals((await rig.up()).row.adoption, "external");
});

Deno.test("up reads the version from version where server_version is missing", async () => {
  const rig = new Rig();
  rig.foreign({ name: "docs-server", version: "2.4.2" });
  assertEquals((await rig.up()).row.adoption, "external");
});

Deno.test("up believes no version of a server with a foreign name", async () => {
  const rig = new Rig();
  rig.foreign(rightStatus({ name: "other-server" }));
  const { kind, row } = await rig.up();
  assertEquals([kind, row.can_recover_incompatible], ["incompatible", false]);
  assert(!row.message.includes("2.4.2") || row.message.includes("unverified"));
});

Deno.test("up calls the holder of the port foreign when no name is expected", async () => {
  const rig = new Rig();
  rig.foreign(rightStatus());
  const { kind, row } = await rig.up({ identity: {} });
  assertEquals([kind, row.state], ["foreign_port", "foreign_port"]);
  assertEquals(rig.asked, 0);
});

Deno.test("up asks a foreign process once for the whole of its answer", async () => {
  const rig = new Rig();
  rig.foreign(rightStatus({ server_version: "1.0.0" }));
  await rig.up();
  assertEquals(rig.asked, 1);
});

Deno.test("up asks a foreign process once also when it gets no sensible answer", async () => {
  const rig = new Rig();
  rig.foreign();
  const { kind, row } = await rig.up();
  assertEquals([kind, rig.asked], ["incompatible", 1]);
  assertStringIncludes(row.message, "unverified server (HTTP 404)");
});
