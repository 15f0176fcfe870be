/** Each kind of client at each kind of server, with the translators in between where they are needed. */
import { assertEquals } from "@std/assert";
import { type Fields, META, NEWER_REVISION } from "../../src/mcp/revisions/messages.ts";
import type { NewerClientOptions } from "../../src/mcp/revisions/newer_client.ts";
import { AdaptiveNewer } from "../../src/gateway/adaptive_newer.ts";
import { AdaptiveOlder } from "../../src/gateway/adaptive_older.ts";
import type { Spoken } from "../../src/gateway/discovery.ts";
import { TranslatedNewer, TranslatedOlder } from "../../src/gateway/translated.ts";
import type { ClientSide } from "../../src/relay/client_side.ts";
import { type Behaviour, encode, PlayedClient, PlayedServer, say, settled } from "./conversation_rig.ts";

const OLD_ANSWER = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {} },
  serverInfo: { name: "old", version: "1" },
};
/** What foster itself says of a server that is not there. */
const NOT_SENT = { server: "docs", may_have_run: false };
const UNKNOWN: Spoken = { older: null, newer: null, version: null };
const INITIALIZE = {
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: {} },
};
const meta = { [META.version]: NEWER_REVISION, [META.clientCapabilities]: {} };
const newer = (id: unknown, method: string) => ({ id, method, params: { _meta: meta } });

const older: Behaviour = ({ method }, answer, fail) => {
  if (method === "initialize") return answer(OLD_ANSWER);
  if (method === "server/discover") return fail(-32601, "Method not found");
  answer({ tools: [], from: "older" });
};
const newOnly: Behaviour = ({ method, params }, answer, fail) => {
  const version = (params as { _meta?: Fields } | undefined)?._meta?.[META.version];
  if (version !== NEWER_REVISION) return fail(-32022, "Unsupported protocol version");
  if (method === "server/discover") {
    return answer({ supportedVersions: [NEWER_REVISION], capabilities: { tools: {} } });
  }
  if (method === "subscriptions/listen") return;
  answer({ tools: [], from: "newer", resultType: "complete", ttlMs: 0, cacheScope: "private" });
};
const both: Behaviour = (message, answer, fail) =>
  message.method === "initialize"
    ? answer(OLD_ANSWER)
    : newOnly({ ...message, params: { _meta: meta } }, answer, fail);

function rig(
  behave: Behaviour,
  { mayTranslate = true, spoken = { ...UNKNOWN } } = {},
) {
  const client = new PlayedClient();
  const server = new PlayedServer(behave);
  const now = () => 0;
  const onFault = (error: unknown) => {
    throw error;
  };
  let handles = 0;
  const options = { client, spoken, mayTranslate, name: "docs", direct: server.open };
  return {
    client,
    server,
    spoken,
    forOlder: () =>
      new AdaptiveOlder({
        ...options,
        translated: (each: ClientSide) => new TranslatedOlder(each, { now, onFault, open: server.open }),
      }),
    forNewer: () =>
      new AdaptiveNewer({
        ...options,
        translated: (each: ClientSide, onSession?: NewerClientOptions["onSession"]) =>
          new TranslatedNewer(each, {
            onSession,
            onFault,
            now,
            open: server.open,
            clientInfo: { name: "foster", version: "1" },
            clientCapabilities: {},
            newHandle: () => `h${++handles}`,
          }),
      }),
  };
}

for (const [title, behave] of [["older server", older], ["server of both revisions", both]] as const) {
  Deno.test(`an older client speaks directly to an ${title}`, async () => {
    const { client, server, spoken, forOlder } = rig(behave);
    const conversation = forOlder();
    await say(conversation, 1, INITIALIZE);
    assertEquals(client.answer(1)?.result, OLD_ANSWER);
    await say(conversation, 2, { id: 2, method: "tools/list" });
    assertEquals([server.methods(), server.opened, spoken.older], [["initialize", "tools/list"], 1, true]);
  });
}

