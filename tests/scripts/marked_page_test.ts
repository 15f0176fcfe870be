import { assertEquals, assertThrows } from "@std/assert";
import { readPage, withPart } from "../../scripts/marked_page.ts";

const MARK = "<!-- bench -->";
const PART = { name: "bench", text: "new $& $1" };

Deno.test("withPart() replaces what stands between the marks, and nothing else", () => {
  const readme = `# A\n\n${MARK}\n\nold\n\n${MARK}\n\n## B\n`;
  const expected = `# A\n\n${MARK}\n\nnew $& $1\n\n${MARK}\n\n## B\n`;
  assertEquals(withPart(readme, PART), expected);
  assertEquals(withPart(expected, PART), expected);
});

for (const count of [0, 1, 3]) {
  Deno.test(`withPart() refuses ${count} marks`, () => {
    assertThrows(() => withPart(`a\n${`${MARK}\n`.repeat(count)}b\n`, PART), Error, "twice");
  });
}

for (const page of ["README.md", "docs/benchmarks.md"]) {
  Deno.test(`${page} has the marks`, async () => {
    withPart(await readPage(page), PART);
  });
}
