import type { Clock } from "../host/host.ts";

/** One wait at a time, until the earliest moment asked for. */
export class Alarm {
  readonly #clock: Pick<Clock, "monotonic" | "sleep">;
  readonly #ring: () => void;
  #waiting: { atMs: number; abort: AbortController } | null = null;

  constructor(clock: Pick<Clock, "monotonic" | "sleep">, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at `atMs` (monotonic) or earlier. A later moment than the one waited for is left to be asked for again. */
  set(atMs: number): void {
    if (this.#waiting !== null && this.#waiting.atMs <= atMs) return;
    this.stop();
    const waiting = { atMs, abort: new AbortController() };
    this.#waiting = waiting;
    this.#clock.sleep(Math.max(atMs - this.#clock.monotonic(), 0), waiting.abort.signal).then(
      () => {
        if (this.#waiting !== waiting) return;
        this.#waiting = null;
        this.#ring();
      },
      () => undefined,
    );
  }

  stop(): void {
    this.#waiting?.abort.abort();
    this.#waiting = null;
  }
}
