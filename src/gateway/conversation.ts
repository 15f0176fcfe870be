/**
 * What a client says to a server, message for message, over the lives of that server.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type Fields, fieldsAt } from "../mcp/revisions/messages.ts";

export interface Conversation {
  /**
   * Takes what one exchange sends: the line, and the messages in it as values. Resolves once there is room for more; never
   * rejects for what the server does. Every request in it is answered in the end.
   */
  receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void>;
  /** The client does not want the exchange's answer any more. */
  cancel(exchange: number): void;
  /** Resolves once all that is open is answered; after `limitMs` the rest gets an error. */
  finish(limitMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Whether a message asks for a stream of list changes alone: it starts no server, and keeps none. */
export function isListenForLists({ method, params }: Fields): boolean {
  if (method !== "subscriptions/listen") return false;
  const { resourceSubscriptions } = fieldsAt(isObject(params) ? params : {}, "notifications");
  return !Array.isArray(resourceSubscriptions) || resourceSubscriptions.length === 0;
}
