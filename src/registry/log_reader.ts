/**
 * Reads log files from their end, and as they grow.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import type { Host } from "../host/host.ts";
import { isPunched, readAt, rotationStamp, type Segment, segmentsOf } from "./log_segments.ts";

const CHUNK_BYTES = 64 * 1024;
/** A follower that lags behind has to be quicker than rotation, which keeps only so much. */
const FOLLOW_CHUNK_BYTES = 512 * 1024;
const POLL_MS = 100;
/** A line that does not end is shown in pieces of this size. */
const LINE_LIMIT = 256 * 1024;
/** So many bytes tell whether a file is still the one that was read. */
const MARK_BYTES = 512;
/** No more than this is read for the last lines, however many are wanted. */
const LAST_LIMIT_BYTES = 256 * 1024 * 1024;
/** After so many chunks others have their turn: an interrupt is heeded. */
const CHUNKS_IN_A_ROW = 16;

type FollowHost = Pick<Host, "files" | "clock">;

/**
 * The last `count` lines, and the offset where a follower goes on. Costs what is read.
 *
 * @throws the signal's reason
 */
export async function lastLinesOf(
  host: FollowHost,
  path: string,
  { count, signal }: { count: number; signal?: AbortSignal },
): Promise<{ lines: string[]; offset: number }> {
  const segments = await segmentsOf(host, path);
  const offset = segments[0]?.to ?? 0;
  if (count === 0) return { lines: [], offset };
  const chunks: Uint8Array[] = [];
  let [ends, size] = [0, 0];
  for (const { from, to } of segments) {
    for (let end = to; end > from && ends <= count && size < LAST_LIMIT_BYTES;) {
      const start = Math.max(from, end - CHUNK_BYTES);
      const chunk = await readAt(host, segments, { offset: start, limitBytes: end - start });
      chunks.push(chunk);
      ends += lineCount(chunk);
      size += chunk.length;
      end = start;
      if (chunks.length % CHUNKS_IN_A_ROW === 0) await host.clock.sleep(0, signal);
    }
  }
  const lines = new TextDecoder().decode(concat(chunks.reverse())).split("\n");
  if (lines.at(-1) === "") lines.pop();
  return { lines: lines.slice(-count), offset };
}

/**
 * Line by line from `offset`, for ever: through rotation, truncation and a new file of the same name. What was written
 * to the old file after the last reading is read from where the rotation put it.
 */
export async function* follow(
  host: FollowHost,
  { path, offset, signal }: { path: string; offset: number; signal: AbortSignal },
): AsyncGenerator<string> {
  const lines = new Lines();
  let at = offset;
  let segments = await segmentsOf(host, path);
  let mark = await bytesBefore(host, segments, at);
  let readWhole: string | null = null;
  while (!signal.aborted) {
    // Whatever happens to a log shows in its own entry: while that stays, nothing else is looked at.
    const entry = await entryOf(host, path);
    if (entry === readWhole) {
      await host.clock.sleep(POLL_MS, signal).catch(() => {});
      continue;
    }
    const stamp = await rotationStamp(host, path);
    segments = await segmentsOf(host, path);
    const end = segments[0]?.to ?? 0;
    const isOther = end < at || (end > at && !same(await bytesBefore(host, segments, at), mark));
    // What is not kept any more can't be read: the follower goes on with what is.
    const from = Math.max(at, segments.at(-1)?.from ?? at);
    const bytes = isOther
      ? new Uint8Array()
      : await readAt(host, segments, { offset: from, limitBytes: FOLLOW_CHUNK_BYTES });
    // Rotation came between: the files have to be found anew.
    if (await isPunched(host, segments) || await rotationStamp(host, path) !== stamp) continue;
    if (isOther) {
      yield* restOf(host, { path: `${path}.1`, at, mark, lines });
      yield* lines.end();
      [at, mark] = [0, new Uint8Array()];
      continue;
    }
    if (bytes.length === 0) {
      readWhole = entry;
      continue;
    }
    at = from + bytes.length;
    mark = concat([mark, bytes]).slice(-MARK_BYTES);
    yield* lines.add(bytes);
  }
}

async function entryOf({ files }: FollowHost, path: string): Promise<string> {
  const stat = await files.stat(path);
  return stat === null ? "" : `${stat.modifiedAt} ${stat.sizeBytes}`;
}

/** What the old file of this name has behind `at`, where it is the one that was read. */
async function* restOf(
  host: FollowHost,
  { path, at, mark, lines }: { path: string; at: number; mark: Uint8Array; lines: Lines },
): AsyncGenerator<string> {
  const size = (await host.files.stat(path))?.sizeBytes ?? 0;
  const segments: Segment[] = [{ path, from: 0, to: size, shift: 0 }];
  if (size < at || !same(await bytesBefore(host, segments, at), mark)) return;
  for (let offset = at; offset < size;) {
    const bytes = await readAt(host, segments, { offset, limitBytes: CHUNK_BYTES });
    if (bytes.length === 0) return;
    offset += bytes.length;
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

/** The bytes just before `offset`: another file of the same name has others there. */
async function bytesBefore(
  host: FollowHost,
  segments: readonly Segment[],
  offset: number,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let at = Math.max(0, offset - MARK_BYTES); at < offset;) {
    const piece = await readAt(host, segments, { offset: at, limitBytes: offset - at });
    if (piece.length === 0) break;
    pieces.push(piece);
    at += piece.length;
  }
  return concat(pieces);
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

function lineCount(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte === 10) count++;
  return count;
}
