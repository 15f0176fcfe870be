/**
 * foster's own standard streams under Bun. Its `process.stdout` takes longer to make than the rest of a short verb:
 * nothing here asks for it before a terminal is really there.
 *
 * @module
 */
import * as fs from "node:fs";
import process from "node:process";
import type { System } from "../../host.ts";
import { systemCode } from "../node/error.ts";
import type { StandardStreams } from "../node/terminal.ts";

interface BunInput {
  readonly stdin: { stream(): ReadableStream<Uint8Array> };
}

const retryMs = 2;

export function createStreams(system: System): StandardStreams {
  return {
    // Pipes, files and /dev/null are told apart without the terminal module, which is slow to load.
    isTerminal: (file) =>
      (system === "windows" || mayBeTerminal(file)) && process.getBuiltinModule("node:tty").isatty(file),
    size: () => process.stdout,
    out: (text) => writeFully(1, text),
    err: (text) => writeFully(2, text),
    // Node's process.stdin, when its reader is slow, now and then runs in circles at the end of the input.
    openStdin: () => (Bun as typeof Bun & BunInput).stdin.stream(),
    openStdout,
    setRaw: (on) => void process.stdin.setRawMode(on),
  };
}

function mayBeTerminal(file: number): boolean {
  try {
    const found = fs.fstatSync(file);
    return found.isCharacterDevice() && found.rdev !== fs.statSync("/dev/null").rdev;
  } catch {
    // Closed by whoever started foster.
    return false;
  }
}

/** Writes to standard output without blocking the program while the reader at the other end is slow. */
function openStdout(): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    async write(chunk) {
      let rest = chunk;
      while (rest.length > 0) {
        const count = await writeSome(1, rest);
        if (count === 0) await new Promise((resolve) => setTimeout(resolve, retryMs));
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
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs);
    }
  }
}

function isFull(error: unknown): boolean {
  return systemCode(error) === "EAGAIN";
}
