import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { serveWith, sseServer } from "../fixtures/mcp_servers.ts";
import { Bench, decoder, encoder, event, events, host, type Message, older } from "./bench.ts";

Deno.test("Relay answers a request that waited in vain when the client's patience is over", async () => {
  const bench = new Bench({ timeoutMs: 200 });
  bench.relay.start();
  const { error } = await bench.ask({ id: 1, method: "tools/call" });
  assertEquals(error?.code, -32001);
  assertStringIncludes(error?.message ?? "", `"bench" was not there within 0.2 s (it is not running)`);
  const server = await older();
  bench.server = server;
  assertEquals((await bench.handshake()).error, undefined);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay answers at once when there will be no server", async () => {
  const bench = new Bench();
  bench.refusal = { kind: "refused", message: "no command", hint: "install it" };
  bench.relay.start();
  const { error } = await bench.ask({ id: 1, method: "ping" });
  assertEquals(error?.message, "no command (install it)");
  await bench.relay.close();
});

Deno.test("Relay drops a request that was cancelled while it waited", async () => {
  const bench = new Bench();
  bench.relay.start();
  bench.say({ id: 1, method: "tools/call" });
  bench.say({ method: "notifications/cancelled", params: { requestId: 1 } });
  const seen: string[] = [];
  const server = await older({ seen });
  bench.server = server;
  await bench.handshake();
  await bench.ask({ id: 2, method: "ping" });
  assertEquals(seen, ["initialize", "notifications/initialized", "ping"]);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay keeps the order of a handshake when the client does not wait for answers", async () => {
  const seen: string[] = [];
  const server = await older({ seen });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  bench.say({ id: "i", method: "initialize", params: {} });
  bench.say({ method: "notifications/initialized" });
  assertEquals((await bench.ask({ id: 1, method: "tools/list" })).result, { method: "tools/list" });
  assertEquals(seen, ["initialize", "notifications/initialized", "tools/list"]);
  await bench.relay.close();
  assertEquals(seen.at(-1), "DELETE");
  await server.close();
});

Deno.test("Relay repeats the handshake by itself when the server goes down during it", async () => {
  const bench = new Bench();
  const first = await older({
    on: ({ method }) => {
      if (method !== "initialize") return null;
      bench.server = null;
      return events([], { cut: true });
    },
  });
  bench.server = first;
  bench.relay.start();
  bench.say({ id: "i", method: "initialize", params: {} });
  const second = await older();
  await first.close();
  bench.server = second;
  const answer = await bench.hears(({ id }) => id === "i");
  assertEquals(answer.error, undefined);
  assertEquals(bench.lines.length, 1);
  await bench.relay.close();
  await second.close();
});

