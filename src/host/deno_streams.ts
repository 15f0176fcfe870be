/**
 * foster's own standard output and error under Deno.
 *
 * @module
 */

const retryMs = 2;

/** Writes all of it before it returns. A closed pipe is not an error: nobody is there to be told. */
export function writeFully(file: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(file.writeSync(rest));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) return;
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      // A pipe that somebody else made non-blocking is full: give its reader a moment.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs);
    }
  }
}

/** A write is done once the bytes are handed to the system. A write to a closed pipe rejects. */
export function toFile(file: { write(bytes: Uint8Array): Promise<number> }): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    async write(chunk) {
      let rest = chunk;
      while (rest.length > 0) rest = rest.subarray(await writeSome(file, rest));
    },
  });
}

async function writeSome(
  file: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<number> {
  try {
    return await file.write(bytes);
  } catch (error) {
    if (!(error instanceof Deno.errors.WouldBlock)) throw error;
    await new Promise((resolve) => setTimeout(resolve, retryMs));
    return 0;
  }
}
