import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { serveWith } from "../fixtures/mcp_servers.ts";
import { Bench, encoder, event, events, host, type Message, older } from "./bench.ts";

const BAD = (id: unknown, code: number, message: string) => ({
  jsonrpc: "2.0",
  id,
  error: { code, message },
});
const json = (value: unknown, status: number) => Response.json(value, { status });

/** How servers say that they do not know a session. */
const LOSSES: Record<string, (message: Message) => Response> = {
  "404 without an id": () => json(BAD(null, -32001, "Session not found"), 404),
  "404 with the request's id": ({ id }) => json(BAD(id, -32001, "Session not found"), 404),
  "401 and a text": () => new Response("Unauthorized: Session not found", { status: 401 }),
  "403 and nothing": () => new Response(null, { status: 403 }),
  "400 for want of initialize": () => json(BAD(null, -32000, "Bad Request: Server not initialized"), 400),
  "400 with the request's id": ({ id }) => json(BAD(id, -32000, "No valid session ID provided"), 400),
  "422 and a text": () => new Response("expect initialize request", { status: 422 }),
  "an error in a 200": ({ id }) => json(BAD(id, -32602, "before initialization was complete"), 200),
  "an event that is no message": () => events(['data: {"error":"Session not found"}\n\n']),
};
for (const [how, refuse] of Object.entries(LOSSES)) {
  Deno.test(`Relay begins a new session when another process answers ${how}`, async () => {
    let calls = 0;
    const on = (message: Message, request: Request) => {
      const isLost = request.headers.get("mcp-session-id") === known;
      if (message.method === "initialize") return null;
      if (isLost) return refuse(message);
      if (message.method === "tools/call") calls++;
      return null;
    };
    let known: string | null = null;
    const server = await older({ on });
    const bench = new Bench();
    bench.server = server;
    bench.relay.start();
    await bench.handshake();
    assertEquals((await bench.ask({ id: 1, method: "tools/call" })).error, undefined);
    // From now on the session that the client has is one of an earlier process.
    known = server.lastSession();
    bench.fate = "replaced";
    assertEquals((await bench.ask({ id: 2, method: "tools/call" })).result, { method: "tools/call" });
    assertEquals((await bench.ask({ id: 3, method: "tools/list" })).result, { method: "tools/list" });
    assertEquals(calls, 2);
    await bench.relay.close();
    await server.close();
  });
}

