/**
 * What a record and its processes say about a server, without any network.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import { type Verdict, verdict } from "../../registry/identity.ts";
import type { ServerRecord } from "../../registry/record.ts";
import type { Decoded } from "../../registry/record.ts";
import { STATE_CODES, type StateLabel } from "../../registry/state_label.ts";
import { emptyRow, rowOfRecord, type ServerRow } from "../row.ts";

export interface ListedRow extends ServerRow {
  process: Verdict["kind"];
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
  return records.map(({ key, stored }) => {
    switch (stored.kind) {
      case "corrupt":
        return {
          ...emptyRow(key, key),
          process: "unknown" as const,
          message: `its record can't be trusted: ${stored.why}`,
          hint: `foster up or foster down sets the record aside`,
        };
      case "record": {
        const { record } = stored;
        const process = processOf(record, seen);
        const state = listedState(record, process);
        const row = rowOfRecord(record, state);
        return { ...row, state_code: STATE_CODES[state], process };
      }
    }
  });
}

/** The listener's identity, or the launcher's where the listener is gone but its launcher is not. */
function processOf(record: ServerRecord, seen: Parameters<typeof verdictOf>[1]): Verdict["kind"] {
  const listener = verdictOf([record.pid, record.start_token], seen);
  if (listener === "ours" || listener === "unknown") return listener;
  const launcher = verdictOf([record.launcher_pid, record.launcher_start_token], seen);
  return launcher === "ours" ? launcher : listener;
}

function verdictOf(
  [pid, startTime]: [number | null, string | null],
  seen: Awaited<ReturnType<Host["processes"]["inspect"]>>,
): Verdict["kind"] {
  return pid === null ? "gone" : verdict(seen.get(pid), startTime).kind;
}
