/**
 * Node's streams as the web's, by hand: Node's own converters cost a short verb several milliseconds to load.
 *
 * @module
 */

/** What is used of a readable Node stream. */
export interface NodeSource {
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown;
  on(event: "end" | "close", listener: () => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  pause(): unknown;
  resume(): unknown;
  destroy(): unknown;
}

/** What is used of a writable Node stream. */
export interface NodeSink {
  on(event: "error", listener: (error: Error) => void): unknown;
  write(chunk: Uint8Array, done: (error?: Error | null) => void): unknown;
  end(done: () => void): unknown;
  destroy(): unknown;
}

/** Reads no further than its own reader does. */
export function fromSource(source: NodeSource): ReadableStream<Uint8Array> {
  let over = false;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const finish = (action: () => void) => {
        if (over) return;
        over = true;
        action();
      };
      source.on("data", (chunk) => {
        if (over) return;
        controller.enqueue(new Uint8Array(chunk));
        if ((controller.desiredSize ?? 0) <= 0) source.pause();
      });
      source.on("end", () => finish(() => controller.close()));
      source.on("close", () => finish(() => controller.close()));
      source.on("error", (error) => finish(() => controller.error(error)));
      source.pause();
    },
    pull() {
      source.resume();
    },
    cancel() {
      over = true;
      source.destroy();
    },
  });
}

/** A write is done once the bytes are handed to the system. A write to a closed pipe rejects. */
export function toSink(sink: NodeSink): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    start(controller) {
      sink.on("error", (error) => controller.error(error));
    },
    write(chunk) {
      return new Promise((resolve, reject) => {
        sink.write(chunk, (error) => error ? reject(error) : resolve());
      });
    },
    close() {
      return new Promise((resolve) => sink.end(resolve));
    },
    abort() {
      sink.destroy();
    },
  });
}
