/** Whatever happens to a conversation, each request of it gets exactly one answer, and nothing of it is kept. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { AdaptiveNewer } from "../../src/gateway/adaptive_newer.ts";
import type { Conversation } from "../../src/gateway/conversation.ts";
import { Everything } from "../../src/gateway/everything.ts";
import { NewerClients } from "../../src/gateway/newer_clients.ts";
import { OlderSession } from "../../src/gateway/older_session.ts";
import { RememberingNewer } from "../../src/gateway/remembering_newer.ts";
import { ByCapabilities, SharedConversation } from "../../src/gateway/shared.ts";
import { TranslatedNewer, TranslatedOlder } from "../../src/gateway/translated.ts";
import { type Fields, META, NEWER_REVISION } from "../../src/mcp/revisions/messages.ts";
import type { ClientSide } from "../../src/relay/client_side.ts";
import { encode, PlayedClient, PlayedServer, say, settled } from "./conversation_rig.ts";

const meta = { [META.version]: NEWER_REVISION, [META.clientCapabilities]: {} };
const newer = (id: unknown, method: string, params: Fields = {}) => ({
  id,
  method,
  params: { ...params, _meta: { ...meta, ...params._meta as Fields } },
});
const INITIALIZE = {
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: {} },
};
const OLD_ANSWER = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {} },
  serverInfo: { name: "old", version: "1" },
};
const BOTH = { json: true, events: true };
const errorText = (message: Fields | undefined) => String((message?.error as Fields | undefined)?.message);

Deno.test("SharedConversation.close() answers what is open with an error, and the next request begins anew", async () => {
  const client = new PlayedClient();
  const server = new PlayedServer(() => {});
  const shared = new SharedConversation({ now: () => 0, open: server.open });
  const member = shared.join(client);
  await say(member, 7, newer("a", "tools/call"));
  await shared.close();
  assertEquals(client.answer(7)?.id, "a");
  assertMatch(errorText(client.answer(7)), /may or may not have run/);
  server.behave = (_message, answer) => answer({});
  await say(member, 8, newer("b", "tools/call"));
  assertEquals([client.answer(8)?.id, client.got.length, server.opened], ["b", 2, 2]);
});

Deno.test("SharedConversation: a member that leaves has an answer to what is open, and what became of the server", async () => {
  const [client, other] = [new PlayedClient(), new PlayedClient()];
  const server = new PlayedServer(() => {});
  const shared = new SharedConversation({
    now: () => 0,
    how: () => 'Server "docs" restarted',
    open: server.open,
  });
  const member = shared.join(client);
  await say(member, 7, newer("a", "tools/call"));
  await say(shared.join(other), 7, newer("a", "tools/call"));
  await member.close();
  assertEquals(client.answer(7)?.id, "a");
  assertMatch(errorText(client.answer(7)), /"docs" restarted .*may or may not have run/);
  assertEquals([server.cancelled.length, other.got], [1, []]);
});

Deno.test("ByCapabilities keeps nothing of an exchange that is over", async () => {
  const client = new PlayedClient();
  const server = new PlayedServer((_message, answer) => answer({}));
  const conversation = new ByCapabilities(client, (side) => server.open(side));
  for (let exchange = 1; exchange <= 50; exchange++) {
    await conversation.receive(exchange, encode({ id: exchange, method: "tools/list" }), [
      { id: exchange, method: "tools/list" },
    ]);
  }
  await say(conversation, 51, { method: "notifications/cancelled" });
  assertEquals([client.got.length, conversation.open], [50, 0]);
});

Deno.test("SharedConversation: log messages go to the only request that asked for such, and else to nobody", async () => {
  const clients = [new PlayedClient(), new PlayedClient()];
  const server = new PlayedServer(() => {});
  const shared = new SharedConversation({ now: () => 0, open: server.open });
  const [one, two] = clients.map((client) => shared.join(client)) as [Conversation, Conversation];
  const log = () =>
    server.client?.write(
      encode({ jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } }),
      { kind: "session" },
    );
  const withLogs = newer("a", "tools/call", { _meta: { [META.logLevel]: "info" } });
  await say(one, 1, newer("b", "tools/call"));
  await log();
  await say(two, 5, withLogs);
  await log();
  await say(one, 2, withLogs);
  await log();
  assertEquals(clients.map(({ got }) => got.map(({ to }) => to)), [[], [{ kind: "related", exchange: 5 }]]);
});

Deno.test("NewerClients: one client's cancellation by id reaches no request of another, and starts no server", async () => {
  const server = new PlayedServer(() => {});
  const clients = new NewerClients({ now: () => 0, open: server.open });
  const request = newer(1, "tools/call");
  const aborted = new AbortController();
  void clients.request(encode(request), request, { accepted: BOTH, signal: aborted.signal });
  await settled();
  const cancel = { method: "notifications/cancelled", params: { requestId: 1 } };
  await clients.tell(encode(cancel), cancel);
  assertEquals([server.methods(), clients.open], [["tools/call"], 1]);
  aborted.abort();
  assertEquals([server.cancelled.length, clients.open], [1, 0]);
});

/** A session whose server never answers. */
function silentSession(): OlderSession {
  const server = new PlayedServer(() => {});
  return new OlderSession({ id: "s", epoch: "0badcafe", now: () => 0, open: server.open });
}

