import { afterAttempt, afterOpen, AT_ONCE, reconnectDelayS, type Schedule } from "./schedule.ts";

/** How long a socket may take to open, half-open ones included. Milliseconds. */
export const CONNECT_TIMEOUT_MS = 5_000;

export interface Attempt {
  /** Counted from 1 since the last success. */
  attempt: number;
  nextRetryS: number;
  /** Why there is no connection; empty where nothing is known. */
  why: string;
}

/** The attempts to connect: when the next one is due, how long the present one may take, why the last one failed. */
export class Attempts {
  #schedule: Schedule | null = null;
  #deadlineMs = 0;
  #barren = 0;
  #lastWhy = "";

  /** Monotonic milliseconds before which none is made. */
  get notBeforeMs(): number {
    return this.#schedule?.notBeforeMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Monotonic milliseconds at which the present one has taken too long. */
  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** Counts one that is made now. Null for the very first, which repeats nothing. */
  begin(nowMs: number): Attempt | null {
    this.#deadlineMs = nowMs + CONNECT_TIMEOUT_MS;
    if (this.#schedule === null) {
      this.#schedule = AT_ONCE;
      return null;
    }
    this.#schedule = afterAttempt(this.#schedule, nowMs);
    const attempt = this.#schedule.attempts;
    return { attempt, nextRetryS: reconnectDelayS(attempt), why: this.#lastWhy };
  }

  failed(why: string): void {
    this.#lastWhy = why;
  }

  opened(): void {
    this.#schedule = afterOpen(this.#schedule ?? AT_ONCE, this.#barren);
    this.#lastWhy = "";
  }

  /** The open connection's server said its version: that is success. */
  acknowledged(): void {
    this.#barren = 0;
    this.#schedule = AT_ONCE;
  }

  /** The open connection was dropped. */
  dropped({ acknowledged, why }: { acknowledged: boolean; why: string }): void {
    this.#lastWhy = why;
    if (!acknowledged) this.#barren += 1;
  }
}
