/**
 * foster's own standard streams under Deno.
 *
 * Deno writes standard output through a line buffer of its own. On a pipe or terminal that somebody else made
 * non-blocking, a write that is refused half-way then does not say how much of it was taken, and simply writing again
 * would print a part twice. {@link nextPiece} cuts the output so that this can always be told.
 *
 * @module
 */

import type { StandardStreams } from "../node/terminal.ts";

export const denoStreams: StandardStreams = {
  isTerminal: (file) => [Deno.stdin, Deno.stdout, Deno.stderr][file]?.isTerminal() ?? false,
  size: () => Deno.consoleSize(),
  out: writeOut,
  err: (text) => writeFully(Deno.stderr, text, (bytes) => ({ bytes, buffered: false })),
  openStdin: () => Deno.stdin.readable,
  openStdout: outStream,
  setRaw: (on) => Deno.stdin.setRaw(on),
};

const retryMs = 2;
const newline = 10;

/** Size of Deno's line buffer. What is as long and has no newline goes past it. */
const lineBufferBytes = 1024;

/** What every POSIX system writes to a pipe as a whole or not at all. */
const wholeBytes = 512;

interface Piece {
  bytes: Uint8Array;
  /** Refused, it is nevertheless taken and waits in the buffer; otherwise nothing of it is. */
  buffered: boolean;
}

/** The first part of `bytes` (not empty) that can be written with a certain outcome. */
export function nextPiece(bytes: Uint8Array, terminal: boolean): Piece {
  const at = bytes.indexOf(newline);
  const run = at < 0 ? bytes : bytes.subarray(0, at);
  if (run.length >= lineBufferBytes) return { bytes: run, buffered: false };
  if (at === 0 && terminal) return { bytes: bytes.subarray(0, 1), buffered: false };
  // A terminal may take a part of anything longer than one byte.
  if (at < 0 || terminal || at >= wholeBytes) return { bytes: run, buffered: true };
  const lines = bytes.subarray(0, wholeBytes);
  return { bytes: lines.subarray(0, lines.lastIndexOf(newline) + 1), buffered: false };
}

/** Writes all of it before it returns. A closed pipe is not an error: nobody is there to be told. */
function writeOut(text: string): void {
  const terminal = Deno.stdout.isTerminal();
  writeFully(Deno.stdout, text, (bytes) => nextPiece(bytes, terminal));
}

function writeFully(file: typeof Deno.stdout, text: string, cut: (bytes: Uint8Array) => Piece): void {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) {
    const piece = cut(rest);
    const count = tryWrite(() => file.writeSync(piece.bytes));
    if (count === "closed") return;
    if (count !== "full") {
      rest = rest.subarray(count);
      continue;
    }
    pause();
    if (!piece.buffered) continue;
    rest = rest.subarray(piece.bytes.length);
    while (tryWrite(() => file.writeSync(new Uint8Array())) === "full") pause();
  }
}

/** Standard output. A write is done once the bytes are handed to the system. A write to a closed pipe rejects. */
function outStream(): WritableStream<Uint8Array> {
  const terminal = Deno.stdout.isTerminal();
  return new WritableStream<Uint8Array>({
    async write(chunk) {
      let rest = chunk;
      while (rest.length > 0) {
        const piece = nextPiece(rest, terminal);
        const count = await writeSome(piece.bytes);
        rest = rest.subarray(count ?? (piece.buffered ? piece.bytes.length : 0));
        let flushed = count !== null || !piece.buffered;
        while (!flushed) flushed = await writeSome(new Uint8Array()) !== null;
      }
    },
  });
}

/** Null where the pipe is full, after a moment for its reader. */
async function writeSome(bytes: Uint8Array): Promise<number | null> {
  try {
    return await Deno.stdout.write(bytes);
  } catch (error) {
    if (!(error instanceof Deno.errors.WouldBlock)) throw error;
    await new Promise((resolve) => setTimeout(resolve, retryMs));
    return null;
  }
}

function tryWrite(write: () => number): number | "full" | "closed" {
  try {
    return write();
  } catch (error) {
    if (error instanceof Deno.errors.WouldBlock) return "full";
    if (error instanceof Deno.errors.BrokenPipe) return "closed";
    throw error;
  }
}

/** Gives the reader of a full pipe a moment. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs);
}
