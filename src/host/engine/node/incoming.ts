/**
 * What comes over a connection, for a reader that asks for it bit by bit.
 *
 * @module
 */

/** What is read ahead of the reader. */
const AHEAD_BYTES = 64 * 1024;

export class Incoming {
  readonly #flow: { stop(): void; goOn(): void };
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;
  #isStopped = false;
  #isOver = false;
  #failure: Error | null = null;
  #waiting: { resolve(bytes: Uint8Array | null): void; reject(error: Error): void } | null = null;

  /** `flow` stops the system's own reading while its reader is slow, and lets it go on. */
  constructor(flow: { stop(): void; goOn(): void }) {
    this.#flow = flow;
  }

  /** Why nothing can be written any more; null where it can. */
  get closed(): Error | null {
    return this.#failure ?? (this.#isOver ? new Error("the connection is closed") : null);
  }

  push(bytes: Uint8Array): void {
    if (this.#isOver) return;
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    // A reader that waits takes it at once: only what nobody waits for stops the flow.
    this.#wake();
    if (this.#bytes < AHEAD_BYTES || this.#isStopped) return;
    this.#isStopped = true;
    this.#flow.stop();
  }

  end(failure: Error | null = null): void {
    this.#isOver = true;
    this.#failure ??= failure;
    this.#wake();
  }

  /** What came and was not read is of no use. */
  drop(): void {
    this.#parts.length = 0;
    this.end();
  }

  /** @throws what it ended with */
  read(): Promise<Uint8Array | null> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#wake();
    });
  }

  #wake(): void {
    if (this.#waiting === null) return;
    const { resolve, reject } = this.#waiting;
    const bytes = this.#parts.shift();
    if (bytes === undefined && !this.#isOver) return;
    this.#waiting = null;
    if (bytes !== undefined) {
      this.#bytes -= bytes.length;
      if (this.#isStopped && this.#bytes < AHEAD_BYTES) {
        this.#isStopped = false;
        this.#flow.goOn();
      }
      resolve(bytes);
    } else if (this.#failure !== null) reject(this.#failure);
    else resolve(null);
  }
}
