import { assertEquals, assertRejects } from "@std/assert";
import type { Connection } from "../../src/host/host.ts";
import { lookingFirst } from "../../src/host/loopback.ts";

function world(listening: ReadonlySet<number>) {
  const dialled: string[] = [];
  const net = lookingFirst({
    fetch(input: string | URL) {
      dialled.push(`fetch ${input}`);
      return Promise.resolve(new Response(""));
    },
    dial(hostname: string, port: number) {
      dialled.push(`dial ${hostname} ${port}`);
      return Promise.resolve("open" as const);
    },
    connect(hostname: string, port: number) {
      dialled.push(`connect ${hostname} ${port}`);
      return Promise.resolve({} as Connection);
    },
    webSocket: (): WebSocket => {
      throw new Error("not asked for");
    },
  }, (_hostname, port) => listening.has(port));
  return { net, dialled };
}

Deno.test("lookingFirst() dials no port that nobody listens on", async () => {
  const { net, dialled } = world(new Set([80]));
  assertEquals(await net.dial("127.0.0.1", 8000, 100), "refused");
  const refused = await assertRejects(
    () => net.connect("::1", 8000, { timeoutMs: 100 }),
    Error,
    "ECONNREFUSED",
  );
  assertEquals("code" in refused && refused.code, "ECONNREFUSED");
  await assertRejects(() => net.fetch("http://localhost:8000/mcp"), Error, "ECONNREFUSED");
  await assertRejects(() => net.fetch("https://[::1]/"), Error, "ECONNREFUSED");
  assertEquals(dialled, []);
  await net.fetch("http://127.0.0.1/");
  assertEquals(await net.dial("127.0.0.1", 80, 100), "open");
  assertEquals(dialled, ["fetch http://127.0.0.1/", "dial 127.0.0.1 80"]);
});

Deno.test("lookingFirst() dials other machines without a look", async () => {
  const { net, dialled } = world(new Set());
  await net.fetch("http://example.com/");
  assertEquals(dialled, ["fetch http://example.com/"]);
});
