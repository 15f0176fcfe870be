/**
 * Memory that a program which lives for days needs for moments only.
 *
 * @module
 */
import type { Host } from "../host/host.ts";

/** After the start, which takes more than all that follows. */
const FIRST_QUIET_MS = 1000;
const QUIET_MS = 2000;
/** What a collection freed goes back to the system with the next one, once the allocator has let go of it. */
const ROUNDS = 2;
const ROUND_MS = 300;

/** Gives memory back when nothing has happened for a while. Where nothing happens nothing is woken. */
export class QuietTimes {
  readonly #host: Pick<Host, "clock" | "program">;
  readonly #signal: AbortSignal;
  #quietMs = FIRST_QUIET_MS;
  #touchedMs = 0;
  #isWatching = false;

  constructor(host: Pick<Host, "clock" | "program">, signal: AbortSignal) {
    this.#host = host;
    this.#signal = signal;
  }

  /** Something happens. */
  touch(): void {
    this.#touchedMs = this.#host.clock.monotonic();
    if (this.#isWatching || this.#signal.aborted) return;
    this.#isWatching = true;
    // Interrupted, the program is about to end.
    this.#watch().catch(() => {}).finally(() => this.#isWatching = false);
  }

  async #watch(): Promise<void> {
    const { clock, program } = this.#host;
    let quietSinceMs: number;
    do {
      quietSinceMs = this.#touchedMs;
      const leftMs = quietSinceMs + this.#quietMs - clock.monotonic();
      if (leftMs > 0) await clock.sleep(leftMs, this.#signal);
      for (let round = 0; round < ROUNDS && this.#touchedMs === quietSinceMs; round++) {
        program.releaseMemory();
        this.#quietMs = QUIET_MS;
        await clock.sleep(ROUND_MS, this.#signal);
      }
    } while (this.#touchedMs !== quietSinceMs);
  }
}
