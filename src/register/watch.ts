/**
 * Whether the client that started a register is still there: the decision.
 *
 * @module
 */
import type { ProcessSeen } from "../host/host.ts";
import { verdict } from "../registry/identity.ts";

/** The register's parent when it started. */
export interface Parent {
  pid: number;
  /** Null where it could not be read. */
  startTime: string | null;
}

/** Processes that adopt orphans are nobody's client. */
export function isWatched(parent: Parent | null): parent is Parent {
  return parent !== null && parent.pid > 1;
}

/** Gone for sure, or no longer the parent. What can't be told is no reason to end a server. */
export function isParentLost(
  parent: Parent,
  { self, seen }: { self: ProcessSeen | undefined; seen: ProcessSeen | undefined },
): boolean {
  if (self?.kind === "seen" && self.facts.parentPid !== parent.pid) return true;
  const { kind } = verdict(seen, parent.startTime);
  return kind === "recycled" || kind === "gone";
}
