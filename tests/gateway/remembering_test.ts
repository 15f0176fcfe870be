import { assertEquals, assertMatch } from "@std/assert";
import type { Fields } from "../../src/mcp/revisions/messages.ts";
import type { DiscoveryEntry, ListMethod } from "../../src/gateway/discovery.ts";
import {
  NEW_MEMORY,
  Remembering,
  type ServerMemory,
  type SessionMemory,
} from "../../src/gateway/remembering.ts";
import { encode, PlayedClient, PlayedServer, say, settled } from "./conversation_rig.ts";

const ANSWER = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {} },
  serverInfo: { name: "docs", version: "1" },
};
const PROMISED = { ...ANSWER, capabilities: { tools: { listChanged: true } } };
const INITIALIZE = {
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: { roots: {} } },
};
const TOOLS = [{ name: "a" }, { name: "b" }];

/** Knows one answer and its lists, for every client. */
class Known implements ServerMemory {
  entry: DiscoveryEntry | null;
  readonly lists: [ListMethod, unknown[]][] = [];

  constructor(entry: Partial<DiscoveryEntry> | null) {
    this.entry = entry === null ? null : { key: "k", at: 0, answer: ANSWER, lists: {}, ...entry };
  }

  find(): DiscoveryEntry | null {
    return this.entry;
  }

  noteAnswer(_asked: unknown, answer: Fields): void {
    this.entry = { key: "k", at: 1, lists: {}, ...this.entry, answer };
  }

  noteList(_asked: unknown, method: ListMethod, items: unknown[]): void {
    this.lists.push([method, items]);
  }
}

function rig({ known = null, memory = NEW_MEMORY, isThere = false }: {
  known?: Partial<DiscoveryEntry> | null;
  memory?: SessionMemory;
  isThere?: boolean;
}) {
  const client = new PlayedClient();
  const server = new PlayedServer(({ method }, answer) =>
    answer(method === "initialize" ? ANSWER : method === "tools/list" ? { tools: TOOLS } : { echo: method })
  );
  const serverMemory = new Known(known);
  const kept: SessionMemory[] = [];
  const mismatches: true[] = [];
  const late: (() => void)[] = [];
  const conversation = new Remembering({
    client,
    server: serverMemory,
    memory,
    isThere: () => isThere,
    open: server.open,
    onMemory: (each) => kept.push(each),
    onMismatch: () => mismatches.push(true),
    clock: {
      sleep: (_ms, signal) =>
        new Promise((resolve, reject) => {
          late.push(resolve);
          signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
        }),
    },
    onFault: (error) => {
      throw error;
    },
  });
  return { late, client, server, serverMemory, kept, mismatches, conversation };
}

Deno.test("Remembering: a server that nobody knows is asked, and its answer promises list changes", async () => {
  const { client, server, serverMemory, conversation } = rig({});
  await say(conversation, 1, INITIALIZE);
  assertEquals(server.methods(), ["initialize"]);
  assertEquals(client.answer(1)?.result, PROMISED);
  assertEquals(serverMemory.entry?.answer, ANSWER, "what it said itself is kept");
});

Deno.test("Remembering: initialize, ping, level and lists of a server that sleeps start nothing", async () => {
  const { client, server, conversation } = rig({ known: { lists: { "tools/list": TOOLS } } });
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { method: "notifications/initialized" });
  await say(conversation, 3, { id: 2, method: "ping" });
  await say(conversation, 4, { id: 3, method: "logging/setLevel", params: { level: "info" } });
  await say(conversation, 5, { id: 4, method: "tools/list" });
  assertEquals(server.opened, 0);
  assertEquals([1, 3, 4, 5].map((exchange) => client.answer(exchange)?.result), [PROMISED, {}, {}, {
    tools: TOOLS,
  }]);
});

Deno.test("Remembering: the first call wakes the server, which is told first what the client set up", async () => {
  const { client, server, conversation } = rig({ known: {} });
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { method: "notifications/initialized" });
  await say(conversation, 3, { id: 3, method: "logging/setLevel", params: { level: "info" } });
  await say(conversation, 4, { id: 9, method: "tools/call", params: { name: "unknown to the lists" } });
  assertEquals(server.methods(), [
    "initialize",
    "notifications/initialized",
    "logging/setLevel",
    "tools/call",
  ]);
  assertEquals(server.heard[0]?.params, INITIALIZE.params);
  assertEquals(client.answer(4), { jsonrpc: "2.0", id: 9, result: { echo: "tools/call" } });
  assertEquals(client.got.length, 3, "the client hears of nothing else");
});

