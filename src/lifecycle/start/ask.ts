/**
 * Asks the holder of the port who it is, and compares the answer with what is wanted.
 *
 * @module
 */
import { type StatusSnapshot, UNREACHED } from "../../mcp/snapshot.ts";
import { compareWithDefinition, type Compatibility } from "../observe/compatibility.ts";
import { askHolder, attemptReady } from "../observe/live.ts";
import type { HolderAnswer, ServerStart } from "./server_start.ts";

/** Asks our own process for the whole readiness, another one only for its name. */
export async function askWhoHolds(start: ServerStart, { owned }: { owned: boolean }): Promise<HolderAnswer> {
  const { world, definition, endpoint } = start;
  const question = { definition, endpoint, signal: world.signal };
  if (!owned) {
    const snapshot = await askHolder(world.host, question);
    const compatibility = compareWithWanted(start, snapshot);
    return { answered: snapshot.reachable, snapshot, compatibility, ready: null, reason: snapshot.error };
  }
  world.progress(start.name, "is it ready?");
  const attempt = await attemptReady(world.host, question);
  if (attempt.kind !== "ready") return silent(attempt.reason);
  const compatibility = compareWithWanted(start, attempt.live);
  return { answered: true, snapshot: attempt.live, compatibility, ready: attempt, reason: "" };
}

/** The answer of a server that gave none. */
export function silent(
  reason: string,
  snapshot: StatusSnapshot = { ...UNREACHED, error: reason },
): HolderAnswer {
  const compatibility = { kind: "incompatible", reason: "unknown" } as const;
  return { answered: false, snapshot, compatibility, ready: null, reason };
}

export function compareWithWanted(
  { definition, record, ports }: ServerStart,
  live: StatusSnapshot,
): Compatibility {
  return compareWithDefinition(live, { definition, record, wsPort: ports.wsPort });
}
