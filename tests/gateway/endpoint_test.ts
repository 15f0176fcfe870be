/** The endpoint in front of a conversation that the test plays: what HTTP clients of both revisions get to see. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { ClientSide } from "../../src/relay/client_side.ts";
import {
  type EndpointServer,
  type EndpointSessions,
  serveEndpoint,
  SESSION_HEADER,
} from "../../src/gateway/endpoint.ts";
import { NewerClients } from "../../src/gateway/newer_clients.ts";
import type { Conversation } from "../../src/gateway/conversation.ts";
import { OlderSession } from "../../src/gateway/older_session.ts";
import { META, NEWER_REVISION } from "../../src/mcp/revisions/messages.ts";

interface Said {
  exchange: number;
  message: { id?: unknown; method?: string; params?: Record<string, unknown> };
}

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

class PlayedSessions extends Map<string, OlderSession> implements EndpointSessions {
  readonly handshakes: boolean[] = [];
  readonly #open: (id: string) => OlderSession;

  constructor(open: (id: string) => OlderSession) {
    super();
    this.#open = open;
  }

  begin(): OlderSession {
    const session = this.#open(`session-${this.size + 1}`);
    this.set(session.id, session);
    return session;
  }

  find(id: string): Promise<OlderSession | null> {
    return Promise.resolve(this.get(id) ?? null);
  }

  end({ id }: OlderSession): Promise<void> {
    this.delete(id);
    return Promise.resolve();
  }

  noteHandshake({ id }: OlderSession, isAccepted: boolean): Promise<void> {
    this.handshakes.push(isAccepted);
    if (!isAccepted) this.delete(id);
    return Promise.resolve();
  }
}

/** A server with one conversation for each session; `hear` answers what comes. */
class Played implements EndpointServer {
  readonly said: Said[] = [];
  readonly cancelledExchanges: number[] = [];
  readonly sessions = new PlayedSessions((id) => {
    const open = (client: ClientSide) => this.#open(client);
    return new OlderSession({ id, epoch: "0badcafe", now: () => this.nowMs, open });
  });
  client: ClientSide | null = null;
  nowMs = 0;
  hear: (said: Said, client: ClientSide) => unknown = (
    { exchange, message: { id, method, params } },
    client,
  ) => {
    if (id === undefined || method === undefined) return;
    const result = method === "initialize"
      ? { protocolVersion: params?.protocolVersion, capabilities: {}, serverInfo: {} }
      : { echo: method };
    return client.write(bytes({ jsonrpc: "2.0", id, result }), { kind: "answer", exchange, isLast: true });
  };
  readonly #newer = new NewerClients({ now: () => this.nowMs, open: (client) => this.#open(client) });

  #open(client: ClientSide): Conversation {
    this.client = client;
    return {
      receive: async (exchange, line) => {
        const value = JSON.parse(new TextDecoder().decode(line));
        for (const message of Array.isArray(value) ? value : [value]) {
          this.said.push({ exchange, message });
          await this.hear({ exchange, message }, client);
        }
      },
      cancel: (exchange) => void this.cancelledExchanges.push(exchange),
      finish: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }

  newerClients(): NewerClients {
    return this.#newer;
  }
}

function post(body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal): Request {
  return new Request("http://127.0.0.1:1/mcp/docs", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...headers,
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
    signal,
  });
}

const call = (id: unknown, method = "tools/list", params: Record<string, unknown> = {}) => ({
  jsonrpc: "2.0",
  id,
  method,
  params,
});
const INITIALIZE = call(1, "initialize", { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: {} });

/** A server with one session that began well. */
async function started(): Promise<{ server: Played; session: Record<string, string> }> {
  const server = new Played();
  const response = await serveEndpoint(server, post(INITIALIZE));
  await response.text();
  return { server, session: { [SESSION_HEADER]: response.headers.get(SESSION_HEADER) ?? "" } };
}

async function read(
  stream: ReadableStream<Uint8Array>,
  isEnough: (text: string) => boolean,
): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!isEnough(text)) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  reader.releaseLock();
  return text;
}

Deno.test("serveEndpoint() begins a session with initialize, whatever session the client names", async () => {
  const server = new Played();
  const response = await serveEndpoint(server, post(INITIALIZE, { [SESSION_HEADER]: "stale" }));
  assertEquals([response.status, response.headers.get(SESSION_HEADER)], [200, "session-1"]);
  assertEquals(response.headers.get("content-type"), "application/json");
  assertEquals((await response.json()).result.protocolVersion, "2025-11-25");
  assertEquals(server.sessions.handshakes, [true]);
});

