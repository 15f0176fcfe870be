/**
 * The servers of the state folder as their records, processes and last events tell, without any network.
 *
 * @module
 */
import { type Host, HostError, type ProcessObservation } from "../../host/host.ts";
import { isOver, type Verdict, verdict } from "../../registry/identity.ts";
import { type EventName, parseEvent, type ServerEvent } from "../../registry/events.ts";
import type { Decoded, ServerRecord } from "../../registry/record.ts";
import type { StateLabel } from "../../registry/state_label.ts";
import { recordIn, type ServerFolder, type StateFolder } from "../../registry/store.ts";
import { lastLinesOf } from "../../registry/log_reader.ts";
import { emptyRow, rowOfRecord, type ServerRow } from "../row.ts";

export interface ListedRow extends ServerRow {
  process: Verdict["kind"];
  /** A request starts it, and it ends when nobody uses it any more. */
  on_demand?: boolean;
  /** The processes of a stdio server. */
  copies?: { pid: number; client: string | null; since: string }[];
}

/** What is enrolled, and where the gateway is: as two files of the state folder say. */
export interface Enrolments {
  /** The gateway's address without a path; null where it never had one. */
  endpoint: string | null;
  /** Whether a supervisor runs: without one nothing answers at that address, and no request starts a server. */
  isServed: boolean;
  servers: readonly { key: string; name: string; staysDown: boolean }[];
}

