import { assertEquals } from "@std/assert";
import { Fifo } from "../../src/link/fifo.ts";

Deno.test("Fifo gives everything in order, also after it moved what stayed behind", () => {
  const fifo = new Fifo<number>();
  const given: number[] = [];
  for (let n = 0; n < 10_000; n += 1) {
    fifo.push(n);
    if (n % 3 === 0) given.push(fifo.shift() ?? -1);
  }
  assertEquals(fifo.size, 10_000 - given.length);
  for (let next = fifo.shift(); next !== undefined; next = fifo.shift()) given.push(next);
  assertEquals(given, Array.from({ length: 10_000 }, (_, at) => at));
  assertEquals(fifo.size, 0);
});
