import type { Host } from "../host/host.ts";
import type { ProbeFailure } from "./outcome.ts";

export interface AttemptOptions {
  timeoutMs: number;
  /** All bodies of the attempt together. */
  limitBytes: number;
  signal?: AbortSignal;
}

/** Made once: an error of its own for every probe would cost as much as its request. */
const ENDED = new Error("the attempt is over");

/** One try with a deadline and a byte limit: whatever ends it first aborts its signal and is its `ending`. */
export class Attempt {
  readonly #controller = new AbortController();
  readonly #over = new AbortController();
  readonly timeoutMs: number;
  readonly #limitBytes: number;
  #leftBytes: number;
  #ending: ProbeFailure | null = null;

  constructor(clock: Pick<Host["clock"], "sleep">, options: AttemptOptions) {
    const { timeoutMs, limitBytes, signal: parent } = options;
    this.timeoutMs = timeoutMs;
    this.#limitBytes = limitBytes;
    this.#leftBytes = limitBytes;
    const cancel = () => this.fail({ kind: "cancelled" });
    if (parent?.aborted) cancel();
    parent?.addEventListener("abort", cancel, { once: true, signal: this.#over.signal });
    clock.sleep(timeoutMs, this.#over.signal).then(
      () => this.fail({ kind: "timeout", afterMs: timeoutMs }),
      () => {},
    );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get ending(): ProbeFailure | null {
    return this.#ending;
  }

  /** Ends the attempt early; only the first ending counts. */
  fail(failure: ProbeFailure): void {
    if (this.#ending !== null || this.#over.signal.aborted) return;
    this.#ending = failure;
    this.#controller.abort(new Error(`the attempt ended: ${failure.kind}`));
  }

  /** Counts received bytes. @throws Error when the limit is passed */
  receive(bytes: number): void {
    this.#leftBytes -= bytes;
    if (this.#leftBytes >= 0) return;
    this.fail({ kind: "too_large", limitBytes: this.#limitBytes });
    throw new Error(`more than ${this.#limitBytes} bytes`);
  }

  /**
   * Waits for `work`, no longer than the attempt lasts or until `other` is aborted.
   *
   * @throws what `work` throws, or the signal's reason
   */
  async hold<T>(work: Promise<T>, other?: AbortSignal): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const signals = other === undefined ? [this.signal] : [this.signal, other];
    const stop = ({ target }: Event) => reject((target as AbortSignal).reason);
    for (const signal of signals) {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener("abort", stop);
    }
    try {
      return await Promise.race([work, promise]);
    } finally {
      for (const signal of signals) signal.removeEventListener("abort", stop);
      work.catch(() => {});
    }
  }

  /** Stops the clock. Nothing can fail the attempt any more. */
  end(): void {
    this.#over.abort(ENDED);
  }
}
