/**
 * How foster ends processes: ask, wait, force, verify. One ladder, as data, climbed by one executor.
 *
 * @module
 */
import { type Host, isSameStart, type ProcessFacts, type Signal } from "../../host/host.ts";
import type { ProcessIdentity } from "../../registry/record.ts";
import type { Signaller, SignalTarget } from "./signal.ts";

interface Rung {
  signal: Signal;
  /** How long the targets have to end after it. */
  waitMs: number;
}

const FORCED_WAIT_MS = 2000;
/** Between two whole looks where the system can't be asked about one process alone. */
const POLL_MS = 20;
/** Where it can: how often, and how long until new members of a group are looked for. */
const GLANCE_MS = 4;
const LOOK_MS = 100;
/** Each one that is watched takes an open file. */
const WATCHED_LIMIT = 64;

export function ladder(graceMs: number): Rung[] {
  return [{ signal: "SIGTERM", waitMs: graceMs }, { signal: "SIGKILL", waitMs: FORCED_WAIT_MS }];
}

/** What is to be ended: verified groups with their members, and single verified processes. */
export interface StopTargets {
  groups: { groupId: number; members: ProcessIdentity[] }[];
  processes: ProcessIdentity[];
}

export interface StopResult {
  /** Pids that were signalled and are gone now. */
  ended: number[];
  /** Pids that are still there, with the reason where one is known. */
  survivors: { pid: number; why: string }[];
}

interface Climb {
  host: Pick<Host, "processes" | "clock">;
  signaller: Signaller;
  /** Also tells the live processes apart from those that came into a group while it was being ended. */
  known: Map<number, ProcessIdentity>;
  groups: Map<number, ProcessIdentity[]>;
  refusals: Map<number, string>;
  /** Pids that a signal was sent to, by themselves or with their group, or that were asked to end. */
  signalled: Set<number>;
}

/** Ends all targets. Never throws for a single process; an aborted signal does not stop it half-way. */
export async function climbLadder(
  host: Pick<Host, "processes" | "clock">,
  { targets, signaller, graceMs, ask = null }: {
    targets: StopTargets;
    signaller: Signaller;
    graceMs: number;
    /** Asks the targets to end in their own way before any signal; false where that failed. */
    ask?: (() => Promise<boolean>) | null;
  },
): Promise<StopResult> {
  const climb: Climb = {
    host,
    signaller,
    known: new Map(targets.processes.map((process) => [process.pid, process])),
    groups: new Map(targets.groups.map(({ groupId, members }) => [groupId, members])),
    refusals: new Map(),
    signalled: new Set(),
  };
  for (const { members } of targets.groups) {
    for (const member of members) climb.known.set(member.pid, member);
  }
  let alive = await survivors(climb);
  if (ask !== null && alive.length > 0 && await ask()) {
    for (const { pid } of alive) climb.signalled.add(pid);
    alive = await waitForEnd(climb, graceMs);
  }
  for (const rung of ladder(graceMs)) {
    if (alive.length === 0) break;
    await signalAll(climb, { alive, signal: rung.signal });
    alive = await waitForEnd(climb, rung.waitMs);
  }
  const left = new Set(alive.map((process) => process.pid));
  return {
    ended: [...climb.signalled].filter((pid) => !left.has(pid)).sort((a, b) => a - b),
    survivors: alive.map(({ pid }) => ({ pid, why: climb.refusals.get(pid) ?? "it did not end" })),
  };
}

/** Who is left after at most so long. */
async function waitForEnd(climb: Climb, waitMs: number): Promise<ProcessFacts[]> {
  const { clock } = climb.host;
  const endsAt = clock.monotonic() + waitMs;
  let alive = await survivors(climb);
  while (alive.length > 0 && clock.monotonic() < endsAt) {
    await untilOneEnds(climb, { alive, endsAt });
    alive = await survivors(climb);
  }
  return alive;
}

/** Waits until one of them has ended, or until it is time for a whole look. */
async function untilOneEnds(
  { host: { clock, processes } }: Climb,
  { alive, endsAt }: { alive: readonly ProcessFacts[]; endsAt: number },
): Promise<void> {
  const found = alive.length > WATCHED_LIMIT ? [] : await Promise.all(
    alive.map(({ pid, startTime }) => processes.watchExit(pid, startTime).catch(() => null)),
  );
  const watches = found.filter((watch) => watch !== null);
  try {
    if (watches.length < alive.length) return await clock.sleep(POLL_MS);
    const until = Math.min(endsAt, clock.monotonic() + LOOK_MS);
    do await clock.sleep(GLANCE_MS); while (
      clock.monotonic() < until && !watches.some((watch) => watch.ended())
    );
  } finally {
    for (const watch of watches) watch.close();
  }
}

async function signalAll(
  climb: Climb,
  { alive, signal }: { alive: ProcessFacts[]; signal: Signal },
): Promise<void> {
  const grouped = new Set<number>();
  for (const [groupId, anchors] of climb.groups) {
    if (!alive.some((process) => process.groupId === groupId)) continue;
    const sent = await send(climb, { kind: "group", groupId, anchors }, signal);
    if (sent) { for (const process of alive) if (process.groupId === groupId) grouped.add(process.pid); }
  }
  for (const pid of grouped) climb.signalled.add(pid);
  for (const { pid, startTime } of alive) {
    if (grouped.has(pid)) continue;
    if (await send(climb, { kind: "process", pid, startTime }, signal)) climb.signalled.add(pid);
  }
}

async function send(climb: Climb, target: SignalTarget, signal: Signal): Promise<boolean> {
  const outcome = await climb.signaller.send(target, signal);
  switch (outcome.kind) {
    case "sent":
      return true;
    case "gone":
      return false;
    case "denied":
      note(climb, target, "the system does not permit to signal it");
      return false;
    case "refused":
      note(climb, target, outcome.why);
      return false;
  }
}

function note(climb: Climb, target: SignalTarget, why: string): void {
  if (target.kind === "process") climb.refusals.set(target.pid, why);
}

/** Who of the targets lives, new members of anchored groups included; those become known. */
async function survivors(climb: Climb): Promise<ProcessFacts[]> {
  const alive: ProcessFacts[] = [];
  const anchored = new Set<number>();
  const seen = await climb.host.processes.inspect([...climb.known.keys()]);
  for (const [pid, identity] of climb.known) {
    const process = seen.get(pid);
    if (process?.kind === "unknown") {
      climb.refusals.set(pid, process.why);
      alive.push({ pid, startTime: identity.start_token, parentPid: 0, groupId: 0, zombie: false });
      continue;
    }
    if (process?.kind !== "seen" || !isSameStart(process.facts.startTime, identity.start_token)) continue;
    // A zombie still proves its group, though it needs no more signals.
    if (climb.groups.has(process.facts.groupId)) anchored.add(process.facts.groupId);
    if (!process.facts.zombie) alive.push(process.facts);
  }
  if (anchored.size === 0) return alive;
  for (const facts of await climb.host.processes.list()) {
    if (facts.zombie || !anchored.has(facts.groupId) || climb.known.has(facts.pid)) continue;
    const identity = { pid: facts.pid, start_token: facts.startTime };
    climb.known.set(facts.pid, identity);
    climb.groups.get(facts.groupId)?.push(identity);
    alive.push(facts);
  }
  return alive;
}