Deno.test("serveEndpoint() makes no session of a refused initialize", async () => {
  const server = new Played();
  server.hear = ({ exchange }, client) =>
    client.write(bytes({ jsonrpc: "2.0", id: 1, error: { code: -32603, message: "no" } }), {
      kind: "answer",
      exchange,
      isLast: true,
    });
  const response = await serveEndpoint(server, post(INITIALIZE));
  assertEquals([response.status, response.headers.get(SESSION_HEADER)], [200, null]);
  assertEquals((await response.json()).error.message, "no");
  assertEquals([server.sessions.handshakes, server.sessions.size], [[false], 0]);
});

Deno.test("serveEndpoint() answers requests of a session as JSON, and takes notifications and responses", async () => {
  const { server, session } = await started();
  const answer = await serveEndpoint(server, post(call("x"), session));
  assertEquals(await answer.json(), { jsonrpc: "2.0", id: "x", result: { echo: "tools/list" } });
  for (
    const body of [{ jsonrpc: "2.0", method: "notifications/initialized" }, {
      jsonrpc: "2.0",
      id: 9,
      result: {},
    }]
  ) {
    const response = await serveEndpoint(server, post(body, session));
    assertEquals([response.status, await response.text()], [202, ""]);
  }
});

Deno.test("serveEndpoint(): two open requests with one id are each answered on their own POST", async () => {
  const { server, session } = await started();
  const open: { exchange: number; text: unknown }[] = [];
  server.hear = ({ exchange, message }) => void open.push({ exchange, text: message.params?.text });
  const responses = ["a", "b"].map((text) =>
    serveEndpoint(server, post(call(5, "tools/call", { text }), session))
  );
  while (open.length < 2) await Promise.resolve();
  for (const { exchange, text } of open.reverse()) {
    await server.client?.write(bytes({ jsonrpc: "2.0", id: 5, result: { text } }), {
      kind: "answer",
      exchange,
      isLast: true,
    });
  }
  const texts = await Promise.all(
    responses.map(async (response) => (await (await response).json()).result.text),
  );
  assertEquals(texts, ["a", "b"]);
});

Deno.test("serveEndpoint() streams what comes before the answer, with ids to resume from", async () => {
  const { server, session } = await started();
  server.hear = async ({ exchange, message: { id } }, client) => {
    await client.write(bytes({ jsonrpc: "2.0", method: "notifications/progress" }), {
      kind: "related",
      exchange,
    });
    await client.write(bytes({ jsonrpc: "2.0", id, result: {} }), { kind: "answer", exchange, isLast: true });
  };
  const response = await serveEndpoint(server, post(call(5), session));
  assertEquals(response.headers.get("content-type"), "text/event-stream");
  const text = await response.text();
  assertMatch(
    text,
    /^retry: 5000\nid: 0badcafe\.2\.0\.NQ\ndata: \n\nid: 0badcafe\.2\.1\.NQ\ndata: .*progress.*\n\n/,
  );
  assert(text.endsWith('id: 0badcafe.2.2.NQ\ndata: {"jsonrpc":"2.0","id":5,"result":{}}\n\n'), text);
});

Deno.test("a client that was cut off goes on after the last event it had, and gets none twice", async () => {
  const { server, session } = await started();
  let answer = () => {};
  server.hear = async ({ exchange, message: { id } }, client) => {
    await client.write(bytes({ jsonrpc: "2.0", method: "first" }), { kind: "related", exchange });
    answer = () =>
      void client.write(bytes({ jsonrpc: "2.0", id, result: {} }), {
        kind: "answer",
        exchange,
        isLast: true,
      });
  };
  const response = await serveEndpoint(server, post(call(5), session));
  const reader = response.body?.getReader();
  await reader?.cancel();
  answer();
  const get = (last: string) =>
    serveEndpoint(
      server,
      new Request("http://127.0.0.1:1/mcp/docs", { headers: { ...session, "last-event-id": last } }),
    );
  const resumed = await (await get("0badcafe.2.1.NQ")).text();
  assert(!resumed.includes("first"), resumed);
  assert(resumed.includes('"id":5,"result":{}'), resumed);
});

