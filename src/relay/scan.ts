/**
 * Finds what stands at the top of a JSON value without making values of the rest.
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
const OPEN_OBJECT = 0x7b;
const OPEN_LIST = 0x5b;
const CLOSE_OBJECT = 0x7d;
const CLOSE_LIST = 0x5d;

const decoder = new TextDecoder();

/** A member of an object: where its value stands, and the value where that is short. */
export interface Member {
  start: number;
  end: number;
  /** Null for a value of more than 1 KiB. */
  value: unknown;
}

/** Whether scanning is quicker than parsing. */
export function isLong(bytes: Uint8Array): boolean {
  return bytes.length > LONG_BYTES;
}

/** Whether a scan may end: `next` is the member that comes now, empty after one. */
type IsEnough = (found: ReadonlyMap<string, Member>, next: string) => boolean;

/**
 * The members of an object, by name. Stops early once `isEnough` says so; the member that came next is then in the
 * answer without its end. Null where the bytes are no whole object, as far as they were read.
 */
export function scanObject(
  bytes: Uint8Array,
  isEnough: IsEnough = () => false,
): Map<string, Member> | null {
  let at = skipBlank(bytes, 0);
  if (bytes[at] !== OPEN_OBJECT) return null;
  const found = new Map<string, Member>();
  at = skipBlank(bytes, at + 1);
  while (bytes[at] === QUOTE) {
    const keyEnd = endOfString(bytes, at);
    const colon = keyEnd === -1 ? -1 : skipBlank(bytes, keyEnd);
    if (bytes[colon] !== COLON) return null;
    const start = skipBlank(bytes, colon + 1);
    const key = shortValue(bytes.subarray(at, keyEnd));
    if (typeof key === "string" && isEnough(found, key)) {
      return found.set(key, { start, end: bytes.length, value: null });
    }
    const end = endOfValue(bytes, start);
    if (end === -1) return null;
    if (typeof key === "string") {
      found.set(key, { start, end, value: shortValue(bytes.subarray(start, end)) });
      if (isEnough(found, "")) return found;
    }
    at = skipBlank(bytes, end);
    if (bytes[at] === COMMA) at = skipBlank(bytes, at + 1);
    else break;
  }
  return bytes[at] === CLOSE_OBJECT ? found : null;
}

/** Where each item of a list stands. Null where the bytes are no whole list. */
export function scanList(bytes: Uint8Array): { start: number; end: number }[] | null {
  let at = skipBlank(bytes, 0);
  if (bytes[at] !== OPEN_LIST) return null;
  const found: { start: number; end: number }[] = [];
  at = skipBlank(bytes, at + 1);
  while (at < bytes.length && bytes[at] !== CLOSE_LIST) {
    const end = endOfValue(bytes, at);
    if (end === -1 || end === at) return null;
    found.push({ start: at, end });
    at = skipBlank(bytes, end);
    if (bytes[at] === COMMA) at = skipBlank(bytes, at + 1);
    else break;
  }
  return bytes[at] === CLOSE_LIST ? found : null;
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
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
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
