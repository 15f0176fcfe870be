/** What the translators can't read or carry over is answered, never dropped. */
import { assertEquals, assertMatch } from "@std/assert";
import { TranslatedNewer, TranslatedOlder } from "../../src/gateway/translated.ts";
import { readMessage } from "../../src/mcp/revisions/messages.ts";
import { type Fields, META, NEWER_REVISION } from "../../src/mcp/revisions/messages.ts";
import type { Conversation } from "../../src/gateway/conversation.ts";
import { type Behaviour, PlayedClient, PlayedServer, say, settled } from "./conversation_rig.ts";

const now = () => 0;
const onFault = (error: unknown) => {
  throw error;
};
const DEPTH = 3000;
const nested = (text: string) => "[".repeat(DEPTH) + text + "]".repeat(DEPTH);

/** Older clients at a newer server, and the other way round, each with a session or a discovery behind it. */
const SIDES: Record<string, (server: PlayedServer, client: PlayedClient) => Conversation> = {
  older: (server, client) => new TranslatedOlder(client, { now, onFault, open: server.open }),
  newer: (server, client) =>
    new TranslatedNewer(client, {
      now,
      onFault,
      open: server.open,
      clientInfo: {},
      clientCapabilities: {},
      newHandle: () => "handle",
    }),
};

const begin: Behaviour = ({ method }, answer) => {
  if (method === "server/discover") answer({ supportedVersions: [NEWER_REVISION], capabilities: {} });
  if (method === "initialize") answer({ protocolVersion: "2025-11-25", capabilities: {}, serverInfo: {} });
};
const meta = { [META.version]: NEWER_REVISION, [META.clientCapabilities]: {} };

async function started(side: string): Promise<{
  client: PlayedClient;
  server: PlayedServer;
  conversation: Conversation;
  /** The server says these bytes, in answer to the call or at large. */
  raw(rest: string, kind?: "answer" | "session"): Promise<void>;
}> {
  const client = new PlayedClient();
  const server = new PlayedServer(begin);
  const conversation = (SIDES[side] as NonNullable<typeof SIDES[string]>)(server, client);
  if (side === "older") await say(conversation, 1, { id: 1, method: "initialize", params: {} });
  await say(conversation, 2, { id: 7, method: "tools/call", params: { name: "a", _meta: meta } });
  const call = server.heard.find(({ method }) => method === "tools/call");
  return {
    client,
    server,
    conversation,
    async raw(rest, kind = "answer") {
      const line = new TextEncoder().encode(rest.replace("ID", String(call?.id)));
      const to = kind === "session"
        ? { kind } as const
        : { kind, exchange: Number(call?.id), isLast: true } as const;
      await server.client?.write(line, to);
      await settled();
    },
  };
}

Deno.test("a batch of an older client at a newer server is over with its last answer", async () => {
  const { client, conversation, server } = await started("older");
  const requests = [1, 2, 3].map((id) => ({
    jsonrpc: "2.0",
    id,
    method: "tools/call",
    params: { name: "b" },
  }));
  const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 3 } };
  const batch = [...requests, cancelled];
  await conversation.receive(9, new TextEncoder().encode(JSON.stringify(batch)), batch);
  await settled();
  const sent = server.heard.filter(({ method, params }) =>
    method === "tools/call" && (params as Fields).name === "b"
  );
  assertEquals(sent.length, 3);
  assertEquals(client.cancelledExchanges, []);
  for (const { id } of sent.slice(0, 2)) {
    const line = new TextEncoder().encode(JSON.stringify({ jsonrpc: "2.0", id, result: { content: [] } }));
    await server.client?.write(line, { kind: "answer", exchange: Number(id), isLast: true });
  }
  await settled();
  const answers = client.got.filter(({ to }) => to.kind === "answer" && to.exchange === 9);
  assertEquals(answers.map(({ message, to }) => [message.id, to.kind === "answer" && to.isLast]), [
    [1, false],
    [2, true],
  ]);
});

