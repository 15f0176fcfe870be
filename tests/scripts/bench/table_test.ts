import { assertEquals } from "@std/assert";
import { atLeast, atMost, type Goal, type Taken } from "../../../scripts/bench/figures.ts";
import {
  cells,
  columns,
  markdown,
  rowOf,
  shortMarkdown,
  type Spread,
  spread,
  verdict,
} from "../../../scripts/bench/table.ts";

const SPREADS: { values: number[]; expected: Spread | null }[] = [
  { values: [], expected: null },
  { values: [7], expected: { median: 7, low: 7, high: 7, runs: 1 } },
  { values: [3, 1, 2], expected: { median: 2, low: 1, high: 3, runs: 3 } },
  {
    values: [110, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100],
    expected: { median: 60, low: 20, high: 100, runs: 11 },
  },
];

for (const { values, expected } of SPREADS) {
  Deno.test(`spread() of [${values}]`, () => assertEquals(spread(values), expected));
}

const VERDICTS: { goal: Goal | null; median: number; expected: ReturnType<typeof verdict> }[] = [
  { goal: null, median: 1, expected: "" },
  { goal: atMost(8), median: 7.9, expected: "met" },
  { goal: atMost(8), median: 8, expected: "met" },
  { goal: atMost(8), median: 8.1, expected: "MISSED" },
  { goal: atLeast(80), median: 80, expected: "met" },
  { goal: atLeast(80), median: 79, expected: "MISSED" },
];

for (const { goal, median, expected } of VERDICTS) {
  const wanted = goal === null ? "without a goal" : `${goal.side} ${goal.value}`;
  Deno.test(`verdict() of ${median}, ${wanted}, is "${expected}"`, () => {
    assertEquals(verdict({ goal, median }), expected);
  });
}

const CELLS: { title: string; taken: Taken; expected: string[] }[] = [
  {
    title: "shows the spread of several values, and no more digits than matter",
    taken: { what: "a", unit: "ms", goal: atMost(15), values: [1234.56, 12.345, 1.2345] },
    expected: ["a", "12.3 ms", "1.23–1235", "≤ 15 ms", "met", ""],
  },
  {
    title: "shows no spread of one value, and no unit where there is none",
    taken: { what: "a", unit: "", goal: atMost(1), values: [2] },
    expected: ["a", "2", "", "≤ 1", "MISSED", ""],
  },
  {
    title: "shows peers, in multiples where both are more than nothing",
    taken: {
      what: "a",
      unit: "%",
      goal: atLeast(80),
      values: [90],
      peers: [{ name: "b", values: [45] }, { name: "c", values: [-3] }, { name: "d", values: [] }],
    },
    expected: ["a", "90 %", "", "≥ 80 %", "met", "b 45 % (0.5 ×), c -3 %"],
  },
  {
    title: "shows no multiples where foster's values reach down to nothing",
    taken: { what: "a", unit: "ms", goal: null, values: [-1, 2, 3], peers: [{ name: "b", values: [4] }] },
    expected: ["a", "2 ms", "-1–3", "", "", "b 4 ms"],
  },
  {
    title: "says why a figure is missing",
    taken: { what: "a", why: "measured on Linux only" },
    expected: ["a", "–", "", "", "", "measured on Linux only"],
  },
  {
    title: "says that there are no values",
    taken: { what: "a", unit: "ms", goal: atMost(1), values: [] },
    expected: ["a", "–", "", "", "", "nothing was measured"],
  },
];

for (const { title, taken, expected } of CELLS) {
  Deno.test(`cells() ${title}`, () => assertEquals(cells(rowOf(taken)), expected));
}

Deno.test("columns() aligns the cells", () => {
  const taken: Taken[] = [
    { what: "a figure", unit: "×", goal: atMost(1), values: [1] },
    { what: "b", why: "no" },
  ];
  assertEquals(columns(taken.map(rowOf)).split("\n"), [
    "Figure    Median  10–90 %  Goal        Peers, times foster's",
    "a figure  1 ×              ≤ 1 ×  met",
    "b         –                            no",
  ]);
});

const missed = (what: string): Taken => ({ what, unit: "ms", goal: atMost(1), values: [2] });
const REPORT = {
  taken_at: "2026-01-02T03:04:05.000Z",
  machine: { system: "linux", arch: "x86_64", cores: 2 },
  quick: true,
  parts: ["main"],
  rows: [missed("unheard of"), missed("connect: resident"), missed("list of 10 servers (ps)")].map(rowOf),
};

Deno.test("markdown() shows every figure with its goal", () => {
  assertEquals(markdown(REPORT).split("\n"), [
    "Taken on 2026-01-02 on linux x86_64 with 2 cores, in few rounds.",
    "",
    "| Figure | Median | 10–90 % | Goal |  | Peers, times foster's |",
    "| --- | --- | --- | --- | --- | --- |",
    "| unheard of | 2 ms |  | ≤ 1 ms | MISSED |  |",
    "| connect: resident | 2 ms |  | ≤ 1 ms | MISSED |  |",
    "| list of 10 servers (ps) | 2 ms |  | ≤ 1 ms | MISSED |  |",
  ]);
});

Deno.test("shortMarkdown() shows the few figures that compare, in an order of its own", () => {
  assertEquals(shortMarkdown(REPORT).split("\n").slice(2), [
    "| Figure | Median | Peers, times foster's |",
    "| --- | --- | --- |",
    "| list of 10 servers (ps) | 2 ms |  |",
    "| connect: resident | 2 ms |  |",
  ]);
});
