import type { ServerDefinition } from "../definitions/definition.ts";
import { HostError } from "../host/host.ts";
import type { World } from "../lifecycle/world.ts";
import type { StartedBy } from "../registry/record.ts";
import type { ProcessIdentity } from "../registry/values.ts";
import type { SupervisedServer } from "./enrolment.ts";

export interface EnrolOptions {
  startedBy: StartedBy;
  /** How long a server without clients stays; null for ever. */
  idleMs: number | null;
  timeoutMs: number | null;
  ownerPid?: number | null;
}

/** How the supervisor is told of a server. */
export async function enrolledServer(
  { host, callerFolder }: Pick<World, "host" | "callerFolder">,
  { key, name, source, baseFolder }: ServerDefinition,
  { startedBy, idleMs, timeoutMs, ownerPid = null }: EnrolOptions,
): Promise<SupervisedServer> {
  return {
    key,
    name,
    config: source.kind === "file" ? source.file : null,
    folder: source.kind === "file" ? callerFolder : baseFolder,
    by: startedBy,
    idle_ms: idleMs,
    timeout_ms: timeoutMs,
    owner: ownerPid === null ? null : await identityOf(host, ownerPid),
  };
}

/** @throws HostError where it is not there */
export async function identityOf(
  { processes }: Pick<World["host"], "processes">,
  pid: number,
): Promise<ProcessIdentity> {
  const seen = (await processes.inspect([pid])).get(pid);
  if (seen?.kind === "seen" && !seen.facts.zombie) return { pid, start_token: seen.facts.startTime };
  throw new HostError("not_found", `there is no process ${pid} to be the owner`);
}
