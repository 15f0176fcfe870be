import { assertEquals } from "@std/assert";
import { decodeText } from "../../src/base/encoding.ts";

const utf8 = (text: string) => [...new TextEncoder().encode(text)];
const utf16 = (text: string, isBigEndian = false) =>
  [...text].flatMap((char) =>
    char.split("").flatMap((unit) => {
      const bytes = [unit.charCodeAt(0) & 0xff, unit.charCodeAt(0) >> 8];
      return isBigEndian ? bytes.reverse() : bytes;
    })
  );

const TEXT = '{"a": "é€𝄞"}\r\n';

Deno.test("decodeText() reads UTF-8 and UTF-16, with and without a byte order mark", () => {
  const table: [number[], string, boolean][] = [
    [utf8(TEXT), "UTF-8", false],
    [[0xef, 0xbb, 0xbf, ...utf8(TEXT)], "UTF-8", true],
    [[0xff, 0xfe, ...utf16(TEXT)], "UTF-16LE", true],
    [[0xfe, 0xff, ...utf16(TEXT, true)], "UTF-16BE", true],
    [utf16(TEXT), "UTF-16LE", false],
    [utf16(TEXT, true), "UTF-16BE", false],
  ];
  for (const [bytes, encoding, byteOrderMark] of table) {
    assertEquals(
      decodeText(new Uint8Array(bytes)),
      { kind: "text", text: TEXT, encoding, byteOrderMark } as never,
    );
  }
  assertEquals(decodeText(new Uint8Array()).kind, "text");
});

Deno.test("decodeText() says what the encoding is and where it is broken", () => {
  const table: [number[], string, number][] = [
    [[...utf8("{}"), 0xe9, 0x20], "UTF-8", 2],
    [[0xef, 0xbb, 0xbf, 0x7b, 0xff], "UTF-8", 4],
    [[...utf8("é"), 0xc3], "UTF-8", 2],
    [[0x7b, 0xc0, 0xaf], "UTF-8", 1],
    [[0x7b, 0xed, 0xa0, 0x80], "UTF-8", 1],
    [[0x7b, 0xf4, 0x90, 0x80, 0x80], "UTF-8", 1],
    [[0x7b, 0x80], "UTF-8", 1],
    [[0xff, 0xfe, 0x7b, 0x00, 0x7d], "UTF-16LE", 4],
    [[0xff, 0xfe, 0x7b, 0x00, 0x00, 0xdc], "UTF-16LE", 4],
    [[0xfe, 0xff, 0x00, 0x7b, 0xd8, 0x00, 0x00, 0x7b], "UTF-16BE", 4],
    [[0xff, 0xfe, 0, 0, 0x7b, 0, 0, 0], "UTF-32", 0],
  ];
  for (const [bytes, encoding, offset] of table) {
    assertEquals(decodeText(new Uint8Array(bytes)), { kind: "malformed", encoding, offset } as never);
  }
});

Deno.test("decodeText() accepts exactly what the platform's strict decoder accepts", () => {
  const strict = new TextDecoder("utf-8", { fatal: true });
  for (let high = 0x80; high < 0x100; high++) {
    for (
      const rest of [[], [0x80], [0x9f, 0x80], [0xa0, 0xbf], [0x8f, 0x80, 0x80], [0x90, 0x80, 0x80], [
        0xbf,
        0xbf,
        0xbf,
      ]]
    ) {
      // An ASCII letter first, so that no byte order mark is meant.
      const bytes = new Uint8Array([0x61, high, ...rest]);
      let isValid = true;
      try {
        strict.decode(bytes);
      } catch {
        isValid = false;
      }
      assertEquals(decodeText(bytes).kind === "text", isValid, String(bytes));
    }
  }
});
