/**
 * Which live processes are ours: the decision, over what was seen.
 *
 * @module
 */
import {
  isSameStart,
  type PortObservation,
  type ProcessFacts,
  type ProcessObservation,
} from "../../host/host.ts";
import { verdict } from "../../registry/identity.ts";
import type { ProcessIdentity, ServerRecord } from "../../registry/record.ts";
import type { StopTargets } from "../stop/ladder.ts";

/** Why a process is ours. `tree` alone (a child that left the group) names an owner but nothing to be ended. */
export type OwnedWhy = "record" | "launcher" | "group" | "cookie" | "pid_file" | "tree";

export interface Owned extends ProcessIdentity {
  groupId: number;
  why: OwnedWhy;
}

export interface OwnershipEvidence {
  record: ServerRecord;
  /** What was seen of the recorded pids and of the pid file's. */
  seen: ReadonlyMap<number, ProcessObservation>;
  /** All processes; may be empty where only the recorded ones matter. */
  processes: readonly ProcessFacts[];
  /** Who listens on the recorded ports. */
  listenerPids: ReadonlySet<number>;
  /** Pids that carry the record's instance token. */
  carriers: ReadonlySet<number>;
  /** On Windows: which process a Python worker's command line names as the one that started it. */
  workerParents?: ReadonlyMap<number, number>;
  /** The pid file's process when the file is younger than our spawn and the process carries the signature. */
  signedPidFile: number | null;
}

/** Every live process that is provably ours, the strongest reason for each. */
export function findOwned(evidence: OwnershipEvidence): Owned[] {
  const { record, seen, processes, listenerPids, carriers, signedPidFile } = evidence;
  const owned = new Map<number, Owned>();
  const own = (facts: ProcessFacts, why: OwnedWhy) => {
    if (facts.zombie || facts.pid <= 1 || owned.has(facts.pid)) return;
    owned.set(facts.pid, { pid: facts.pid, start_token: facts.startTime, groupId: facts.groupId, why });
  };
  const recorded: [number | null, string | null, OwnedWhy][] = [
    [record.pid, record.start_token, "record"],
    [record.launcher_pid, record.launcher_start_token, "launcher"],
  ];
  let groupProven = false;
  for (const [pid, startTime, why] of recorded) {
    if (pid === null || startTime === null) continue;
    const process = seen.get(pid);
    if (process?.kind !== "seen" || !isSameStart(process.facts.startTime, startTime)) continue;
    // A zombie is gone as a process, yet its group's number can't have been given away.
    groupProven ||= record.pgid !== null && record.pgid > 1 && process.facts.groupId === record.pgid;
    own(process.facts, why);
  }
  for (const facts of processes) {
    const inGroup = record.pgid !== null && record.pgid > 1 && facts.groupId === record.pgid;
    if (inGroup && groupProven) own(facts, "group");
    if (carriers.has(facts.pid) && (inGroup || listenerPids.has(facts.pid))) own(facts, "cookie");
    // A pid file alone proves nothing: accept it only for a process in our group or on our port.
    if (facts.pid === signedPidFile && (inGroup || listenerPids.has(facts.pid))) own(facts, "pid_file");
  }
  addDescendants(owned, processes);
  for (const facts of processes) {
    const parent = evidence.workerParents?.get(facts.pid);
    if (parent === undefined) continue;
    // The number of a parent that is gone may be another's by now: its worker counts only on our port.
    const wasOurs = parent === record.pid || parent === record.launcher_pid;
    if (owned.has(parent) || (wasOurs && listenerPids.has(facts.pid))) own(facts, "tree");
  }
  return [...owned.values()];
}

function addDescendants(owned: Map<number, Owned>, processes: readonly ProcessFacts[]): void {
  let grown = true;
  while (grown) {
    grown = false;
    for (const facts of processes) {
      if (owned.has(facts.pid) || facts.zombie || facts.pid <= 1 || !owned.has(facts.parentPid)) continue;
      owned.set(facts.pid, {
        pid: facts.pid,
        start_token: facts.startTime,
        groupId: facts.groupId,
        why: "tree",
      });
      grown = true;
    }
  }
}

/**
 * What the stop ladder is to end: our groups with all in them, our processes outside of them, and of the tree only
 * who listens on our ports. A child that left our group to live on its own is left alone; on Windows, which has no
 * groups, the whole tree goes.
 */
export function ownedTargets(owned: readonly Owned[], listenerPids: ReadonlySet<number>): StopTargets {
  const targets: StopTargets = { groups: [], processes: [] };
  const ours = owned.filter((process) =>
    process.why !== "tree" || process.groupId === 0 || listenerPids.has(process.pid)
  );
  const groups = new Map<number, ProcessIdentity[]>();
  for (const process of ours) {
    const leads = process.groupId === process.pid;
    if (process.groupId > 1 && (leads || process.why === "group")) {
      groups.set(process.groupId, []);
    }
  }
  for (const process of owned) {
    const identity = { pid: process.pid, start_token: process.start_token };
    const members = groups.get(process.groupId);
    if (members !== undefined) members.push(identity);
    else if (ours.includes(process)) targets.processes.push(identity);
  }
  for (const [groupId, members] of groups) targets.groups.push({ groupId, members });
  return targets;
}

/** Whether anything of the record is alive and ours; `unknown` where the system did not let foster see. */
export type Liveness = { kind: "alive" } | { kind: "dead" } | { kind: "unknown"; why: string };

export function liveness(
  record: ServerRecord,
  seen: ReadonlyMap<number, ProcessObservation>,
  owned: readonly Owned[],
): Liveness {
  if (owned.length > 0) return { kind: "alive" };
  for (const pid of [record.pid, record.launcher_pid]) {
    if (pid === null) continue;
    const found = verdict(
      seen.get(pid),
      pid === record.pid ? record.start_token : record.launcher_start_token,
    );
    if (found.kind === "unknown") return { kind: "unknown", why: `pid ${pid}: ${found.why}` };
  }
  return { kind: "dead" };
}

/** Pids of a listing that were found for a port, with how many sockets belong to nobody that can be named. */
export function listenerPidsOf(seen: PortObservation): Set<number> {
  return new Set(seen.kind === "known" ? seen.listeners.map((listener) => listener.pid) : []);
}
