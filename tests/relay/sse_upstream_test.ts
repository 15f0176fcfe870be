import { assertEquals } from "@std/assert";
import { openSse } from "../../src/relay/upstream/sse.ts";
import { PendingTable } from "../../src/relay/pending.ts";
import { sseServer } from "../fixtures/mcp_servers.ts";
import { host } from "./bench.ts";
import { pendingIn } from "./scene.ts";

Deno.test("SseUpstream says of what it is given after its stream ended that it was not sent", async () => {
  const server = await sseServer(host);
  const lost = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<string>();
  const upstream = await openSse(host, {
    endpoint: server.url,
    toolHeaders: () => null,
    events: {
      message: () => {},
      refused: () => {},
      failed: (_upstream, _pending, { phase }) => failed.resolve(phase),
      doubted: () => {},
      lost: () => lost.resolve(),
    },
  }, new AbortController().signal);
  await server.close();
  await lost.promise;
  const table = new PendingTable();
  await upstream.send(pendingIn(table, { jsonrpc: "2.0", id: 1, method: "tools/call" }));
  assertEquals(await Promise.race([failed.promise, Promise.resolve("nothing")]), "unsent");
});
