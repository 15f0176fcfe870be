import type { Clock } from "../host/host.ts";

/**
 * Calls back in a later turn of the event loop, once for any number of requests made before it. A message port rather
 * than a timer: a timer's turn comes a millisecond late or more.
 */
export class Turns {
  readonly #clock: Pick<Clock, "monotonic" | "sleep">;
  readonly #ports = new MessageChannel();
  #requested = false;
  #alarm: { atMs: number; abort: AbortController } | null = null;

  constructor(clock: Pick<Clock, "monotonic" | "sleep">, run: () => void) {
    this.#clock = clock;
    this.#ports.port1.onmessage = () => {
      this.#requested = false;
      run();
    };
  }

  request(): void {
    if (this.#requested) return;
    this.#requested = true;
    this.#ports.port2.postMessage(null);
  }

  /** Requests a turn at `atMs` (monotonic) or earlier; a moment later than the one waited for changes nothing. */
  requestAt(atMs: number): void {
    const waitMs = atMs - this.#clock.monotonic();
    if (waitMs <= 0) return this.request();
    if (this.#alarm !== null && this.#alarm.atMs <= atMs) return;
    this.#alarm?.abort.abort();
    const alarm = { atMs, abort: new AbortController() };
    this.#alarm = alarm;
    this.#clock.sleep(waitMs, alarm.abort.signal).then(
      () => {
        if (this.#alarm === alarm) this.#alarm = null;
        this.request();
      },
      () => undefined,
    );
  }

  /** No call comes after this. It also lets the process end. */
  close(): void {
    this.#requested = true;
    this.#alarm?.abort.abort();
    this.#ports.port1.onmessage = null;
    this.#ports.port1.close();
    this.#ports.port2.close();
  }
}
