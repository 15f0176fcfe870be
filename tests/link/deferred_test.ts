import { assertEquals } from "@std/assert";
import { DeferredTable, deferredTimeoutMs, timeoutReply } from "../../src/link/deferred.ts";

const defaults: [command: string, timeoutMs: number][] = [
  ["create_script", 4_500],
  ["stop_project", 4_500],
  ["take_screenshot", 30_000],
  ["anything", 4_500],
  ["constructor", 4_500],
];

for (const [command, timeoutMs] of defaults) {
  Deno.test(`deferredTimeoutMs() is ${timeoutMs} for ${command}`, () => {
    assertEquals(deferredTimeoutMs(command), timeoutMs);
  });
}

Deno.test("deferredTimeoutMs() stays below the server's own 5 s and yields to an override", () => {
  assertEquals(deferredTimeoutMs("anything") < 5_000, true);
  assertEquals(deferredTimeoutMs("take_screenshot", new Map([["take_screenshot", 100]])), 100);
});

Deno.test("timeoutReply() gives the command, the time it took and the time it had", () => {
  const reply = timeoutReply({ command: "render", startedMs: 100, timeoutMs: 4_500 }, 4_612.4);
  assertEquals(reply.error?.code, "DEFERRED_TIMEOUT");
  assertEquals(reply.error?.data, { command: "render", elapsed_ms: 4_512, timeout_ms: 4_500 });
});

Deno.test("DeferredTable takes out what is overdue, each once", () => {
  const table = new DeferredTable();
  table.add("a", { command: "slow", startedMs: 0, timeoutMs: 30_000 });
  table.add("b", { command: "quick", startedMs: 0, timeoutMs: 100 });
  table.add("", { command: "nameless", startedMs: 0, timeoutMs: 1 });
  assertEquals([table.size, table.nextDeadlineMs], [2, 100]);
  assertEquals(table.takeExpired(99), []);
  assertEquals(table.takeExpired(100).map(({ requestId }) => requestId), ["b"]);
  assertEquals([table.ids(), table.nextDeadlineMs], [["a"], 30_000]);
  table.remove("a");
  assertEquals([table.nextDeadlineMs, table.takeExpired(1e9)], [null, []]);
});
