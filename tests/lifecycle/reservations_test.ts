import { assertEquals } from "@std/assert";
import type { PortRange } from "../../src/host/host.ts";
import { isReserved, suggestPort } from "../../src/lifecycle/observe/ports.ts";

const RANGES: PortRange[] = [[5357, 5357], [8000, 8099], [8100, 8199], [9491, 9590]];

for (
  const [port, reserved] of [
    [5356, false],
    [5357, true],
    [5358, false],
    [7999, false],
    [8000, true],
    [8099, true],
    [8100, true],
    [8199, true],
    [8200, false],
  ] as const
) {
  Deno.test(`isReserved() says ${reserved} for port ${port}`, () =>
    assertEquals(isReserved(port, RANGES), reserved));
}

const SUGGESTIONS: { what: string; start: number; ranges: PortRange[]; expected: number }[] = [
  { what: "keeps the port when no range is known", start: 9500, ranges: [], expected: 9500 },
  { what: "keeps a port that is not reserved", start: 9600, ranges: RANGES, expected: 9600 },
  { what: "jumps past the whole range", start: 9500, ranges: RANGES, expected: 9591 },
  { what: "jumps past ranges that touch", start: 8000, ranges: RANGES, expected: 8200 },
  {
    what: "jumps past ranges in any order",
    start: 9500,
    ranges: [[9591, 9690], [9491, 9590]],
    expected: 9691,
  },
  { what: "takes the last port of the span", start: 9500, ranges: [[9500, 11_546]], expected: 11_547 },
  {
    what: "returns the start when the span is exhausted",
    start: 9500,
    ranges: [[9500, 11_547]],
    expected: 9500,
  },
  { what: "takes the very last port", start: 65_000, ranges: [[65_000, 65_534]], expected: 65_535 },
  {
    what: "returns the start when no port is left above it",
    start: 65_000,
    ranges: [[65_000, 65_535]],
    expected: 65_000,
  },
];
for (const { what, start, ranges, expected } of SUGGESTIONS) {
  Deno.test(`suggestPort() ${what}`, () => assertEquals(suggestPort(start, ranges), expected));
}
