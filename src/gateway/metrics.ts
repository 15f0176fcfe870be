/**
 * Counters of the gateway, in Prometheus' text format: made anew for each request for them.
 *
 * @module
 */
import type { World } from "../lifecycle/world.ts";
import { recordIn } from "../registry/store.ts";
import { BUCKETS_MS, type RequestCounts } from "./counts.ts";
import type { GatewayServer } from "./server.ts";

const HELP = {
  foster_server_up: ["gauge", "Whether the server runs."],
  foster_server_starts_total: ["counter", "Starts of the server's processes."],
  foster_server_restarts_total: ["counter", "Restarts after an end that nobody asked for."],
  foster_server_resident_bytes: ["gauge", "Resident memory of the server's processes."],
  foster_requests_total: ["counter", "Requests by outcome: answered, failed, cancelled, refused."],
  foster_requests_waiting: ["gauge", "Requests that wait for a server that is not there."],
  foster_requests_held_total: ["counter", "Requests that had to wait for a server."],
  foster_sessions: ["gauge", "Open client sessions."],
  foster_request_seconds: ["histogram", "Time from a request to its answer."],
} as const;

export type MetricName = keyof typeof HELP;
type Labels = Readonly<Record<string, string>>;

export class Metrics {
  readonly #values = new Map<MetricName, Map<string, number>>();

  set(name: MetricName, labels: Labels, value: number): void {
    this.#series(name).set(keyOf(labels), value);
  }

  setRequests(server: string, { outcomes, buckets, sumMs, held }: RequestCounts): void {
    for (const [outcome, count] of Object.entries(outcomes)) {
      this.set("foster_requests_total", { server, outcome }, count);
    }
    this.set("foster_requests_held_total", { server }, held);
    const series = this.#series("foster_request_seconds");
    let count = 0;
    for (const [index, inBucket] of buckets.entries()) {
      count += inBucket;
      const bound = BUCKETS_MS[index];
      const le = bound === undefined ? "+Inf" : `${bound / 1000}`;
      series.set(`_bucket${keyOf({ server, le })}`, count);
    }
    series.set(`_sum${keyOf({ server })}`, sumMs / 1000);
    series.set(`_count${keyOf({ server })}`, count);
  }

  text(): string {
    return Object.entries(HELP).flatMap(([name, [type, help]]) => {
      const series = this.#values.get(name as MetricName);
      if (series === undefined || series.size === 0) return [];
      return [
        `# HELP ${name} ${help}`,
        `# TYPE ${name} ${type}`,
        ...[...series].map(([key, value]) => `${name}${key} ${value}`),
      ];
    }).join("\n") + "\n";
  }

  #series(name: MetricName): Map<string, number> {
    const present = this.#values.get(name) ?? new Map<string, number>();
    this.#values.set(name, present);
    return present;
  }
}

function keyOf(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) =>
    `${name}="${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** The counters of servers, and of addresses that are several as one. */
export async function metricsText(
  world: World,
  servers: readonly GatewayServer[],
  together: readonly { name: string; counts: RequestCounts; sessions: number }[],
): Promise<string> {
  const metrics = new Metrics();
  for (const server of servers) await setServer(metrics, world, server);
  for (const { name, counts, sessions } of together) {
    metrics.setRequests(name, counts);
    metrics.set("foster_sessions", { server: name }, sessions);
  }
  return metrics.text();
}

async function setServer(metrics: Metrics, world: World, found: GatewayServer): Promise<void> {
  const { key, counts, definition: { transport } } = found;
  const server = key;
  metrics.set("foster_server_up", { server }, found.isRunning ? 1 : 0);
  const record = transport === "stdio" ? null : recordIn(await world.state.server(key).read());
  if (record === null) metrics.set("foster_server_starts_total", { server }, counts.starts);
  metrics.set("foster_server_restarts_total", { server }, record?.restarts ?? counts.restarts);
  const running = record === null ? found.copies.records() : found.isRunning ? [record] : [];
  metrics.set("foster_server_resident_bytes", { server }, await residentBytes(world, running));
  metrics.set("foster_requests_waiting", { server }, found.waiting);
  metrics.set("foster_sessions", { server }, found.sessions.size);
  metrics.setRequests(server, counts);
}

/** Of all processes in the groups of these; a launcher's memory is not the server's. */
async function residentBytes(
  { host: { processes } }: World,
  records: readonly { pid: number | null; pgid: number | null }[],
): Promise<number> {
  if (records.length === 0) return 0;
  const groups = new Set(records.map(({ pgid }) => pgid));
  const own = new Set(records.map(({ pid }) => pid));
  const pids = (await processes.list()).filter(({ pid, groupId }) => own.has(pid) || groups.has(groupId)).map(
    (
      { pid },
    ) => pid,
  );
  const used = await processes.usage(pids);
  return [...used.values()].reduce((sum, { residentBytes }) => sum + residentBytes, 0);
}
