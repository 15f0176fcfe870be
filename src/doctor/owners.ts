/**
 * Which processes the state folder's files prove: managed servers as `up` and `down` tell them, and whoever else a
 * file names.
 *
 * @module
 */
import type { ProcessFacts } from "../host/host.ts";
import { verdictOf } from "../lifecycle/observe/list.ts";
import { findOwned } from "../lifecycle/observe/ownership.ts";
import type { ProcessIdentity, ServerRecord } from "../registry/record.ts";
import { GATEWAY_PORT } from "../registry/auto_ports.ts";
import type { ServersObservation } from "./observe.ts";

/** Processes that any file of the state folder proves, and this doctor itself. */
export function provenPids(seen: ServersObservation): Set<number> {
  const { managed, copies, registered, leases, privates, selfPid, supervisor } = seen;
  const proven = new Set<number>();
  for (const { record } of [...managed, ...copies]) {
    for (const { pid } of ownedBy(record, seen)) proven.add(pid);
  }
  const others: (ProcessIdentity | { pid: number; start_token: string | null } | null)[] = [
    supervisor,
    ...managed.map(({ record }) => record.supervisor),
    ...copies.map(({ record }) => record.owner),
    ...registered.flatMap(({ record }) => [record, record.register]),
    ...leases.map(({ lease }) => lease),
    // One whose client is gone has been judged already.
    ...privates.map(({ child }) => child),
  ];
  const groups = new Set<number>();
  for (const identity of others) {
    if (identity === null) continue;
    if (verdictOf([identity.pid, identity.start_token], seen.seen).kind !== "ours") continue;
    proven.add(identity.pid);
    const process = seen.seen.get(identity.pid);
    if (process?.kind === "seen" && process.facts.groupId === identity.pid) groups.add(identity.pid);
  }
  for (const { pid, groupId } of listOf(seen)) if (groups.has(groupId)) proven.add(pid);
  addDescendants(proven, listOf(seen));
  return proven.add(selfPid);
}

/**
 * The key of the managed server that each process is proven to belong to, the gateway's for the supervisor.
 * `listening`: who listens on its port.
 */
export function serverOf(
  seen: ServersObservation,
  listening: ReadonlyMap<number, ReadonlySet<number>>,
): Map<number, string> {
  const keys = new Map<number, string>();
  for (const { key, record } of seen.managed) {
    for (const { pid } of ownedBy(record, seen, listening.get(record.port))) keys.set(pid, key);
  }
  const { supervisor } = seen;
  if (supervisor !== null && verdictOf([supervisor.pid, supervisor.start_token], seen.seen).kind === "ours") {
    keys.set(supervisor.pid, GATEWAY_PORT);
  }
  return keys;
}

export function ownedBy(
  record: ServerRecord,
  seen: ServersObservation,
  listenerPids: ReadonlySet<number> = new Set(),
) {
  const carriers = seen.carriers.filter(({ token }) => token === record.token).map(({ pid }) => pid);
  const pids = [record.pid, record.launcher_pid];
  // Where nothing is there to start from, nothing is proven: there may be thousands of such records.
  if (carriers.length === 0 && !pids.some((pid) => pid !== null && seen.seen.get(pid)?.kind === "seen")) {
    return [];
  }
  return findOwned({
    record,
    seen: seen.seen,
    processes: listOf(seen),
    listenerPids,
    carriers: new Set(carriers),
    signedPidFile: null,
  });
}

/** What this very doctor starts belongs to nobody else. */
function listOf({ list, selfPid }: ServersObservation): readonly ProcessFacts[] {
  return (list ?? []).filter(({ pid, parentPid }) => pid > 1 && parentPid !== selfPid);
}

function addDescendants(family: Set<number>, list: readonly ProcessFacts[]): void {
  for (let before = -1; before !== family.size;) {
    before = family.size;
    for (const { pid, parentPid } of list) if (family.has(parentPid)) family.add(pid);
  }
}
