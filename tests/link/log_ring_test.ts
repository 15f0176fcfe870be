import { assertEquals } from "@std/assert";
import { LogRing } from "../../src/link/log_ring.ts";

Deno.test("LogRing keeps 500 lines and counts all", () => {
  const ring = new LogRing();
  for (let n = 0; n < 1_234; n += 1) ring.add({ level: "info", message: `${n}` });
  assertEquals([ring.size, ring.total], [500, 1_234]);
  const lines = ring.lines().map(({ message }) => Number(message));
  assertEquals(lines, Array.from({ length: 500 }, (_, at) => 734 + at));
});

Deno.test("LogRing gives few lines in their order", () => {
  const ring = new LogRing();
  for (const message of ["a", "b"]) ring.add({ level: "warn", message });
  assertEquals(ring.lines().map(({ message }) => message), ["a", "b"]);
});
