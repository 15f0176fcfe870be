/**
 * What a session's version check means for the server's record.
 *
 * @module
 */
import type { ServerFolder } from "../registry/store.ts";
import type { ServerRecord } from "../registry/record.ts";
import { advance } from "./state.ts";
import type { World } from "./world.ts";

const LOCK_WAIT_MS = 5000;

/** The record as the verdict leaves it, null where it stays as it is. */
export function applyVerdict(
  record: ServerRecord,
  { state, version }: { state: "ready" | "incompatible"; version: string },
): ServerRecord | null {
  if (record.want === "down") return null;
  const next = advance(record, state === "ready" ? "client_accepts" : "client_rejects");
  if (next.state === record.state) return null;
  return { ...next, version: version === "" ? record.version : version };
}

/** Writes the verdict under the lock; the own observation of a foster that holds the lock counts more. */
export async function recordVerdict(
  world: World,
  folder: ServerFolder,
  verdict: { state: "ready" | "incompatible"; version: string; message: string },
): Promise<void> {
  const stored = await folder.read();
  if (stored.kind !== "record" || applyVerdict(stored.record, verdict) === null) return;
  const lock = await folder.lock({ waitMs: LOCK_WAIT_MS, signal: world.signal });
  if (lock === null) return;
  try {
    const now = await folder.readOrHeal();
    const changed = now === null ? null : applyVerdict(now, verdict);
    if (changed === null) return;
    await folder.write(changed);
    await folder.event("verdict", { pid: changed.pid, message: verdict.message });
  } finally {
    lock.release();
  }
}