Deno.test("an older client's refused initialize is asked again in the newer revision, and the client sees one answer", async () => {
  const { client, server, spoken, forOlder } = rig(newOnly);
  const conversation = forOlder();
  await say(conversation, 1, INITIALIZE);
  assertEquals(client.got.length, 1);
  assertEquals((client.answer(1)?.result as Fields).protocolVersion, "2025-11-25");
  assertEquals([spoken, server.opened, server.closed], [{ older: false, newer: true, version: null }, 2, 1]);
  await say(conversation, 2, { id: 2, method: "tools/list" });
  assertEquals(client.answer(2)?.result, { tools: [], from: "newer" });
});

Deno.test("a server that refuses in both revisions is quoted in the client's own", async () => {
  const { client, spoken, forOlder } = rig((_message, _answer, fail) => fail(-32603, "broken"));
  await say(forOlder(), 1, INITIALIZE);
  assertEquals(client.got.length, 1);
  assertEquals(client.answer(1)?.error, { code: -32603, message: "broken" });
  assertEquals(spoken, UNKNOWN, "neither answer says that it will be so for ever");
});

Deno.test("what is known of a server is not asked again", async () => {
  const { server, forOlder } = rig(newOnly, { spoken: { older: false, newer: true, version: null } });
  await say(forOlder(), 1, INITIALIZE);
  assertEquals(server.methods(), ["server/discover"]);
});

Deno.test("a server that is not there says nothing of its revision", async () => {
  const { client, spoken, forOlder } = rig((_message, _answer, fail) => fail(-32001, "not ready", NOT_SENT));
  await say(forOlder(), 1, INITIALIZE);
  assertEquals((client.answer(1)?.error as Fields).message, "not ready");
  assertEquals(spoken, UNKNOWN);
});

Deno.test("an error with a code that foster uses too is the server's own: many answer so without a session", async () => {
  const { client, spoken, forNewer } = rig(({ method }, answer, fail) => {
    if (method === "initialize") return answer(OLD_ANSWER);
    if (method === "server/discover") return fail(-32000, "Bad Request: Server not initialized");
    answer({ tools: [], from: "older" });
  });
  await say(forNewer(), 1, newer("a", "tools/list"));
  assertEquals((client.answer(1)?.result as Fields).from, "older");
  assertEquals(spoken.older, true);
  const other = rig((message, answer, fail) =>
    message.method === "initialize" ? fail(-32000, "Bad Request") : newOnly(message, answer, fail)
  );
  await say(other.forOlder(), 1, INITIALIZE);
  assertEquals((other.client.answer(1)?.result as Fields).protocolVersion, "2025-11-25");
});

for (const [title, behave] of [["newer server", newOnly], ["server of both revisions", both]] as const) {
  Deno.test(`a newer client speaks directly to a ${title}`, async () => {
    const { client, server, forNewer } = rig(behave);
    const conversation = forNewer();
    await say(conversation, 1, newer("a", "tools/list"));
    await say(conversation, 2, newer("b", "tools/list"));
    assertEquals(server.methods(), ["server/discover", "tools/list", "tools/list"]);
    assertEquals([client.answer(1)?.id, client.answer(2)?.id, client.got.length], ["a", "b", 2]);
    assertEquals((client.answer(1)?.result as Fields).from, "newer");
  });
}

Deno.test("a newer client reaches an older server through a session", async () => {
  const { client, server, spoken, forNewer } = rig(older);
  const conversation = forNewer();
  await say(conversation, 1, newer("a", "tools/list"));
  assertEquals(server.methods(), [
    "server/discover",
    "initialize",
    "notifications/initialized",
    "tools/list",
  ]);
  assertEquals(client.answer(1)?.result, {
    ttlMs: 0,
    cacheScope: "private",
    tools: [],
    from: "older",
    resultType: "complete",
  });
  assertEquals(spoken.newer, false);
});

