/**
 * The supervisor of a state folder, as its file and the system tell: nothing is asked of it.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import { isOver, verdictNow } from "../../registry/identity.ts";
import type { ProcessIdentity } from "../../registry/record.ts";
import { recordIn, type StateFolder } from "../../registry/store.ts";
import { readSupervisorFile } from "../../registry/supervisor_files.ts";

export interface SupervisorRow {
  pid: number;
  version: string;
  build: string | null;
  endpoint: string;
  /** ISO 8601, UTC. */
  since: string;
  /** What the system ends it with, e.g. `session-3.scope`; null where it stays. */
  ends_with: string | null;
  uptime_ms: number;
  /** How many servers it keeps now. */
  servers: number;
  /** Null where the system does not say. */
  memory_bytes: number | null;
}

/** Null where none is running. */
export async function observeSupervisor(
  host: Pick<Host, "files" | "processes" | "clock">,
  state: StateFolder,
): Promise<SupervisorRow | null> {
  const file = await readSupervisorFile(host, state.path);
  if (file.kind !== "file") return null;
  const { pid, start_token, version, build, endpoint, since, ends_with } = file.value;
  if (isOver(await verdictNow(host, { pid, start_token }))) return null;
  const isThis = (identity: ProcessIdentity | null | undefined) =>
    identity?.pid === pid && identity.start_token === start_token;
  const kept = new Set(
    (await state.records()).flatMap(({ key, stored }) => isThis(recordIn(stored)?.supervisor) ? [key] : []),
  );
  for (const key of await state.keys()) {
    const copies = kept.has(key) ? [] : await state.server(key).copies();
    if (copies.some((copy) => copy.pid !== null && isThis(copy.owner))) kept.add(key);
  }
  const usage = await host.processes.usage([pid]).catch(() => new Map());
  return {
    pid,
    version,
    build,
    endpoint,
    since,
    ends_with,
    uptime_ms: Math.max(0, Math.round(host.clock.now() - Date.parse(since))),
    servers: kept.size,
    memory_bytes: usage.get(pid)?.residentBytes ?? null,
  };
}
