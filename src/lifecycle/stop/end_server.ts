/**
 * Ends a server's processes and waits for its port.
 *
 * @module
 */
import type { ProcessFacts } from "../../host/host.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { isOver, verdictNow } from "../../registry/identity.ts";
import type { ServerRecord } from "../../registry/record.ts";
import type { ServerFolder } from "../../registry/store.ts";
import { type Observation, observe } from "../observe/observe.ts";
import { ownedTargets } from "../observe/ownership.ts";
import { hostnameOf } from "../observe/ports.ts";
import { signatureOf } from "../observe/signature.ts";
import type { Proof } from "../observe/proof.ts";
import { climbLadder, type StopResult } from "./ladder.ts";
import type { World } from "../world.ts";

const PORT_POLL_MS = 50;
/** How often new processes of a server are ended that were not there before. */
const ROUNDS = 3;

/** How long a port may stay held after its holder was ended, by the occasion; milliseconds. */
export const PORT_WAIT_MS = { stop: 2000, drift: 3000, asked: 5000 } as const;

export interface EndResult extends StopResult {
  /** What was seen once they were gone, or not. */
  after: Observation;
}

export interface EndRequest {
  folder: ServerFolder;
  record: ServerRecord | null;
  /** Null where neither a definition nor the overrides of its start are left. */
  definition: Pick<ServerDefinition, "brand" | "brandFlags"> & { host?: ServerDefinition["host"] } | null;
  port: number;
  graceMs: number;
  portWaitMs: number;
  /** Others that a proof names, beside our own. */
  proof: Proof | null;
  /** Run before any signal, where anything of ours is alive. */
  stopCommand?: (() => Promise<boolean>) | null;
}

/** Ends all that is ours, and what the proof names, then waits until the port is free or the wait is over. */
export async function endServer(world: World, request: EndRequest): Promise<EndResult> {
  const before = await observeAgain(world, request);
  if (isNothingToEnd(before) && request.proof === null) return { ended: [], survivors: [], after: before };
  const targets = ownedTargets(before.owned, before.listenerPids);
  const known = new Set([
    ...targets.processes.map((process) => process.pid),
    ...targets.groups.flatMap((group) => group.members.map((member) => member.pid)),
  ]);
  for (const target of request.proof?.targets ?? []) {
    if (!known.has(target.pid)) targets.processes.push(target);
  }
  const { signaller, host } = world;
  const ask = before.owned.length > 0 ? request.stopCommand : null;
  let result = await climbLadder(host, { targets, signaller, graceMs: request.graceMs, ask });
  let after = await observeAgain(world, request);
  // A server may leave a child behind that nobody saw: its instance token or its group proves that it is ours.
  for (let round = 1; round < ROUNDS && isLeftBehind(result, after); round++) {
    const left = ownedTargets(after.owned, after.listenerPids);
    const more = await climbLadder(host, { targets: left, signaller, graceMs: request.graceMs });
    result = { ended: [...new Set([...result.ended, ...more.ended])], survivors: more.survivors };
    after = await observeAgain(world, request);
  }
  if (isLeftBehind(result, after)) {
    result.survivors = after.owned.map(({ pid }) => ({ pid, why: "it was started while the others ended" }));
  }
  const endsAt = host.clock.monotonic() + request.portWaitMs;
  // A port that was held by others all along will not come free for the waiting.
  while (result.ended.length > 0 && after.port.kind === "held" && host.clock.monotonic() < endsAt) {
    await host.clock.sleep(PORT_POLL_MS);
    after = await observeAgain(world, request);
  }
  return { ...result, after };
}

/** Nothing of ours is there, as far as the system lets foster see. */
function isNothingToEnd({ owned, liveness }: Observation): boolean {
  return owned.length === 0 && liveness.kind === "dead";
}

/** The end of a server of which nothing is left, null where there may be something to end: nothing is written then. */
export async function endedAlready(
  world: World,
  request: EndRequest,
  recentProcesses?: () => Promise<readonly ProcessFacts[]>,
): Promise<EndResult | null> {
  const { record } = request;
  if (record === null || record.supervisor !== null) return null;
  for (const pid of [record.pid, record.launcher_pid]) {
    const start_token = pid === record.pid ? record.start_token : record.launcher_start_token;
    if (pid !== null && !isOver(await verdictNow(world.host, { pid, start_token }))) return null;
  }
  const after = await observeAgain(world, request, recentProcesses);
  return isNothingToEnd(after) ? { ended: [], survivors: [], after } : null;
}

/** Whether nothing of the server is left; false where the system did not let foster see. */
export function isAllGone({ survivors, after }: EndResult): boolean {
  return survivors.length === 0 && after.owned.length === 0 && after.liveness.kind !== "unknown";
}

function isLeftBehind({ survivors }: StopResult, after: Observation): boolean {
  return survivors.length === 0 && after.owned.length > 0;
}

async function observeAgain(
  world: World,
  request: EndRequest,
  recentProcesses?: () => Promise<readonly ProcessFacts[]>,
): Promise<Observation> {
  const { definition } = request;
  return await observe(world.host, {
    folder: request.folder,
    record: request.record,
    hostname: definition?.host ?? hostnameOf(request.record?.endpoint ?? "http://127.0.0.1"),
    port: request.port,
    signature: signatureOf(definition),
    thorough: true,
    recentProcesses,
  });
}
