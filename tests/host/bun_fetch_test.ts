import { assertEquals } from "@std/assert";
import { bunNet } from "../../src/host/engine/bun/net.ts";

Deno.test("under Bun only its caller gives a request up, however long its answer is silent", async () => {
  const { fetch } = globalThis;
  const given: unknown[] = [];
  globalThis.fetch = (_input, init) => {
    given.push(init);
    return Promise.resolve(new Response(null));
  };
  try {
    await bunNet.fetch("http://127.0.0.1:1/", { method: "POST" });
  } finally {
    globalThis.fetch = fetch;
  }
  assertEquals(given, [{ method: "POST", timeout: false }]);
});
