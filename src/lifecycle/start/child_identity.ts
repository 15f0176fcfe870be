import type { Host } from "../../host/host.ts";

/** A start token that no process has: for a child that was gone before it could be looked at. */
const NEVER = "never";

/**
 * The start token of a child that was spawned a moment ago; null, which proves nothing, where it can't be read. A child
 * that ended at once may have lost its pid to a stranger already: only our own child counts.
 */
export async function childStartToken(
  host: Pick<Host, "processes" | "system">,
  pid: number,
): Promise<string | null> {
  const seen = (await host.processes.inspect([pid])).get(pid);
  if (seen === undefined) return NEVER;
  switch (seen.kind) {
    case "gone":
      return NEVER;
    case "unknown":
      return null;
    case "seen": {
      const { parentPid, startTime } = seen.facts;
      const ours = parentPid === host.processes.selfPid || (host.system === "windows" && parentPid === 0);
      return ours ? startTime : NEVER;
    }
  }
}
