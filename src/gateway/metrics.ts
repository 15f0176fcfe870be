/**
 * Counters of the gateway, in Prometheus' text format.
 *
 * @module
 */

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

/** Upper bounds of the histogram, in seconds. */
const BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600];

export class Metrics {
  #values = new Map<MetricName, Map<string, number>>();

  add(name: MetricName, labels: Labels, amount = 1): void {
    const series = this.#series(name);
    const key = keyOf(labels);
    series.set(key, (series.get(key) ?? 0) + amount);
  }

  set(name: MetricName, labels: Labels, value: number): void {
    this.#series(name).set(keyOf(labels), value);
  }

  observe(name: "foster_request_seconds", { server }: { server: string }, seconds: number): void {
    const series = this.#series(name);
    const count = (key: string, amount: number) => series.set(key, (series.get(key) ?? 0) + amount);
    for (const bound of [...BUCKETS, Infinity]) {
      const le = bound === Infinity ? "+Inf" : `${bound}`;
      count(`_bucket${keyOf({ server, le })}`, seconds <= bound ? 1 : 0);
    }
    count(`_sum${keyOf({ server })}`, seconds);
    count(`_count${keyOf({ server })}`, 1);
  }

  /** Forgets a server that is gone. */
  remove(server: string): void {
    const label = keyOf({ server }).slice(1, -1);
    for (const series of this.#values.values()) {
      for (const key of series.keys()) if (key.includes(label)) series.delete(key);
    }
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
