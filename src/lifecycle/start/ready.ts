/**
 * Waits until a server is ready, dead, out of time or no longer wanted.
 *
 * @module
 */
import type { ExitStatus, Host } from "../../host/host.ts";
import type { ServerFolder } from "../../registry/store.ts";
import { seconds } from "../messages.ts";
import { hostnameOf } from "../observe/ports.ts";
import { attemptReady, type LiveQuestion, type ReadyAttempt } from "../observe/live.ts";
import type { Ready, ServerStart } from "./server_start.ts";

export type ReadyResult =
  | Ready
  | { kind: "permanent"; reason: string }
  | { kind: "dead"; exit: ExitStatus | null }
  /** `last` quotes what was observed last; `listened`: whether anybody ever took a connection. */
  | { kind: "timeout"; last: string; listened: boolean }
  | { kind: "asked_to_stop" };

export interface ReadyWait {
  folder: ServerFolder;
  question: Omit<LiveQuestion, "timeoutMs">;
  /** For the whole wait. */
  timeoutMs: number;
  /** For one attempt. */
  probeTimeoutMs: number;
  /** How the spawned child ended, where this foster spawned it. */
  exited: Promise<ExitStatus> | null;
  /** Whether all of the server is gone; asked when the child ended and, without a child, from time to time. */
  isDead(): Promise<boolean>;
  onWaiting(elapsedMs: number, last: string): void;
}

const DIAL_TIMEOUT_MS = 250;
const DIAL_PAUSE_MS = 12;
const SLOW_DIAL_PAUSE_MS = 25;
const SLOW_AFTER_MS = 1000;
const RETRY_PAUSE_MS = 20;
const RETRY_PAUSE_MAX_MS = 60;
const STOP_CHECK_MS = 100;
const UNANSWERED = "it took a connection and had not answered yet";
const DEATH_CHECK_MS = 250;
/** How long a dead launcher's successor may take to show itself. */
const HAND_OVER_MS = 5000;

/** @throws the signal's reason when the user interrupts */
export async function waitUntilReady(host: Host, wait: ReadyWait): Promise<ReadyResult> {
  const { clock } = host;
  const startedAt = clock.monotonic();
  const { port } = new URL(wait.question.endpoint);
  const hostname = hostnameOf(wait.question.endpoint);
  const ended = watchEnd(wait);
  let last = "nothing listened on the port yet";
  let isHeard = false;
  let listened = false;
  let nextStopCheck = 0;
  let nextDeathCheck = clock.monotonic() + DEATH_CHECK_MS;
  let retryPause = RETRY_PAUSE_MS;
  while (true) {
    wait.question.signal.throwIfAborted();
    const now = clock.monotonic();
    const remainingMs = wait.timeoutMs - (now - startedAt);
    if (now >= nextStopCheck) {
      if (await wait.folder.isAskedToStop()) return { kind: "asked_to_stop" };
      nextStopCheck = now + STOP_CHECK_MS;
      wait.onWaiting(now - startedAt, last);
    }
    if (ended.value !== null || (wait.exited === null && now >= nextDeathCheck)) {
      if (await wait.isDead()) return { kind: "dead", exit: ended.value };
      nextDeathCheck = now + DEATH_CHECK_MS;
    }
    if (remainingMs <= 0) return { kind: "timeout", last, listened };

    const dialled = await host.net.dial(hostname, Number(port), Math.min(DIAL_TIMEOUT_MS, remainingMs));
    if (dialled !== "open") {
      const slow = now - startedAt > SLOW_AFTER_MS;
      await pause(host, wait, slow ? SLOW_DIAL_PAUSE_MS : DIAL_PAUSE_MS);
      continue;
    }
    listened = true;
    const attempt = await attemptOnce(host, { wait, ended, remainingMs });
    switch (attempt.kind) {
      case "ready":
      case "permanent":
        return attempt;
      case "retry":
        // The end of the wait leaves the last attempt next to no time: that it got no answer in it says nothing.
        if (!attempt.isTimeout || remainingMs >= wait.probeTimeoutMs) {
          last = attempt.reason;
          isHeard = true;
        } else if (!isHeard) last = UNANSWERED;
        await pause(host, wait, retryPause);
        retryPause = Math.min(RETRY_PAUSE_MAX_MS, retryPause * 1.5);
        break;
      case "cut_short":
        await pause(host, wait, retryPause);
    }
  }
}

/** Waits for readiness of what the record of a start names. */
export async function waitForServer(
  start: ServerStart,
  { exited, timeoutMs }: Pick<ReadyWait, "exited" | "timeoutMs">,
): Promise<ReadyResult> {
  const { world, definition, folder, endpoint } = start;
  return await waitUntilReady(world.host, {
    folder,
    question: { definition, endpoint, signal: world.signal },
    timeoutMs,
    probeTimeoutMs: definition.ready.probeTimeoutMs,
    exited,
    isDead: () => isDead(start),
    onWaiting: (elapsedMs, last) => world.progress(start.name, `starting, ${seconds(elapsedMs)}: ${last}`),
  });
}

/** Process, group, pid file and listeners: while one of them is left the server may have been handed over. */
async function isDead(start: ServerStart): Promise<boolean> {
  const observed = await start.observe({ thorough: true });
  if (observed.liveness.kind === "alive" || observed.pending.length > 0) return false;
  const carried = (await start.carriers()).length > 0;
  if (!carried && observed.port.kind === "free" && observed.pidFilePid === 0) return true;
  // What a launcher left behind that ended well may be slow to listen: it has the start's whole time.
  if (carried && start.exit?.code === 0) return false;
  const now = start.world.host.clock.monotonic();
  start.deadSince ??= now;
  return now - start.deadSince >= HAND_OVER_MS;
}

interface ChildEnd {
  value: ExitStatus | null;
  signal: AbortSignal;
}

/** Turns the child's end into something that can be looked at, and that cuts a running attempt short. */
function watchEnd(wait: ReadyWait): ChildEnd {
  const controller = new AbortController();
  const ended: ChildEnd = { value: null, signal: controller.signal };
  wait.exited?.then((exit) => {
    ended.value = exit;
    controller.abort(new Error("the server ended"));
  });
  return ended;
}

/** One attempt, cut short when the child ends or a `down` asks: a server may take a connection and never answer. */
async function attemptOnce(
  host: Host,
  { wait, ended, remainingMs }: { wait: ReadyWait; ended: ChildEnd; remainingMs: number },
): Promise<ReadyAttempt | { kind: "cut_short" }> {
  const stop = new AbortController();
  const stopWatching = host.clock.every(STOP_CHECK_MS, () => {
    wait.folder.isAskedToStop().then((asked) => asked && stop.abort(new Error("asked to stop")), () => {
      // What can't be read now may be at the next look.
    });
  });
  const cuts = [wait.question.signal, stop.signal];
  // A launcher that ended after handing over must not cut the attempts at its successor short.
  if (ended.value === null) cuts.push(ended.signal);
  try {
    const attempt = await attemptReady(host, {
      ...wait.question,
      timeoutMs: Math.max(1, Math.min(wait.probeTimeoutMs, remainingMs)),
      signal: AbortSignal.any(cuts),
    });
    if (attempt.kind === "ready" || !AbortSignal.any(cuts).aborted) return attempt;
    return { kind: "cut_short" };
  } finally {
    stopWatching();
  }
}

async function pause(host: Host, wait: ReadyWait, ms: number): Promise<void> {
  await host.clock.sleep(ms, wait.question.signal);
}