Deno.test("a server that is silent or ends when it is asked is asked the old way", async () => {
  const { client, server, forNewer } = rig(({ method }, answer) => {
    if (method !== "server/discover") answer(method === "initialize" ? OLD_ANSWER : { tools: [] });
  });
  const conversation = forNewer();
  await say(conversation, 1, newer("a", "tools/list"));
  assertEquals(client.got.length, 0);
  await conversation.noteNoAnswer();
  await say(conversation, 2, newer("b", "tools/list"));
  assertEquals([client.answer(1)?.id, client.answer(2)?.id], ["a", "b"]);
  assertEquals(server.cancelled.length, 1);
});

Deno.test("a server that is silent to initialize as well owes a session until it answers, or is given up", async () => {
  let isSilent = true;
  const { client, server, forNewer } = rig((message, answer, fail) => {
    if (!isSilent || message.method !== "initialize") older(message, answer, fail);
  });
  const conversation = forNewer();
  await say(conversation, 1, newer("a", "tools/list"));
  assertEquals([conversation.sessionMs === null, client.got.length], [false, 0]);
  await conversation.noteNoSession();
  assertEquals([conversation.sessionMs, server.finished], [null, [0]]);
  isSilent = false;
  const other = forNewer();
  await say(other, 1, newer("b", "tools/list"));
  assertEquals([other.sessionMs, client.answer(1)?.id], [null, "b"]);
});

const TAIL = "and --no-translate forbids foster to translate between them: without it both work together";

Deno.test("without translation both are refused, and told what each side speaks", async () => {
  const one = rig(newOnly, { mayTranslate: false });
  const conversation = one.forOlder();
  await say(conversation, 1, INITIALIZE);
  const message = `"docs" speaks MCP ${NEWER_REVISION}, this client MCP 2025-11-25, ${TAIL}`;
  assertEquals((one.client.answer(1)?.error as Fields).message, message);
  await say(conversation, 2, { id: 2, method: "tools/list" });
  assertEquals((one.client.answer(2)?.error as Fields).message, message);
  const other = rig(older, { mayTranslate: false });
  await say(other.forNewer(), 1, newer("a", "tools/list"));
  assertEquals(
    (other.client.answer(1)?.error as Fields).message,
    `"docs" speaks MCP 2025-11-25 or older, this client MCP ${NEWER_REVISION}, ${TAIL}`,
  );
});

Deno.test("without translation a server of the client's own revision is used, and its refusals are its own", async () => {
  for (const behave of [older, both]) {
    const { client, forOlder } = rig(behave, { mayTranslate: false });
    await say(forOlder(), 1, INITIALIZE);
    assertEquals(client.answer(1)?.result, OLD_ANSWER);
  }
  const { client, forNewer } = rig(both, { mayTranslate: false });
  await say(forNewer(), 1, newer("a", "tools/list"));
  assertEquals((client.answer(1)?.result as Fields).from, "newer");
  const broken = rig((_message, _answer, fail) => fail(-32602, "bad params"), { mayTranslate: false });
  await say(broken.forOlder(), 1, INITIALIZE);
  assertEquals(broken.client.answer(1)?.error, { code: -32602, message: "bad params" });
});

Deno.test("what is remembered of a server is asked anew where it is wrong, and nobody hears of that", async () => {
  const wasNewer = rig(older, { spoken: { older: false, newer: true, version: null } });
  await say(wasNewer.forOlder(), 1, INITIALIZE);
  assertEquals(wasNewer.client.got.length, 1);
  assertEquals(wasNewer.client.answer(1)?.result, OLD_ANSWER);
  assertEquals(wasNewer.spoken, { older: true, newer: null, version: "2025-11-25" });

  const wasOlder = rig(newOnly, { spoken: { older: true, newer: false, version: "2025-11-25" } });
  const conversation = wasOlder.forNewer();
  await say(conversation, 1, newer("a", "tools/list"));
  await say(conversation, 2, newer("b", "tools/list"));
  assertEquals(
    [1, 2].map((exchange) => (wasOlder.client.answer(exchange)?.result as Fields).from),
    ["newer", "newer"],
  );
  assertEquals([wasOlder.client.got.length, wasOlder.spoken.newer], [2, true]);

  const isOlder = rig(older, { spoken: { older: null, newer: true, version: null } });
  await say(isOlder.forNewer(), 1, newer("a", "tools/list"));
  assertEquals((isOlder.client.answer(1)?.result as Fields).from, "older");
});