Deno.test("Relay passes a server's own refusals on when its process is the same", async () => {
  const seen: string[] = [];
  const server = await older({
    seen,
    on: ({ method, id }) =>
      method === "tools/call"
        ? json(BAD(id, -32602, "unknown tool"), 200)
        : method === "prompts/get"
        ? new Response("not allowed", { status: 403 })
        : null,
  });
  const bench = new Bench();
  bench.fate = "same";
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  assertEquals((await bench.ask({ id: 1, method: "tools/call" })).error?.message, "unknown tool");
  assertStringIncludes((await bench.ask({ id: 2, method: "prompts/get" })).error?.message ?? "", "HTTP 403");
  assertEquals(seen.filter((method) => method === "initialize").length, 1);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay never runs a call twice that another process answered with an error of its own", async () => {
  let calls = 0;
  const server = await older({
    on: ({ method, id }) => {
      if (method !== "tools/call") return null;
      calls++;
      return json(BAD(id, -32603, "the tool broke"), 200);
    },
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  bench.fate = "replaced";
  assertEquals((await bench.ask({ id: 1, method: "tools/call" })).error?.message, "the tool broke");
  assertEquals((await bench.ask({ id: 2, method: "ping" })).result, { method: "ping" });
  assertEquals(calls, 1);
  await bench.relay.close();
  await server.close();
});

for (const fate of ["same", "unknown", "replaced"] as const) {
  Deno.test(`Relay never runs a call twice whose own error speaks of a session (process: ${fate})`, async () => {
    let calls = 0;
    const server = await older({
      on: ({ method, id }) => {
        if (method !== "tools/call") return null;
        calls++;
        return json(BAD(id, -32603, "could not initialize the database session"), 200);
      },
    });
    const bench = new Bench();
    bench.server = server;
    bench.relay.start();
    await bench.handshake();
    bench.fate = fate;
    const { error } = await bench.ask({ id: 1, method: "tools/call" });
    assertEquals(error?.message, "could not initialize the database session");
    assertEquals((await bench.ask({ id: 2, method: "ping" })).result, { method: "ping" });
    assertEquals(calls, 1);
    await bench.relay.close();
    await server.close();
  });
}

for (const status of [499, 502, 503, 504]) {
  Deno.test(`Relay takes ${status} for a closing server's last word`, async () => {
    let closing = true;
    const server = await older({
      on: ({ method }) =>
        closing && (method === "tools/call" || method === "prompts/get")
          ? json(BAD(null, -32000, "Connection closed"), status)
          : null,
    });
    const bench = new Bench();
    bench.server = server;
    bench.fate = "replaced";
    bench.relay.start();
    await bench.handshake();
    const read = bench.ask({ id: 1, method: "prompts/get" });
    const { error } = await bench.ask({ id: 2, method: "tools/call" });
    assertStringIncludes(error?.message ?? "", "restarted while tools/call was in flight");
    closing = false;
    assertEquals((await read).result, { method: "prompts/get" });
    await bench.relay.close();
    await server.close();
  });
}

Deno.test("Relay follows a redirect on the same origin with method and body, and no other", async () => {
  let location = "/moved?x=1";
  const seen: string[] = [];
  const server = await serveWith(host, "/mcp", async (request) => {
    const { pathname, search } = new URL(request.url);
    seen.push(`${request.method} ${pathname}${search}`);
    if (pathname === "/mcp") return new Response(null, { status: 307, headers: { location } });
    const { id, method } = await request.json();
    return Response.json({ jsonrpc: "2.0", id, result: { method } });
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  assertEquals((await bench.ask({ id: 1, method: "ping" })).result, { method: "ping" });
  assertEquals((await bench.ask({ id: 2, method: "ping" })).result, { method: "ping" });
  assertEquals(seen, ["POST /mcp", "POST /moved?x=1", "POST /moved?x=1"]);
  await bench.relay.close();
  location = "http://127.0.0.1:9/elsewhere";
  const other = new Bench();
  other.server = server;
  other.relay.start();
  const { error } = await other.ask({ id: 1, method: "initialize" });
  assertStringIncludes(error?.message ?? "", "redirects to http://127.0.0.1:9/elsewhere");
  await other.relay.close();
  await server.close();
});

Deno.test("Relay sends an answer and further requests while a notification waits for its response", async () => {
  const answered = Promise.withResolvers<void>();
  let push: (text: string) => void = () => {};
  const server = await older({
    onStream: () =>
      new Response(
        new ReadableStream({
          start: (controller) => push = (text) => controller.enqueue(encoder.encode(text)),
        }),
        { headers: { "content-type": "text/event-stream" } },
      ),
    on: async (message) => {
      if (message.method === undefined) answered.resolve();
      if (message.method !== "notifications/roots/list_changed") return null;
      push(event({ id: "q", method: "roots/list" }));
      await answered.promise;
      return null;
    },
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  await bench.ask({ id: 1, method: "ping" });
  bench.say({ method: "notifications/roots/list_changed" });
  assertEquals((await bench.ask({ id: 2, method: "ping" })).result, { method: "ping" });
  await bench.hears(({ method }) => method === "roots/list");
  bench.say({ id: "q", result: { roots: [] } });
  await answered.promise;
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay sends no request that was cancelled while it waited for the handshake", async () => {
  const seen: string[] = [];
  const released = Promise.withResolvers<void>();
  const server = await older({
    seen,
    on: async ({ method }) => {
      if (method === "initialize") await released.promise;
      return null;
    },
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  bench.say({ id: "i", method: "initialize", params: {} });
  bench.say({ id: 1, method: "tools/call" });
  bench.say({ id: 2, method: "ping" });
  bench.say({ method: "notifications/cancelled", params: { requestId: 1 } });
  // The handshake itself can't be cancelled.
  bench.say({ method: "notifications/cancelled", params: { requestId: "i" } });
  released.resolve();
  await bench.hears(({ id }) => id === 2);
  assertEquals(seen, ["initialize", "ping"]);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay asks for the rest of an answer as often as each time brings something", async () => {
  let [polls, id] = [0, 0 as unknown];
  const server = await older({
    on: (message) => {
      if (message.method !== "tools/call") return null;
      id = message.id;
      return events(["id: c-0\nretry: 1\ndata:\n\n"]);
    },
    onStream(request) {
      if (request.headers.get("last-event-id") === null) return new Response(null, { status: 405 });
      polls++;
      return polls < 8
        ? events([`id: c-${polls}\nretry: 1\ndata:\n\n`])
        : events([event({ id, result: { polls } }, "c-last")]);
    },
  });
  const bench = new Bench({ timeoutMs: 20_000 });
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  const startedAt = performance.now();
  assertEquals((await bench.ask({ id: 1, method: "tools/call" })).result, { polls: 8 });
  // A `retry` of a millisecond has a floor.
  assert(performance.now() - startedAt > 700);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay waits for an answer over the GET stream when the POST is taken without one", async () => {
  let push: (text: string) => void = () => {};
  let gets = 0;
  const server = await older({
    onStream() {
      gets++;
      return new Response(
        new ReadableStream({
          start: (controller) => push = (text) => controller.enqueue(encoder.encode(text)),
        }),
        { headers: { "content-type": "text/event-stream" } },
      );
    },
    on: ({ method, id }) => {
      if (method !== "tools/call") return null;
      setTimeout(() => push(event({ id: String(id), result: { late: true } })), 50);
      return new Response(null, { status: 202 });
    },
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  await bench.ask({ id: 1, method: "ping" });
  const answer = await bench.ask({ id: 2, method: "tools/call" });
  // Its id came back as a text.
  assertEquals([answer.id, answer.result], [2, { late: true }]);
  assertEquals(gets, 1);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay asks once for a GET stream that is none", async () => {
  let gets = 0;
  const server = await older({
    onStream() {
      gets++;
      return new Response("<p>hello</p>", { headers: { "content-type": "text/html" } });
    },
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  for (let id = 0; id < 5; id++) await bench.ask({ id, method: "ping" });
  assertEquals(gets, 1);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay lets 400 calls be in flight at once", async () => {
  let [inFlight, most] = [0, 0];
  const released = Promise.withResolvers<void>();
  const server = await older({
    on: async ({ method }) => {
      if (method !== "tools/call") return null;
      most = Math.max(most, ++inFlight);
      if (inFlight === 400) released.resolve();
      await released.promise;
      return null;
    },
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  for (let id = 1; id <= 400; id++) bench.say({ id, method: "tools/call" });
  for (let id = 1; id <= 400; id++) await bench.hears((answer) => answer.id === id);
  assertEquals(most, 400);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay reads from a server no faster than its client takes", async () => {
  let sent = 0;
  const chunk = encoder.encode(
    event({ method: "notifications/message", params: { data: "z".repeat(100_000) } }),
  );
  const server = await older({
    on: ({ method, id }) =>
      method !== "tools/call" ? null : new Response(
        new ReadableStream({
          pull(controller) {
            sent++;
            if (sent <= 300) controller.enqueue(chunk);
            else {
              controller.enqueue(encoder.encode(event({ id, result: {} })));
              controller.close();
            }
          },
        }, { highWaterMark: 0 }),
        { headers: { "content-type": "text/event-stream" } },
      ),
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  const gate = Promise.withResolvers<void>();
  bench.blocked = gate.promise;
  bench.say({ id: 1, method: "tools/call" });
  await bench.hears(({ method }) => method === "notifications/message");
  const count = () => bench.lines.length;
  const before = count();
  // Nothing tells that nothing happens: a server that is not slowed down sends all of it in this time.
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert(count() - before <= 1, `${count() - before} more messages`);
  assert(sent < 200, `${sent} were sent`);
  bench.blocked = null;
  gate.resolve();
  await bench.hears(({ id }) => id === 1);
  assertEquals(sent, 301);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay fails only the call whose tool declares a header that can't be one", async () => {
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  const server = await serveWith(host, "/mcp", async (request) => {
    const { id, method, params } = await request.json();
    const bad = {
      name: "bad",
      inputSchema: { properties: { a: { type: "string", "x-mcp-header": "no way" } } },
    };
    const result = method === "tools/list"
      ? { tools: [bad, { name: "good", inputSchema: {} }] }
      : { ran: params.name };
    return Response.json({ jsonrpc: "2.0", id, result });
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  const call = (id: number, name: string) =>
    bench.ask({ id, method: "tools/call", params: { name, arguments: { a: "x" }, _meta } });
  await bench.ask({ id: 1, method: "tools/list", params: { _meta } });
  const slow = call(2, "good");
  assertStringIncludes((await call(3, "bad")).error?.message ?? "", "can't be one");
  assertEquals((await slow).result, { ran: "good" });
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay learns which arguments go into headers when the server says that they are missing", async () => {
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  const seen: string[] = [];
  const server = await serveWith(host, "/mcp", async (request) => {
    const { id, method } = await request.json();
    seen.push(method);
    if (method === "tools/list") {
      const properties = { a: { type: "string", "x-mcp-header": "Region" } };
      return Response.json({
        jsonrpc: "2.0",
        id,
        result: { tools: [{ name: "t", inputSchema: { properties } }] },
      });
    }
    const region = request.headers.get("mcp-param-region");
    return region === null
      ? json(BAD(id, -32020, "Mcp-Param-Region is missing"), 400)
      : Response.json({ jsonrpc: "2.0", id, result: { region } });
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  const params = { name: "t", arguments: { a: "eu" }, _meta };
  assertEquals((await bench.ask({ id: 1, method: "tools/call", params })).result, { region: "eu" });
  assertEquals(seen, ["tools/call", "tools/list", "tools/call"]);
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay unpacks an answer that nobody asked to be packed, within its bound", async () => {
  const packed = (text: ReadableStream<Uint8Array<ArrayBuffer>>) =>
    new Response(text.pipeThrough(new CompressionStream("gzip")), {
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
    });
  const blanks = new Uint8Array(1024 * 1024).fill(0x20);
  const server = await older({
    on: ({ method, id }) => {
      if (method === "tools/list") {
        return packed(
          ReadableStream.from([encoder.encode(JSON.stringify({ jsonrpc: "2.0", id, result: { ok: 1 } }))]),
        );
      }
      return method === "tools/call"
        ? packed(ReadableStream.from(Array.from({ length: 80 }, () => blanks)))
        : null;
    },
  });
  const bench = new Bench();
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  assertEquals((await bench.ask({ id: 1, method: "tools/list" })).result, { ok: 1 });
  assertEquals(
    (await bench.ask({ id: 2, method: "tools/call" })).error?.message,
    "its answer is larger than 64 MiB",
  );
  assertEquals((await bench.ask({ id: 3, method: "ping" })).result, { method: "ping" });
  await bench.relay.close();
  await server.close();
});

Deno.test("Relay posts to a server of the older transport without waiting for earlier posts", async () => {
  let stream: ReadableStreamDefaultController<Uint8Array> | null = null;
  const answered = Promise.withResolvers<void>();
  const say = (name: string, data: string) =>
    stream?.enqueue(encoder.encode(`event: ${name}\ndata: ${data}\n\n`));
  const server = await serveWith(host, "/sse", async (request) => {
    if (request.method === "GET") {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          stream = controller;
          say("endpoint", "/messages");
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    }
    const { id, method } = await request.json();
    if (method === undefined) answered.resolve();
    if (method === "tools/call") {
      say("message", JSON.stringify({ jsonrpc: "2.0", id: "q", method: "elicitation/create" }));
      // As servlet containers do: the POST is answered when its message has been worked off.
      await answered.promise;
    }
    if (id !== undefined && method !== undefined) {
      say("message", JSON.stringify({ jsonrpc: "2.0", id, result: { method } }));
    }
    return new Response("ok");
  });
  const bench = new Bench({ sse: true });
  bench.server = server;
  bench.relay.start();
  await bench.handshake();
  bench.say({ id: 1, method: "tools/call" });
  await bench.hears(({ method }) => method === "elicitation/create");
  assertEquals((await bench.ask({ id: 2, method: "ping" })).result, { method: "ping" });
  bench.say({ id: "q", result: { action: "accept" } });
  assertEquals((await bench.hears(({ id }) => id === 1)).result, { method: "tools/call" });
  await bench.relay.close();
  await server.close();
});
