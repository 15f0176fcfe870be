/**
 * Proofs that processes beyond our own may be ended: from what was seen, with each target's own identity.
 *
 * @module
 */
import type { StatusSnapshot } from "../mcp/snapshot.ts";
import type { ProcessIdentity } from "../registry/record.ts";
import type { Look } from "./look.ts";

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
  look: Look;
  /** What the holder of the port answered; null where it was not asked. */
  live: StatusSnapshot | null;
  expectedName: string | null;
  /** The user asked for the recovery: the server's name alone then suffices. */
  userAsked: boolean;
}

/** The strongest proof there is, null for none. Without a listener whose start time is known there is none. */
export function findProof({ look, live, expectedName, userAsked }: ProofFacts): Proof | null {
  if (look.port.kind === "free") return null;
  const holders = look.port.holders.filter((holder) => holder.pid > 1 && holder.startToken !== null);
  if (holders.length === 0) return null;
  const all = holders.map((holder) => ({ pid: holder.pid, start_token: holder.startToken ?? "" }));

  const recorded = all.find(({ pid }) => pid === look.record?.pid);
  if (recorded !== undefined && look.process.kind === "ours") {
    return { kind: "managed_record", targets: [recorded] };
  }
  const ours = new Map(look.owned.map((process) => [process.pid, process.why]));
  if (all.some(({ pid }) => ours.get(pid) === "pid_file")) {
    const branded = new Set(holders.filter((holder) => holder.branded).map((holder) => holder.pid));
    return { kind: "pidfile_listener", targets: all.filter(({ pid }) => branded.has(pid)) };
  }
  const carriers = all.filter(({ pid }) => ours.get(pid) === "cookie");
  if (carriers.length > 0) return { kind: "cookie", targets: carriers };

  const named = expectedName !== null && live?.name === expectedName;
  if (!named) return null;
  const recordedVersion = look.record?.version ?? "";
  const recordLives = look.liveness.kind === "alive";
  if (recordLives && recordedVersion !== "" && live.version === recordedVersion) {
    return { kind: "status_matches_record", targets: all };
  }
  return userAsked ? { kind: "status_name", targets: all } : null;
}
