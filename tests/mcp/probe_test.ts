import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { freePort } from "../fixtures/free_port.ts";
import { handshake, openProbe } from "../../src/mcp/probe.ts";
import { startDemo } from "../fixtures/mcp_demo.ts";
import { endlessBody, olderServer, serveWith, sseServer, stalledBody } from "../fixtures/mcp_servers.ts";

const host = await createDenoHost();

function target(endpoint: URL, requiredTools: string[] = []) {
  return { endpoint, transport: "streamable-http" as const, requiredTools, timeoutMs: 5_000 };
}

Deno.test("handshake() lists the tools when the server speaks the newer revision", async () => {
  const demo = await startDemo(host);
  try {
    const outcome = await handshake(host, target(demo.url, ["add"]));
    assert(outcome.kind === "ok");
    assertEquals(outcome.server, { name: "foster-demo", version: "1.0.0", protocol: "2026-07-28" });
    assertEquals(outcome.tools, ["echo", "add", "now", "slow", "call_client"]);
    assertEquals(outcome.missing, []);
  } finally {
    await demo.close();
  }
});

for (const unknownFirst of ["rejects", "fails", "is silent"] as const) {
  Deno.test(`handshake() falls back to initialize when the server ${unknownFirst} at discovery`, async () => {
    const server = await olderServer(host, { unknownFirst });
    try {
      const outcome = await handshake(host, { ...target(server.url), timeoutMs: 5_000 });
      assert(outcome.kind === "ok");
      assertEquals(outcome.server, { name: "older", version: "1.2.3", protocol: "2025-06-18" });
      assertEquals(server.sessions.size, 0);
    } finally {
      await server.close();
    }
  });
}

Deno.test("handshake() follows every page when tools/list has several", async () => {
  const server = await olderServer(host, { pages: [["a", "b"], ["c"], [], ["d"]] });
  try {
    const outcome = await handshake(host, target(server.url, ["d"]));
    assert(outcome.kind === "ok");
    assertEquals(outcome.tools, ["a", "b", "c", "d"]);
  } finally {
    await server.close();
  }
});

Deno.test("handshake() closes its session when it succeeds", async () => {
  const server = await olderServer(host);
  try {
    await handshake(host, target(server.url));
    assertEquals(server.sessions.size, 0);
    assertEquals(server.seen, [
      "server/discover",
      "initialize",
      "notifications/initialized",
      "tools/list",
      "DELETE",
    ]);
  } finally {
    await server.close();
  }
});

Deno.test("handshake() succeeds when the server does not let sessions be closed", async () => {
  const server = await olderServer(host, { closes: false });
  try {
    assertEquals((await handshake(host, target(server.url))).kind, "ok");
  } finally {
    await server.close();
  }
});

Deno.test("handshake() closes its session and lists both sides when tools are missing", async () => {
  const server = await olderServer(host);
  try {
    const outcome = await handshake(host, target(server.url, ["echo", "add"]));
    assert(outcome.kind === "permanent");
    assertEquals(outcome.tag, "missing_tools");
    assertEquals(outcome.found?.missing, ["add"]);
    assertEquals(outcome.reason, "missing tools: add (available: echo)");
    assertEquals(server.sessions.size, 0);
  } finally {
    await server.close();
  }
});

for (const method of ["notifications/initialized", "tools/list"]) {
  Deno.test(`handshake() closes its session when ${method} fails`, async () => {
    const server = await olderServer(host, {
      onRequest: (seen) => seen === method ? new Response("boom", { status: 500 }) : null,
    });
    try {
      const outcome = await handshake(host, target(server.url));
      assert(outcome.kind === "permanent");
      assertEquals([outcome.tag, outcome.reason], ["http_500", "HTTP 500: boom"]);
      assertEquals(server.sessions.size, 0);
    } finally {
      await server.close();
    }
  });
}

Deno.test("handshake() closes its session when its time is over", async () => {
  const server = await olderServer(host, {
    onRequest: (seen) => seen === "tools/list" ? new Response(stalledBody(), { headers: JSON_TYPE }) : null,
  });
  try {
    const outcome = await handshake(host, { ...target(server.url), timeoutMs: 400 });
    assertEquals(outcome, { kind: "retry", tag: "response_timeout", reason: "no answer within 400 ms" });
    assertEquals(server.sessions.size, 0);
  } finally {
    await server.close();
  }
});

Deno.test("handshake() asks for another try when nobody listens", async () => {
  const port = await freePort(host.net);
  const outcome = await handshake(host, target(new URL(`http://127.0.0.1:${port}/mcp`)));
  assertEquals(outcome, { kind: "retry", tag: "connect_refused", reason: "connection refused" });
});

