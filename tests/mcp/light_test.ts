import { assertEquals } from "@std/assert";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { shakeLightly } from "../../src/mcp/light.ts";
import { serveWith } from "../fixtures/mcp_servers.ts";

const host = await createDenoHost();

type Message = { id?: unknown; method: string; params?: Record<string, unknown> };
type Results = Record<string, unknown>;

const TOOL = {
  name: "a",
  inputSchema: { type: "object", properties: { x: { type: "string" } }, required: ["x"] },
};
const OLDER: Results = {
  initialize: {
    protocolVersion: "2025-06-18",
    capabilities: { tools: {} },
    serverInfo: { name: "o", version: "1" },
  },
  "tools/list": { tools: [TOOL] },
};
const COMPLETE = { resultType: "complete", ttlMs: 0, cacheScope: "private" };
const NEWER: Results = {
  "server/discover": {
    ...COMPLETE,
    supportedVersions: ["2026-07-28"],
    capabilities: { tools: {} },
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "n", version: "2" } },
  },
  "tools/list": { ...COMPLETE, tools: [TOOL] },
};

/** What a light handshake makes of a server with these results. */
async function shake(
  results: Results,
  { sse = false, answer }: { sse?: boolean; answer?: (message: Message) => Response | null } = {},
) {
  const server = await serveWith(host, "/mcp", async (request) => {
    const message: Message = await request.json();
    const special = answer?.(message);
    if (special) return special;
    if (message.id === undefined) return new Response(null, { status: 202 });
    const { id, method } = message;
    const reply = Object.hasOwn(results, method)
      ? { jsonrpc: "2.0", id, result: results[method] }
      : { jsonrpc: "2.0", id, error: { code: -32601, message: "unknown" } };
    if (!sse) return Response.json(reply);
    const text =
      `: hello\r\n\r\nevent: message\ndata: {"jsonrpc":"2.0","method":"notifications/message"}\n\n` +
      `id: 1\ndata: ${JSON.stringify(reply)}\n\n`;
    return new Response(text, { headers: { "content-type": "text/event-stream" } });
  });
  try {
    const wire = { fetch: (input: string | URL, init?: RequestInit) => host.net.fetch(input, init) };
    return await shakeLightly(wire, { endpoint: server.url, clientName: "foster" });
  } finally {
    await server.close();
  }
}

for (const sse of [false, true]) {
  const how = sse ? "events" : "JSON";
  Deno.test(`shakeLightly() shakes hands with a server of either revision that answers in ${how}`, async () => {
    assertEquals(await shake(OLDER, { sse }), {
      era: "legacy",
      server: { name: "o", version: "1", protocol: "2025-06-18" },
      tools: ["a"],
      session: null,
    });
    assertEquals(await shake(NEWER, { sse }), {
      era: "modern",
      server: { name: "n", version: "2", protocol: "2026-07-28" },
      tools: ["a"],
      session: null,
    });
  });
}

Deno.test("shakeLightly() follows every page, and needs no tools", async () => {
  const answer = ({ id, method, params }: Message) =>
    method === "tools/list"
      ? Response.json({
        jsonrpc: "2.0",
        id,
        result: params?.cursor === undefined
          ? { tools: [TOOL], nextCursor: "2" }
          : { tools: [{ ...TOOL, name: "b", annotations: { title: "B", readOnlyHint: true } }] },
      })
      : null;
  assertEquals((await shake(OLDER, { answer }))?.tools, ["a", "b"]);
  const { initialize } = OLDER;
  assertEquals((await shake({ initialize: { ...initialize as object, capabilities: {} } }))?.tools, []);
});

const json = (value: unknown, status = 200) => Response.json(value, { status });
const on = (wanted: string, reply: (message: Message) => Response) => (message: Message) =>
  message.method === wanted ? reply(message) : null;
const older = (changes: object): Results => ({
  ...OLDER,
  initialize: { ...OLDER.initialize as object, ...changes },
});
const tool = (changes: object): Results => ({ ...OLDER, "tools/list": { tools: [{ ...TOOL, ...changes }] } });

/** What the official client is asked about, whatever it then says. */
const UNUSUAL: Record<string, [Results, ((message: Message) => Response | null)?]> = {
  "a revision that nobody knows": [older({ protocolVersion: "2031-01-01" })],
  "no name": [older({ serverInfo: { version: "1" } })],
  "capabilities that are none": [older({ capabilities: { tools: true } })],
  "instructions that are no text": [older({ instructions: 5 })],
  "a tool without a schema": [{ ...OLDER, "tools/list": { tools: [{ name: "a" }] } }],
  "a schema of another type": [tool({ inputSchema: { type: "string" } })],
  "required that is no list": [tool({ inputSchema: { type: "object", required: "x" } })],
  "a key that it does not know": [tool({ icons: [{ src: 5 }] })],
  "a hint that is no boolean": [tool({ annotations: { readOnlyHint: "yes" } })],
  "a list that is none": [{ ...OLDER, "tools/list": { tools: {} } }],
  "an error for the list": [{ initialize: OLDER.initialize }],
  "a list that has no end": [
    OLDER,
    on("tools/list", ({ id }) => json({ jsonrpc: "2.0", id, result: { tools: [], nextCursor: "again" } })),
  ],
  "a newer list that is not complete": [{ ...NEWER, "tools/list": { tools: [] } }],
  "a discovery without a name": [{
    ...NEWER,
    "server/discover": { ...COMPLETE, supportedVersions: ["2026-07-28"], capabilities: {} },
  }],
  "another newer revision": [
    NEWER,
    on(
      "server/discover",
      ({ id }) =>
        json({ jsonrpc: "2.0", id, error: { code: -32022, message: "no", data: { supported: ["2027"] } } }),
    ),
  ],
  "an error page": [OLDER, on("server/discover", () => new Response("oops", { status: 500 }))],
  "a want of a token": [OLDER, on("server/discover", () => new Response(null, { status: 401 }))],
  "a refused initialize": [OLDER, on("initialize", () => new Response("no", { status: 400 }))],
  "an answer under another id": [
    OLDER,
    on("initialize", () => json({ jsonrpc: "2.0", id: "other", result: OLDER.initialize })),
  ],
  "a page instead of an answer": [
    OLDER,
    on("initialize", () => new Response("<p>", { headers: { "content-type": "text/html" } })),
  ],
  "JSON that is none": [
    OLDER,
    on("initialize", () => new Response("{", { headers: { "content-type": "application/json" } })),
  ],
  "a request among the events": [
    OLDER,
    on("initialize", () =>
      new Response('data: {"jsonrpc":"2.0","id":9,"method":"ping"}\n\n', {
        headers: { "content-type": "text/event-stream" },
      })),
  ],
  "a refused notification": [
    OLDER,
    on("notifications/initialized", () => new Response(null, { status: 500 })),
  ],
};
for (const [what, [results, answer]] of Object.entries(UNUSUAL)) {
  Deno.test(`shakeLightly() leaves ${what} to the official client`, async () =>
    assertEquals(await shake(results, { answer }), null));
}
