/**
 * Time that stands still until a test moves it.
 *
 * @module
 */
import type { Clock } from "../../src/host/host.ts";

interface Timer {
  dueAt: number;
  fire(): void;
}

export class FakeClock implements Clock {
  #elapsedMs = 0;
  #timers: Timer[] = [];
  readonly #startedAt: number;

  /** `startedAt` is the time of day at the beginning. */
  constructor(startedAt: number = Date.UTC(2026, 0, 1)) {
    this.#startedAt = startedAt;
  }

  now(): number {
    return this.#startedAt + this.#elapsedMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const cancel = this.after(ms, () => {
        signal?.removeEventListener("abort", stop);
        resolve();
      });
      const stop = () => {
        cancel();
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", stop, { once: true });
    });
  }

  every(ms: number, tick: () => void): () => void {
    let stopped = false;
    let cancel = () => {};
    const arm = () => {
      cancel = this.after(ms, () => {
        tick();
        if (!stopped) arm();
      });
    };
    arm();
    return () => {
      stopped = true;
      cancel();
    };
  }

  deadline(ms: number, parent?: AbortSignal): AbortSignal {
    const controller = new AbortController();
    if (parent?.aborted) controller.abort(parent.reason);
    const cancel = this.after(ms, () => {
      controller.abort(new DOMException(`Not done within ${ms} ms`, "TimeoutError"));
    });
    parent?.addEventListener("abort", () => {
      cancel();
      controller.abort(parent.reason);
    }, { once: true });
    return controller.signal;
  }

  /** Calls `action` once when `ms` have passed. Returns what takes it back. */
  after(ms: number, action: () => void): () => void {
    const timer: Timer = { dueAt: this.#elapsedMs + Math.max(0, ms), fire: action };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Lets `ms` pass: what falls due happens in order, each with all that follows from it before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsedMs + ms;
    await settle();
    for (let next = this.#next(); next !== null && next.dueAt <= end; next = this.#next()) {
      this.#fire(next);
      await settle();
    }
    this.#elapsedMs = end;
  }

  /**
   * Lets as much time pass as `work` needs, and gives its result. @throws Error where `work` waits for something that
   * no time brings, or for more than `limitMs` (an hour).
   */
  async run<T>(work: Promise<T>, limitMs = 3_600_000): Promise<T> {
    let done = false;
    const finish = () => {
      done = true;
    };
    work.then(finish, finish);
    const end = this.#elapsedMs + limitMs;
    // Loading a module takes real time, in which no fake time passes: hence some patience.
    for (let idleTurns = 0; idleTurns < 50;) {
      await settle();
      if (done) return await work;
      let next = this.#next();
      // A timer far away is seldom what the work waits for now.
      for (let waits = 0; waits < 10 && !done && this.#isFar(next); waits++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        next = this.#next();
      }
      if (done) return await work;
      if (next !== null && next.dueAt <= end) this.#fire(next);
      idleTurns = next !== null && next.dueAt <= end ? 0 : idleTurns + 1;
    }
    throw new Error(`Still waiting after ${this.#elapsedMs} ms, with ${this.waiting} timers left`);
  }

  #isFar(next: Timer | null): boolean {
    return next !== null && next.dueAt - this.#elapsedMs > 1000;
  }

  #next(): Timer | null {
    return this.#timers.reduce<Timer | null>(
      (first, timer) => first === null || timer.dueAt < first.dueAt ? timer : first,
      null,
    );
  }

  #fire(timer: Timer): void {
    this.#timers = this.#timers.filter((each) => each !== timer);
    this.#elapsedMs = Math.max(this.#elapsedMs, timer.dueAt);
    timer.fire();
  }
}

/** Returns once all promises that can go on without the clock have gone on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
