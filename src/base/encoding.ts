/**
 * Texts of files as people save them: UTF-8 with or without a byte order mark, UTF-16 of either order.
 *
 * @module
 */
export type TextEncodingName = "UTF-8" | "UTF-16LE" | "UTF-16BE" | "UTF-32";

export type DecodedText =
  | { kind: "text"; text: string; encoding: TextEncodingName; byteOrderMark: boolean }
  /** `offset` counts bytes from the beginning of the file. */
  | { kind: "malformed"; encoding: TextEncodingName; offset: number };

/** The text without its byte order mark, or where it is no text of the encoding that it begins as. */
export function decodeText(bytes: Uint8Array): DecodedText {
  const { encoding, markBytes } = encodingOf(bytes);
  const byteOrderMark = markBytes > 0;
  switch (encoding) {
    case "UTF-32":
      return { kind: "malformed", encoding, offset: 0 };
    case "UTF-8": {
      const offset = malformedUtf8(bytes, markBytes);
      if (offset !== null) return { kind: "malformed", encoding, offset };
      return { kind: "text", text: new TextDecoder().decode(bytes), encoding, byteOrderMark };
    }
    case "UTF-16LE":
    case "UTF-16BE": {
      const offset = malformedUtf16(bytes, { from: markBytes, isBigEndian: encoding === "UTF-16BE" });
      if (offset !== null) return { kind: "malformed", encoding, offset };
      // Not every engine decodes big-endian.
      const units = new DataView(bytes.buffer, bytes.byteOffset + markBytes, bytes.length - markBytes);
      let text = "";
      for (let at = 0; at < units.byteLength; at += 2) {
        text += String.fromCharCode(units.getUint16(at, encoding === "UTF-16LE"));
      }
      return { kind: "text", text, encoding, byteOrderMark };
    }
  }
}

/** By its mark, else by the zero bytes of an ASCII character at the beginning. */
function encodingOf(bytes: Uint8Array): { encoding: TextEncodingName; markBytes: number } {
  const [a, b, c, d] = bytes;
  if (a === 0xff && b === 0xfe && c === 0 && d === 0) return { encoding: "UTF-32", markBytes: 4 };
  if (a === 0 && b === 0 && c === 0xfe && d === 0xff) return { encoding: "UTF-32", markBytes: 4 };
  if (a === 0xef && b === 0xbb && c === 0xbf) return { encoding: "UTF-8", markBytes: 3 };
  if (a === 0xff && b === 0xfe) return { encoding: "UTF-16LE", markBytes: 2 };
  if (a === 0xfe && b === 0xff) return { encoding: "UTF-16BE", markBytes: 2 };
  if (b === 0 && a !== 0 && a !== undefined) return { encoding: "UTF-16LE", markBytes: 0 };
  if (a === 0 && b !== 0 && b !== undefined) return { encoding: "UTF-16BE", markBytes: 0 };
  return { encoding: "UTF-8", markBytes: 0 };
}

function malformedUtf8(bytes: Uint8Array, from: number): number | null {
  for (let at = from; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    if (length === 0) return at;
    at += length;
  }
  return null;
}

/** Bytes of the character at an offset, 0 where there is none. Overlong forms and surrogates are none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xc2 && first < 0xe0
    ? 2
    : first >= 0xe0 && first < 0xf0
    ? 3
    : first >= 0xf0 && first < 0xf5
    ? 4
    : 0;
  const second = bytes[at + 1] ?? 0;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (length === 0 || second < low || second > high) return 0;
  for (let next = 2; next < length; next++) {
    if (((bytes[at + next] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  return length;
}

function malformedUtf16(
  bytes: Uint8Array,
  { from, isBigEndian }: { from: number; isBigEndian: boolean },
): number | null {
  const unitAt = (at: number) =>
    isBigEndian ? (bytes[at] ?? 0) << 8 | (bytes[at + 1] ?? 0) : (bytes[at + 1] ?? 0) << 8 | (bytes[at] ?? 0);
  for (let at = from; at < bytes.length; at += 2) {
    if (at + 1 >= bytes.length) return at;
    const kind = unitAt(at) & 0xfc00;
    if (kind === 0xdc00) return at;
    if (kind !== 0xd800) continue;
    if (at + 3 >= bytes.length || (unitAt(at + 2) & 0xfc00) !== 0xdc00) return at;
    at += 2;
  }
  return null;
}
