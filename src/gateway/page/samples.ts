/**
 * What the page shows of the servers, and how it changed: looked at while a page is open, and not longer.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import {
  type Enrolments,
  type ListedRow,
  listServers,
  listUnrecorded,
  withReasons,
} from "../../lifecycle/observe/list.ts";
import type { World } from "../../lifecycle/world.ts";
import type { ServerRecord } from "../../registry/record.ts";
import { recordIn } from "../../registry/store.ts";
import type { SupervisedServer } from "../../supervisor/enrolment.ts";
import type { Supervisor } from "../../supervisor/supervisor.ts";
import type { Hosting } from "../hosting.ts";
import type { GatewayServer } from "../server.ts";
import { EventTail } from "./event_tail.ts";
import {
  type Measure,
  type PageEvent,
  type PageSample,
  type PageServer,
  type PageUpdate,
  shownText,
} from "./wire.ts";

export interface SamplerOptions {
  supervisor: Supervisor;
  hosting: Hosting;
  self(): { pid: number; version: string; since: string; endpoint: string };
}

const SAMPLES_KEPT = 150;
const SAMPLE_PAUSE_MS = 1500;
const SERVERS_KEPT = 1000;

export class Sampler {
  readonly #world: World;
  readonly #options: SamplerOptions;
  readonly #samples: PageSample[] = [];
  readonly #events = new Map<string, EventTail>();
  readonly #counts = new Map<string, { requests: number; failed: number; sumMs: number }>();
  /** Every server that was ever shown: one that was stopped is shown on, so that it can be started again. */
  readonly #known = new Map<string, SupervisedServer>();
  #last: PageUpdate | null = null;
  /** Monotonic ms of the last sample. */
  #sampledMs = -Infinity;

  constructor(world: World, options: SamplerOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** How it came to be as it is, for a page that opens. */
  history(): { samples: PageSample[]; events: PageEvent[]; last: PageUpdate | null } {
    const events = [...this.#events.values()].flatMap(({ events }) => events);
    return { samples: this.#samples, events, last: this.#last };
  }

  /** What an action on a server that is shown needs; null for any other. */
  find(key: string): SupervisedServer | null {
    return this.#options.hosting.find(key)?.server ?? this.#known.get(key) ?? null;
  }

  async sample(): Promise<PageUpdate> {
    const { state } = this.#world;
    const { hosting, self } = this.#options;
    const stored = await state.records();
    const records = new Map(stored.flatMap(({ key, stored }) => {
      const record = recordIn(stored);
      return record === null ? [] : [[key, record] as const];
    }));
    const rows = await this.#rows(stored);
    for (const { key } of rows) this.#note(key, records.get(key) ?? null);
    const used = await this.#usage(records);
    const sample = this.#newSample(rows, used.byServer);
    const { pid, version, since, endpoint } = self();
    const update: PageUpdate = {
      supervisor: {
        pid,
        version,
        since,
        endpoint,
        resident_bytes: used.own,
        sessions: hosting.gateway.sessionsTogether,
      },
      servers: rows.map((row) => this.#shown(row, records.get(row.key) ?? null)),
      sample,
      events: (await Promise.all(rows.map(({ key }) => this.#newEvents(key)))).flat(),
    };
    if (sample !== null) this.#samples.push(sample);
    if (this.#samples.length > SAMPLES_KEPT) this.#samples.shift();
    this.#last = update;
    return update;
  }

  async #rows(stored: Parameters<typeof listServers>[1]): Promise<ListedRow[]> {
    const { host, state } = this.#world;
    const { hosting, self } = this.#options;
    const enrolled = hosting.servers();
    const known = new Map([...this.#known.values(), ...enrolled].map((server) => [server.key, server]));
    const enrolments: Enrolments = {
      endpoint: self().endpoint,
      isServed: true,
      servers: [...known.values()].map(({ key, name }) => ({
        key,
        name,
        staysDown: hosting.find(key)?.staysDown ?? false,
      })),
    };
    const recorded = new Set(stored.map(({ key }) => key));
    const rows = [
      ...await listServers(host, stored),
      ...await listUnrecorded(host, { state, enrolments, recorded }),
    ].sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.key < b.key ? -1 : 1);
    return (await withReasons(host, { state, rows })).slice(0, SERVERS_KEPT);
  }

  #note(key: string, record: ServerRecord | null): void {
    if (record === null || this.#options.hosting.has(key)) return;
    const { name, config, cwd: folder } = record;
    if (!this.#known.has(key) && this.#known.size >= SERVERS_KEPT) return;
    this.#known.set(key, {
      key,
      name,
      config,
      folder,
      by: "up",
      idle_ms: null,
      timeout_ms: null,
      owner: null,
    });
  }

  #shown(row: ListedRow, record: ServerRecord | null): PageServer {
    const { hosting, supervisor } = this.#options;
    const { key, name, state, endpoint, pid, adoption, server, message } = row;
    const found = hosting.gateway.find(key);
    const [copy] = row.copies ?? [];
    return {
      key,
      name,
      state,
      transport: found?.definition.transport ?? (record === null ? null : "streamable-http"),
      endpoint: record?.endpoint ?? endpoint,
      pid,
      adoption,
      server: {
        name: server.name === null ? null : shownText(server.name),
        version: server.version === null ? null : shownText(server.version),
        protocol: server.protocol,
      },
      message: shownText(message),
      on_demand: row.on_demand === true && hosting.find(key)?.staysDown === false,
      supervised: supervisor.has(key) || hosting.isPinned(key),
      since: record === null
        ? copy?.since ?? null
        : row.process === "ours"
        ? record.ready_at ?? record.started_at
        : null,
      next_attempt: record?.next_attempt ?? null,
      restarts: record?.restarts ?? found?.counts.restarts ?? 0,
      copies: row.copies?.length ?? 0,
      sessions: found?.sessions.size ?? 0,
      open: found?.openCalls ?? 0,
      waiting: found?.waiting ?? 0,
      requests: found === null ? { answered: 0, failed: 0, cancelled: 0, refused: 0 } : outcomesOf(found),
    };
  }

  #newSample(rows: readonly ListedRow[], memory: ReadonlyMap<string, number>): PageSample | null {
    const { clock } = this.#world.host;
    const now = clock.monotonic();
    if (now - this.#sampledMs < SAMPLE_PAUSE_MS) return null;
    this.#sampledMs = now;
    return {
      at: clock.now(),
      measures: Object.fromEntries(rows.map((row) => [row.key, this.#measure(row, memory)])),
    };
  }

  #measure({ key, state }: ListedRow, memory: ReadonlyMap<string, number>): Measure {
    const found = this.#options.hosting.gateway.find(key);
    const residentBytes = memory.get(key) ?? (state === "stopped" ? 0 : null);
    if (found === null) return [0, 0, null, residentBytes, 0];
    const outcomes = outcomesOf(found);
    const sumMs = found.counts.sumMs + found.joinedCounts.sumMs;
    const failed = outcomes.failed + outcomes.refused;
    const requests = failed + outcomes.answered + outcomes.cancelled;
    const before = this.#counts.get(key) ?? { requests, failed, sumMs };
    this.#counts.set(key, { requests, failed, sumMs });
    const ended = requests - before.requests;
    const latencyMs = ended > 0 ? Math.round((sumMs - before.sumMs) / ended * 100) / 100 : null;
    return [ended, failed - before.failed, latencyMs, residentBytes, found.sessions.size];
  }

  /** Resident memory of the processes in the servers' groups, and of this one. */
  async #usage(
    records: ReadonlyMap<string, ServerRecord>,
  ): Promise<{ byServer: Map<string, number>; own: number | null }> {
    const { host: { processes } } = this.#world;
    const owners = new Map<number, string>();
    const note = (key: string, { pid, pgid }: { pid: number | null; pgid: number | null }) => {
      for (const each of [pid, pgid]) if (each !== null) owners.set(each, key);
    };
    for (const [key, record] of records) note(key, record);
    for (const { key, copies } of this.#options.hosting.gateway.servers()) {
      for (const record of copies.records()) note(key, record);
    }
    const byServer = new Map<string, number>();
    const listed = owners.size === 0 ? [] : await processes.list().catch(() => []);
    const ownerOf = new Map<number, string>();
    for (const { pid, groupId } of listed) {
      const key = owners.get(pid) ?? (groupId === 0 ? undefined : owners.get(groupId));
      if (key !== undefined) ownerOf.set(pid, key);
    }
    const used = await usageOf(processes, [...ownerOf.keys(), processes.selfPid]);
    for (const [pid, key] of ownerOf) {
      const bytes = used.get(pid)?.residentBytes;
      if (bytes !== undefined) byServer.set(key, (byServer.get(key) ?? 0) + bytes);
    }
    return { byServer, own: used.get(processes.selfPid)?.residentBytes ?? null };
  }

  async #newEvents(key: string): Promise<PageEvent[]> {
    const tail = this.#events.get(key) ?? new EventTail();
    this.#events.set(key, tail);
    const path = this.#world.state.server(key).paths.events;
    return await tail.read(this.#world.host, { key, path }).catch(() => []);
  }
}

/** However its clients came to it. */
function outcomesOf({ counts: { outcomes: own }, joinedCounts: { outcomes: joined } }: GatewayServer) {
  return {
    answered: own.answered + joined.answered,
    failed: own.failed + joined.failed,
    cancelled: own.cancelled + joined.cancelled,
    refused: own.refused + joined.refused,
  };
}

async function usageOf(processes: Host["processes"], pids: readonly number[]) {
  return await processes.usage(pids).catch((): Awaited<ReturnType<typeof processes.usage>> => new Map());
}
