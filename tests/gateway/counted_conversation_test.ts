import { assertEquals } from "@std/assert";
import { countedConversation } from "../../src/gateway/counted_conversation.ts";
import type { Conversation } from "../../src/gateway/conversation.ts";
import type { ClientSide } from "../../src/relay/client_side.ts";

const line = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

Deno.test("countedConversation() counts each request once, with its time and how it ended", async () => {
  let now = 0;
  let inner: ClientSide | null = null;
  const noted: unknown[] = [];
  const written: number[] = [];
  const conversation = countedConversation({
    client: { write: (_line, to) => void (to.kind === "answer" && written.push(to.exchange)) },
    now: () => now,
    onRequest: (outcome, ms) => void noted.push([outcome, ms]),
    open: (client): Conversation => {
      inner = client;
      return {
        receive: () => Promise.resolve(),
        cancel: () => {},
        finish: () => Promise.resolve(),
        close: () => Promise.resolve(),
      };
    },
  });
  const ask = (exchange: number, message: Record<string, unknown>) =>
    conversation.receive(exchange, line(message), [message]);
  const answer = (exchange: number, message: unknown) =>
    (inner as ClientSide | null)?.write(line(message), { kind: "answer", exchange, isLast: true });
  await ask(1, { id: 1, method: "tools/list" });
  await ask(2, { id: 2, method: "tools/call" });
  await ask(3, { method: "notifications/initialized" });
  await ask(4, { id: 4, method: "tools/call" });
  now = 5;
  answer(1, { jsonrpc: "2.0", id: 1, result: {} });
  answer(1, { jsonrpc: "2.0", id: 1, result: {} });
  now = 7;
  answer(2, { jsonrpc: "2.0", id: 2, error: { code: -1, message: "no" } });
  answer(3, { jsonrpc: "2.0", id: 3, result: {} });
  conversation.cancel(4);
  assertEquals(noted, [["answered", 5], ["failed", 7], ["cancelled", 7]]);
  assertEquals(written, [1, 1, 2, 3]);
});
