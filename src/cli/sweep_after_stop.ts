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
  const { deleted, remaining } = await automaticSweep(host, signal);
  if (deleted > 0) output.detail(`${deleted} stale build folders of uv deleted`);
  if (remaining > 0) output.talk(`${remaining} stale build folders of uv remain: foster sweep says why`);
}

/** One sweep for several servers, where at least one was ended, whatever became of its port. */
export async function sweepAfterStop(context: Context, outcomes: readonly Outcome[]): Promise<void> {
  if (outcomes.some(({ row }) => row.recovered !== null)) await sweepCache(context);
}