Deno.test("handshake() asks for another try when connections are dropped", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const dropping = (async () => {
    for await (const connection of listener) connection.close();
  })();
  try {
    const outcome = await handshake(host, target(new URL(`http://127.0.0.1:${listener.addr.port}/mcp`)));
    assertEquals([outcome.kind, outcome.kind === "retry" && outcome.tag], ["retry", "connect_reset"]);
  } finally {
    listener.close();
    await dropping;
  }
});

const JSON_TYPE = { "content-type": "application/json" };
const EVENTS_TYPE = { "content-type": "text/event-stream" };

const ANSWERS: [string, () => Response, "retry" | "permanent", string][] = [
  ["404", () => new Response("no", { status: 404 }), "retry", "http_404"],
  ["502", () => new Response("no", { status: 502 }), "retry", "http_502"],
  ["503", () => new Response("starting", { status: 503 }), "retry", "http_503"],
  ["500", () => new Response("boom", { status: 500 }), "permanent", "http_500"],
  ["401", () => new Response("who?", { status: 401 }), "permanent", "http_401"],
  ["403", () => new Response("no", { status: 403 }), "permanent", "http_403"],
  ["no JSON", () => new Response("{oops", { headers: JSON_TYPE }), "permanent", "invalid_answer"],
  [
    "a web page",
    () => new Response("<p>", { headers: { "content-type": "text/html" } }),
    "permanent",
    "invalid_answer",
  ],
  ["JSON that is no JSON-RPC", () => Response.json({ hello: 1 }), "permanent", "invalid_answer"],
  ["too much", () => new Response(endlessBody(), { headers: JSON_TYPE }), "permanent", "too_large"],
  ["100 MB", () => new Response(endlessBody(100_000_000), { headers: JSON_TYPE }), "permanent", "too_large"],
  ["endless events", () => new Response(endlessBody(), { headers: EVENTS_TYPE }), "permanent", "too_large"],
  ["half a body", () => new Response(stalledBody(), { headers: JSON_TYPE }), "retry", "response_timeout"],
  ["half an error", () => new Response(stalledBody(), { status: 500 }), "retry", "response_timeout"],
];

for (const [name, answer, kind, tag] of ANSWERS) {
  Deno.test(`handshake() says ${kind} ${tag} when every answer is ${name}`, async () => {
    const server = await serveWith(host, "/mcp", answer);
    try {
      // What is too large is said after so many bytes, not after a time.
      const timeoutMs = tag === "response_timeout" ? 300 : 60_000;
      const outcome = await handshake(host, { ...target(server.url), timeoutMs });
      assert(outcome.kind !== "ok");
      assertEquals([outcome.kind, outcome.tag], [kind, tag]);
    } finally {
      await server.close();
    }
  });
}

Deno.test("handshake() says what the server said when it answers with a JSON-RPC error", async () => {
  const server = await serveWith(host, "/mcp", async (request) => {
    const { id } = await request.json();
    return Response.json({ jsonrpc: "2.0", id, error: { code: -32603, message: "not today" } });
  });
  try {
    const outcome = await handshake(host, target(server.url));
    assert(outcome.kind === "permanent");
    assertEquals([outcome.tag, outcome.reason], ["rpc_-32603", "JSON-RPC error -32603: not today"]);
  } finally {
    await server.close();
  }
});

Deno.test("handshake() goes nowhere else when the server redirects to another port", async () => {
  let reached = 0;
  const other = await serveWith(host, "/mcp", () => {
    reached += 1;
    return new Response("?", { status: 500 });
  });
  const server = await serveWith(host, "/mcp", () => Response.redirect(other.url, 307));
  try {
    const outcome = await handshake(host, target(server.url));
    assert(outcome.kind === "permanent");
    assertEquals(outcome.tag, "http_307");
    assertStringIncludes(outcome.reason, other.url.href);
    assertEquals(reached, 0);
  } finally {
    await server.close();
    await other.close();
  }
});

Deno.test("handshake() closes its session where a redirect within the server led it", async () => {
  const server = await olderServer(host);
  const door = await serveWith(host, "/mcp", (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/mcp") return new Response(null, { status: 307, headers: { location: "/mcp/" } });
    return host.net.fetch(server.url, {
      method: request.method,
      headers: request.headers,
      body: request.body,
    });
  });
  try {
    assertEquals((await handshake(host, target(door.url))).kind, "ok");
    assertEquals(server.sessions.size, 0);
  } finally {
    await door.close();
    await server.close();
  }
});

