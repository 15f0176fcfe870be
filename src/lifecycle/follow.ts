/**
 * Reads log files from their end, and as they grow.
 *
 * @module
 */
import type { Host } from "../host/host.ts";

const CHUNK_BYTES = 64 * 1024;
const POLL_MS = 100;
/** A line that does not end is shown in pieces of this size. */
const LINE_LIMIT = 256 * 1024;

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
  let bytes = new Uint8Array();
  while (start > 0 && lineCount(bytes) <= count) {
    const from = Math.max(0, start - CHUNK_BYTES);
    const slice = await host.files.readSlice(path, from, start - from) ?? new Uint8Array();
    bytes = concat(slice, bytes);
    start = from;
  }
  const lines = new TextDecoder().decode(bytes).split("\n");
  if (lines.at(-1) === "") lines.pop();
  return { lines: lines.slice(-count), offset: size };
}

/** Line by line from `offset`, for ever: through truncation and through a new file of the same name. */
export async function* follow(
  host: FollowHost,
  { path, offset, signal }: { path: string; offset: number; signal: AbortSignal },
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let at = offset;
  let rest = "";
  while (!signal.aborted) {
    const size = (await host.files.stat(path))?.sizeBytes ?? 0;
    // Smaller than what was read: it was truncated, or is a new file after a restart.
    if (size < at) {
      if (rest !== "") yield rest;
      [at, rest] = [0, ""];
    }
    const bytes = await host.files.readSlice(path, at, CHUNK_BYTES);
    if (bytes === null || bytes.length === 0) {
      await host.clock.sleep(POLL_MS, signal).catch(() => {});
      continue;
    }
    at += bytes.length;
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
    if (rest.length > LINE_LIMIT) {
      yield rest;
      rest = "";
    }
  }
}

function lineCount(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte === 10) count++;
  return count;
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