Deno.test("a stream of an earlier supervisor answers its request with an error, never with silence", async () => {
  const { server, session } = await started();
  const headers = { ...session, "last-event-id": "deadbeef.7.3.W10" };
  const lost = await (await serveEndpoint(server, new Request("http://127.0.0.1:1/mcp/docs", { headers })))
    .text();
  assertEquals(lost, "");
  const known = {
    ...session,
    "last-event-id": "deadbeef.7.3.Ingi",
  };
  const text =
    await (await serveEndpoint(server, new Request("http://127.0.0.1:1/mcp/docs", { headers: known })))
      .text();
  assertMatch(text, /data: \{"jsonrpc":"2.0","id":"x","error":\{.*may or may not have run/);
});

Deno.test("what one connection of the session's stream carried is not repeated on the next, and nothing else is lost", async () => {
  const server = new Played();
  const response = await serveEndpoint(server, post(INITIALIZE));
  const session = { [SESSION_HEADER]: response.headers.get(SESSION_HEADER) ?? "" };
  await response.text();
  const say = (method: string) =>
    server.client?.write(bytes({ jsonrpc: "2.0", method }), { kind: "session" });
  const get = async (last?: string) => {
    const headers = { ...session, ...(last === undefined ? {} : { "last-event-id": last }) };
    return await serveEndpoint(server, new Request("http://127.0.0.1:1/mcp/docs", { headers }));
  };
  const taken = async (stream: Response, method: string) => {
    const text = await read(stream.body as ReadableStream<Uint8Array>, (each) => each.includes(method));
    await stream.body?.cancel();
    return text;
  };
  const first = await get();
  await say("one");
  await taken(first, "one");
  await say("two");
  const second = await taken(await get(), "two");
  assert(!second.includes("one"), second);
  const [, primed = ""] = /^id: (\S+)$/m.exec(second) ?? [];
  // It was cut off after the first block.
  assert((await taken(await get(primed), "two")).includes("two"));
});

Deno.test("a silent request becomes a stream, for clients that take one", async () => {
  const { server, session } = await started();
  server.hear = () => {};
  const waiting = serveEndpoint(server, post(call(5), session));
  const json = serveEndpoint(server, post(call(6), { ...session, accept: "application/json" }));
  while (server.said.length < 3) await Promise.resolve();
  server.nowMs = 2000;
  const [only] = [...server.sessions.values()];
  only?.tick({ withComments: false });
  const response = await waiting;
  assertEquals(response.headers.get("content-type"), "text/event-stream");
  await server.client?.write(bytes({ jsonrpc: "2.0", id: 6, result: {} }), {
    kind: "answer",
    exchange: 3,
    isLast: true,
  });
  assertEquals((await json).headers.get("content-type"), "application/json");
  await response.body?.cancel();
});

Deno.test("the session's own stream carries what belongs to no request; the newest connection counts", async () => {
  const { server, session } = await started();
  const changed = bytes({ jsonrpc: "2.0", method: "notifications/tools/list_changed" });
  await server.client?.write(changed, { kind: "session" });
  await server.client?.write(changed, { kind: "session" });
  const get = () => serveEndpoint(server, new Request("http://127.0.0.1:1/mcp/docs", { headers: session }));
  const first = await get();
  const second = await get();
  const old = await first.text();
  assertEquals(old.split("list_changed").length - 1, 1, "a change that nobody heard is told once");
  await server.client?.write(bytes({ jsonrpc: "2.0", method: "new" }), { kind: "session" });
  const text = await read(second.body as ReadableStream<Uint8Array>, (each) => each.includes("new"));
  assert(text.includes('"method":"new"'), text);
  await second.body?.cancel();
});

Deno.test("a server's question comes over the open call of a client without a stream of its own, or is refused at once", async () => {
  const { server, session } = await started();
  const question = bytes({ jsonrpc: "2.0", id: "q", method: "elicitation/create", params: {} });
  const answers = () => server.said.flatMap(({ message }) => message.id === "q" ? [message] : []);
  server.hear = () => {};
  const jsonOnly = { ...session, accept: "application/json" };
  const calls = [call(1, "tools/call"), call(2, "tools/call")] as const;
  void serveEndpoint(server, post(calls[0], jsonOnly));
  while (server.said.length < 2) await new Promise((resolve) => setTimeout(resolve, 0));
  await server.client?.write(question, { kind: "session" });
  assertEquals(answers().map((message) => "error" in message), [true], "nobody can be asked");
  await server.client?.write(bytes({ jsonrpc: "2.0", id: "q", method: "ping" }), { kind: "session" });
  assertEquals("result" in (answers()[1] ?? {}), true);
  const streaming = serveEndpoint(server, post(calls[1], session));
  while (server.said.at(-1)?.message.id !== 2) await new Promise((resolve) => setTimeout(resolve, 0));
  await server.client?.write(question, { kind: "session" });
  const { body } = await streaming;
  const text = await read(body as ReadableStream<Uint8Array>, (each) => each.includes("elicitation"));
  assert(text.includes('"id":"q"'), text);
  await body?.cancel();
  assertEquals(answers().length, 2, "it was asked, and nobody refused for it");
});

for (
  const { title, request, status } of [
    { title: "another media type", request: () => post("{}", { "content-type": "text/plain" }), status: 415 },
    {
      title: "a client that takes neither form",
      request: () => post(call(1), { accept: "image/png" }),
      status: 406,
    },
    { title: "a body that is no JSON", request: () => post("{"), status: 400 },
    { title: "a request without a session", request: () => post(call(1)), status: 400 },
    {
      title: "an unknown session",
      request: () => post(call(1), { [SESSION_HEADER]: "toString" }),
      status: 404,
    },
    {
      title: "a GET without a session",
      request: () => new Request("http://127.0.0.1:1/mcp/docs"),
      status: 405,
    },
    {
      title: "a DELETE of an unknown session",
      request: () =>
        new Request("http://127.0.0.1:1/mcp/docs", { method: "DELETE", headers: { [SESSION_HEADER]: "x" } }),
      status: 404,
    },
    {
      title: "a PUT",
      request: () => new Request("http://127.0.0.1:1/mcp/docs", { method: "PUT" }),
      status: 405,
    },
  ]
) {
  Deno.test(`serveEndpoint() refuses ${title} with ${status}`, async () => {
    const response = await serveEndpoint(new Played(), request());
    assertEquals(response.status, status);
    await response.body?.cancel();
  });
}

Deno.test("serveEndpoint() refuses a version that it does not speak in the words that clients know", async () => {
  const { server, session } = await started();
  const response = await serveEndpoint(
    server,
    post(call(1), { ...session, "mcp-protocol-version": "1999-01-01" }),
  );
  assertEquals(response.status, 400);
  assertMatch((await response.json()).error.message, /Unsupported protocol version/);
});

Deno.test("serveEndpoint() takes the version that the server agreed on, whatever it is", async () => {
  const server = new Played();
  const odd = { "mcp-protocol-version": "1999-01-01" };
  const params = { ...INITIALIZE.params, protocolVersion: "1999-01-01" };
  const response = await serveEndpoint(server, post({ ...INITIALIZE, params }));
  const session = { [SESSION_HEADER]: response.headers.get(SESSION_HEADER) ?? "" };
  assertEquals((await response.json()).result.protocolVersion, "1999-01-01");
  assertEquals((await serveEndpoint(server, post(call(1), { ...session, ...odd }))).status, 200);
});

Deno.test("batches are for 2025-03-26 alone, and are answered as one array", async () => {
  const server = new Played();
  const initialize = { ...INITIALIZE, params: { ...INITIALIZE.params, protocolVersion: "2025-03-26" } };
  const response = await serveEndpoint(server, post(initialize));
  const session = { [SESSION_HEADER]: response.headers.get(SESSION_HEADER) ?? "" };
  await response.text();
  const open: Said[] = [];
  server.hear = (said) => void open.push(said);
  const waiting = serveEndpoint(server, post([call(1), call(2)], session));
  while (open.length < 2) await Promise.resolve();
  for (const [index, { exchange, message: { id } }] of open.entries()) {
    await server.client?.write(bytes({ id, index }), { kind: "answer", exchange, isLast: index === 1 });
  }
  assertEquals(await (await waiting).json(), [{ id: 1, index: 0 }, { id: 2, index: 1 }]);
  const later = await started();
  assertEquals((await serveEndpoint(later.server, post([call(1)], later.session))).status, 400);
});

const newer = (id: unknown, method: string, params: Record<string, unknown> = {}) =>
  call(id, method, { ...params, _meta: { [META.version]: NEWER_REVISION, [META.clientCapabilities]: {} } });
const newerHeaders = (method: string) => ({ "mcp-protocol-version": NEWER_REVISION, "mcp-method": method });

Deno.test("a request of the newer revision needs no session and gets none", async () => {
  const server = new Played();
  const response = await serveEndpoint(server, post(newer(1, "tools/list"), newerHeaders("tools/list")));
  assertEquals([response.status, response.headers.get(SESSION_HEADER)], [200, null]);
  assertEquals((await response.json()).result, { echo: "tools/list" });
});

Deno.test("a method that the newer revision lacks, or that the server does not know, is answered with 404", async () => {
  const server = new Played();
  server.hear = ({ exchange, message: { id } }, client) =>
    client.write(bytes({ jsonrpc: "2.0", id, error: { code: -32601, message: "no such method" } }), {
      kind: "answer",
      exchange,
      isLast: true,
    });
  for (const method of ["ping", "resources/subscribe", "of/nobody"]) {
    const response = await serveEndpoint(server, post(newer(1, method), newerHeaders(method)));
    assertEquals([response.status, (await response.json()).error.code], [404, -32601]);
  }
  assertEquals(server.said.map(({ message }) => message.method), ["of/nobody"]);
});

Deno.test("a stream of the newer revision has no event ids, and closing it cancels the request", async () => {
  const server = new Played();
  server.hear = ({ exchange }, client) =>
    client.write(bytes({ method: "progress" }), { kind: "related", exchange });
  const response = await serveEndpoint(server, post(newer(1, "tools/list"), newerHeaders("tools/list")));
  const text = await read(response.body as ReadableStream<Uint8Array>, (each) => each.includes("progress"));
  assert(!text.includes("id:"), text);
  await response.body?.cancel();
  assertEquals(server.cancelledExchanges, [1]);
});

Deno.test("a client of the newer revision that goes before it has a byte cancels its request", async () => {
  const server = new Played();
  server.hear = () => {};
  const gone = new AbortController();
  const waiting = serveEndpoint(
    server,
    post(newer(1, "tools/list"), newerHeaders("tools/list"), gone.signal),
  );
  while (server.said.length < 1) await Promise.resolve();
  gone.abort();
  assertEquals((await waiting).status, 202);
  assertEquals(server.cancelledExchanges, [1]);
});

Deno.test("a slow client holds up its own stream: the writer is told to wait, and goes on when there is room", async () => {
  const { server, session } = await started();
  server.hear = ({ exchange }, client) =>
    client.write(bytes({ method: "first" }), { kind: "related", exchange });
  const response = await serveEndpoint(server, post(call(5), session));
  const line = bytes({ text: "x".repeat(300_000) });
  const room = server.client?.write(line, { kind: "related", exchange: 2 });
  assert(room instanceof Promise, "the stream is full");
  const text = await read(response.body as ReadableStream<Uint8Array>, (each) => each.length > 300_000);
  assert(text.includes("first"));
  await room;
  await response.body?.cancel();
});

Deno.test("serveEndpoint() refuses a session where there is no room, and a session's 1,001st open request, with 503", async () => {
  const { server, session } = await started();
  server.hear = () => {};
  for (let id = 0; id < 1000; id++) void serveEndpoint(server, post(call(id), session));
  while (server.said.length < 1001) await new Promise((resolve) => setTimeout(resolve, 0));
  const beyond = await serveEndpoint(server, post(call("beyond"), session));
  const { id, error } = await beyond.json();
  assertEquals([beyond.status, id], [503, "beyond"]);
  assertMatch(error.message, /wait for some of their answers/);
  const refused = "1000 sessions are open";
  const full: EndpointServer = {
    sessions: {
      begin: () => ({ refused }),
      find: () => Promise.resolve({ refused }),
      end: () => Promise.resolve(),
      noteHandshake: () => Promise.resolve(),
    },
    newerClients: () => server.newerClients(),
  };
  for (const request of [post(INITIALIZE), post(call(1), { [SESSION_HEADER]: "known before" })]) {
    const response = await serveEndpoint(full, request);
    assertEquals(response.status, 503);
    assertEquals(await response.json(), {
      jsonrpc: "2.0",
      id: 1,
      error: { code: -32603, message: refused, data: { may_have_run: false } },
    });
  }
});
