/**
 * Finds the process that a supervised server handed over to before it ended: a launcher that goes, a server that starts
 * its new self.
 *
 * @module
 */
import type { ServerDefinition } from "../definitions/definition.ts";
import { attemptReady } from "../lifecycle/observe/live.ts";
import type { Observation, RecentObservation } from "../lifecycle/observe/observe.ts";
import { observeDefined } from "../lifecycle/observe/observe_defined.ts";
import type { Owned } from "../lifecycle/observe/ownership.ts";
import { hasSignature, signatureOf } from "../lifecycle/observe/signature.ts";
import type { ExitStatus } from "../host/host.ts";
import type { World } from "../lifecycle/world.ts";
import type { ProcessIdentity, ServerRecord } from "../registry/record.ts";
import type { ServerFolder } from "../registry/store.ts";

/** How long a new self that nothing else names yet may take until it serves the port. */
const HAND_OVER_MS = 5000;
const LOOK_MS = 100;

export interface HandOver {
  folder: ServerFolder;
  /** Its process has ended. */
  record: ServerRecord;
  /** How that process ended, null where nobody knows. */
  exit: ExitStatus | null;
  definition: ServerDefinition;
}

/** `none`: nobody took over, or a `down` asks for the server's end; with what was seen last. */
export type SuccessorSearch =
  | { kind: "found"; successor: ProcessIdentity }
  | { kind: "none"; seen: RecentObservation };

/** To be called under the lock. */
export async function findSuccessor(
  world: World,
  { folder, record, exit, definition }: HandOver,
): Promise<SuccessorSearch> {
  const { host, signal } = world;
  const endsAt = host.clock.monotonic() + HAND_OVER_MS;
  while (true) {
    const at = host.clock.monotonic();
    const observed = await observeDefined(host, definition, {
      folder,
      record,
      port: record.port,
      thorough: true,
    });
    const named = namedSuccessor(observed);
    if (named !== null) return { kind: "found", successor: named };
    const serving = servingSuccessor(observed);
    const isNewSelf = serving !== null &&
      (exit?.code === 0 || hasSignature(await host.processes.argv(serving.pid), signatureOf(definition)));
    if (isNewSelf) {
      // Whatever inherited the server's socket holds the port as well: only an answer tells.
      const answer = await attemptReady(host, { definition, endpoint: record.endpoint, signal });
      if (answer.kind === "ready") return { kind: "found", successor: serving };
    }
    const isOver = host.clock.monotonic() >= endsAt || await folder.isAskedToStop();
    if (isOver || !await hasNewSelf(world, { observed, definition })) {
      return { kind: "none", seen: { observed, at } };
    }
    await host.clock.sleep(LOOK_MS, signal);
  }
}

/** Named by the pid file, with the signature, in the group or on the port. */
function namedSuccessor({ owned, pidFilePid, record }: Observation): ProcessIdentity | null {
  const named = owned.find(({ pid, why }) => pid === pidFilePid && why !== "tree");
  return named === undefined || named.pid === record?.pid ? null : identityOf(named);
}

/** One of ours holds the port: a new self, or a child that a crashed server left there. */
function servingSuccessor({ owned, port }: Observation): ProcessIdentity | null {
  if (port.kind === "free") return null;
  const serving = port.holders.filter((holder) => holder.serves && holder.owned).map(({ pid }) => pid);
  const found = owned.find(({ pid, why }) => serving.includes(pid) && why !== "tree");
  return found === undefined ? null : identityOf(found);
}

/** Whether a process of ours is the same program: it may be about to listen. */
async function hasNewSelf(
  { host }: World,
  { observed, definition }: { observed: Observation; definition: ServerDefinition },
): Promise<boolean> {
  const signature = signatureOf(definition);
  if (signature.names.length === 0) return false;
  for (const { pid, why } of observed.owned) {
    if (why !== "tree" && hasSignature(await host.processes.argv(pid), signature)) return true;
  }
  return false;
}

function identityOf({ pid, start_token }: Owned): ProcessIdentity {
  return { pid, start_token };
}
