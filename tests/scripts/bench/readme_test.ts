import { assertEquals, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { withTable } from "../../../scripts/bench/readme.ts";

const MARK = "<!-- bench -->";

Deno.test("withTable() replaces what stands between the marks, and nothing else", () => {
  const readme = `# A\n\n${MARK}\n\nold\n\n${MARK}\n\n## B\n`;
  const expected = `# A\n\n${MARK}\n\nnew $& $1\n\n${MARK}\n\n## B\n`;
  assertEquals(withTable(readme, "new $& $1"), expected);
  assertEquals(withTable(expected, "new $& $1"), expected);
});

for (const count of [0, 1, 3]) {
  Deno.test(`withTable() refuses ${count} marks`, () => {
    assertThrows(() => withTable(`a\n${`${MARK}\n`.repeat(count)}b\n`, "new"), Error, "twice");
  });
}

for (const page of ["README.md", "docs/benchmarks.md"]) {
  Deno.test(`${page} has the marks`, async () => {
    withTable(await Deno.readTextFile(fromFileUrl(new URL(`../../../${page}`, import.meta.url))), "new");
  });
}
