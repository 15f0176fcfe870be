import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { overridesHint } from "../../src/lifecycle/messages.ts";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import { Rig, rightStatus } from "./rig.ts";

const VERSION_HELD = '--version 9.9.9 of an earlier foster up still holds; foster down "docs" forgets it';
const PORT_HELD = '--port 3005 of an earlier foster up still holds; foster down "docs" forgets it';

Deno.test("overridesHint() names what still holds", () => {
  assertEquals(overridesHint("docs", { port: null, version: null }), "");
  assertEquals(overridesHint("docs", { port: null, version: "9.9.9" }), VERSION_HELD);
  assertEquals(
    overridesHint("docs", { port: 3005, version: "9.9.9" }),
    '--port 3005 and --version 9.9.9 of an earlier foster up still hold; foster down "docs" forgets them',
  );
});

Deno.test("up names the version that an earlier up asked for, until down forgets it", async () => {
  const rig = new Rig();
  const asked = await rig.up({}, { version: "9.9.9" });
  assertEquals(asked.kind, "incompatible");
  assertStringIncludes(asked.row.hint, "--version 9.9.9 asked for that and is remembered");
  const again = await rig.up();
  assertEquals([again.kind, again.row.hint], ["incompatible", VERSION_HELD]);
  await rig.down();
  assertEquals((await rig.up()).kind, "done");
});

Deno.test("up speaks of the definition where the definition is what stands in the way", async () => {
  const rig = new Rig();
  assertEquals((await rig.up({ version: "9.9.9" })).row.hint, 'correct "version" in its definition');
  const misnamed = await rig.up({
    identity: { name: "other", statusPath: "/status" },
    ready: { check: "mcp" },
  });
  assert(!misnamed.row.hint.includes("--version"), misnamed.row.hint);
});

Deno.test("up names the kept version of a server that somebody else started", async () => {
  const rig = new Rig();
  await rig.up({}, { version: "9.9.9" });
  rig.foreign(rightStatus());
  const { kind, row } = await rig.up();
  assertEquals(kind, "incompatible");
  assertStringIncludes(row.hint, VERSION_HELD);
});

Deno.test("up names the kept port that a foreign process holds, and not one that was given just now", async () => {
  const unnamed: WrittenServer = { identity: { name: null, statusPath: "/status" } };
  const rig = new Rig();
  await rig.up(unnamed, { port: 3005 });
  rig.host.processes.end(rig.spawned[0] ?? 0);
  rig.foreign(null, { listens: [3005, 3006] });
  const { kind, row } = await rig.up(unnamed);
  assertEquals(kind, "foreign_port");
  assertStringIncludes(row.hint, PORT_HELD);
  assert(!(await rig.up(unnamed, { port: 3006 })).row.hint.includes("earlier"));
  const forced = await rig.up(unnamed, { restart: "force" });
  assertEquals(forced.kind, "refused");
  assertStringIncludes(forced.row.hint, PORT_HELD);
});

Deno.test("up asks no recovery of a server without a name, which recover would refuse", async () => {
  const rig = new Rig();
  rig.foreign(rightStatus());
  const forced = await rig.up({ identity: { statusPath: "/status" } }, { restart: "force" });
  assertEquals(forced.kind, "refused");
  assert(!forced.row.hint.includes("recover"), forced.row.hint);
  assertStringIncludes(forced.row.hint, '"identity": { "name": … }');
});

Deno.test("inspectServer() shows the version that really holds", async () => {
  const rig = new Rig();
  await rig.up({}, { version: "9.9.9" });
  const row = await rig.status();
  assertEquals([row.state, row.expected_version], ["crashed", "9.9.9"]);
  assertStringIncludes(row.message, "turned out to be docs-server 2.4.2");
  assertStringIncludes(row.hint, VERSION_HELD);
  await rig.down();
  assertEquals((await rig.status()).expected_version, "2.4.2");
});

Deno.test("inspectServer() says what helps against a foreign process on the port", async () => {
  const rig = new Rig();
  rig.foreign(rightStatus({ name: "other" }));
  const named = (await rig.status()).hint;
  assertStringIncludes(named, "stop it where it was started");
  assert(!named.includes("identity") && !named.includes("starts it"), named);
  const unnamed = (await rig.status({ identity: { statusPath: "/status" } })).hint;
  assertStringIncludes(unnamed, '"identity": { "name": … } (foster probe http://127.0.0.1:3001/mcp prints');
});

Deno.test("inspectServer() says it of a server with a record too", async () => {
  const rig = new Rig();
  const unnamed: WrittenServer = { identity: { statusPath: "/status" } };
  await rig.up(unnamed);
  rig.host.processes.end(rig.spawned[0] ?? 0);
  const { pid } = rig.foreign();
  const row = await rig.status(unnamed);
  assertEquals(row.state, "crashed");
  assertStringIncludes(row.message, `port 3001 is held by pid ${pid}`);
  assertStringIncludes(row.hint, "stop it where it was started");
});
