/**
 * The sweep of uv's cache after a server was ended: on Windows alone, where stale build folders make later starts fail.
 *
 * @module
 */
import type { Outcome } from "../lifecycle/row.ts";
import type { Context } from "./verb.ts";

/** Sweeps when one of the servers was ended in good order. Never throws, and says nothing of what it did. */
export async function sweepAfterStop(
  { host, signal, output }: Context,
  outcomes: readonly Outcome[],
): Promise<void> {
  if (host.system !== "windows") return;
  if (!outcomes.some(({ kind, row }) => kind === "done" && row.recovered !== null)) return;
  const { automaticSweep } = await import("../cache/sweep.ts");
  const { message } = await automaticSweep(host, signal);
  if (message !== null) output.detail(message);
}
