/**
 * Which other server of the same state folder holds a port: another project's, or the same one's under another path.
 *
 * @module
 */
import { isSameStart, type ProcessObservation } from "../../host/host.ts";
import type { ServerRecord } from "../../registry/record.ts";
import { recordIn } from "../../registry/store.ts";
import type { World } from "../world.ts";
import { type Holder, isForeign, type PortState } from "./observe.ts";

/** The record of the server that a holder of the port belongs to, null where none of the state folder's does. */
export async function findOtherServer(
  { host, state }: Pick<World, "host" | "state">,
  { key, port }: { key: string; port: PortState },
): Promise<ServerRecord | null> {
  if (!isForeign(port)) return null;
  const holders = port.holders.filter(({ startTime }) => startTime !== null);
  if (holders.length === 0) return null;
  for (const { key: other, stored } of await state.records()) {
    const record = recordIn(stored);
    if (record === null || other === key) continue;
    if (holders.some((holder) => isRecorded(holder, record))) return record;
    const group = holders.filter(({ groupId }) => groupId > 1 && groupId === record.pgid);
    if (group.length === 0) continue;
    const pids = [record.pid, record.launcher_pid].filter((pid) => pid !== null);
    if (provesGroup(record, await host.processes.inspect(pids))) return record;
  }
  return null;
}

function isRecorded({ pid, startTime }: Holder, record: ServerRecord): boolean {
  return (pid === record.pid && isSameStart(startTime, record.start_token)) ||
    (pid === record.launcher_pid && isSameStart(startTime, record.launcher_start_token));
}

/** The group's number is the server's while a recorded process is in it; a number alone may be another group's by now. */
function provesGroup(record: ServerRecord, seen: ReadonlyMap<number, ProcessObservation>): boolean {
  const identities = [
    [record.pid, record.start_token],
    [record.launcher_pid, record.launcher_start_token],
  ] as const;
  return identities.some(([pid, startTime]) => {
    const process = pid === null ? undefined : seen.get(pid);
    return process?.kind === "seen" && isSameStart(process.facts.startTime, startTime) &&
      process.facts.groupId === record.pgid;
  });
}
