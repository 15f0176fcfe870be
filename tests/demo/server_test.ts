import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { DemoServerError } from "../../src/demo/server.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { freePort } from "../fixtures/free_port.ts";
import { type RunningDemo, startDemo } from "../fixtures/mcp_demo.ts";

const host = await createDenoHost();

async function withDemo(test: (demo: RunningDemo) => Promise<void>): Promise<void> {
  const demo = await startDemo(host);
  try {
    await test(demo);
  } finally {
    await demo.close();
  }
}

async function withClient(
  demo: RunningDemo,
  revision: "older" | "newer",
  test: (client: Client, transport: StreamableHTTPClientTransport) => Promise<void>,
): Promise<void> {
  const transport = new StreamableHTTPClientTransport(demo.url);
  const client = new Client(
    { name: "test", version: "1" },
    revision === "newer" ? { versionNegotiation: { mode: { pin: "2026-07-28" } } } : {},
  );
  await client.connect(transport);
  try {
    await test(client, transport);
  } finally {
    await transport.terminateSession();
    await client.close();
  }
}

function textOf(result: Awaited<ReturnType<Client["callTool"]>>): string {
  const [first] = result.content;
  return first?.type === "text" ? first.text : "";
}

for (const revision of ["older", "newer"] as const) {
  Deno.test(`the demo server answers its tools when the client speaks the ${revision} revision`, async () => {
    await withDemo((demo) =>
      withClient(demo, revision, async (client) => {
        const { tools } = await client.listTools();
        assertEquals(tools.map((tool) => tool.name), ["echo", "add", "now", "slow", "call_client"]);
        assertEquals(textOf(await client.callTool({ name: "echo", arguments: { text: "hi" } })), "hi");
        assertEquals(textOf(await client.callTool({ name: "add", arguments: { a: 2, b: 40 } })), "42");
        assertMatch(textOf(await client.callTool({ name: "now" })), /^\d{4}-\d\d-\d\dT/);
      })
    );
  });

  Deno.test(`the demo server reports progress when the client speaks the ${revision} revision`, async () => {
    await withDemo((demo) =>
      withClient(demo, revision, async (client) => {
        const seen: number[] = [];
        const result = await client.callTool({ name: "slow", arguments: { ms: 250 } }, {
          onprogress: ({ progress }) => void seen.push(progress),
        });
        assertEquals(textOf(result), "waited 250 ms");
        assertEquals(seen, [100, 200, 250]);
      })
    );
  });

  Deno.test(`the demo server has a resource and a prompt when the client speaks the ${revision} revision`, async () => {
    await withDemo((demo) =>
      withClient(demo, revision, async (client) => {
        const { resources } = await client.listResources();
        assertEquals(resources.map(({ uri }) => uri), ["demo://sessions"]);
        const { contents: [sessions] } = await client.readResource({ uri: "demo://sessions" });
        assertEquals(sessions && "text" in sessions && sessions.text, "[]");
        const { messages: [greeting] } = await client.getPrompt({
          name: "greet",
          arguments: { name: "Ada" },
        });
        assertEquals(greeting?.content, { type: "text", text: "Say hello to Ada." });
      })
    );
  });
}

Deno.test("the demo server gives a session to the older revision and forgets it when it is closed", async () => {
  await withDemo((demo) =>
    withClient(demo, "older", async (client, transport) => {
      const session = transport.sessionId;
      assert(session !== undefined);
      await transport.terminateSession();
      await client.close();
      const response = await fetch(demo.url, {
        method: "POST",
        headers: {
          "accept": "application/json, text/event-stream",
          "content-type": "application/json",
          "mcp-session-id": session,
        },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" }),
      });
      assertEquals(response.status, 404);
      const answer = await response.json();
      assertEquals([answer.jsonrpc, answer.error.message], ["2.0", "Session not found"]);
    })
  );
});

Deno.test("the demo server tells who it is at its status path", async () => {
  await withDemo(async (demo) => {
    const response = await fetch(new URL("/foster/status", demo.url));
    assertEquals(await response.json(), {
      name: "foster-demo",
      server_version: "1.0.0",
      ws_port: demo.wsPort,
      tool_surface: "full",
      pid: Deno.pid,
    });
  });
});

Deno.test("the demo server says in one line that it listens", async () => {
  await withDemo((demo) => {
    assertEquals(
      demo.lines.out,
      `foster-demo 1.0.0 listening on ${demo.url} (pid ${Deno.pid}, WebSocket on ${demo.wsPort})\n`,
    );
    return Promise.resolve();
  });
});

