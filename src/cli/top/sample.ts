/**
 * Looks at every server that ps lists, again and again: state, usage, last event and how fast it answers.
 *
 * @module
 */
import type { Host, ProcessUsage } from "../../host/host.ts";
import { lastLinesOf } from "../../registry/log_reader.ts";
import { copyUptime, type Enrolments, listAll, type ListedRow } from "../../lifecycle/observe/list.ts";
import { attemptReady, requestHeaders, transportOf } from "../../lifecycle/observe/live.ts";
import { type KeptProbe, openProbe } from "../../mcp/probe.ts";
import { parseEvent } from "../../registry/events.ts";
import type { ServerRecord } from "../../registry/record.ts";
import type { StateLabel } from "../../registry/state_label.ts";
import type { StateFolder } from "../../registry/store.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";

/** One server at one moment; what is not known is null. */
export interface TopRow {
  name: string;
  key: string;
  state: StateLabel;
  process: ListedRow["process"];
  pid: number | null;
  endpoint: string | null;
  /** A request starts it. */
  on_demand: boolean;
  uptime_ms: number | null;
  restarts: number;
  memory_bytes: number | null;
  /** 100 is one core; null until it was looked at twice. */
  cpu_percent: number | null;
  last_event: { at: string; event: string; message: string } | null;
  /** How long the last check took; null where it did not succeed. */
  latency_ms: number | null;
  /** The last checks, oldest first. */
  latencies: (number | null)[];
}

const HISTORY = 12;
const PROBE_TIMEOUT_MS = 1000;

type SampleHost = Pick<Host, "files" | "clock" | "processes" | "net" | "env" | "system">;

interface CpuMark {
  cpuMs: number;
  at: number;
}

export class TopSampler {
  readonly #host: SampleHost;
  readonly #state: StateFolder;
  readonly #find: (name: string) => ServerDefinition | null;
  readonly #cpu = new Map<string, CpuMark>();
  readonly #probes = new Map<string, KeptProbe>();
  readonly #latencies = new Map<string, (number | null)[]>();

  readonly #enrolments: () => Promise<Enrolments>;

  /** `find` gives the definition of a key, null where it is not in scope. */
  constructor(host: SampleHost, state: StateFolder, { find, enrolments }: {
    find(key: string): ServerDefinition | null;
    enrolments(): Promise<Enrolments>;
  }) {
    this.#host = host;
    this.#state = state;
    this.#find = find;
    this.#enrolments = enrolments;
  }

  async sample(signal: AbortSignal): Promise<TopRow[]> {
    const enrolments = await this.#enrolments();
    const listed = await listAll(this.#host, { state: this.#state, enrolments });
    const alive = listed.map(({ row }) => row).filter((row) => row.process === "ours");
    const usage = await this.#host.processes.usage(alive.flatMap(({ pid }) => pid ?? []));
    const rows = await Promise.all(
      listed.map(({ row, record }) =>
        this.#row(row, { record, isServed: enrolments.isServed, usage, signal })
      ),
    );
    await this.#forget(new Set(alive.map(identityOf)));
    return rows;
  }

  /** Ends the sessions that the checks opened. */
  async close(): Promise<void> {
    await this.#forget(new Set());
  }

  async #row(
    row: ListedRow,
    { record, isServed, usage, signal }: {
      record: ServerRecord | null;
      isServed: boolean;
      usage: Map<number, ProcessUsage>;
      signal: AbortSignal;
    },
  ): Promise<TopRow> {
    const ours = row.process === "ours" && row.pid !== null;
    const used = ours && row.pid !== null ? usage.get(row.pid) : undefined;
    const latencies = ours && record !== null
      ? [...this.#latencies.get(identityOf(row)) ?? [], await this.#latency(row, { record, signal })]
        .slice(-HISTORY)
      : [];
    if (ours) this.#latencies.set(identityOf(row), latencies);
    return {
      name: row.name,
      key: row.key,
      state: row.state,
      process: row.process,
      pid: row.pid,
      endpoint: row.endpoint,
      on_demand: isServed && row.on_demand === true,
      uptime_ms: record === null
        ? copyUptime(row, this.#host.clock.now())
        : ours
        ? this.#uptime(record)
        : null,
      restarts: record?.restarts ?? 0,
      memory_bytes: used?.residentBytes ?? null,
      cpu_percent: used === undefined ? null : this.#cpuPercent(identityOf(row), used.cpuMs),
      last_event: await this.#lastEvent(row.key),
      latency_ms: latencies.at(-1) ?? null,
      latencies,
    };
  }

  #uptime({ ready_at, started_at }: ServerRecord): number {
    return Math.max(0, Math.round(this.#host.clock.now() - Date.parse(ready_at ?? started_at)));
  }

  #cpuPercent(identity: string, cpuMs: number): number | null {
    const at = this.#host.clock.monotonic();
    const before = this.#cpu.get(identity);
    this.#cpu.set(identity, { cpuMs, at });
    if (before === undefined || at <= before.at) return null;
    return Math.round(Math.max(0, cpuMs - before.cpuMs) / (at - before.at) * 1000) / 10;
  }

  async #latency(
    row: ListedRow,
    { record, signal }: { record: ServerRecord; signal: AbortSignal },
  ): Promise<number | null> {
    const startedAt = this.#host.clock.monotonic();
    const definition = this.#find(row.key);
    const ok = definition === null || definition.ready.check === "mcp"
      ? (await this.#probe(row, { record, definition }).check(PROBE_TIMEOUT_MS, signal)).kind === "ok"
      : (await attemptReady(this.#host, {
        definition,
        endpoint: record.endpoint,
        timeoutMs: PROBE_TIMEOUT_MS,
        signal,
      })).kind === "ready";
    return ok ? Math.round((this.#host.clock.monotonic() - startedAt) * 10) / 10 : null;
  }

  #probe(
    row: ListedRow,
    { record, definition }: { record: ServerRecord; definition: ServerDefinition | null },
  ): KeptProbe {
    const identity = identityOf(row);
    const known = this.#probes.get(identity);
    if (known !== undefined) return known;
    const made = openProbe(this.#host, {
      endpoint: new URL(record.endpoint),
      transport: definition === null ? "streamable-http" : transportOf(definition),
      requiredTools: [],
      headers: definition === null ? {} : () => requestHeaders(this.#host, definition, record.endpoint),
    });
    this.#probes.set(identity, made);
    return made;
  }

  async #lastEvent(key: string): Promise<TopRow["last_event"]> {
    const { lines } = await lastLinesOf(this.#host, this.#state.server(key).paths.events, { count: 1 });
    const event = parseEvent(lines[0] ?? "");
    return event === null ? null : { at: event.at, event: event.event, message: event.message ?? "" };
  }

  /** What was kept for processes that are gone: a new one begins anew. */
  async #forget(alive: ReadonlySet<string>): Promise<void> {
    for (const kept of [this.#cpu, this.#latencies]) {
      for (const identity of kept.keys()) if (!alive.has(identity)) kept.delete(identity);
    }
    const over = [...this.#probes].filter(([identity]) => !alive.has(identity));
    await Promise.all(over.map(async ([identity, probe]) => {
      this.#probes.delete(identity);
      await probe.close();
    }));
  }
}

function identityOf({ key, pid }: Pick<ListedRow, "key" | "pid">): string {
  return `${key} ${pid}`;
}
