/**
 * Calls back in a later turn of the event loop, once for any number of requests made before it. A message port rather
 * than a timer: a timer's turn comes a millisecond late or more.
 */
export class Turns {
  readonly #ports = new MessageChannel();
  #requested = false;

  constructor(run: () => void) {
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

  /** No call comes after this. It also lets the process end. */
  close(): void {
    this.#requested = true;
    this.#ports.port1.onmessage = null;
    this.#ports.port1.close();
    this.#ports.port2.close();
  }
}