Deno.test("handshake() says that it was cancelled when its signal is aborted", async () => {
  const server = await olderServer(host, {
    onRequest: () => new Response(stalledBody(), { headers: JSON_TYPE }),
  });
  try {
    const signal = host.clock.deadline(50);
    const outcome = await handshake(host, { ...target(server.url), signal });
    assertEquals(outcome, { kind: "retry", tag: "cancelled", reason: "the check was cancelled" });
  } finally {
    await server.close();
  }
});

Deno.test("handshake() lists the tools and leaves no stream when the transport is SSE", async () => {
  const server = await sseServer(host);
  try {
    const outcome = await handshake(host, { ...target(server.url), transport: "sse" });
    assert(outcome.kind === "ok");
    assertEquals(outcome.server, { name: "streamed", version: "0.9", protocol: "2024-11-05" });
    assertEquals(outcome.tools, ["tail"]);
    await server.idle();
  } finally {
    await server.close();
  }
});

Deno.test("handshake() says cross-origin when the SSE message URL points elsewhere", async () => {
  const server = await sseServer(host, "http://127.0.0.1:9/messages");
  try {
    const outcome = await handshake(host, { ...target(server.url), transport: "sse" });
    assert(outcome.kind === "permanent");
    assertEquals(outcome.tag, "cross_origin");
    assertStringIncludes(outcome.reason, "cross-origin");
    await server.idle();
  } finally {
    await server.close();
  }
});

Deno.test("handshake() asks for another try when nobody listens and the transport is SSE", async () => {
  const port = await freePort(host.net);
  const endpoint = new URL(`http://127.0.0.1:${port}/sse`);
  const outcome = await handshake(host, { ...target(endpoint), transport: "sse" });
  assertEquals(outcome, { kind: "retry", tag: "connect_refused", reason: "connection refused" });
});

Deno.test("handshake() fails at once when the SSE stream ends before the answer", async () => {
  const server = await serveWith(
    host,
    "/sse",
    (request) =>
      request.method === "GET"
        ? new Response("event: endpoint\ndata: /messages\n\n", { headers: EVENTS_TYPE })
        : new Response(null, { status: 202 }),
  );
  try {
    const outcome = await handshake(host, { ...target(server.url), transport: "sse" });
    assert(outcome.kind === "permanent");
    assertEquals(outcome.reason, "the event stream ended");
  } finally {
    await server.close();
  }
});

Deno.test("KeptProbe.check() costs one ping when the session of the older revision is known", async () => {
  const server = await olderServer(host);
  const probe = openProbe(host, target(server.url));
  try {
    assertEquals((await probe.check(5_000)).kind, "ok");
    server.seen.length = 0;
    for (let round = 0; round < 3; round++) assertEquals((await probe.check(5_000)).kind, "ok");
    assertEquals(server.seen, ["ping", "ping", "ping"]);
    await probe.close();
    assertEquals(server.sessions.size, 0);
  } finally {
    await probe.close();
    await server.close();
  }
});

Deno.test("KeptProbe.check() counts an unknown ping as a sign of life", async () => {
  const server = await olderServer(host, {
    onRequest: (seen, id) =>
      seen === "ping"
        ? Response.json({ jsonrpc: "2.0", id, error: { code: -32601, message: "unknown method" } })
        : null,
  });
  const probe = openProbe(host, target(server.url));
  try {
    await probe.check(5_000);
    assertEquals((await probe.check(5_000)).kind, "ok");
    assertEquals(server.seen.filter((method) => method === "initialize").length, 1);
    assertEquals((await probe.check(5_000)).kind, "ok");
    // It is not pinged again.
    assertEquals(server.seen.slice(-2), ["ping", "tools/list"]);
  } finally {
    await probe.close();
    await server.close();
  }
});

Deno.test("KeptProbe.check() shakes hands again when its session is unknown", async () => {
  const server = await olderServer(host);
  const probe = openProbe(host, target(server.url));
  try {
    await probe.check(5_000);
    server.sessions.clear();
    assertEquals((await probe.check(5_000)).kind, "ok");
    assertEquals(server.sessions.size, 1);
    assertEquals(server.seen.filter((method) => method === "initialize").length, 2);
  } finally {
    await probe.close();
    await server.close();
  }
});