for (const isBatch of [false, true]) {
  Deno.test(`OlderSession.close() answers open requests with an error${isBatch ? ", each of a batch" : ""}`, async () => {
    const session = silentSession();
    const messages = isBatch ? [{ id: 1, method: "a" }, { id: "2", method: "b" }] : [{ id: 1, method: "a" }];
    const waiting = session.request(encode(messages[0]), {
      accepted: BOTH,
      isBatch,
      ids: messages.map(({ id }) => JSON.stringify(id)),
      headers: {},
      messages,
    });
    await settled();
    await session.close();
    const response = await waiting;
    assertEquals(response.headers.get("content-type"), "application/json");
    const body = await response.json();
    const answers: Fields[] = isBatch ? body : [body];
    assertEquals(answers.map(({ id }) => id), messages.map(({ id }) => id));
    for (const answer of answers) assertMatch(errorText(answer), /may or may not have run/);
  });
}

Deno.test("NewerClients.close() answers open requests with an error", async () => {
  const server = new PlayedServer(() => {});
  const clients = new NewerClients({ now: () => 0, open: server.open });
  const waiting = clients.request(encode(newer("a", "tools/call")), newer("a", "tools/call"), {
    accepted: BOTH,
    signal: new AbortController().signal,
  });
  await settled();
  await clients.close();
  const body = await (await waiting).json();
  assertEquals(body.id, "a");
  assertMatch(errorText(body), /may or may not have run/);
});

function raise(error: unknown): never {
  throw error;
}

Deno.test("an older client's cancel at a newer server ends its exchange", async () => {
  const client = new PlayedClient();
  const server = new PlayedServer(({ method }, answer) => {
    if (method === "server/discover") answer({ supportedVersions: [NEWER_REVISION], capabilities: {} });
  });
  const conversation = new TranslatedOlder(client, { now: () => 0, onFault: raise, open: server.open });
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { id: 7, method: "tools/call", params: { name: "slow" } });
  await say(conversation, 3, { method: "notifications/cancelled", params: { requestId: 7 } });
  assertEquals([client.cancelledExchanges, server.cancelled.length], [[2], 1]);
});

function translatedNewer(client: ClientSide, server: PlayedServer): TranslatedNewer {
  return new TranslatedNewer(client, {
    onFault: raise,
    now: () => 0,
    open: server.open,
    clientInfo: { name: "foster", version: "1" },
    clientCapabilities: {},
    newHandle: () => "handle",
  });
}

Deno.test("two newer clients with one progress token at an older server each hear of their own call alone", async () => {
  const client = new PlayedClient();
  const server = new PlayedServer(({ method }, answer) => {
    if (method === "initialize") answer(OLD_ANSWER);
  });
  const conversation = translatedNewer(client, server);
  for (const exchange of [1, 2]) {
    await say(
      conversation,
      exchange,
      newer("x", "tools/call", { name: "slow", _meta: { progressToken: 1 } }),
    );
  }
  const tokens = server.heard.filter(({ method }) => method === "tools/call").map(({ params }) =>
    ((params as Fields)._meta as Fields).progressToken
  );
  assertEquals(new Set(tokens).size, 2);
  const progress = (progressToken: unknown) =>
    server.client?.write(
      encode({ jsonrpc: "2.0", method: "notifications/progress", params: { progressToken, progress: 1 } }),
      { kind: "session" },
    );
  await progress(tokens[1]);
  await progress("unknown");
  assertEquals(
    client.got.map(({ message, to }) => [(message.params as Fields).progressToken, to]),
    [[1, { kind: "related", exchange: 2 }]],
  );
});

