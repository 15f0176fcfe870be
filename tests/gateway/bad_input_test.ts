/** What clients send by mistake or by intent, through the real listener: each gets its status and an error that says what to do. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { META, NEWER_REVISION } from "../../src/mcp/revisions/messages.ts";
import { GatewayRig, until } from "./rig.ts";

const TOKEN = "0123456789abcdef".repeat(4);
const BEARER = { authorization: `Bearer ${TOKEN}` };
const JSON_HEADERS = {
  ...BEARER,
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
};
const INITIALIZE = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "test", version: "1" } },
};
const call = (id: unknown, name: string, args: Record<string, unknown> = {}) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name, arguments: args },
});

async function rig(): Promise<GatewayRig> {
  const rig = await GatewayRig.open({ token: TOKEN });
  await rig.enrol("docs", "older");
  return rig;
}

/** One request in plain bytes, which no client library mends. */
async function raw(port: number, text: string): Promise<{ status: number; headers: string; body: string }> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text));
  let answer = "";
  const buffer = new Uint8Array(64 * 1024);
  const decoder = new TextDecoder();
  while (!/\r\n\r\n[^]*\}/.test(answer)) {
    const size = await connection.read(buffer);
    if (size === null) break;
    answer += decoder.decode(buffer.subarray(0, size), { stream: true });
  }
  const [headers = "", body = ""] = answer.split("\r\n\r\n");
  return { status: Number(headers.split(" ")[1]), headers, body };
}

const post = (url: URL, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal) =>
  fetch(url, {
    method: "POST",
    headers: { ...JSON_HEADERS, ...headers },
    body: typeof body === "string" || body instanceof Uint8Array ? body as BodyInit : JSON.stringify(body),
    signal,
  });

async function session(rig: GatewayRig, name = "docs"): Promise<Record<string, string>> {
  const response = await post(rig.url(name), INITIALIZE);
  assertEquals(response.status, 200, await response.clone().text());
  await response.text();
  const headers = { "mcp-session-id": response.headers.get("mcp-session-id") ?? "" };
  const noted = await post(rig.url(name), { jsonrpc: "2.0", method: "notifications/initialized" }, headers);
  await noted.body?.cancel();
  return headers;
}

