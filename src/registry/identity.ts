/**
 * Whether a recorded process is still the same one: a pid alone proves nothing, a pid with its start token does.
 *
 * @module
 */
import { type Host, isSameStart, type ProcessObservation } from "../host/host.ts";
import type { ProcessIdentity } from "./record.ts";

export type Verdict =
  | { kind: "ours" }
  | { kind: "recycled" }
  | { kind: "gone" }
  | { kind: "unknown"; why: string };

/**
 * Stands for the start time of a process of another PID namespace: no process here has it, so that whoever compares
 * fails closed.
 */
const ELSEWHERE = "elsewhere:";

export function elsewhereToken(namespace: string): string {
  return `${ELSEWHERE}${namespace}`;
}

/** Compares what was recorded with what is seen. A zombie is gone; a process that can't be read is unknown. */
export function verdict(seen: ProcessObservation | undefined, startTime: string | null): Verdict {
  if (startTime?.startsWith(ELSEWHERE)) {
    return { kind: "unknown", why: `it is of another PID namespace (${startTime.slice(ELSEWHERE.length)})` };
  }
  if (seen === undefined) return { kind: "gone" };
  switch (seen.kind) {
    case "gone":
      return { kind: "gone" };
    case "unknown":
      return { kind: "unknown", why: seen.why };
    case "seen":
      if (seen.facts.zombie) return { kind: "gone" };
      if (startTime === null) return { kind: "unknown", why: "no start time was recorded" };
      return isSameStart(seen.facts.startTime, startTime) ? { kind: "ours" } : { kind: "recycled" };
  }
}

/** As {@link verdict}, of a process as it is now. */
export async function verdictNow(
  { processes }: Pick<Host, "processes">,
  { pid, start_token }: Pick<ProcessIdentity, "pid"> & { start_token: string | null },
): Promise<Verdict> {
  return verdict((await processes.inspect([pid])).get(pid), start_token);
}

/** Whether the process is provably not there any more. */
export function isOver({ kind }: Verdict): boolean {
  return kind === "gone" || kind === "recycled";
}
