/** Clients of the newer revision at a server that sleeps, and what they hear once it is there. */
import { assertEquals } from "@std/assert";
import { RememberingNewer } from "../../src/gateway/remembering_newer.ts";
import type { ServerMemory } from "../../src/gateway/remembering.ts";
import { Discovery } from "../../src/gateway/discovery.ts";
import { type Fields, fieldsAt, META, NEWER_REVISION } from "../../src/mcp/revisions/messages.ts";
import { PlayedClient, PlayedServer, say, settled } from "./conversation_rig.ts";

const _meta = { [META.version]: NEWER_REVISION, [META.clientCapabilities]: {} };
const DISCOVERED = { supportedVersions: [NEWER_REVISION], capabilities: { tools: {} } };
const LISTEN = {
  id: "L",
  method: "subscriptions/listen",
  params: { notifications: { toolsListChanged: true }, _meta },
};
const request = (id: unknown, method: string, params: Fields = {}) => ({
  id,
  method,
  params: { ...params, _meta },
});

function scene() {
  let tools = [{ name: "one" }];
  let isThere = false;
  const discovery = new Discovery();
  const server: ServerMemory = {
    find: () => discovery.find("key"),
    noteAnswer: (_asked, answer) => void discovery.noteAnswer("key", answer, 0),
    noteList: (_asked, method, items) => void discovery.noteList("key", { method, items, at: 0 }),
  };
  const client = new PlayedClient();
  const played = new PlayedServer(({ method, params }, answer) => {
    isThere = true;
    if (method === "server/discover") answer(DISCOVERED);
    else if (method === "tools/list") answer({ tools });
    else if (method === "tools/call") {
      if (fieldsAt(params as Fields, "arguments").adds === true) tools = [...tools, { name: "two" }];
      answer({ content: [] });
    }
  });
  const conversation = new RememberingNewer({
    client,
    server,
    isThere: () => isThere,
    open: played.open,
    onFault: (error) => {
      throw error;
    },
  });
  return {
    client,
    played,
    conversation,
    sleep: () => {
      isThere = false;
      played.heard.length = 0;
      conversation.noteGone();
    },
    change: () => void (tools = [...tools, { name: "new" }]),
  };
}

Deno.test("RememberingNewer keeps the list of a client that asks for no discovery", async () => {
  const { client, conversation, played, sleep } = scene();
  await say(conversation, 1, request(1, "tools/list"));
  assertEquals(played.heard.map(({ method }) => method), ["tools/list", "server/discover"]);
  assertEquals(client.got.length, 1, "the client hears of its own answer alone");
  sleep();
  await say(conversation, 2, request(2, "tools/list"));
  assertEquals(fieldsAt(client.answer(2) ?? {}, "result").tools, [{ name: "one" }]);
  assertEquals(played.heard, []);
});

Deno.test("RememberingNewer tells a stream of a list that is not what was given from memory, and of no equal one", async () => {
  const { client, conversation, played, sleep, change } = scene();
  await say(conversation, 1, request(1, "tools/list"));
  const told = () =>
    client.got.filter(({ message }) => message.method === "notifications/tools/list_changed").map((
      { message, to },
    ) => [fieldsAt(fieldsAt(message, "params"), "_meta")[META.subscriptionId], to]);
  for (const isChanged of [false, true]) {
    sleep();
    if (isChanged) change();
    await say(conversation, 2, LISTEN);
    await say(conversation, 3, request(3, "tools/list"));
    assertEquals(played.heard, []);
    await say(conversation, 4, request(4, "tools/call", { name: "a" }));
    await settled();
    // The stream is there before the call, which may change the list itself.
    assertEquals(played.heard.map(({ method }) => method).slice(0, 2), [
      "subscriptions/listen",
      "tools/call",
    ]);
    assertEquals(told(), isChanged ? [["L", { kind: "related", exchange: 2 }]] : []);
  }
});