Deno.test("what the guard refuses is refused with an error of JSON-RPC that says what to do", async () => {
  await using gateway = await rig();
  const { port } = gateway.url("docs");
  const host = `Host: 127.0.0.1:${port}\r\n`;
  const authorization = `Authorization: Bearer ${TOKEN}\r\n`;
  const cases: { head: string; path?: string; status: number; says: RegExp }[] = [
    { head: `Host: evil.example:${port}\r\n${authorization}`, status: 403, says: /--host NAME/ },
    { head: `Host: x@127.0.0.1:${port}\r\n${authorization}`, status: 403, says: /--host NAME/ },
    {
      head: `${host}${authorization}Origin: https://evil.example\r\n`,
      status: 403,
      says: /only pages of this machine/,
    },
    { head: `${host}${authorization}Origin: null\r\n`, status: 403, says: /only pages of this machine/ },
    { head: `${host}${authorization}Sec-Fetch-Site: cross-site\r\n`, status: 403, says: /another site/ },
    { head: host, status: 401, says: /Authorization: Bearer TOKEN.*gateway\.token/ },
    { head: `${host}Authorization: Bearer ${"f".repeat(64)}\r\n`, status: 401, says: /not this gateway's/ },
    { head: `${host}Authorization: Bearer \${TOKEN}\r\n`, status: 401, says: /\$\{TOKEN\}.*variable/ },
    { head: host, path: `/mcp/docs?token=${TOKEN}`, status: 401, says: /ends up in logs/ },
    {
      head: host,
      path: "/.well-known/oauth-protected-resource",
      status: 404,
      says: /no authorization server/,
    },
    {
      head: `${host}${authorization}X-Large: ${"a".repeat(17_000)}\r\n`,
      status: 431,
      says: /fewer or shorter/,
    },
    {
      head: `${host}${authorization}Content-Length: ${64 * 1024 * 1024 + 1}\r\n`,
      status: 413,
      says: /send less/,
    },
    { head: `${host}${authorization}`, path: "/mcp/%00", status: 404, says: /foster serve NAME/ },
    { head: `${host}${authorization}`, path: "/mcp/%zz", status: 404, says: /nothing at/ },
  ];
  for (const { head, path = "/mcp/docs", status, says } of cases) {
    const length = /Content-Length/.test(head) ? "" : "Content-Length: 2\r\n";
    const type = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
    const answer = await raw(Number(port), `POST ${path} HTTP/1.1\r\n${head}${type}${length}\r\n{}`);
    assertEquals(answer.status, status, `${head} ${path}`);
    assertMatch(
      JSON.parse(answer.body.slice(answer.body.indexOf("{"), answer.body.lastIndexOf("}") + 1)).error.message,
      says,
    );
    assertEquals(/www-authenticate: Bearer\r?$/im.test(answer.headers), status === 401);
    assert(!answer.body.includes(TOKEN), "no answer repeats the token");
  }
  assertEquals(gateway.pids("docs"), [], "nothing was started");
});

Deno.test("what is no request of MCP is refused before anything is started", async () => {
  await using gateway = await rig();
  const url = gateway.url("docs");
  const deep = (levels: number) =>
    `{"jsonrpc":"2.0","id":1,"method":"x","params":${"[".repeat(levels)}${"]".repeat(levels)}}`;
  const gzip = new Response(
    new Blob([JSON.stringify(INITIALIZE)]).stream().pipeThrough(new CompressionStream("gzip")),
  );
  const cases: { body: unknown; headers?: Record<string, string>; status: number; says: RegExp }[] = [
    {
      body: new Uint8Array(await gzip.arrayBuffer()),
      headers: { "content-encoding": "gzip" },
      status: 415,
      says: /send the body as it is/,
    },
    { body: deep(600), status: 400, says: /flatter/ },
    { body: deep(200_000), status: 400, says: /flatter/ },
    { body: '{"jsonrpc":"2.0",\0"id":1}', status: 400, says: /Parse error/ },
    { body: new Uint8Array([0x22, 0xff, 0x22]), status: 400, says: /Parse error/ },
    { body: { jsonrpc: "2.0", id: null, method: "ping" }, status: 400, says: /not a JSON-RPC message/ },
    { body: [], status: 400, says: /empty/ },
    { body: call(1, "echo"), status: 400, says: /initialize first/ },
    {
      body: call(1, "echo"),
      headers: { "mcp-session-id": "0".repeat(32) },
      status: 404,
      says: /initialize again/,
    },
    {
      body: call(1, "echo"),
      headers: { "mcp-session-id": "__proto__" },
      status: 404,
      says: /initialize again/,
    },
    {
      body: {
        ...INITIALIZE,
        params: { ...INITIALIZE.params, capabilities: { experimental: { x: "y".repeat(70_000) } } },
      },
      status: 413,
      says: /declare less/,
    },
  ];
  for (const { body, headers, status, says } of cases) {
    const response = await post(url, body, headers);
    const text = await response.text();
    assertEquals(response.status, status, text);
    assertMatch(JSON.parse(text).error.message, says);
  }
  // Brackets in a text are no depth.
  const flat = await post(url, {
    ...INITIALIZE,
    params: { ...INITIALIZE.params, note: '\\"' + "[".repeat(1000) },
  });
  assertEquals(flat.status, 200);
  await flat.text();
});

Deno.test("a body of 64 MiB and a byte that states no length is refused", async () => {
  await using gateway = await rig();
  const chunk = new Uint8Array(1024 * 1024).fill(32);
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (sent++ < 64) controller.enqueue(chunk);
      else {
        controller.enqueue(new Uint8Array([32]));
        controller.close();
      }
    },
  });
  const response = await fetch(gateway.url("docs"), { method: "POST", headers: JSON_HEADERS, body });
  assertEquals(response.status, 413);
  assertMatch((await response.json()).error.message, /send less/);
});

Deno.test("a session of another server is unknown, and stays good at its own", async () => {
  await using gateway = await rig();
  await gateway.enrol("other", "older");
  const own = await session(gateway);
  for (const name of ["other", ""]) {
    const response = await post(gateway.url(name), call(2, "echo", { text: "x" }), own);
    assertEquals([response.status, (await response.json()).error.code], [404, -32001]);
  }
  assertEquals(gateway.pids("other"), []);
  const response = await post(gateway.url("docs"), call(2, "echo", { text: "x" }), own);
  assertEquals((await response.json()).result.content[0].text, "x");
});

