import { assertEquals } from "@std/assert";
import { openSse } from "../../src/relay/upstream/sse.ts";
import { PendingTable } from "../../src/relay/pending.ts";
import { serveWith, sseServer } from "../fixtures/mcp_servers.ts";
import { encoder, host } from "./bench.ts";
import { eventsOf, pendingIn } from "./scene.ts";

Deno.test("SseUpstream says of what it is given after its stream ended that it was not sent", async () => {
  const server = await sseServer(host);
  const lost = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<string>();
  const upstream = await openSse(host, {
    endpoint: server.url,
    toolHeaders: () => null,
    events: eventsOf({
      failed: (_upstream, _pending, { phase }) => failed.resolve(phase),
      lost: () => lost.resolve(),
    }),
  }, new AbortController().signal);
  await server.close();
  await lost.promise;
  const table = new PendingTable();
  await upstream.send(pendingIn(table, { jsonrpc: "2.0", id: 1, method: "tools/call" }));
  assertEquals(await Promise.race([failed.promise, Promise.resolve("nothing")]), "unsent");
});

Deno.test("SseUpstream tells what waited for its turn as not sent, before it tells that the stream ended", async () => {
  let stream: ReadableStreamDefaultController<Uint8Array> | null = null;
  const posted = Promise.withResolvers<void>();
  const server = await serveWith(host, "/sse", (request) => {
    if (request.method === "GET") {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          stream = controller;
          controller.enqueue(encoder.encode("event: endpoint\ndata: /messages\n\n"));
        },
      });
      return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } }));
    }
    posted.resolve();
    return Promise.resolve(new Response(null, { status: 202 }));
  });
  const told: string[] = [];
  const lost = Promise.withResolvers<void>();
  const upstream = await openSse(host, {
    endpoint: server.url,
    toolHeaders: () => null,
    events: eventsOf({
      failed: (_upstream, { message }, { phase }) =>
        void told.push(`${message.kind === "request" ? message.method : ""} ${phase}`),
      lost: () => {
        told.push("lost");
        lost.resolve();
      },
    }),
  }, new AbortController().signal);
  const table = new PendingTable();
  upstream.send(pendingIn(table, { jsonrpc: "2.0", id: 1, method: "initialize", params: {} }));
  upstream.send(pendingIn(table, { jsonrpc: "2.0", id: 2, method: "tools/call" }));
  await posted.promise;
  (stream as ReadableStreamDefaultController<Uint8Array> | null)?.close();
  await lost.promise;
  assertEquals(told.slice(0, 2), ["tools/call unsent", "lost"]);
  await server.close();
});
