/**
 * When a watched server is restarted, how long that waits, and when it is given up: the decision.
 *
 * @module
 */

/** Durations in ms, as the definition's `restart`. */
export interface RestartPolicy {
  max: number;
  misses: number;
  backoffMs: number;
  backoffMaxMs: number;
  stableAfterMs: number;
  /** How long a process that shows a sign of life may fail probes. */
  liveMs: number;
}

/** What is remembered between two events. */
export interface Tally {
  /** Restarts that were tried since the server was last stable, whatever came of them. */
  attempts: number;
  /** Starts in a row that never got ready: only these make the next one wait. */
  failedStarts: number;
  /** Failed probes in a row. */
  misses: number;
  /** Monotonic time of the first of them; null where the last probe succeeded. */
  missingSince: number | null;
  /** Monotonic time of getting ready; null while it is not. */
  readySince: number | null;
}

export type WatchEvent =
  | { kind: "ready"; now: number }
  | { kind: "probe_ok"; now: number }
  /** `isLive`: its port still accepts, or its process uses CPU. */
  | { kind: "probe_failed"; now: number; reason: string; isLive: boolean }
  /** It ended after it had been ready. */
  | { kind: "exited"; now: number; reason: string }
  /** A start ended without the server ever getting ready. */
  | { kind: "start_failed"; reason: string };

export type RestartStep = { kind: "restart"; delayMs: number; reason: string; attempt: number };
export type GiveUpStep = { kind: "give_up"; reason: string; attempts: number };
export type PolicyStep = { kind: "watch" } | { kind: "missed"; misses: number } | RestartStep | GiveUpStep;

export const NEW_TALLY: Tally = {
  attempts: 0,
  failedStarts: 0,
  misses: 0,
  missingSince: null,
  readySince: null,
};

export interface Decided {
  tally: Tally;
  step: PolicyStep;
}

/**
 * One event, one step. `jitter` in [0, 1) shortens a wait by up to a quarter. Only having answered for
 * `stableAfterMs` forgives earlier attempts: time spent waiting or not answering never does.
 */
export function decideRestart(
  policy: RestartPolicy,
  tally: Tally,
  { event, jitter }: { event: WatchEvent; jitter: number },
): Decided {
  switch (event.kind) {
    case "ready":
      return {
        tally: { ...tally, failedStarts: 0, misses: 0, missingSince: null, readySince: event.now },
        step: { kind: "watch" },
      };
    case "probe_ok": {
      const settled = forgive(policy, tally, event.now);
      return { tally: { ...settled, misses: 0, missingSince: null }, step: { kind: "watch" } };
    }
    case "probe_failed": {
      const misses = tally.misses + 1;
      const missingSince = tally.missingSince ?? event.now;
      // A server that works is busy, not dead: foster can't see the calls that go to it directly.
      const isPatient = event.isLive && event.now - missingSince < policy.liveMs;
      if (misses < policy.misses || isPatient) {
        return { tally: { ...tally, misses, missingSince }, step: { kind: "missed", misses } };
      }
      return restart(policy, tally, { reason: `probe failed: ${event.reason}`, delayMs: 0 });
    }
    case "exited": {
      // A server that had stopped answering was not stable, however long it took to end.
      const settled = tally.misses === 0 ? forgive(policy, tally, event.now) : tally;
      return restart(policy, settled, { reason: `exited: ${event.reason}`, delayMs: 0 });
    }
    case "start_failed": {
      const failedStarts = tally.failedStarts + 1;
      const delayMs = backoff(policy, failedStarts, jitter);
      return restart(policy, { ...tally, failedStarts }, { reason: event.reason, delayMs });
    }
  }
}

function forgive(policy: RestartPolicy, tally: Tally, now: number): Tally {
  const stable = tally.readySince !== null && now - tally.readySince >= policy.stableAfterMs;
  return stable ? { ...tally, attempts: 0 } : tally;
}

function restart(
  policy: RestartPolicy,
  tally: Tally,
  { reason, delayMs }: { reason: string; delayMs: number },
): Decided {
  if (tally.attempts >= policy.max) {
    return { tally, step: { kind: "give_up", reason, attempts: tally.attempts } };
  }
  const attempt = tally.attempts + 1;
  return {
    tally: { ...tally, attempts: attempt, misses: 0, missingSince: null, readySince: null },
    step: { kind: "restart", delayMs, reason, attempt },
  };
}

/** Doubles from `backoffMs` up to `backoffMaxMs`. */
export function backoff(policy: RestartPolicy, failedStarts: number, jitter: number): number {
  const doubled = policy.backoffMs * 2 ** Math.min(30, Math.max(0, failedStarts - 1));
  return Math.round(Math.min(policy.backoffMaxMs, doubled) * (1 - jitter / 4));
}

/** Reason, budget and count, for the message of a server that is given up. */
export function exhaustedMessage(
  name: string,
  { reason, attempts, max }: { reason: string; attempts: number; max: number },
): string {
  return `"${name}" is given up: ${reason}; its budget of ${max} restarts is exhausted after ${attempts} restart(s)`;
}