Deno.test("1,001 sessions: the least recently used one makes room, and goes on when it is used again", async () => {
  await using gateway = await rig();
  const first = await session(gateway);
  for (let batch = 0; batch < 100; batch++) {
    await Promise.all(Array.from({ length: 10 }, async () => {
      const response = await post(gateway.url("docs"), INITIALIZE);
      assertEquals(response.status, 200);
      await response.text();
    }));
  }
  assertEquals(gateway.gateway.find("docs")?.sessions.size, 1000);
  const response = await post(gateway.url("docs"), call(2, "echo", { text: "still" }), first);
  assertMatch(await response.text(), /still/);
});

Deno.test("two open requests under one id are each answered, with their own answer", async () => {
  await using gateway = await rig();
  const own = await session(gateway);
  const texts = ["a", "b", "c"];
  const answers = await Promise.all(texts.map(async (text) => {
    const response = await post(gateway.url("docs"), call(5, "echo", { text }), {
      ...own,
      accept: "application/json",
    });
    const { id, result } = await response.json();
    return [id, result.content[0].text];
  }));
  assertEquals(answers, texts.map((text) => [5, text]));
});

Deno.test("a client of the newer revision that vanishes mid-stream leaves nothing open", async () => {
  await using gateway = await rig();
  const gone = new AbortController();
  const body = {
    ...call(1, "slow"),
    params: {
      name: "slow",
      arguments: { ms: 60_000 },
      _meta: { [META.version]: NEWER_REVISION, [META.clientCapabilities]: {} },
    },
  };
  const headers = { "mcp-protocol-version": NEWER_REVISION, "mcp-method": "tools/call", "mcp-name": "slow" };
  const waiting = post(gateway.url("docs"), body, { ...headers, accept: "text/event-stream" }, gone.signal);
  const response = await waiting;
  assertEquals(gateway.gateway.find("docs")?.openCalls, 1);
  gone.abort();
  await response.body?.cancel().catch(() => {});
  await until(() => gateway.gateway.find("docs")?.openCalls === 0, "the call is over");
  assertEquals(gateway.faults, []);
});

Deno.test("of two GETs the newer one counts, and the older one ends", async () => {
  await using gateway = await rig();
  const own = await session(gateway);
  const get = () =>
    fetch(gateway.url("docs"), { headers: { ...BEARER, ...own, accept: "text/event-stream" } });
  const first = await get();
  const second = await get();
  assertEquals([first.status, second.status], [200, 200]);
  await first.text();
  const json = await fetch(gateway.url("docs"), {
    headers: { ...BEARER, ...own, accept: "application/json" },
  });
  assertEquals(json.status, 406);
  assertMatch((await json.json()).error.message, /text\/event-stream/);
  await second.body?.cancel();
});

Deno.test("a Last-Event-ID of another session gives nothing of it away, and answers none of this one's requests", async () => {
  await using gateway = await rig();
  await gateway.enrol("other", "older");
  const [own, foreign] = [await session(gateway), await session(gateway)];
  const elsewhere = await session(gateway, "other");
  const streams = { ...own, accept: "text/event-stream" };
  const text = await (await post(gateway.url("docs"), call(5, "echo", { text: "secret" }), streams)).text();
  const [, last = ""] = /id: (\S+)\ndata: \n/.exec(text) ?? [];
  assert(last !== "", text);
  const get = (name: string, headers: Record<string, string>) =>
    fetch(gateway.url(name), {
      headers: { ...BEARER, ...headers, accept: "text/event-stream", "last-event-id": last },
    });
  // The other session has a stream of that number, too, for another request, and an open request of that id.
  await (await post(gateway.url("docs"), call("mine", "echo", { text: "own" }), {
    ...foreign,
    accept: "text/event-stream",
  })).text();
  const open = new AbortController();
  const slow = await post(gateway.url("docs"), call(5, "slow", { ms: 60_000 }), {
    ...foreign,
    accept: "text/event-stream",
  }, open.signal);
  for (const [name, headers] of [["docs", foreign], ["other", elsewhere]] as const) {
    const resumed = await (await get(name, headers)).text();
    assert(!resumed.includes("secret") && !resumed.includes("own"), resumed);
    if (headers === foreign) assert(!resumed.includes("data: {"), resumed);
  }
  const mine = await (await get("docs", own)).text();
  assertMatch(mine, /secret/);
  open.abort();
  await slow.body?.cancel().catch(() => {});
});
