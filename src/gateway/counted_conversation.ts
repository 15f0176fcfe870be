/**
 * Counts what comes to one server of several that a client has as one: there its requests are counted for all of them.
 *
 * @module
 */
import type { ClientSide } from "../relay/client_side.ts";
import type { Conversation } from "./conversation.ts";
import { type Outcome, outcomeOf } from "./exchange.ts";

export interface CountOptions {
  client: ClientSide;
  /** Monotonic, in ms. */
  now(): number;
  onRequest(outcome: Outcome, ms: number): void;
  open(client: ClientSide): Conversation;
}

export function countedConversation({ client, now, onRequest, open }: CountOptions): Conversation {
  /** When each open exchange with a request began. */
  const began = new Map<number, number>();
  const over = (exchange: number, outcome: Outcome) => {
    const startedMs = began.get(exchange);
    if (startedMs === undefined) return;
    began.delete(exchange);
    onRequest(outcome, now() - startedMs);
  };
  const conversation = open({
    write: (line, to) => {
      if (to.kind === "answer" && to.isLast) over(to.exchange, outcomeOf(line));
      return client.write(line, to);
    },
    cancelled: (exchange) => {
      over(exchange, "cancelled");
      client.cancelled?.(exchange);
    },
  });
  return {
    receive: (exchange, line, messages) => {
      const isRequest = messages.some(({ id, method }) => id !== undefined && method !== undefined);
      if (isRequest) began.set(exchange, now());
      return conversation.receive(exchange, line, messages);
    },
    cancel: (exchange) => {
      over(exchange, "cancelled");
      conversation.cancel(exchange);
    },
    finish: (limitMs) => conversation.finish(limitMs),
    close: () => {
      began.clear();
      return conversation.close();
    },
  };
}