Deno.test("the demo server knows no other paths", async () => {
  await withDemo(async (demo) => {
    const response = await fetch(new URL("/other", demo.url));
    assertEquals([response.status, await response.text()], [404, "Not found\n"]);
  });
});

const FOREIGN_REQUESTS: [string, string[]][] = [
  ["the Host is foreign", ["Host: evil.example"]],
  ["the Host is given twice", ["Host: localhost", "Host: localhost"]],
  ["the Origin is foreign", ["Host: localhost", "Origin: http://evil.example"]],
  ["the Origin is given twice", ["Host: localhost", "Origin: http://localhost", "Origin: http://localhost"]],
  ["it comes from another site", ["Host: localhost", "Sec-Fetch-Site: cross-site"]],
];

for (const [name, headers] of FOREIGN_REQUESTS) {
  for (const side of ["HTTP", "WebSocket"] as const) {
    Deno.test(`the demo server refuses a request on its ${side} side when ${name}`, async () => {
      await withDemo(async (demo) => {
        const upgrade = [
          "Upgrade: websocket",
          "Connection: Upgrade",
          "Sec-WebSocket-Version: 13",
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        const lines = side === "HTTP"
          ? ["GET /foster/status HTTP/1.1", ...headers, "Connection: close"]
          : ["GET / HTTP/1.1", ...headers, ...upgrade];
        const answer = await rawRequest(side === "HTTP" ? demo.port : demo.wsPort, lines);
        assertMatch(answer, /^HTTP\/1\.1 40[03] /);
        assert(!answer.includes("server_version"));
      });
    });
  }
}

Deno.test("the demo server refuses a foreign request before it looks at the route", async () => {
  await withDemo(async (demo) => {
    const answer = await rawRequest(demo.port, [
      "GET /other HTTP/1.1",
      "Host: evil.example",
      "Connection: close",
    ]);
    assertStringIncludes(answer, "HTTP/1.1 403 Forbidden");
    assertStringIncludes(answer, "text/plain");
  });
});

async function rawRequest(port: number, lines: string[]): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  const bytes = new Uint8Array(4096);
  const count = await connection.read(bytes);
  return new TextDecoder().decode(bytes.subarray(0, count ?? 0));
}

Deno.test("the demo server says what to do when its port is in use", async () => {
  await withDemo(async (demo) => {
    const error = await assertRejects(() => startDemo(host, { port: demo.port }), DemoServerError);
    assertEquals([error.code, error.exitCode], ["port_in_use", 1]);
    assertEquals(
      error.message,
      `Cannot start the demo server: port ${demo.port} is in use. Choose another with --port.`,
    );
  });
});

Deno.test("the demo server goes on without its WebSocket side when that port is in use", async () => {
  await withDemo(async (first) => {
    const second = await startDemo(host, { wsPort: first.wsPort });
    try {
      const status = await (await fetch(new URL("/foster/status", second.url))).json();
      assertEquals(status.ws_port, 0);
      assertStringIncludes(second.lines.err, `WebSocket port ${first.wsPort} is in use`);
    } finally {
      await second.close();
    }
  });
});

Deno.test("the demo server takes its pid file with it when it stops", async () => {
  const dir = await Deno.makeTempDir();
  const pidFile = `${dir}/run/server.pid`;
  const demo = await startDemo(host, { pidFile });
  try {
    assertEquals(await host.files.readText(pidFile), `${Deno.pid}\n`);
  } finally {
    await demo.close();
  }
  assertEquals(await host.files.readText(pidFile), null);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("the demo server ends its streams and frees its ports when it stops", async () => {
  const demo = await startDemo(host);
  const transport = new StreamableHTTPClientTransport(demo.url, {
    reconnectionOptions: {
      maxRetries: 0,
      initialReconnectionDelay: 1,
      maxReconnectionDelay: 1,
      reconnectionDelayGrowFactor: 1,
    },
  });
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  await demo.close();
  assertEquals(await host.net.dial("127.0.0.1", demo.port, 1_000), "refused");
  assertEquals(await host.net.dial("127.0.0.1", demo.wsPort, 1_000), "refused");
  await client.close();
});

Deno.test("the demo server never listens when it is stopped while it waits", async () => {
  const port = await freePort(host.net);
  const { runDemoServer } = await import("../../src/demo/server.ts");
  const stop = new AbortController();
  const running = runDemoServer(
    host,
    { port, wsPort: null, host: "127.0.0.1", path: "/mcp", pidFile: null, delayMs: 60_000 },
    stop.signal,
  );
  stop.abort();
  await running;
  assertEquals(await host.net.dial("127.0.0.1", port, 1_000), "refused");
});