Deno.test("Remembering: calls that come while the server wakes wait, and keep their order", async () => {
  const { server, conversation } = rig({ known: {} });
  let answerInitialize = () => {};
  server.behave = ({ method }, answer) => {
    if (method === "initialize") answerInitialize = () => answer(ANSWER);
    else answer({});
  };
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { id: 2, method: "tools/call", params: { name: "a" } });
  await say(conversation, 3, { id: 3, method: "tools/call", params: { name: "b" } });
  assertEquals(server.methods(), ["initialize"]);
  answerInitialize();
  await settled();
  assertEquals(server.heard.slice(1).map(({ params }) => (params as Fields).name), ["a", "b"]);
});

Deno.test("Remembering: a list that differs from the remembered one is told; an equal one is not", async () => {
  for (const [lists, told] of [[[{ name: "b" }, { name: "a" }], 0], [[{ name: "old" }], 1]] as const) {
    const { client, serverMemory, conversation } = rig({ known: { lists: { "tools/list": [...lists] } } });
    await say(conversation, 1, INITIALIZE);
    await say(conversation, 2, { id: 2, method: "tools/list" });
    await say(conversation, 3, { id: 3, method: "tools/call" });
    const changes = client.got.filter(({ message }) => message.method === "notifications/tools/list_changed");
    assertEquals(changes.length, told);
    assertEquals(serverMemory.lists.at(-1), ["tools/list", TOOLS]);
  }
});

Deno.test("Remembering: a server that refuses the handshake is what the callers are told, and the next call asks again", async () => {
  const { client, server, conversation } = rig({ known: {} });
  server.behave = (_message, _answer, fail) => fail(-32603, "it crashed: no module");
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { id: 2, method: "tools/call" });
  assertEquals(client.answer(2)?.error, { code: -32603, message: "it crashed: no module" });
  assertEquals([server.opened, server.closed], [1, 1]);
  server.behave = ({ method }, answer) => answer(method === "initialize" ? ANSWER : {});
  await say(conversation, 3, { id: 3, method: "tools/call" });
  assertEquals(client.answer(3)?.result, {});
});

Deno.test("Remembering: a server without what the client was promised ends the session, and who waits is told", async () => {
  const { client, server, mismatches, conversation } = rig({ known: {} });
  server.behave = (_message, answer) => answer({ ...ANSWER, capabilities: { prompts: {} } });
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { id: 2, method: "tools/call" });
  assertEquals(mismatches.length, 1);
  assertMatch(String((client.answer(2)?.error as Fields).message), /not sent, initialize again/);
});

Deno.test("Remembering: a session that is taken up again restores level and subscriptions", async () => {
  const memory: SessionMemory = {
    initialize: INITIALIZE.params,
    answer: PROMISED,
    isInitialized: true,
    logLevel: "error",
    subscriptions: ["a:1"],
  };
  const { client, server, conversation } = rig({ memory });
  await say(conversation, 7, { id: "x", method: "tools/call" });
  assertEquals(server.methods(), [
    "initialize",
    "notifications/initialized",
    "logging/setLevel",
    "resources/subscribe",
    "tools/call",
  ]);
  assertEquals(client.got.length, 1);
});

Deno.test("Remembering notes what the client sets up", async () => {
  const { kept, conversation } = rig({ isThere: true });
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { method: "notifications/initialized" });
  await say(conversation, 3, { id: 2, method: "resources/subscribe", params: { uri: "a:1" } });
  await say(conversation, 4, { id: 3, method: "resources/subscribe", params: { uri: "b:1" } });
  await say(conversation, 5, { id: 4, method: "resources/unsubscribe", params: { uri: "a:1" } });
  assertEquals(kept.at(-1), {
    initialize: INITIALIZE.params,
    answer: PROMISED,
    isInitialized: true,
    logLevel: null,
    subscriptions: ["b:1"],
  });
});