Deno.test("KeptProbe.check() makes the whole handshake once a minute", async () => {
  let refuses = false;
  const server = await olderServer(host, {
    onRequest: (seen) => refuses && seen === "initialize" ? new Response("full", { status: 500 }) : null,
  });
  let laterMs = 0;
  const clock = { ...host.clock, monotonic: () => host.clock.monotonic() + laterMs };
  const probe = openProbe({ net: host.net, clock }, target(server.url));
  try {
    await probe.check(5_000);
    refuses = true;
    assertEquals((await probe.check(5_000)).kind, "ok");
    laterMs = 60_000;
    // It answers pings, and opens no session any more.
    assertEquals((await probe.check(5_000)).kind, "permanent");
    assertEquals(server.sessions.size, 1);
    refuses = false;
    assertEquals((await probe.check(5_000)).kind, "ok");
    assertEquals(server.sessions.size, 1);
  } finally {
    await probe.close();
    await server.close();
  }
});

Deno.test("handshake() sends the headers of the definition with every request", async () => {
  const server = await serveWith(host, "/mcp", (request) => {
    if (request.headers.get("authorization") !== "Bearer s3cret") return new Response(null, { status: 401 });
    return Response.redirect(new URL("/elsewhere", request.url), 302);
  });
  try {
    const headers = { Authorization: "Bearer s3cret" };
    const outcome = await handshake(host, { ...target(server.url), headers });
    assert(outcome.kind === "permanent");
    assertEquals(outcome.tag, "http_302");
    assertStringIncludes(outcome.reason, 'write "path": "/elsewhere"');
  } finally {
    await server.close();
  }
});

Deno.test("KeptProbe.check() lists the tools again when some were missing", async () => {
  const pages = [["echo"]];
  const server = await olderServer(host, { pages });
  const probe = openProbe(host, target(server.url, ["add"]));
  try {
    assertEquals((await probe.check(5_000)).kind, "permanent");
    pages.push(["add"]);
    assertEquals((await probe.check(5_000)).kind, "ok");
  } finally {
    await probe.close();
    await server.close();
  }
});

Deno.test("KeptProbe.check() keeps its session when one answer is late", async () => {
  let late = true;
  const server = await olderServer(host, {
    onRequest: (seen) => {
      if (seen !== "ping" || !late) return null;
      late = false;
      return new Response(stalledBody(), { headers: JSON_TYPE });
    },
  });
  const probe = openProbe(host, target(server.url));
  try {
    await probe.check(5_000);
    const slow = await probe.check(200);
    assertEquals(slow.kind === "retry" && slow.tag, "response_timeout");
    assertEquals(server.sessions.size, 1);
    // After a miss the whole handshake tells more than another ping.
    assertEquals((await probe.check(5_000)).kind, "ok");
    assertEquals([server.seen.filter((method) => method === "initialize").length, server.sessions.size], [
      2,
      1,
    ]);
    server.seen.length = 0;
    assertEquals((await probe.check(5_000)).kind, "ok");
    assertEquals(server.seen, ["tools/list"]);
  } finally {
    await probe.close();
    await server.close();
  }
});

Deno.test("KeptProbe.check() follows the server when it goes, comes back and is another one", async () => {
  const first = await startDemo(host, { version: "1.0.0" });
  const probe = openProbe(host, target(first.url));
  let second = first;
  try {
    assertEquals((await probe.check(5_000)).kind, "ok");
    await first.close();
    const gone = await probe.check(5_000);
    assertEquals(gone.kind === "retry" && gone.tag, "connect_refused");
    second = await startDemo(host, { port: first.port, version: "2.0.0" });
    const back = await probe.check(5_000);
    assertEquals(back.kind === "ok" && back.server.version, "2.0.0");
  } finally {
    await probe.close();
    await second.close();
  }
});

Deno.test("KeptProbe.check() goes through the same stream when the transport is SSE", async () => {
  const server = await sseServer(host);
  const probe = openProbe(host, { ...target(server.url), transport: "sse" });
  try {
    for (let round = 0; round < 3; round++) assertEquals((await probe.check(5_000)).kind, "ok");
    assertEquals(server.opened(), 1);
    server.endStreams();
    assertEquals((await probe.check(5_000)).kind, "ok");
    assertEquals(server.opened(), 2);
  } finally {
    await probe.close();
    await server.close();
  }
});

Deno.test("KeptProbe.close() leaves no session when a check is still running", async () => {
  const server = await olderServer(host);
  const probe = openProbe(host, target(server.url));
  try {
    const running = probe.check(5_000);
    await probe.close();
    await running;
    assertEquals(server.sessions.size, 0);
  } finally {
    await server.close();
  }
});
