import { assertEquals } from "@std/assert";
import { Queue } from "../../src/base/queue.ts";

Deno.test("Queue gives everything in order, however pushing and shifting take turns", () => {
  const queue = new Queue<number>();
  const given: number[] = [];
  for (let n = 0; n < 10_000; n += 1) {
    queue.push(n);
    if (n % 3 === 0) given.push(queue.shift() ?? -1);
  }
  assertEquals(queue.size, 10_000 - given.length);
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) given.push(next);
  assertEquals(given, Array.from({ length: 10_000 }, (_, at) => at));
  assertEquals(queue.size, 0);
});