Deno.test("a server that refuses in both revisions is asked in both once more with the next request", async () => {
  const { client, server, spoken, forNewer } = rig((_message, _answer, fail) =>
    fail(-32603, "still loading")
  );
  const conversation = forNewer();
  await say(conversation, 1, newer("a", "tools/list"));
  assertEquals(client.answer(1)?.error, { code: -32603, message: "still loading" });
  assertEquals(spoken, UNKNOWN);
  server.behave = newOnly;
  await say(conversation, 2, newer("b", "tools/list"));
  assertEquals((client.answer(2)?.result as Fields).from, "newer");
});

Deno.test("AdaptiveNewer asks a server that may be another one now, before the next request", async () => {
  const { client, server, forNewer } = rig(newOnly);
  const conversation = forNewer();
  await say(conversation, 1, newer("a", "tools/list"));
  server.behave = older;
  conversation.noteRestart();
  await say(conversation, 2, newer("b", "tools/list"));
  assertEquals((client.answer(2)?.result as Fields).from, "older");
  server.behave = newOnly;
  conversation.noteSessionRefused();
  await say(conversation, 3, newer("c", "tools/list"));
  assertEquals((client.answer(3)?.result as Fields).from, "newer");
  assertEquals(client.got.length, 3);
});

Deno.test("what an older client sends before its handshake is answered goes where the handshake went", async () => {
  const { client, server, forOlder } = rig(newOnly);
  const conversation = forOlder();
  const whole = { jsonrpc: "2.0", ...INITIALIZE };
  const sent = conversation.receive(1, encode(whole), [whole]);
  await say(conversation, 2, { method: "notifications/initialized" });
  await say(conversation, 3, { id: 3, method: "tools/list" });
  await sent;
  await settled();
  assertEquals(client.answer(3)?.result, { tools: [], from: "newer" });
  assertEquals(server.methods(), ["initialize", "server/discover", "subscriptions/listen", "tools/list"]);
});

Deno.test("AdaptiveNewer says since when it waits for each question, and when it is closed", async () => {
  let nowMs = 1000;
  const server = new PlayedServer(() => {});
  const client = new PlayedClient();
  let closed = 0;
  const adaptive = new AdaptiveNewer({
    client,
    spoken: { ...UNKNOWN },
    mayTranslate: true,
    name: "docs",
    direct: server.open,
    translated: server.open,
    now: () => nowMs,
    onClosed: () => closed++,
  });
  assertEquals(adaptive.askedMs, null);
  await say(adaptive, 1, newer("a", "tools/list"));
  assertEquals(adaptive.askedMs, 1000);
  server.behave = (_message, _answer, fail) => fail(-32001, "not ready", NOT_SENT);
  await server.client?.write(
    encode({ id: 1, error: { code: -32001, message: "not ready", data: NOT_SENT } }),
    {
      kind: "answer",
      exchange: Number.MIN_SAFE_INTEGER,
      isLast: true,
    },
  );
  assertEquals([(client.answer(1)?.error as Fields).message, adaptive.askedMs], ["not ready", null]);
  nowMs = 9000;
  server.behave = () => {};
  await say(adaptive, 2, newer("b", "tools/list"));
  assertEquals(adaptive.askedMs, 9000, "another question has its own time");
  await adaptive.close();
  assertEquals([adaptive.askedMs, closed], [null, 1]);
});
