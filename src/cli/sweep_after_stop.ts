/**
 * The sweep of uv's cache after a server was ended: on Windows alone, where stale build folders make later starts fail.
 *
 * @module
 */
import type { Outcome } from "../lifecycle/row.ts";
import type { Context } from "./verb.ts";

/** Never throws; what could not be removed is said. */
export async function sweepCache({ host, signal, output }: Omit<Context, "definitions">): Promise<void> {
  if (host.system !== "windows") return;
  const { automaticSweep } = await import("../cache/sweep.ts");
  const { message } = await automaticSweep(host, signal);
  if (message !== null) output.detail(message);
}

/** One sweep for several servers, where at least one was ended, whatever became of its port. */
export async function sweepAfterStop(context: Context, outcomes: readonly Outcome[]): Promise<void> {
  if (outcomes.some(({ row }) => row.recovered !== null)) await sweepCache(context);
}
