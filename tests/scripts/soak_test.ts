import { assertEquals } from "@std/assert";
import { growthOf, growthProblems, markProblems, type Sample } from "../../scripts/soak/figures.ts";

const MIB = 1024 * 1024;

function samples(
  count: number,
  sizeMiB: (index: number) => number,
  files = (_index: number) => 20,
): Sample[] {
  return Array.from({ length: count }, (_, index) => ({
    atMs: index * 1000,
    residentBytes: sizeMiB(index) * MIB,
    files: files(index),
  }));
}

function problems(of: Sample[]): string[] {
  const growth = growthOf(of);
  return growth === null ? ["too few"] : growthProblems("it", growth);
}

Deno.test("growthOf() sees what grows, and passes over a warm-up and single peaks", () => {
  assertEquals(problems(samples(10, () => 100)), ["too few"]);
  assertEquals(problems(samples(100, (index) => index < 30 ? 50 + index * 3 : 140)), []);
  assertEquals(problems(samples(100, (index) => index === 97 ? 900 : 100)), []);
  assertEquals(problems(samples(100, (index) => 100 + index)), ["it grew from 147.0 MiB to 192.0 MiB"]);
  assertEquals(problems(samples(100, () => 100, (index) => 20 + index)), [
    "it holds 112 files open, before 67",
  ]);
});

Deno.test("markProblems() names calls that ran twice, and answers to calls that never ran", () => {
  assertEquals(markProblems(["a", "b", "c"], new Set(["a", "b"])), []);
  assertEquals(markProblems(["a", "b", "a"], new Set(["a", "x"])), [
    "calls that ran twice: a (1)",
    "answers to calls that never ran: x (1)",
  ]);
});
