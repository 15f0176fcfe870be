/**
 * Bytes to lines and back to one line.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";

const NEWLINE = 10;
const RETURN = 13;
const BLANK = 32;

/** Line by line, of any length, without their ends; a last line needs none. Empty ones are passed over. */
export async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  for await (const chunk of stream) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const line = trimmed(concat([...parts, chunk.subarray(from, end)]));
      parts = [];
      from = end + 1;
      if (line.length > 0) yield line;
    }
    if (from < chunk.length) parts.push(chunk.subarray(from));
  }
  const last = trimmed(concat(parts));
  if (last.length > 0) yield last;
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

function trimmed(line: Uint8Array): Uint8Array {
  let [from, to] = [0, line.length];
  while (to > from && isBlank(line[to - 1])) to--;
  while (from < to && isBlank(line[from])) from++;
  return from === 0 && to === line.length ? line : line.subarray(from, to);
}

function isBlank(byte: number | undefined): boolean {
  return byte === BLANK || byte === NEWLINE || byte === RETURN || byte === 9;
}
