/**
 * When to try again, and what to say about it. A delay is the wait after an attempt: the first attempt after a drop
 * is made at once.
 *
 * @module
 */

/** Seconds to wait after each attempt in turn; the last one is repeated for ever. */
export const RECONNECT_DELAYS_S = [1, 2, 4, 8, 16, 30, 60] as const;

/** How many connections in a row may end unacknowledged before opening one stops counting as success. */
export const BARREN_LIMIT = 3;

export interface Schedule {
  /** Attempts made since the last success. */
  readonly attempts: number;
  /** Monotonic milliseconds before which no attempt is made. */
  readonly notBeforeMs: number;
}

/** The schedule after a success: nothing counted, nothing to wait for. */
export const AT_ONCE: Schedule = { attempts: 0, notBeforeMs: Number.NEGATIVE_INFINITY };

/** Seconds to wait after attempt number `attempt`, counted from 1. */
export function reconnectDelayS(attempt: number): number {
  const at = Math.min(Math.max(attempt, 1), RECONNECT_DELAYS_S.length) - 1;
  return RECONNECT_DELAYS_S[at] ?? 60;
}

/** The schedule after one more attempt made at `nowMs`. */
export function afterAttempt(schedule: Schedule, nowMs: number): Schedule {
  const attempts = schedule.attempts + 1;
  return { attempts, notBeforeMs: nowMs + reconnectDelayS(attempts) * 1000 };
}

/**
 * The schedule after a connection opened, `barren` connections in a row having ended unacknowledged before it. A
 * server that accepts and drops would otherwise be called thousands of times a second.
 */
export function afterOpen(schedule: Schedule, barren: number): Schedule {
  return barren < BARREN_LIMIT ? AT_ONCE : schedule;
}

/** Whether attempt number `attempt` is worth a log line: the first five, then every tenth. */
export function logsAttempt(attempt: number): boolean {
  return attempt <= 5 || attempt % 10 === 0;
}
