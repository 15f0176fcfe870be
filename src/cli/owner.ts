import type { ProcessObservation } from "../host/host.ts";
import { type Args, UsageError } from "./args.ts";
import type { Context } from "./verb.ts";

/** Of any process that may own a server: never init. */
export const PID = { min: 2, max: 4_194_304 };

/**
 * The process that `--owner-pid` names, null without. Asked before anything is started: a server must not be left with
 * an owner that never was. @throws UsageError
 */
export async function readOwner({ host }: Pick<Context, "host">, args: Args): Promise<number | null> {
  const ownerPid = args.number("owner-pid", PID);
  if (ownerPid === null) return null;
  const seen = (await host.processes.inspect([ownerPid])).get(ownerPid);
  if (!isThere(seen)) throw new UsageError(`--owner-pid ${ownerPid}: there is no such process`);
  return ownerPid;
}

function isThere(seen: ProcessObservation | undefined): boolean {
  return seen?.kind === "unknown" || (seen?.kind === "seen" && !seen.facts.zombie);
}
