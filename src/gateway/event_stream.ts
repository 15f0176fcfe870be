/**
 * Server-sent events to one client: bounded by what the client takes, alive through comments.
 *
 * @module
 */
import type { Backpressure } from "../relay/client_side.ts";

/** What may lie unread before the writer has to wait. */
const ROOM_BYTES = 256 * 1024;
const DATA = new TextEncoder().encode("data: ");
const END = new TextEncoder().encode("\n\n");
const COMMENT = new TextEncoder().encode(":\n\n");

export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #isOver = false;
  #wake: (() => void) | null = null;
  #room: Promise<void> | null = null;

  /** `onGone` is called when the client closes the stream before it ended. */
  constructor(onGone: () => void) {
    this.body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#release(),
      cancel: () => {
        this.#isOver = true;
        this.#release();
        onGone();
      },
    }, { highWaterMark: ROOM_BYTES, size: (chunk) => chunk.byteLength });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Sends a message, which is one line of JSON. Resolves once there is room for more. */
  message(line: Uint8Array, id: string | null): Backpressure {
    const head = id === null ? DATA : new TextEncoder().encode(`id: ${id}\ndata: `);
    const event = new Uint8Array(head.length + line.length + END.length);
    event.set(head);
    event.set(line, head.length);
    event.set(END, head.length + line.length);
    return this.#send(event);
  }

  /** An event without data: it gives the client an id to resume from, and a delay in ms before it tries to. */
  prime(id: string, retryMs: number): void {
    void this.#send(new TextEncoder().encode(`retry: ${retryMs}\nid: ${id}\ndata: \n\n`));
  }

  /** Shows the client, and every proxy in between, that the stream lives. */
  comment(): void {
    // A client that does not read needs no sign of life.
    if ((this.#controller?.desiredSize ?? 0) > 0) void this.#send(COMMENT);
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#release();
    try {
      this.#controller?.close();
    } catch {
      // The client was faster.
    }
  }

  #send(event: Uint8Array): Backpressure {
    if (this.#isOver || this.#controller === null) return;
    try {
      this.#controller.enqueue(event);
    } catch {
      this.#isOver = true;
      return this.#release();
    }
    if ((this.#controller.desiredSize ?? 1) > 0) return;
    this.#room ??= new Promise((resolve) => {
      this.#wake = resolve;
    });
    return this.#room;
  }

  #release(): void {
    this.#wake?.();
    this.#wake = null;
    this.#room = null;
  }
}
