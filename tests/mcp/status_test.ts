import { assert, assertEquals } from "@std/assert";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { freePort } from "../fixtures/free_port.ts";
import { UNREACHED } from "../../src/mcp/snapshot.ts";
import { fetchStatus, liveSnapshot, readyCheckHttp, readyCheckTcp } from "../../src/mcp/status.ts";
import { startDemo } from "../fixtures/mcp_demo.ts";
import { endlessBody, olderServer, serveWith, stalledBody } from "../fixtures/mcp_servers.ts";

const host = await createDenoHost();

Deno.test("fetchStatus() reads name, version and WebSocket port when the server tells them", async () => {
  const demo = await startDemo(host, { version: "2.4.2" });
  try {
    assertEquals(await fetchStatus(host, { endpoint: demo.url, statusPath: "/foster/status" }), {
      reachable: true,
      version: "2.4.2",
      name: "foster-demo",
      wsPort: demo.wsPort,
      statusCode: 200,
      error: "",
      packagePath: "",
    });
  } finally {
    await demo.close();
  }
});

Deno.test("fetchStatus() asks for JSON", async () => {
  let accept: string | null = null;
  const server = await serveWith(host, "/", (request) => {
    accept = request.headers.get("accept");
    return Response.json({});
  });
  try {
    await fetchStatus(host, { endpoint: server.url, statusPath: "/status" });
    assertEquals(accept, "application/json");
  } finally {
    await server.close();
  }
});

const ANSWERS: [string, () => Response, number, string][] = [
  ["HTTP 404", () => new Response("no", { status: 404 }), 404, "http_404"],
  ["HTTP 503 without end", () => new Response(endlessBody(), { status: 503 }), 503, "http_503"],
  ["a redirect", () => new Response(null, { status: 302, headers: { location: "/other" } }), 302, "http_302"],
  ["no JSON", () => new Response("<html>"), 200, "invalid_json"],
  ["a JSON array", () => Response.json([]), 200, "invalid_json"],
  ["more than a megabyte", () => new Response(endlessBody()), 200, "too_large"],
  ["100 MB", () => new Response(endlessBody(100_000_000)), 200, "too_large"],
  ["half a body", () => new Response(stalledBody()), 200, "response_timeout"],
];

for (const [name, answer, statusCode, error] of ANSWERS) {
  Deno.test(`fetchStatus() says ${error} when the answer is ${name}`, async () => {
    const server = await serveWith(host, "/", answer);
    try {
      const snapshot = await fetchStatus(host, { endpoint: server.url, statusPath: "/status" });
      assertEquals(snapshot, { ...UNREACHED, reachable: true, statusCode, error });
    } finally {
      await server.close();
    }
  });
}

Deno.test("fetchStatus() says response_timeout within its deadline when no answer comes", async () => {
  const server = await serveWith(host, "/", () => new Promise<Response>(() => {}));
  try {
    const startedAt = host.clock.monotonic();
    const snapshot = await fetchStatus(host, { endpoint: server.url, statusPath: "/status", timeoutMs: 200 });
    assertEquals(snapshot, { ...UNREACHED, error: "response_timeout" });
    assert(host.clock.monotonic() - startedAt < 700);
  } finally {
    await server.close();
  }
});

Deno.test("fetchStatus() says connect_refused when nobody listens", async () => {
  const port = await freePort(host.net);
  const endpoint = new URL(`http://127.0.0.1:${port}/mcp`);
  const snapshot = await fetchStatus(host, { endpoint, statusPath: "/status" });
  assertEquals(snapshot, { ...UNREACHED, error: "connect_refused" });
});

Deno.test("fetchStatus() says connect_reset when the connection is dropped", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const dropping = (async () => {
    for await (const connection of listener) connection.close();
  })();
  try {
    const endpoint = new URL(`http://127.0.0.1:${listener.addr.port}/mcp`);
    const snapshot = await fetchStatus(host, { endpoint, statusPath: "/status" });
    assertEquals(snapshot, { ...UNREACHED, error: "connect_reset" });
  } finally {
    listener.close();
    await dropping;
  }
});

Deno.test("fetchStatus() and readyCheckHttp() never ask another place than the endpoint's", async () => {
  const asked: string[] = [];
  const other = await serveWith(host, "/", (request) => {
    asked.push(request.url);
    return Response.json({ name: "docs", server_version: "1.0.0" });
  });
  const own = await serveWith(host, "/", (request) => {
    asked.push(request.url);
    return Response.json({});
  });
  const paths = [
    `//${other.url.host}/status`,
    `/\\${other.url.host}/status`,
    `/\t/${other.url.host}/status`,
    `${other.url.href}status`,
    `http://${own.url.host}@${other.url.host}/`,
    "//192.0.2.1/status",
  ];
  try {
    for (const statusPath of paths) {
      const snapshot = await fetchStatus(host, { endpoint: own.url, statusPath });
      assertEquals(snapshot, { ...UNREACHED, error: "foreign_address" }, statusPath);
      const options = { endpoint: own.url, statusPath, expectedName: "docs", timeoutMs: 500 };
      const outcome = await readyCheckHttp(host, options);
      assertEquals(outcome.kind, "permanent", statusPath);
    }
    const endpoint = new URL("http://192.0.2.1/");
    const away = await readyCheckHttp(host, {
      endpoint,
      statusPath: null,
      expectedName: null,
      timeoutMs: 500,
    });
    assertEquals(away.kind, "permanent");
    assertEquals(asked, []);
  } finally {
    await own.close();
    await other.close();
  }
});

