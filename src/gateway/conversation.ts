/**
 * What a client says to a server, message for message, over the lives of that server.
 *
 * @module
 */
import type { Fields } from "../mcp/revisions/messages.ts";

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