Deno.test("Relay goes on with a stream that broke when the server offers the rest of it", async () => {
  const asked: (string | null)[] = [];
  const seen: string[] = [];
  const server = await older({
    seen,
    on: ({ method, id }) =>
      method === "tools/call"
        ? events([
          event({ method: "notifications/progress", params: {} }, "e1"),
          `id: e2\nretry: 10\ndata:\n\n`,
        ], {
          cut: id === 1,
        })
        : null,
    onStream(request) {
      const last = request.headers.get("last-event-id");
      if (last === null) return new Response(null, { status: 405 });
      asked.push(last);
      return events([event({ id: asked.length, result: { late: true } })]);
    },
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  for (const id of [1, 2]) {
    assertEquals((await bench.ask({ id, method: "tools/call" })).result, { late: true });
  }
  assertEquals(asked, ["e2", "e2"]);
  assertEquals(seen.filter((method) => method === "tools/call").length, 2);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay asks for no new session when only one stream broke", async () => {
  const seen: string[] = [];
  const server = await older({
    seen,
    on: ({ method }) => method === "tools/call" ? events([], { cut: true }) : null,
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  const { error } = await bench.ask({ id: 1, method: "tools/call" });
  assertStringIncludes(error?.message ?? "", "may or may not have run");
  assertEquals((await bench.ask({ id: 2, method: "tools/list" })).result, { method: "tools/list" });
  assertEquals(seen.filter((method) => method === "initialize").length, 1);
  assertEquals(seen.filter((method) => method === "tools/call").length, 1);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay sends a call once when a connection that was kept breaks under it", async () => {
  let calls = 0;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answer = (value: unknown) => {
    const body = JSON.stringify(value);
    const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    return encoder.encode(`${head}content-length: ${encoder.encode(body).length}\r\n\r\n${body}`);
  };
  const serving = (async () => {
    for await (const connection of listener) serve(connection);
  })();
  async function serve(connection: Deno.Conn): Promise<void> {
    let text = "";
    for await (const chunk of connection.readable) {
      text += decoder.decode(chunk);
      const [head = "", body] = text.split("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (body === undefined || body.length < length) continue;
      text = "";
      if (body.includes("tools/call")) {
        calls++;
        return;
      }
      const writer = connection.writable.getWriter();
      await writer.write(
        answer({ jsonrpc: "2.0", id: length === 0 ? null : JSON.parse(body).id, result: {} }),
      );
      writer.releaseLock();
    }
  }
  const bench = new Bench();
  bench.server = { url: new URL(`http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}/mcp`) };
  bench.relay.start();
  for (let id = 1; id <= 9; id += 2) {
    await bench.ask({ id, method: "ping" });
    const { error } = await bench.ask({ id: id + 1, method: "tools/call" });
    assertStringIncludes(error?.message ?? "", "may or may not have run");
  }
  assertEquals(calls, 5);
  await bench.relay.close();
  listener.close();
  await serving;
});

Deno.test("Relay gives a request up that every server dies of", async () => {
  let reads = 0;
  const server = await older({
    on: ({ method }) => {
      if (method !== "resources/read") return null;
      reads++;
      return events([], { cut: true });
    },
  });
  const bench = new Bench({ timeoutMs: 30_000 });
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  const { error } = await bench.ask({ id: 1, method: "resources/read" });
  assertStringIncludes(error?.message ?? "", "was lost while resources/read");
  assertEquals(reads, 10);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay carries a batch, and takes it apart when its connection breaks", async () => {
  let broken = false;
  const seen: string[] = [];
  const server = await older({
    seen,
    on: ({ method }) => {
      if (method !== "tools/call" || broken) return null;
      broken = true;
      return events([], { cut: true });
    },
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  bench.say([{ id: 1, method: "ping" }, { id: 2, method: "tools/list" }]);
  await bench.hears((answers) => Array.isArray(answers) && answers.length === 2);
  bench.say([{ id: 3, method: "tools/call" }, { id: 4, method: "tools/list" }]);
  const call = await bench.hears(({ id }) => id === 3);
  assertStringIncludes(call.error?.message ?? "", "may or may not have run");
  assertEquals((await bench.hears(({ id }) => id === 4)).result, { method: "tools/list" });
  assertEquals(seen.slice(2), ["ping+tools/list", "tools/call+tools/list", "ping", "tools/list"]);
  const startedAt = performance.now();
  await bench.relay.finish(5000);
  assert(performance.now() - startedAt < 1000, "something was thought to be open still");
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay passes a server's questions on, and takes them back when it is gone", async () => {
  const answers: Message[] = [];
  const asking = () =>
    older({
      on: (message) => {
        if (message.method === undefined) answers.push(message);
        return message.method === "tools/call"
          ? events([event({ id: 0, method: "roots/list" })], { cut: true })
          : null;
      },
    });
  const [first, second] = [await asking(), await asking()];
  const bench = new Bench();
  bench.server = first;
  bench.relay.start();
  await bench.handshake();
  await bench.ask({ id: 1, method: "tools/call" });
  assertEquals((await bench.hears(({ method }) => method === "roots/list")).id, 0);
  bench.say({ id: 0, result: { roots: [] } });
  await bench.ask({ id: 2, method: "ping" });
  assertEquals(answers.map(({ id }) => id), [0]);

  await bench.ask({ id: 3, method: "tools/call" });
  await first.close();
  bench.server = second;
  await bench.ask({ id: 4, method: "ping" });
  // Nobody waits for the answer to the first server's question any more.
  const cancelled = await bench.hears(({ method }) => method === "notifications/cancelled");
  assertEquals(cancelled.params?.requestId, 0);
  bench.say({ id: 0, result: { roots: [] } });
  await bench.ask({ id: 5, method: "ping" });
  assertEquals(answers.length, 1);
  await bench.relay.close();
  await second.close();
});

Deno.test("Relay passes on what a server answers in HTTP alone", async () => {
  const server = await older({
    on: ({ method }) => {
      if (method === "tools/list") return new Response("out of order", { status: 500 });
      const error = { code: -32602, message: "no such prompt" };
      return method === "prompts/get"
        ? Response.json({ jsonrpc: "2.0", id: 2, error }, { status: 400 })
        : null;
    },
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  const { error } = await bench.ask({ id: 1, method: "tools/list" });
  assertEquals(error?.message, "The server answered HTTP 500: out of order");
  assertEquals((await bench.ask({ id: 2, method: "prompts/get" })).error, {
    code: -32602,
    message: "no such prompt",
  });
  assertEquals((await bench.ask({ id: 3, method: "ping" })).result, { method: "ping" });
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay carries a client over when the server speaks the older transport", async () => {
  const bench = new Bench({ sse: true });
  const [first, second] = [await sseServer(host), await sseServer(host)];
  bench.server = first;
  bench.relay.start();
  assertEquals((await bench.handshake()).result?.protocolVersion, "2024-11-05");
  assert(Array.isArray((await bench.ask({ id: 1, method: "tools/list" })).result?.tools));
  bench.server = second;
  first.endStreams();
  assertEquals((await bench.ask({ id: 2, method: "ping" })).result, {});
  assertEquals(second.opened(), 1);
  await bench.relay.close();
  await Promise.all([first.close(), second.close()]);
});

for (const end of ["answers", "ends"] as const) {
  Deno.test(`Relay hears what becomes of a call on an old stream that ${end} after another message failed`, async () => {
    const bench = new Bench({ sse: true });
    bench.fate = "replaced";
    const [first, second] = [dyingSseServer(), await sseServer(host)];
    bench.server = first;
    bench.relay.start();
    await bench.handshake();
    bench.say({ id: 1, method: "tools/call", params: { name: "slow" } });
    await first.taken;
    first.listenNoMore();
    bench.server = second;
    assertEquals((await bench.ask({ id: 2, method: "ping" })).result, {});
    const slow = bench.hears((answer) => answer.id === 1);
    if (end === "answers") {
      await first.say({ jsonrpc: "2.0", id: 1, result: { content: [] } });
      assertEquals((await slow).result, { content: [] });
      await first.streamEnded;
    } else {
      first.endStream();
      assert((await slow).error?.message.includes("may or may not have run"));
    }
    await bench.relay.close();
    await second.close();
  });
}

/** A server over the older transport that can stop to listen while its stream lives. */
function dyingSseServer() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const taken = Promise.withResolvers<void>();
  const streamEnded = Promise.withResolvers<void>();
  let stream: Deno.Conn | null = null;
  const write = async (connection: Deno.Conn, text: string) => {
    for (let rest = encoder.encode(text); rest.length > 0;) {
      rest = rest.subarray(await connection.write(rest));
    }
  };
  const say = async (message: unknown) => {
    if (stream !== null) await write(stream, `event: message\ndata: ${JSON.stringify(message)}\n\n`);
  };
  const serve = async (connection: Deno.Conn) => {
    const { head, body } = await readRequest(connection);
    if (head.startsWith("GET ")) {
      stream = connection;
      const headers = "content-type: text/event-stream\r\nconnection: close";
      await write(connection, `HTTP/1.1 200 OK\r\n${headers}\r\n\r\nevent: endpoint\ndata: /messages\n\n`);
      while (await connection.read(new Uint8Array(64)).catch(() => null) !== null);
      streamEnded.resolve();
      return;
    }
    await write(connection, "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    connection.close();
    const { id, method } = JSON.parse(body);
    const result = {
      protocolVersion: "2024-11-05",
      capabilities: {},
      serverInfo: { name: "d", version: "1" },
    };
    if (method === "initialize") await say({ jsonrpc: "2.0", id, result });
    if (method === "tools/call") taken.resolve();
  };
  (async () => {
    for await (const connection of listener) serve(connection).catch(() => {});
  })().catch(() => {});
  return {
    url: new URL(`http://127.0.0.1:${port}/sse`),
    taken: taken.promise,
    streamEnded: streamEnded.promise,
    say,
    listenNoMore: () => listener.close(),
    endStream: () => stream?.close(),
  };
}

async function readRequest(connection: Deno.Conn): Promise<{ head: string; body: string }> {
  let text = "";
  const part = new Uint8Array(4096);
  while (true) {
    const [head = "", body] = text.split("\r\n\r\n");
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (body !== undefined && body.length >= length) return { head, body };
    const size = await connection.read(part);
    if (size === null) return { head, body: body ?? "" };
    text += decoder.decode(part.subarray(0, size));
  }
}

Deno.test("Relay opens a subscription of the newer revision again when the server ends it", async () => {
  let listens = 0;
  const acknowledged = event({
    method: "notifications/subscriptions/acknowledged",
    params: { _meta: { "io.modelcontextprotocol/subscriptionId": "listen:0" }, notifications: {} },
  });
  const server = await serveWith(host, "/mcp", async (request) => {
    const { id } = await request.json();
    listens++;
    if (listens < 3) return events([acknowledged, event({ id, result: {} })]);
    return new Response(
      new ReadableStream({ start: (controller) => controller.enqueue(encoder.encode(acknowledged)) }),
      { headers: { "content-type": "text/event-stream" } },
    );
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  bench.say({ id: "listen:0", method: "subscriptions/listen", params: { _meta, notifications: {} } });
  await bench.hears(({ method }) => method === "notifications/subscriptions/acknowledged");
  const endsAt = performance.now() + 5000;
  while (listens < 3 && performance.now() < endsAt) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(listens, 3);
  assertEquals(bench.lines.length, 1);
  await bench.relay.close();
  await server.close();
});
