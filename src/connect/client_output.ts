/**
 * The client's end over standard output.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import type { Backpressure, ClientSide } from "../relay/client_side.ts";

/** What may wait to be written: a client that reads no faster slows its server down. */
const ROOM_BYTES = 256 * 1024;
/** Lines up to this size go out together; a larger one is written as it is. */
const TOGETHER_BYTES = 64 * 1024;
const END = new Uint8Array([10]);

/** Writes whole lines; what comes while one write is under way goes out with the next. */
export class ClientOutput implements ClientSide {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #onClosed: () => void;
  readonly #onWrite: () => void;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #writing: Promise<void> | null = null;
  #room: { promise: Promise<void>; resolve(): void } | null = null;
  #isClosed = false;

  /** `onClosed` is called once, when the client reads no more; `onWrite` with each message. */
  constructor(
    stream: WritableStream<Uint8Array>,
    { onClosed, onWrite }: { onClosed?(): void; onWrite?(): void } = {},
  ) {
    this.#writer = stream.getWriter();
    this.#onClosed = onClosed ?? (() => {});
    this.#onWrite = onWrite ?? (() => {});
    this.#writer.closed.catch(() => {});
  }

  write(line: Uint8Array): Backpressure {
    if (this.#isClosed) return;
    this.#onWrite();
    this.#parts.push(line, END);
    this.#bytes += line.length + 1;
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
      while (this.#parts.length > 0) {
        const parts = this.#parts;
        this.#parts = [];
        for (const bytes of batches(parts)) {
          await this.#writer.write(bytes);
          this.#bytes -= bytes.length;
          this.#letOn();
        }
      }
    } catch {
      this.#isClosed = true;
      this.#parts = [];
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

/** Small neighbours as one. */
function* batches(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  let bytes = 0;
  for (const part of parts) {
    if (bytes > 0 && bytes + part.length > TOGETHER_BYTES) {
      yield concat(small);
      [small, bytes] = [[], 0];
    }
    if (part.length > TOGETHER_BYTES) yield part;
    else {
      small.push(part);
      bytes += part.length;
    }
  }
  if (bytes > 0) yield concat(small);
}
