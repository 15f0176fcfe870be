/**
 * Records of several PID namespaces in one server's folder: a container that has the home folder mounted shares the
 * state folder, but not the pids.
 *
 * @module
 */
import { type Host, HostError } from "../host/host.ts";
import { elsewhereToken } from "./identity.ts";
import type { ServerRecord } from "./record.ts";

/** The namespace of this foster's pids; null where there is none, "unknown" where it can't be told. */
export async function ownNamespace({ processes }: Pick<Host, "processes">): Promise<string | null> {
  try {
    return await processes.pidNamespace();
  } catch (error) {
    if (error instanceof HostError) return "unknown";
    throw error;
  }
}

/** A record without a namespace is of this one: 0.1 wrote none. */
export async function isOfAnotherNamespace(
  host: Pick<Host, "processes">,
  { pid_namespace }: Pick<ServerRecord, "pid_namespace">,
): Promise<boolean> {
  return pid_namespace !== null && pid_namespace !== await ownNamespace(host);
}

/** Whether the system was started anew since: all that such a record names is gone. */
export async function isOfEarlierBoot(
  { processes }: Pick<Host, "processes">,
  record: ServerRecord,
): Promise<boolean> {
  const recorded = bootOf(
    record.start_token ?? record.launcher_start_token ?? record.supervisor?.start_token ?? "",
  );
  if (recorded === null) return false;
  const self = (await processes.inspect([processes.selfPid])).get(processes.selfPid);
  const now = self?.kind === "seen" ? bootOf(self.facts.startTime) : null;
  return now !== null && now !== recorded;
}

function bootOf(startTime: string): string | null {
  return /^proc:([^:]+):/.exec(startTime)?.[1] ?? null;
}

/** The record as it may be used here: nothing in it can be mistaken for a process of this namespace. */
export function seenFromHere(record: ServerRecord): ServerRecord {
  const token = elsewhereToken(record.pid_namespace ?? "unknown");
  const hide = (startTime: string | null) => startTime === null ? null : token;
  return {
    ...record,
    pid: record.pid,
    start_token: record.pid === null ? null : token,
    launcher_start_token: hide(record.launcher_start_token),
    pgid: null,
    token: `${token}:${record.key}`,
    supervisor: record.supervisor === null ? null : { ...record.supervisor, start_token: token },
  };
}

/** Whether the record came out of {@link seenFromHere}. */
export function isElsewhere({ token }: Pick<ServerRecord, "token">): boolean {
  return token.startsWith(elsewhereToken(""));
}
