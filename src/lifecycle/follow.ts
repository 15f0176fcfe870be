/**
 * Reads log files from their end, and as they grow.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import type { Host } from "../host/host.ts";

const CHUNK_BYTES = 64 * 1024;
const POLL_MS = 100;
/** A line that does not end is shown in pieces of this size. */
const LINE_LIMIT = 256 * 1024;
/** So many bytes tell whether a file is still the one that was read. */
const MARK_BYTES = 512;
/** More than a server writes between two looks. */
const LEFT_LIMIT_BYTES = 4 * 1024 * 1024;

type FollowHost = Pick<Host, "files" | "clock">;

/** The last `count` lines, and the offset where a follower goes on. */
export async function lastLinesOf(
  host: FollowHost,
  path: string,
  count: number,
): Promise<{ lines: string[]; offset: number }> {
  const size = (await host.files.stat(path))?.sizeBytes ?? 0;
  if (count === 0) return { lines: [], offset: size };
  let start = size;
  let bytes: Uint8Array = new Uint8Array();
  while (start > 0 && lineCount(bytes) <= count) {
    const from = Math.max(0, start - CHUNK_BYTES);
    const slice = await host.files.readSlice(path, from, start - from) ?? new Uint8Array();
    bytes = concat([slice, bytes]);
    start = from;
  }
  const lines = new TextDecoder().decode(bytes).split("\n");
  if (lines.at(-1) === "") lines.pop();
  return { lines: lines.slice(-count), offset: size };
}

/**
 * Line by line from `offset`, for ever: through truncation and through a new file of the same name. What was written to
 * the old file after the last look is read from where the rotation put it.
 */
export async function* follow(
  host: FollowHost,
  { path, offset, signal }: { path: string; offset: number; signal: AbortSignal },
): AsyncGenerator<string> {
  const lines = new Lines();
  let at = offset;
  let mark = await markBefore(host, path, at) ?? new Uint8Array();
  while (!signal.aborted) {
    const size = (await host.files.stat(path))?.sizeBytes ?? 0;
    if (size < at || (size > at && !same(await markBefore(host, path, at), mark))) {
      const old = `${path}.1`;
      if (same(await markBefore(host, old, at), mark)) {
        const left = await host.files.readSlice(old, at, LEFT_LIMIT_BYTES);
        if (left !== null) yield* lines.add(left);
      }
      yield* lines.end();
      [at, mark] = [0, new Uint8Array()];
    }
    const bytes = await host.files.readSlice(path, at, CHUNK_BYTES);
    if (bytes === null || bytes.length === 0) {
      await host.clock.sleep(POLL_MS, signal).catch(() => {});
      continue;
    }
    at += bytes.length;
    mark = concat([mark, bytes]).slice(-MARK_BYTES);
    yield* lines.add(bytes);
  }
}

/** Puts lines together from pieces of a file. */
class Lines {
  #decoder = new TextDecoder();
  #rest = "";

  *add(bytes: Uint8Array): Generator<string> {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop() ?? "";
    yield* lines;
    if (this.#rest.length > LINE_LIMIT) yield* this.end();
  }

  /** What stands behind the last line end. */
  *end(): Generator<string> {
    if (this.#rest !== "") yield this.#rest;
    this.#rest = "";
  }
}

/** The bytes just before `offset`: another file of the same name has others there. Null where there is no such file. */
async function markBefore(host: FollowHost, path: string, offset: number): Promise<Uint8Array | null> {
  const from = Math.max(0, offset - MARK_BYTES);
  return await host.files.readSlice(path, from, offset - from);
}

function same(one: Uint8Array | null, other: Uint8Array | null): boolean {
  if (one === null || other === null || one.length !== other.length) return false;
  return one.every((byte, index) => byte === other[index]);
}

function lineCount(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte === 10) count++;
  return count;
}
