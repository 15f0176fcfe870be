import { assertEquals } from "@std/assert";
import { carriersOf, endByPid, forgetMarks, notedMarks, SUITE_MARK } from "./e2e/leftovers.ts";

/** What was told to end may still be about it. */
const PATIENCE_MS = 10_000;

Deno.test("the suite leaves no process behind", async () => {
  const marks = new Set(await notedMarks());
  const endsAt = performance.now() + PATIENCE_MS;
  let left = await leftOf(marks);
  while (left.length > 0 && performance.now() < endsAt) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    left = await leftOf(marks);
  }
  assertEquals(await Promise.all(left.map(endByPid)), []);
  await forgetMarks();
});

async function leftOf(marks: ReadonlySet<string>): Promise<number[]> {
  if (marks.size === 0) return [];
  const found: number[] = [];
  for (const mark of marks) found.push(...await carriersOf(`${SUITE_MARK}=${mark}`));
  return found;
}
