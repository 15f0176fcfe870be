import { assertEquals, assertMatch } from "@std/assert";
import { listServers } from "../../src/lifecycle/observe/list.ts";
import { lastReason, withReasons } from "../../src/lifecycle/observe/list.ts";
import { PLAIN_START, startServer } from "../../src/lifecycle/start/start.ts";
import { definitionOf, Rig } from "./rig.ts";

async function messages(rig: Rig): Promise<string[]> {
  const { host, world: { state } } = rig;
  const rows = await listServers(host, await state.records());
  const row = await rig.status();
  return [row.message, ...(await withReasons(host, { state, rows })).map(({ message }) => message)];
}

Deno.test("status and ps say that a start was interrupted, also after an earlier crash", async () => {
  const rig = new Rig();
  rig.program((child) => child.exit(3));
  await rig.up();
  rig.program(() => {});
  const interrupt = new AbortController();
  rig.host.clock.after(500, () => interrupt.abort(new Error("interrupted")));
  const world = { ...rig.world, signal: interrupt.signal };
  await rig.host.clock.run(startServer(world, definitionOf({}), PLAIN_START));
  const last = (await rig.folder.events()).at(-1);
  assertEquals([last?.event, last?.pid], ["interrupted", rig.spawned[1]]);
  for (const message of await messages(rig)) assertMatch(message, /^its start was interrupted at /);
});

Deno.test("an event tells why a server of another version was stopped again, and so do status and ps", async () => {
  const rig = new Rig();
  await rig.up({ version: "9.9.9" });
  const last = (await rig.folder.events()).at(-1);
  assertEquals([last?.event, last?.pid], ["incompatible", rig.spawned[0]]);
  assertMatch(last?.message ?? "", /docs-server 2\.4\.2, not docs-server 9\.9\.9 \(version_mismatch\)/);
  for (const message of await messages(rig)) {
    assertMatch(message, /^it was stopped again at .*docs-server 2\.4\.2/);
  }
});

Deno.test("status and ps say that a server never got ready", async () => {
  const rig = new Rig();
  rig.program(() => {});
  await rig.up();
  for (const message of await messages(rig)) assertMatch(message, /stopped again .*: not ready after 10 s/);
});

Deno.test("a crash speaks for itself", async () => {
  const rig = new Rig();
  rig.program((child) => child.exit(3));
  await rig.up();
  assertEquals(await lastReason(rig.host, rig.folder), "");
  const [status, ps] = await messages(rig);
  assertMatch(status ?? "", /exit code 3/);
  assertEquals(ps, "");
});
