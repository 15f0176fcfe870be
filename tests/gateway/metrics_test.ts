import { assert, assertEquals } from "@std/assert";
import { RequestCounts } from "../../src/gateway/counts.ts";
import { Metrics } from "../../src/gateway/metrics.ts";
import { callText, GatewayRig, until } from "./rig.ts";

Deno.test("Metrics.text() gives each metric once, with its help, type and series", () => {
  const metrics = new Metrics();
  metrics.set("foster_requests_total", { server: 'a"\\\n', outcome: "answered" }, 3);
  metrics.set("foster_server_up", { server: "b" }, 1);
  assertEquals(
    metrics.text(),
    "# HELP foster_server_up Whether the server runs.\n# TYPE foster_server_up gauge\n" +
      'foster_server_up{server="b"} 1\n' +
      "# HELP foster_requests_total Requests by outcome: answered, failed, cancelled, refused.\n" +
      "# TYPE foster_requests_total counter\n" +
      'foster_requests_total{server="a\\"\\\\\\n",outcome="answered"} 3\n',
  );
});

Deno.test("Metrics: a histogram counts up to infinity, in seconds", () => {
  const counts = new RequestCounts();
  counts.note("answered", 20);
  counts.note("failed", 700_000);
  const metrics = new Metrics();
  metrics.setRequests("a", counts);
  const lines = metrics.text().split("\n");
  const value = (le: string) => lines.find((line) => line.includes(`le="${le}"`))?.split(" ").at(-1);
  assertEquals([value("0.005"), value("0.025"), value("600"), value("+Inf")], ["0", "1", "1", "2"]);
  assertEquals(lines.includes('foster_request_seconds_count{server="a"} 2'), true);
  assertEquals(lines.includes('foster_request_seconds_sum{server="a"} 700.02'), true);
});

Deno.test("Gateway.metrics() tells of each server what its requests came to, and nothing of one that is gone", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "older");
  await rig.enrol("other", "older");
  const client = await rig.connect("docs", "older");
  await callText(client, "echo", { text: "x" });
  await client.callTool({ name: "unknown", arguments: {} }).catch(() => {});
  await (await fetch(rig.url("docs"), { method: "PUT" })).body?.cancel();
  const value = (text: string, series: string) =>
    Number(text.split("\n").find((line) => line.startsWith(`${series} `))?.split(" ").at(-1));
  const text = await rig.gateway.metrics();
  assertEquals(value(text, 'foster_server_up{server="docs"}'), 1);
  assertEquals(value(text, 'foster_server_up{server="other"}'), 0);
  assertEquals(value(text, 'foster_server_starts_total{server="docs"}'), 1);
  assertEquals(value(text, 'foster_sessions{server="docs"}'), 1);
  assertEquals(value(text, 'foster_requests_waiting{server="docs"}'), 0);
  assertEquals(value(text, 'foster_requests_total{server="docs",outcome="refused"}') >= 1, true);
  assertEquals(value(text, 'foster_requests_total{server="docs",outcome="failed"}'), 1);
  assert(value(text, 'foster_requests_total{server="docs",outcome="answered"}') >= 2);
  assert(value(text, 'foster_requests_held_total{server="docs"}') >= 1);
  assert(value(text, 'foster_server_resident_bytes{server="docs"}') > 1_000_000);
  const [pid = 0] = rig.pids("docs");
  Deno.kill(pid, "SIGKILL");
  await until(() => rig.pids("docs").length === 0, "the process is gone");
  await callText(client, "echo", { text: "again" });
  const later = await rig.gateway.metrics();
  assertEquals(value(later, 'foster_server_starts_total{server="docs"}'), 2);
  assertEquals(value(later, 'foster_server_restarts_total{server="docs"}'), 1);
  await client.close();
  await rig.gateway.remove("other");
  assertEquals((await rig.gateway.metrics()).includes('"other"'), false);
});
