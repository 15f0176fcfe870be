/**
 * Node's streams as the web's, by hand: Node's own converters cost a short verb several milliseconds to load.
 *
 * @module
 */
import * as fs from "node:fs";
import { systemCode } from "../../errors.ts";

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

/** Writes to one of foster's own files without blocking the program while the reader at the other end is slow. */
export function toFile(file: number): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    async write(chunk) {
      let rest = chunk;
      while (rest.length > 0) {
        const count = await writeSome(file, rest);
        if (count === 0) await new Promise((resolve) => setTimeout(resolve, 2));
        rest = rest.subarray(count);
      }
    },
  });
}

function writeSome(file: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(file, bytes, 0, bytes.length, null, (error, count) => {
      if (error === null) resolve(count);
      else if (isFull(error)) resolve(0);
      else reject(error);
    });
  });
}

/** Writes all of it before it returns. A closed pipe is not an error: nobody is there to be told. */
export function writeFully(file: number, text: string): void {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(file, rest));
    } catch (error) {
      if (systemCode(error) === "EPIPE") return;
      if (!isFull(error)) throw error;
      // A pipe that somebody else made non-blocking is full: give its reader a moment.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

function isFull(error: unknown): boolean {
  return systemCode(error) === "EAGAIN";
}
