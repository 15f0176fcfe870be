import { assertEquals } from "@std/assert";
import { Attempts, CONNECT_TIMEOUT_MS } from "../../src/link/attempts.ts";
import { BARREN_LIMIT } from "../../src/link/schedule.ts";

Deno.test("Attempts tells nothing of the very first, which may take as long as any", () => {
  const attempts = new Attempts();
  assertEquals(attempts.notBeforeMs, Number.NEGATIVE_INFINITY);
  assertEquals(attempts.begin(100), null);
  assertEquals(attempts.deadlineMs, 100 + CONNECT_TIMEOUT_MS);
  assertEquals(attempts.notBeforeMs, Number.NEGATIVE_INFINITY);
});

Deno.test("Attempts counts those that follow, and says why the last one failed", () => {
  const attempts = new Attempts();
  attempts.begin(0);
  attempts.failed("connection refused");
  assertEquals(attempts.begin(0), { attempt: 1, nextRetryS: 1, why: "connection refused" });
  assertEquals(attempts.notBeforeMs, 1000);
  assertEquals(attempts.begin(1000), { attempt: 2, nextRetryS: 2, why: "connection refused" });
});

Deno.test("Attempts begins anew when a connection opened", () => {
  const attempts = new Attempts();
  attempts.begin(0);
  attempts.begin(0);
  attempts.opened();
  attempts.dropped({ acknowledged: true, why: "1006" });
  assertEquals(attempts.begin(5000), { attempt: 1, nextRetryS: 1, why: "1006" });
});

Deno.test("Attempts goes on counting when connections open and are never acknowledged, until one is", () => {
  const attempts = new Attempts();
  attempts.begin(0);
  const counted: (number | undefined)[] = [];
  for (let barren = 0; barren < BARREN_LIMIT + 2; barren += 1) {
    attempts.opened();
    attempts.dropped({ acknowledged: false, why: "" });
    counted.push(attempts.begin(0)?.attempt);
  }
  assertEquals(counted, [1, 1, 1, 2, 3]);
  attempts.opened();
  attempts.acknowledged();
  attempts.dropped({ acknowledged: true, why: "" });
  assertEquals(attempts.begin(0)?.attempt, 1);
});
