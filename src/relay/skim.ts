/**
 * Finds what stands at the top of a long JSON object without making values of the rest.
 *
 * @module
 */

const LONG_BYTES = 32 * 1024;
/** Longer values are not worth knowing: ids and methods are short. */
const SHORT_BYTES = 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = [0x7b, 0x5b];
const CLOSE = [0x7d, 0x5d];

const decoder = new TextDecoder();

/** Whether skimming is quicker than parsing. */
export function isLong(bytes: Uint8Array): boolean {
  return bytes.length > LONG_BYTES;
}

/** The members of an object, long values as null. Null where the bytes are no whole object. */
export function skim(bytes: Uint8Array): Record<string, unknown> | null {
  let at = skipBlank(bytes, 0);
  if (bytes[at] !== OPEN[0]) return null;
  const found: Record<string, unknown> = {};
  at = skipBlank(bytes, at + 1);
  while (bytes[at] === QUOTE) {
    const keyEnd = endOfString(bytes, at);
    const colon = keyEnd === -1 ? -1 : skipBlank(bytes, keyEnd);
    if (bytes[colon] !== COLON) return null;
    const start = skipBlank(bytes, colon + 1);
    const end = endOfValue(bytes, start);
    if (end === -1) return null;
    const key = shortValue(bytes.subarray(at, keyEnd));
    if (typeof key === "string") found[key] = shortValue(bytes.subarray(start, end));
    at = skipBlank(bytes, end);
    if (bytes[at] === COMMA) at = skipBlank(bytes, at + 1);
    else break;
  }
  return bytes[at] === CLOSE[0] ? found : null;
}

function shortValue(bytes: Uint8Array): unknown {
  if (bytes.length > SHORT_BYTES) return null;
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    return null;
  }
}

/** Past the closing quote; -1 where there is none. */
function endOfString(bytes: Uint8Array, quote: number): number {
  for (let at = bytes.indexOf(QUOTE, quote + 1); at !== -1; at = bytes.indexOf(QUOTE, at + 1)) {
    let before = at;
    while (bytes[before - 1] === BACKSLASH) before--;
    if ((at - before) % 2 === 0) return at + 1;
  }
  return -1;
}

function endOfValue(bytes: Uint8Array, start: number): number {
  const first = bytes[start];
  if (first === QUOTE) return endOfString(bytes, start);
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) {
      at = endOfString(bytes, at) - 1;
      if (at < 0) return -1;
    } else if (byte === OPEN[0] || byte === OPEN[1]) depth++;
    else if (byte === CLOSE[0] || byte === CLOSE[1]) {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (byte === COMMA || isBlank(byte))) return at;
  }
  return -1;
}

function skipBlank(bytes: Uint8Array, from: number): number {
  let at = from;
  while (isBlank(bytes[at] ?? 0)) at++;
  return at;
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
