/**
 * Proofs that processes beyond our own may be ended: from what was seen, with each target's own identity.
 *
 * @module
 */
import type { StatusSnapshot } from "../../mcp/snapshot.ts";
import type { ProcessIdentity } from "../../registry/record.ts";
import type { Holder, Observation } from "./observe.ts";

export type ProofKind =
  | "managed_record"
  | "pidfile_listener"
  | "cookie"
  | "status_matches_record"
  | "status_name";

export interface Proof {
  kind: ProofKind;
  targets: ProcessIdentity[];
}

export interface ProofFacts {
  observed: Observation;
  /** What the holder of the port answered; null where it was not asked. */
  live: StatusSnapshot | null;
  expectedName: string | null;
  /** The user asked for the recovery: the server's name alone then suffices. */
  userAsked: boolean;
}

/** The strongest proof there is, null for none. Without a listener whose start time is known there is none. */
export function findProof({ observed, live, expectedName, userAsked }: ProofFacts): Proof | null {
  if (observed.port.kind === "free") return null;
  const holders = observed.port.holders.filter((holder) => holder.pid > 1 && holder.startTime !== null);
  if (holders.length === 0) return null;
  const all = holders.map((holder) => ({ pid: holder.pid, start_token: holder.startTime ?? "" }));

  const recorded = all.find(({ pid }) => pid === observed.record?.pid);
  if (recorded !== undefined && observed.process.kind === "ours") {
    return { kind: "managed_record", targets: [recorded] };
  }
  const ours = new Map(observed.owned.map((process) => [process.pid, process.why]));
  if (all.some(({ pid }) => ours.get(pid) === "pid_file")) {
    const signed = new Set(holders.filter((holder) => holder.signed).map((holder) => holder.pid));
    return { kind: "pidfile_listener", targets: all.filter(({ pid }) => signed.has(pid)) };
  }
  const carriers = all.filter(({ pid }) => ours.get(pid) === "cookie");
  if (carriers.length > 0) return { kind: "cookie", targets: carriers };

  const named = expectedName !== null && live?.name === expectedName;
  if (!named) return null;
  const answering = answeringTargets(holders);
  if (answering === null) return null;
  const recordedVersion = observed.record?.version ?? "";
  const recordLives = observed.liveness.kind === "alive";
  if (recordLives && recordedVersion !== "" && live.version === recordedVersion) {
    return { kind: "status_matches_record", targets: answering };
  }
  return userAsked ? { kind: "status_name", targets: answering } : null;
}

/**
 * Who gave the answer that a proof rests on: only those whose socket serves the asked address. Several count only where
 * they are one server, a parent and its worker; else nobody can tell which of them answered.
 */
function answeringTargets(holders: readonly Holder[]): ProcessIdentity[] | null {
  const serving = holders.filter((holder) => holder.serves);
  const [first] = serving;
  if (first === undefined) return null;
  const pids = new Set(serving.map((holder) => holder.pid));
  const related = serving.every((holder) =>
    holder === first || pids.has(holder.parentPid) || first.parentPid === holder.pid ||
    (holder.groupId > 1 && holder.groupId === first.groupId)
  );
  if (!related) return null;
  return serving.map(({ pid, startTime }) => ({ pid, start_token: startTime ?? "" }));
}
