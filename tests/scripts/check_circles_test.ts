import { assertEquals } from "@std/assert";
import { findCircles } from "../../scripts/check_circles.ts";

interface Case {
  title: string;
  graph: Record<string, string[]>;
  circles: string[][];
}

const CASES: Case[] = [
  { title: "finds none in a tree", graph: { a: ["b", "c"], b: ["c"], c: [] }, circles: [] },
  { title: "finds two files that import each other", graph: { a: ["b"], b: ["a"] }, circles: [["a", "b"]] },
  {
    title: "finds a circle of several files once, without those that only lead there",
    graph: { a: ["b"], b: ["c"], c: ["d"], d: ["b", "e"], e: [] },
    circles: [["b", "c", "d"]],
  },
  { title: "finds a file that imports itself", graph: { a: ["a"] }, circles: [["a"]] },
  {
    title: "tells two circles apart",
    graph: { a: ["b"], b: ["a", "c"], c: ["d"], d: ["c"] },
    circles: [["a", "b"], ["c", "d"]],
  },
];

for (const { title, graph, circles } of CASES) {
  Deno.test(`findCircles() ${title}`, () => {
    assertEquals(findCircles(new Map(Object.entries(graph))), circles);
  });
}