Deno.test("a request that comes while a server's revision turns out to be older is answered", async () => {
  const client = new PlayedClient();
  const server = new PlayedServer(({ method }, answer, fail) => {
    if (method === "initialize") return answer(OLD_ANSWER);
    if (method === "server/discover") return fail(-32601, "Method not found");
    answer({ tools: [] });
  });
  let closed = () => {};
  const slow = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const adaptive = new AdaptiveNewer({
    client,
    spoken: { older: null, newer: null, version: null },
    mayTranslate: true,
    name: "docs",
    direct: (side) => {
      const conversation = server.open(side);
      return { ...conversation, close: () => slow };
    },
    translated: (side) => translatedNewer(side, server),
  });
  await say(adaptive, 1, newer("a", "tools/list"));
  await say(adaptive, 2, newer("b", "tools/list"));
  await say(adaptive, 3, newer("c", "tools/list"));
  adaptive.cancel(3);
  closed();
  await settled();
  assertEquals([client.answer(1)?.id, client.answer(2)?.id, client.answer(3)], ["a", "b", undefined]);
  assertEquals(server.methods().filter((method) => method === "tools/list").length, 2);
  assert(server.methods().indexOf("initialize") < server.methods().indexOf("tools/list"));
});

Deno.test("a stream that the server ended is not opened again at the next one", async () => {
  const client = new PlayedClient();
  const server = new PlayedServer((_message, answer) => answer({}));
  const conversation = new RememberingNewer({
    client,
    server: { find: () => null, noteAnswer: () => {}, noteList: () => {} },
    isThere: () => true,
    open: server.open,
    onFault: (error) => {
      throw error;
    },
  });
  await say(
    conversation,
    1,
    newer("l", "subscriptions/listen", { notifications: { toolsListChanged: true } }),
  );
  conversation.noteGone();
  await say(conversation, 2, newer("a", "tools/call"));
  assertEquals(server.methods(), ["subscriptions/listen", "tools/call"]);
});

// Several servers as one

interface PlayedMember {
  key: string;
  name: string;
  open(client: ClientSide): Conversation;
}

function whole(members: PlayedMember[]): { client: PlayedClient; everything: Everything; lateMs: number[] } {
  const client = new PlayedClient();
  const lateMs: number[] = [];
  const everything = new Everything({
    client,
    clock: {
      sleep: (ms, signal) => {
        lateMs.push(ms);
        return new Promise((_resolve, reject) =>
          signal?.addEventListener("abort", () => reject(signal.reason), { once: true })
        );
      },
    },
    members: () => members,
  });
  return { client, everything, lateMs };
}

const listing = ({ method }: Fields, answer: (result: Fields) => void) => {
  if (method === "tools/list") answer({ tools: [{ name: "echo" }], resultType: "complete" });
};

Deno.test("Everything: a call at a server that is taken away is answered with an error", async () => {
  const server = new PlayedServer(listing);
  const members = [{ key: "one", name: "one", open: server.open }];
  const { client, everything } = whole(members);
  await say(everything, 1, newer("a", "tools/call", { name: "one__echo" }));
  assertEquals(server.methods(), ["tools/list", "tools/call"]);
  members.length = 0;
  await everything.noteMembers();
  assertMatch(errorText(client.answer(1)), /may or may not have run/);
  await say(everything, 2, newer("b", "tools/call", { name: "one__echo" }));
  assertMatch(errorText(client.answer(2)), /None of the servers has "one__echo"/);
});

Deno.test("Everything: a call that is cancelled before its owner is known does not run", async () => {
  let list = () => {};
  const server = new PlayedServer(({ method }, answer) => {
    if (method === "tools/list") list = () => answer({ tools: [{ name: "echo" }] });
  });
  const { client, everything } = whole([{ key: "one", name: "one", open: server.open }]);
  const received = say(everything, 1, newer("a", "tools/call", { name: "one__echo" }));
  await settled();
  everything.cancel(1);
  list();
  await received;
  assertEquals([server.methods(), client.got], [["tools/list"], []]);
});

Deno.test("Everything: lists of a server that never answers are asked for once at a time", async () => {
  const server = new PlayedServer(() => {});
  const { everything } = whole([{ key: "one", name: "one", open: server.open }]);
  for (let exchange = 1; exchange <= 20; exchange++) {
    void everything.receive(exchange, encode({}), [newer(exchange, "tools/list")]);
  }
  await settled();
  assertEquals(server.methods(), ["tools/list"]);
});

Deno.test("Everything: streams hear of the changes of a server that comes later, and not of one that went", async () => {
  const servers = [new PlayedServer(listing), new PlayedServer(listing)];
  const [first, second] = servers.map(({ open }, index) => ({ key: `${index}`, name: `s${index}`, open }));
  assert(first !== undefined && second !== undefined);
  const members = [first];
  const { client, everything } = whole(members);
  await say(everything, 1, newer("l", "subscriptions/listen", { notifications: { toolsListChanged: true } }));
  members.push(second);
  await everything.noteMembers();
  assertEquals(servers.map((server) => server.methods()), [["subscriptions/listen"], [
    "subscriptions/listen",
  ]]);
  everything.cancel(1);
  assertEquals(servers.map((server) => server.cancelled.length), [1, 1]);
  assertEquals(
    client.got.filter(({ message }) => message.method === "notifications/tools/list_changed").length,
    1,
  );
});