/** Every server of the state folder in the order of the keys, with its record where it has one that can be read. */
export async function listAll(
  host: Pick<Host, "processes">,
  { state, enrolments }: {
    state: Pick<StateFolder, "keys" | "server" | "records">;
    enrolments: Enrolments;
  },
): Promise<{ row: ListedRow; record: ServerRecord | null }[]> {
  const records = await state.records();
  const recorded = new Set(records.map(({ key }) => key));
  const rows = (await listServers(host, records)).map((row, index) => ({
    row,
    record: recordIn(records[index]?.stored ?? { kind: "none" }),
  }));
  const others = (await listUnrecorded(host, { state, enrolments, recorded }))
    .map((row) => ({ row, record: null }));
  return [...rows, ...others].sort(({ row: a }, { row: b }) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}

/** How long the process that speaks for a stdio server has been there; null for any other row. */
export function copyUptime({ pid, copies = [] }: ListedRow, now: number): number | null {
  const shown = pid === null ? undefined : copies.find((copy) => copy.pid === pid);
  return shown === undefined ? null : Math.max(0, Math.round(now - Date.parse(shown.since)));
}

/** Rows of servers without a record: stdio servers by their processes, and those that sleep until a request comes. */
export async function listUnrecorded(
  host: Pick<Host, "processes">,
  { state, enrolments, recorded }: {
    state: Pick<StateFolder, "keys" | "server">;
    enrolments: Enrolments;
    /** Keys that have a record. */
    recorded: ReadonlySet<string>;
  },
): Promise<ListedRow[]> {
  const known = new Map(enrolments.servers.map((server) => [server.key, server]));
  const keys = new Set([...await state.keys(), ...known.keys()]);
  const rows = await Promise.all(
    [...keys].sort().map(async (key) => {
      if (recorded.has(key)) return [];
      const copies = await state.server(key).copies();
      const server = known.get(key);
      const seen = await host.processes.inspect(copies.flatMap(({ pid }) => pid ?? []));
      const live = copies.filter(({ pid, start_token }) =>
        verdictOf([pid, start_token], seen).kind === "ours"
      );
      if (live.length === 0 && server === undefined) return [];
      const name = server?.name ?? live[0]?.name ?? key;
      // The pinned one speaks for all, else the shared one, else the oldest.
      const shown = live.find(({ on_demand }) => !on_demand) ?? live.find(({ shared }) => shared) ?? live[0];
      const row: ListedRow = {
        ...emptyRow(name, key),
        state: shown === undefined ? "stopped" : "ready",
        adoption: shown === undefined ? null : "managed",
        endpoint: enrolments.endpoint === null ? null : `${enrolments.endpoint}/mcp/${key}`,
        pid: shown?.pid ?? null,
        server: {
          name: shown?.server_name ?? null,
          version: shown?.version ?? null,
          protocol: shown?.protocol ?? null,
        },
        log: state.server(key).paths.log,
        process: shown === undefined ? "gone" : "ours",
        on_demand: shown?.on_demand ?? true,
        copies: live.map(({ pid, client, started_at }) => ({ pid: pid ?? 0, client, since: started_at })),
      };
      return [
        server?.staysDown === true && live.length === 0 ? { ...row, message: "down until the next up" } : row,
      ];
    }),
  );
  return rows.flat();
}

/** A managed server whose process is gone is shown as crashed, whatever its record still says. */
export function listedState(record: ServerRecord, process: Verdict["kind"]): StateLabel {
  switch (process) {
    case "ours":
    case "unknown":
      return record.state;
    case "gone":
    case "recycled":
      return record.want === "down" ? "stopped" : "crashed";
  }
}

/** One row per record, all processes looked at in one go. */
export async function listServers(
  host: Pick<Host, "processes">,
  records: readonly { key: string; stored: Decoded }[],
): Promise<ListedRow[]> {
  const pids = new Set<number>();
  for (const { stored } of records) {
    if (stored.kind !== "record") continue;
    for (const pid of [stored.record.pid, stored.record.launcher_pid]) if (pid !== null) pids.add(pid);
  }
  const seen = pids.size === 0 ? new Map() : await host.processes.inspect([...pids]);
  let listening: Promise<ReadonlySet<number> | null> | null = null;
  const isListenedOn = async (port: number) =>
    (await (listening ??= host.processes.listeningPorts()))?.has(port) ?? false;
  const verdicts = await Promise.all(records.map(async ({ stored }) => {
    if (stored.kind !== "record") return null;
    const found = recordVerdict(stored.record, seen);
    return isOver(found) && await isListenedOn(stored.record.port)
      ? await verdictBehindPort(host, { record: stored.record, found })
      : found;
  }));
  return records.map(({ key, stored }, index) => {
    switch (stored.kind) {
      case "corrupt":
        return {
          ...emptyRow(key, key),
          process: "unknown" as const,
          ...stored.unreadable === true
            ? {
              message: `its record can't be read: ${stored.why}`,
              hint: "run foster as the user whom its folder belongs to",
            }
            : {
              message: `its record can't be trusted: ${stored.why}`,
              hint: "foster up or foster down sets the record aside",
            },
        };
      case "record": {
        const { record } = stored;
        const process = verdicts[index]?.kind ?? "unknown";
        return { ...rowOfRecord(record, listedState(record, process)), process };
      }
    }
  });
}

/** Nobody is gone as long as the recorded port is held by a process that may be what is left of it. */
async function verdictBehindPort(
  { processes }: Pick<Host, "processes">,
  { record, found }: { record: ServerRecord; found: Verdict },
): Promise<Verdict> {
  const holders = await processes.listeners(record.port);
  const why = `its port ${record.port} is held by a process that can't be told`;
  if (holders.kind === "unknown" || holders.unnamed > 0) return { kind: "unknown", why };
  const pids = [...new Set(holders.listeners.map(({ pid }) => pid))];
  const carriers = await processes.carrying(`FOSTER_TOKEN=${record.token}`, pids);
  return carriers.length > 0 ? { kind: "unknown", why } : found;
}

/** The listener's identity, or the launcher's where the listener is gone but its launcher is not. */
export function recordVerdict(
  record: ServerRecord,
  seen: ReadonlyMap<number, ProcessObservation>,
): Verdict {
  const listener = verdictOf([record.pid, record.start_token], seen);
  if (!isOver(listener)) return listener;
  const launcher = verdictOf([record.launcher_pid, record.launcher_start_token], seen);
  return isOver(launcher) ? listener : launcher;
}

/** A process that was never recorded is not there. */
export function verdictOf(
  [pid, startTime]: readonly [number | null, string | null],
  seen: ReadonlyMap<number, ProcessObservation>,
): Verdict {
  return pid === null ? { kind: "gone" } : verdict(seen.get(pid), startTime);
}

type EventHost = Pick<Host, "files" | "clock">;

const STOPPED: Partial<Record<EventName, (event: ServerEvent) => string>> = {
  interrupted: ({ at }) => `its start was interrupted at ${at}`,
  incompatible: ({ at, message }) => `it was stopped again at ${at}: ${message}`,
  start_failed: ({ at, message }) => `it could not be started at ${at}: ${message}`,
  not_ready: ({ at, message }) => `it was stopped again at ${at}: ${message}`,
};

/** "" where foster did not stop it itself: its exit says it all. */
export function reasonOf(event: ServerEvent): string {
  return STOPPED[event.event]?.(event) ?? "";
}

/** As {@link reasonOf} of the last event. Events that can't be read give no reason. */
export async function lastReason(host: EventHost, folder: Pick<ServerFolder, "paths">): Promise<string> {
  const event = await lastEvent(host, folder);
  return event === null ? "" : reasonOf(event);
}

/** As {@link lastReason}, and for a server without a record also how its last process ended; "" where it is as it should be. */
export async function lastFailure(host: EventHost, folder: Pick<ServerFolder, "paths">): Promise<string> {
  const event = await lastEvent(host, folder);
  if (event?.event === "crashed") return `its last process failed at ${event.at}: ${event.message ?? ""}`;
  return event === null ? "" : reasonOf(event);
}

async function lastEvent(host: EventHost, folder: Pick<ServerFolder, "paths">): Promise<ServerEvent | null> {
  try {
    const { lines: [line] } = await lastLinesOf(host, folder.paths.events, { count: 1 });
    return line === undefined ? null : parseEvent(line);
  } catch (error) {
    if (error instanceof HostError) return null;
    throw error;
  }
}

/** Crashed servers with the reason in their message. */
export async function withReasons(
  host: EventHost,
  { state, rows }: { state: StateFolder; rows: readonly ListedRow[] },
): Promise<ListedRow[]> {
  return await Promise.all(
    rows.map(async (row) =>
      row.state === "crashed" && row.message === ""
        ? { ...row, message: await lastReason(host, state.server(row.key)) }
        : row
    ),
  );
}