Deno.test("Remembering keeps a list of several pages as a whole, once all of them were asked for", async () => {
  const { server, serverMemory, conversation } = rig({ isThere: true });
  server.behave = ({ method, params }, answer) => {
    if (method === "initialize") return answer(ANSWER);
    const { cursor } = (params ?? {}) as { cursor?: string };
    answer(cursor === undefined ? { tools: [1], nextCursor: "" } : { tools: [2] });
  };
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { id: 2, method: "tools/list" });
  assertEquals(serverMemory.lists, []);
  await say(conversation, 3, { id: 3, method: "tools/list", params: { cursor: "" } });
  assertEquals(serverMemory.lists, [["tools/list", [1, 2]]]);
});

Deno.test("Remembering.sleep() lets go of the server, and the next call introduces the client again", async () => {
  const { server, conversation } = rig({ isThere: true });
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { method: "notifications/initialized" });
  await conversation.sleep();
  assertEquals(server.closed, 1);
  await say(conversation, 3, { id: 3, method: "tools/call" });
  assertEquals(server.methods().slice(2), ["initialize", "notifications/initialized", "tools/call"]);
});

Deno.test("Remembering: no more than a thousand requests wait for a server, and those beyond are told so", async () => {
  const { client, server, conversation } = rig({ known: {} });
  server.behave = () => {};
  await say(conversation, 1, INITIALIZE);
  for (let exchange = 2; exchange <= 1005; exchange++) {
    const message = { jsonrpc: "2.0", id: exchange, method: "tools/call" };
    await conversation.receive(exchange, encode(message), [message]);
  }
  const refused = client.got.filter(({ message }) => message.error !== undefined);
  assertEquals(refused.map(({ message }) => message.id), [1002, 1003, 1004, 1005]);
  assertMatch(String((refused[0]?.message.error as Fields).message), /1000 requests wait/);
});

Deno.test("Remembering: a server that does not answer the handshake in time is waited for on, and who waits is told", async () => {
  const { client, server, conversation, late } = rig({ known: {} });
  let answerInitialize = () => {};
  server.behave = ({ method }, answer) => {
    if (method === "initialize") answerInitialize = () => answer(ANSWER);
    else answer({});
  };
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { id: 2, method: "tools/call" });
  for (const isOver of late.splice(0)) isOver();
  await settled();
  assertMatch(String((client.answer(2)?.error as Fields).message), /did not answer initialize/);
  await say(conversation, 3, { id: 3, method: "tools/call" });
  answerInitialize();
  await settled();
  assertEquals([client.answer(3)?.result, server.opened], [{}, 1]);
});

Deno.test("Remembering: a batch at a server that sleeps is answered once, and as a whole", async () => {
  const { client, server, conversation } = rig({ known: { lists: { "tools/list": TOOLS } } });
  server.behave = ({ method }, answer) => {
    if (method === "initialize") answer(ANSWER);
  };
  await say(conversation, 1, INITIALIZE);
  const messages = [{ jsonrpc: "2.0", id: 2, method: "ping" }, {
    jsonrpc: "2.0",
    id: 3,
    method: "tools/call",
  }];
  await conversation.receive(2, encode(messages), messages);
  await settled();
  assertEquals(client.got.filter(({ to }) => to.kind === "answer" && to.exchange === 2), []);
  assertEquals(server.methods(), ["initialize", undefined]);
});

Deno.test("Remembering: an answer to a question of a server that is gone starts nothing", async () => {
  const { server, conversation } = rig({ known: {} });
  await say(conversation, 1, INITIALIZE);
  await say(conversation, 2, { id: 9, result: {} });
  assertEquals(server.opened, 0);
});

Deno.test("Remembering keeps a bounded number of subscriptions", async () => {
  const { kept, conversation } = rig({ isThere: true });
  await say(conversation, 1, INITIALIZE);
  for (let n = 0; n < 1200; n++) {
    const message = { jsonrpc: "2.0", id: n, method: "resources/subscribe", params: { uri: `a:${n}` } };
    await conversation.receive(n + 2, encode(message), [message]);
  }
  assertEquals([kept.at(-1)?.subscriptions.length, kept.at(-1)?.subscriptions.at(-1)], [1000, "a:1199"]);
});
