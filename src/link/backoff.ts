/** Seconds to wait after each attempt in turn; the last one is repeated for ever. */
const RECONNECT_DELAYS_S = [1, 2, 4, 8, 16, 30, 60] as const;

/** How many connections in a row may end unacknowledged before opening one stops counting as success. */
const BARREN_LIMIT = 3;

export interface Attempt {
  /** Counted from 1 since the last success. */
  attempt: number;
  nextRetryS: number;
}

/**
 * When to connect. A delay is the wait after an attempt, so that the first attempt after a drop is made at once. A
 * server that accepts and drops is met with delays too: it would otherwise be called thousands of times a second.
 */
export class Backoff {
  #begun = false;
  #attempts = 0;
  #barren = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  /** Monotonic milliseconds before which no attempt is made. */
  get notBeforeMs(): number {
    return this.#notBeforeMs;
  }

  /** Counts an attempt that is made at `nowMs`. Null for the very first, which repeats nothing. */
  begin(nowMs: number): Attempt | null {
    if (!this.#begun) {
      this.#begun = true;
      return null;
    }
    this.#attempts += 1;
    const nextRetryS = RECONNECT_DELAYS_S[this.#attempts - 1] ?? 60;
    this.#notBeforeMs = nowMs + nextRetryS * 1000;
    return { attempt: this.#attempts, nextRetryS };
  }

  opened(): void {
    if (this.#barren < BARREN_LIMIT) this.#reset();
  }

  /** The server said its version, or is another one by now: nothing is counted and nothing waited for. */
  restart(): void {
    this.#barren = 0;
    this.#reset();
  }

  /** The open connection was dropped before its server said its version. */
  droppedUnacknowledged(): void {
    this.#barren += 1;
  }

  #reset(): void {
    this.#attempts = 0;
    this.#notBeforeMs = Number.NEGATIVE_INFINITY;
  }
}

/** Whether attempt number `attempt` is worth a log line: the first five, then every tenth. */
export function isLogged({ attempt }: Attempt): boolean {
  return attempt <= 5 || attempt % 10 === 0;
}
