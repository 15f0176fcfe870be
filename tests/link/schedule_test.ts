import { assertEquals } from "@std/assert";
import {
  afterAttempt,
  afterOpen,
  AT_ONCE,
  BARREN_LIMIT,
  logsAttempt,
  reconnectDelayS,
  type Schedule,
} from "../../src/link/schedule.ts";

for (const [at, delayS] of [1, 2, 4, 8, 16, 30, 60, 60, 60].entries()) {
  Deno.test(`reconnectDelayS() is ${delayS} s after attempt ${at + 1}`, () => {
    assertEquals(reconnectDelayS(at + 1), delayS);
  });
}

Deno.test("reconnectDelayS() stays at 60 s for ever", () => assertEquals(reconnectDelayS(1_000_000), 60));

Deno.test("afterAttempt() waits after the attempt, so that the first one is immediate", () => {
  let schedule: Schedule = AT_ONCE;
  const waits: number[] = [];
  let nowMs = 10_000;
  for (let attempt = 0; attempt < 4; attempt += 1) {
    waits.push(Math.max(schedule.notBeforeMs, nowMs) - nowMs);
    nowMs = Math.max(schedule.notBeforeMs, nowMs);
    schedule = afterAttempt(schedule, nowMs);
  }
  assertEquals(waits, [0, 1_000, 2_000, 4_000]);
  assertEquals(schedule, { attempts: 4, notBeforeMs: nowMs + 8_000 });
});

Deno.test("afterOpen() resets the count and the wait", () => {
  assertEquals(afterOpen({ attempts: 7, notBeforeMs: 99_000 }, 0), AT_ONCE);
});

Deno.test("afterOpen() keeps both once a server has dropped three connections unacknowledged", () => {
  const schedule = { attempts: 2, notBeforeMs: 99_000 };
  assertEquals(afterOpen(schedule, BARREN_LIMIT - 1), AT_ONCE);
  assertEquals(afterOpen(schedule, BARREN_LIMIT), schedule);
});

Deno.test("logsAttempt() is true for attempts 1 to 5 and every tenth", () => {
  const logged = Array.from({ length: 35 }, (_, at) => at + 1).filter(logsAttempt);
  assertEquals(logged, [1, 2, 3, 4, 5, 10, 20, 30]);
});