// What is kept

/** A session whose server answers with texts of the wanted size, each on a stream. */
function talkingSession(): { session: OlderSession; ask(id: number, size: number): Promise<Response> } {
  const server = new PlayedServer(({ method, params }, answer) =>
    answer(method === "initialize" ? OLD_ANSWER : { text: "x".repeat(Number((params as Fields).size)) })
  );
  const session = new OlderSession({ id: "s", epoch: "0badcafe", now: () => 0, open: server.open });
  session.version = "2025-11-25";
  const ask = (id: number, size: number) => {
    const message = { jsonrpc: "2.0", id, method: "tools/call", params: { size } };
    const accepted = { json: false, events: true };
    return session.request(encode(message), {
      accepted,
      isBatch: false,
      ids: [`${id}`],
      headers: {},
      messages: [message],
    });
  };
  return { session, ask };
}

Deno.test("OlderSession keeps no answer that is larger than its buffer: a client that lost it is told so", async () => {
  const { session, ask } = talkingSession();
  const response = await ask(5, 3_000_000);
  assertEquals((await response.text()).includes("xxx"), true);
  const resumed = await session.listen({ epoch: "0badcafe", stream: 1, seq: 0, request: "5" }).text();
  assertMatch(resumed, /"id":5,"error":.*may or may not have run/);
  const whole = await session.listen({ epoch: "0badcafe", stream: 1, seq: 1, request: "5" }).text();
  assert(!whole.includes("data: {"), "nothing is missing there");
});

Deno.test("OlderSession takes no event of another stream's request for its own", async () => {
  const { session, ask } = talkingSession();
  await (await ask(5, 10)).text();
  for (const event of [{ seq: 0, request: "6" }, { seq: 7, request: "5" }]) {
    const text = await session.listen({ epoch: "0badcafe", stream: 1, ...event }).text();
    assert(!text.includes("data: {"), text);
  }
  const own = await session.listen({ epoch: "0badcafe", stream: 1, seq: 0, request: "5" }).text();
  assertMatch(own, /"id":5,"result"/);
});

Deno.test("OlderSession: who waits too long for a handshake is told so, and the process stays a while", async () => {
  let nowMs = 0;
  const server = new PlayedServer(() => {});
  const session = new OlderSession({
    id: "s",
    epoch: "0badcafe",
    now: () => nowMs,
    open: server.open,
    handshakeMs: 3000,
  });
  const message = { jsonrpc: "2.0", ...INITIALIZE };
  const options = {
    accepted: { json: true, events: false },
    isBatch: false,
    ids: ["1"],
    messages: [message],
  };
  const headers = { "mcp-session-id": "s" };
  const answered = session.handshake(encode(message), { ...options, headers }, () => Promise.resolve());
  await settled();
  nowMs = 3000;
  session.tick({ withComments: false });
  const response = await answered;
  assertEquals(response.headers.get("mcp-session-id"), null);
  const { id, error } = await response.json();
  assertEquals([id, session.isAbandoned], [1, false]);
  assertMatch(error.message, /did not answer the handshake within 3 s/);
  nowMs = 63_000;
  assertEquals(session.isAbandoned, true);
  await session.close();
});

Deno.test("OlderSession: a handshake without an answer is abandoned a minute after its client went", () => {
  let nowMs = 0;
  const server = new PlayedServer(() => {});
  const session = new OlderSession({ id: "s", epoch: "0badcafe", now: () => nowMs, open: server.open });
  assertEquals(session.isAbandoned, false);
  session.noteGone();
  nowMs = 59_999;
  assertEquals(session.isAbandoned, false);
  nowMs = 60_000;
  assertEquals(session.isAbandoned, true);
  session.version = "2025-11-25";
  assertEquals(session.isAbandoned, false);
});

Deno.test("ByCapabilities: clients with ever new capabilities share a session beyond a limit", async () => {
  const server = new PlayedServer((_message, answer) => answer({}));
  const joined: Fields[] = [];
  const conversation = new ByCapabilities(new PlayedClient(), (side, capabilities) => {
    joined.push(capabilities);
    return server.open(side);
  });
  for (let n = 1; n <= 100; n++) {
    const capabilities = { [META.clientCapabilities]: { experimental: { n } } };
    const message = { id: n, method: "tools/list", params: { _meta: capabilities } };
    await conversation.receive(n, encode(message), [message]);
  }
  assertEquals([joined.length, joined.at(-1)], [33, {}]);
});
