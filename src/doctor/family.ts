/**
 * Which processes a recorded identity speaks for.
 *
 * @module
 */
import { verdictOf } from "./process_rows.ts";
import type { ProcessesSeen } from "./processes_look.ts";

export type Identity = readonly [pid: number | null | undefined, startTime: string | null | undefined];

type Seen = Pick<ProcessesSeen, "seen" | "list" | "selfPid">;

/** Those of the identities that are still the same processes, the groups that they lead, and their descendants. */
export function familyOf(identities: readonly Identity[], seen: Seen): Set<number> {
  const family = new Set<number>();
  const groups = new Set<number>();
  for (const [pid, startTime] of identities) {
    if (pid == null || startTime == null || verdictOf(pid, startTime, seen).kind !== "ours") continue;
    family.add(pid);
    const process = seen.seen.get(pid);
    if (process?.kind === "seen" && process.facts.groupId === pid) groups.add(pid);
  }
  // What this very doctor starts belongs to nobody else.
  const list = (seen.list ?? []).filter(({ pid, parentPid }) => pid > 1 && parentPid !== seen.selfPid);
  for (const { pid, groupId } of list) if (groups.has(groupId)) family.add(pid);
  for (let before = -1; before !== family.size;) {
    before = family.size;
    for (const { pid, parentPid } of list) if (family.has(parentPid)) family.add(pid);
  }
  return family;
}

/** The key of the managed server that each process is proven to belong to. */
export function serverOf(seen: ProcessesSeen): Map<number, string> {
  const keys = new Map<number, string>();
  for (const { key, record } of seen.managed) {
    const family = familyOf([
      [record.pid, record.start_token],
      [record.launcher_pid, record.launcher_start_token],
    ], seen);
    for (const pid of family) keys.set(pid, key);
    for (const { pid, token } of seen.carriers) if (token === record.token) keys.set(pid, key);
  }
  return keys;
}
