import { assertEquals } from "@std/assert";
import { Metrics } from "../../src/gateway/metrics.ts";

Deno.test("Metrics.text() gives each metric once, with its help, type and series", () => {
  const metrics = new Metrics();
  metrics.add("foster_requests_total", { server: 'a"\\\n', outcome: "answered" });
  metrics.add("foster_requests_total", { server: 'a"\\\n', outcome: "answered" }, 2);
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

Deno.test("Metrics: a histogram counts up to infinity, and a server that is gone leaves nothing", () => {
  const metrics = new Metrics();
  metrics.observe("foster_request_seconds", { server: "a" }, 0.02);
  metrics.observe("foster_request_seconds", { server: "a" }, 700);
  const lines = metrics.text().split("\n");
  const value = (le: string) => lines.find((line) => line.includes(`le="${le}"`))?.split(" ").at(-1);
  assertEquals([value("0.005"), value("0.025"), value("600"), value("+Inf")], ["0", "1", "1", "2"]);
  assertEquals(lines.includes('foster_request_seconds_count{server="a"} 2'), true);
  metrics.remove("a");
  assertEquals(metrics.text(), "\n");
});
