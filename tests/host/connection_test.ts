import { assertEquals, assertRejects } from "@std/assert";
import { connectTcp } from "../../src/host/engine/node/connection.ts";

Deno.test("connectTcp() leaves no timer behind once its signal gives up", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const controller = new AbortController();
  const started: unknown[] = [];
  const cleared: unknown[] = [];
  const { setTimeout, clearTimeout } = globalThis;
  const timeoutMs = 61_234;
  try {
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms: number) => {
        const timer = setTimeout(run, ms);
        if (ms === timeoutMs) {
          started.push(timer);
          // The socket was only just made: it can't be connected yet.
          queueMicrotask(() => controller.abort(new Error("given up")));
        }
        return timer;
      },
      clearTimeout: (timer: number) => {
        cleared.push(timer);
        clearTimeout(timer);
      },
    });
    const { signal } = controller;
    await assertRejects(
      () => connectTcp("127.0.0.1", listener.addr.port, { timeoutMs, signal }),
      Error,
      "given up",
    );
    assertEquals([started.length, cleared.filter((timer) => started.includes(timer)).length], [1, 1]);
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
    listener.close();
  }
});