Deno.test("fetchStatus() says cancelled when its signal is aborted", async () => {
  const endpoint = new URL("http://127.0.0.1:9/mcp");
  const signal = AbortSignal.abort();
  const snapshot = await fetchStatus(host, { endpoint, statusPath: "/status", signal });
  assertEquals(snapshot, { ...UNREACHED, error: "cancelled" });
});

const READY: [string, string | null, (path: string) => Response, string][] = [
  ["any 2xx will do", null, () => new Response("hi"), "ok"],
  ["the status path answers 503", null, () => new Response("no", { status: 503 }), "http_503"],
  ["the name is right", "docs", () => Response.json({ name: "docs", version: "1" }), "ok"],
  ["the name is another", "docs", () => Response.json({ name: "other" }), "wrong_name"],
  ["there is no name", "docs", () => new Response("hi"), "wrong_name"],
];

for (const [name, expectedName, answer, tag] of READY) {
  Deno.test(`readyCheckHttp() says ${tag} when ${name}`, async () => {
    const server = await serveWith(host, "/mcp", ({ url }) => answer(new URL(url).pathname));
    try {
      const outcome = await readyCheckHttp(host, {
        endpoint: server.url,
        statusPath: "/status",
        expectedName,
        timeoutMs: 2_000,
      });
      assertEquals(outcome.kind === "ok" ? "ok" : outcome.tag, tag);
    } finally {
      await server.close();
    }
  });
}

for (const [statusPath, asked] of [["/status", "/status"], [null, "/mcp"]]) {
  Deno.test(`readyCheckHttp() asks ${asked} when the status path is ${statusPath}`, async () => {
    const seen: string[] = [];
    const server = await serveWith(host, "/mcp", ({ url }) => {
      seen.push(new URL(url).pathname);
      return new Response(endlessBody());
    });
    try {
      const options = { endpoint: server.url, statusPath: statusPath ?? null, expectedName: null };
      assertEquals((await readyCheckHttp(host, { ...options, timeoutMs: 2_000 })).kind, "ok");
      assertEquals(seen, [asked]);
    } finally {
      await server.close();
    }
  });
}

Deno.test("readyCheckTcp() says ok when the port opens and asks for another try when it does not", async () => {
  const server = await serveWith(host, "/", () => new Response());
  const at = { hostname: "127.0.0.1", port: server.port, timeoutMs: 1_000 };
  assertEquals((await readyCheckTcp(host, at)).kind, "ok");
  await server.close();
  const outcome = await readyCheckTcp(host, at);
  assertEquals(outcome.kind === "retry" && outcome.tag, "connect_refused");
});

Deno.test("liveSnapshot() asks the status endpoint when there is one", async () => {
  const demo = await startDemo(host, { wsPort: null });
  try {
    const snapshot = await liveSnapshot(host, {
      endpoint: demo.url,
      transport: "streamable-http",
      statusPath: "/foster/status",
    });
    assertEquals([snapshot.name, snapshot.version, snapshot.wsPort], ["foster-demo", "1.0.0", 0]);
  } finally {
    await demo.close();
  }
});

Deno.test("liveSnapshot() shakes hands and closes the session when there is no status endpoint", async () => {
  const server = await olderServer(host);
  try {
    const snapshot = await liveSnapshot(host, {
      endpoint: server.url,
      transport: "streamable-http",
      statusPath: null,
    });
    assertEquals(snapshot, {
      ...UNREACHED,
      reachable: true,
      statusCode: 200,
      name: "older",
      version: "1.2.3",
    });
    assertEquals(server.sessions.size, 0);
  } finally {
    await server.close();
  }
});

Deno.test("liveSnapshot() keeps the status code when the handshake fails", async () => {
  const server = await serveWith(host, "/mcp", () => new Response("no", { status: 500 }));
  try {
    const snapshot = await liveSnapshot(host, {
      endpoint: server.url,
      transport: "streamable-http",
      statusPath: null,
    });
    assertEquals(snapshot, { ...UNREACHED, reachable: true, statusCode: 500, error: "http_500" });
  } finally {
    await server.close();
  }
});
