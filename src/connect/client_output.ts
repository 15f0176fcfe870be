/**
 * The client's end over standard output.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import type { Backpressure, ClientSide } from "../relay/client_side.ts";
import { withEnd } from "../relay/lines.ts";

/** What may wait to be written: a client that reads no faster slows its server down. */
const ROOM_BYTES = 256 * 1024;

/** Writes whole lines; what comes while one write is under way goes out with the next. */
export class ClientOutput implements ClientSide {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #onClosed: () => void;
  #lines: Uint8Array[] = [];
  #bytes = 0;
  #writing: Promise<void> | null = null;
  #room: { promise: Promise<void>; resolve(): void } | null = null;
  #isClosed = false;

  /** `onClosed` is called once, when the client reads no more. */
  constructor(stream: WritableStream<Uint8Array>, onClosed: () => void) {
    this.#writer = stream.getWriter();
    this.#onClosed = onClosed;
    this.#writer.closed.catch(() => {});
  }

  write(line: Uint8Array): Backpressure {
    if (this.#isClosed) return;
    const whole = withEnd(line);
    this.#lines.push(whole);
    this.#bytes += whole.length;
    this.#writing ??= this.#writeAll();
    if (this.#bytes < ROOM_BYTES) return;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Resolves once all is written. */
  async flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#lines.length > 0) {
        const bytes = concat(this.#lines);
        this.#lines = [];
        await this.#writer.write(bytes);
        this.#bytes -= bytes.length;
        this.#letOn();
      }
    } catch {
      this.#isClosed = true;
      this.#lines = [];
      this.#bytes = 0;
      this.#letOn();
      this.#onClosed();
    } finally {
      this.#writing = null;
    }
  }

  #letOn(): void {
    if (this.#bytes >= ROOM_BYTES) return;
    this.#room?.resolve();
    this.#room = null;
  }
}