for (const side of Object.keys(SIDES)) {
  for (
    const [what, line, message] of [
      ["is no JSON", '{"jsonrpc":"2.0","id":ID,"result":{"content":[}}', /no JSON/],
      [
        "is too deep",
        `{"jsonrpc":"2.0","id":ID,"result":{"deep":${nested("1.0")}}}`,
        /more than 2000 objects and/,
      ],
      [
        "has no object as its result",
        '{"jsonrpc":"2.0","id":ID,"result":null}',
        /The result is null, no object/,
      ],
      ["is an error without a code", '{"jsonrpc":"2.0","id":ID,"error":"it broke"}', /it broke/],
    ] as const
  ) {
    Deno.test(`a ${side} client's call whose answer ${what} ends with an error that says so`, async () => {
      const { client, raw } = await started(side);
      await raw(line);
      const answer = client.answer(2);
      assertEquals(answer?.id, 7);
      assertMatch(String((answer?.error as Fields).message), message);
      assertEquals(typeof (answer?.error as Fields).code, "number");
    });
  }

  Deno.test(`a ${side} client's call keeps its numbers and its id as they were written`, async () => {
    const { client, conversation, server } = await started(side);
    const text = `{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"b",` +
      `"arguments":{"a":1.0,"b":12345678901234567890},"_meta":${JSON.stringify(meta)}}}`;
    await conversation.receive(3, new TextEncoder().encode(text), [JSON.parse(text)]);
    await settled();
    const call = server.lines.findLast((line) => line.includes('"tools/call"')) ?? "";
    assertMatch(call, /"arguments":\{"a":1\.0,"b":12345678901234567890\}/);
    const wireId = Number(/"id":(\d+)/.exec(call)?.[1]);
    const answer = `{"jsonrpc":"2.0","id":${wireId},"result":{"content":[],"n":1e400,"m":0.10}}`;
    await server.client?.write(new TextEncoder().encode(answer), {
      kind: "answer",
      exchange: wireId,
      isLast: true,
    });
    await settled();
    assertMatch(client.lines.at(-1) ?? "", /"id":12345678901234567890,.*"n":1e400,"m":0\.10/);
  });

  Deno.test(`a server's request that can't be read is answered, on the side of a ${side} client`, async () => {
    const { raw, server } = await started(side);
    await raw(`{"jsonrpc":"2.0","id":"q","method":"roots/list","params":${nested("1")}}`, "session");
    const answer = server.heard.find(({ id }) => id === "q");
    assertMatch(String((answer?.error as Fields).message), /can't be translated/);
  });

  Deno.test(`what is no message of a server ends nothing, on the side of a ${side} client`, async () => {
    const { raw, client } = await started(side);
    for (const line of ["[]", "null", '{"jsonrpc":"2.0","method":"notifications/progress","params":null}']) {
      await raw(line, "session");
    }
    await raw('{"jsonrpc":"2.0","id":ID,"result":{"content":[]}}');
    assertEquals((client.answer(2)?.result as Fields).content, []);
  });
}

for (
  const [value, expected] of [
    [{ id: 1, method: "a", params: [1] }, { jsonrpc: "2.0", id: 1, method: "a" }],
    [{ method: "a", params: null }, { jsonrpc: "2.0", method: "a" }],
    [{ id: null, method: "a" }, null],
    [{ id: {}, result: {} }, null],
    [{ id: 1 }, null],
    [[], null],
    [{ id: 1, error: null }, { jsonrpc: "2.0", id: 1, error: { code: -32603, message: '"an error"' } }],
    [{ id: 1, error: { code: 5, message: "m", data: 1 } }, {
      jsonrpc: "2.0",
      id: 1,
      error: { code: 5, message: "m", data: 1 },
    }],
  ] as const
) {
  Deno.test(`readMessage() of ${JSON.stringify(value)}`, () =>
    assertEquals<unknown>(readMessage(value), expected));
}
