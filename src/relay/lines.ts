/**
 * Bytes to lines and back to one line.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";

const NEWLINE = 10;
const RETURN = 13;
const BLANK = 32;

/** No message may be larger. */
export const MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024;
/** What is kept of a larger one at each end: enough to find its id. */
const EDGE_BYTES = 4096;

export type LineRead =
  | { kind: "line"; line: Uint8Array }
  /** Larger than the limit: only its two ends are left. */
  | { kind: "overlong"; head: Uint8Array; tail: Uint8Array };

/** Line by line, without their ends; a last line needs none. Empty ones are passed over. */
export async function* readLines(
  stream: ReadableStream<Uint8Array>,
  limitBytes = MESSAGE_LIMIT_BYTES,
): AsyncGenerator<LineRead> {
  let line = new LineBuffer(limitBytes);
  for await (const chunk of stream) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const read = line.end(chunk.subarray(from, end));
      line = new LineBuffer(limitBytes);
      from = end + 1;
      if (read !== null) yield read;
    }
    if (from < chunk.length) line.add(chunk.subarray(from));
  }
  const last = line.end(EMPTY);
  if (last !== null) yield last;
}

const EMPTY = new Uint8Array();

class LineBuffer {
  readonly #limitBytes: number;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #head: Uint8Array | null = null;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  add(part: Uint8Array): void {
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes <= this.#limitBytes) return;
    const whole = concat(this.#parts);
    this.#head ??= whole.slice(0, EDGE_BYTES);
    this.#parts = [whole.slice(-EDGE_BYTES)];
    this.#bytes = this.#limitBytes;
  }

  end(part: Uint8Array): LineRead | null {
    if (this.#head !== null || this.#bytes + part.length > this.#limitBytes) {
      this.add(part);
      return { kind: "overlong", head: this.#head ?? EMPTY, tail: concat(this.#parts) };
    }
    const line = trimmed(concat(this.#parts.length === 0 ? [part] : [...this.#parts, part]));
    return line.length === 0 ? null : { kind: "line", line };
  }
}

/** JSON has line ends only between its tokens: there a blank says the same. */
export function oneLine(bytes: Uint8Array): Uint8Array {
  const text = trimmed(bytes);
  if (text.indexOf(NEWLINE) === -1 && text.indexOf(RETURN) === -1) return text;
  return text.map((byte) => byte === NEWLINE || byte === RETURN ? BLANK : byte);
}

/** The line with its end. */
export function withEnd(line: Uint8Array): Uint8Array {
  const whole = new Uint8Array(line.length + 1);
  whole.set(line);
  whole[line.length] = NEWLINE;
  return whole;
}

const ID_AT_START =
  /^\s*\{(?:\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,)*\s*"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)\s*[,}]/;
const ID_AT_END = /"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)\s*(?:,\s*"jsonrpc"\s*:\s*"[^"\\]*"\s*)?\}\s*$/;

/** The id (JSON text) of a message of which only the two ends are left, null where neither shows it. */
export function idAtEdge({ head, tail }: { head: Uint8Array; tail: Uint8Array }): string | null {
  const decoder = new TextDecoder();
  return ID_AT_START.exec(decoder.decode(head))?.[1] ?? ID_AT_END.exec(decoder.decode(tail))?.[1] ?? null;
}

function trimmed(line: Uint8Array): Uint8Array {
  let [from, to] = [0, line.length];
  while (to > from && isBlank(line[to - 1])) to--;
  while (from < to && isBlank(line[from])) from++;
  return from === 0 && to === line.length ? line : line.subarray(from, to);
}

function isBlank(byte: number | undefined): boolean {
  return byte === BLANK || byte === NEWLINE || byte === RETURN || byte === 9;
}
