/** What the events of a stdio server say of the ends of its processes. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { lastFailure } from "../../src/lifecycle/observe/list.ts";
import { until } from "../e2e/harness.ts";
import { callText, GatewayRig } from "./rig.ts";

async function eventsOf({ world }: GatewayRig, key: string): Promise<string[]> {
  const events = await world.state.server(key).events();
  return events.map(({ event }) => event);
}

Deno.test("a process that ends because its session did has stopped, one that ends by itself has crashed", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "older");
  const first = await rig.connect("docs", "older");
  await callText(first, "pid");
  await first.close();
  await rig.gateway.find("docs")?.rest();
  await until("its process is gone", () => rig.pids("docs").length === 0);
  assertEquals(await eventsOf(rig, "docs"), ["spawned", "stopped"]);
  const second = await rig.connect("docs", "older");
  await callText(second, "pid");
  const [pid = 0] = rig.pids("docs");
  Deno.kill(pid, "SIGKILL");
  await until("another process", async () => (await eventsOf(rig, "docs")).includes("crashed"));
  assertEquals((await eventsOf(rig, "docs")).slice(0, 4), ["spawned", "stopped", "spawned", "crashed"]);
  await second.close();
});

Deno.test("a start without a command leaves its reason for status", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("nowhere", "both", { command: "no-such-program" });
  const result = await rig.gateway.find("nowhere")?.check(15_000);
  assert(result?.kind === "failed");
  assertEquals(await eventsOf(rig, "nowhere"), ["start_failed"]);
  const { host, state } = rig.world;
  const reason = await lastFailure(host, state.server("nowhere"));
  assertStringIncludes(reason, result.message);
});
