import { assertEquals, assertThrows } from "@std/assert";
import { readDocument } from "../../../scripts/bench/sub_script.ts";
import { atLeast, atMost, type Taken } from "../../../scripts/bench/figures.ts";

Deno.test("readDocument() reads what a script took and what it could not take", () => {
  const taken: Taken[] = [
    { what: "a", unit: "ms", goal: atMost(1), values: [0.5, 2] },
    { what: "b", unit: "", goal: null, values: [1], peers: [{ name: "c", values: [] }] },
    { what: "d", unit: "%", goal: atLeast(80), values: [90] },
    { what: "e", why: "measured on Linux only" },
  ];
  assertEquals(readDocument(`${JSON.stringify(taken)}\n`), taken);
});

const figure = { what: "a", unit: "ms", goal: null, values: [1] };

const REFUSED: { title: string; text: string }[] = [
  { title: "silence", text: "" },
  { title: "text for people", text: "  ok     a: 1 ms" },
  { title: "text beside the document", text: `a\n${JSON.stringify([figure])}` },
  { title: "no figures", text: "[]" },
  { title: "a figure without values", text: JSON.stringify([{ ...figure, values: [] }]) },
  { title: "a value that is no number", text: JSON.stringify([{ ...figure, values: [Number.NaN] }]) },
  { title: "an unknown unit", text: JSON.stringify([{ ...figure, unit: "weeks" }]) },
  { title: "a goal without a side", text: JSON.stringify([{ ...figure, goal: 5 }]) },
];

for (const { title, text } of REFUSED) {
  Deno.test(`readDocument() refuses ${title}`, () => {
    assertThrows(() => readDocument(text), Error, "no figures");
  });
}
