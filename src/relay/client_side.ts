/**
 * Where a relay's messages for the client go: standard output, or the responses and streams of the gateway.
 *
 * @module
 */

/** Nothing, or what resolves once there is room for more. */
export type Backpressure = Promise<void> | void;

/** What a message for the client belongs to. An exchange is the number that the client's side gave a message. */
export type Destination =
  /** An answer; `isLast` where nothing more of the exchange is open. */
  | { kind: "answer"; exchange: number; isLast: boolean }
  /** Progress of an open request, or a request of the server's that came on its stream. */
  | { kind: "related"; exchange: number }
  /** The session at large. */
  | { kind: "session" };

export interface ClientSide {
  /** Takes one message, on one line. Never rejects: a client that is gone takes nothing and says so elsewhere. */
  write(line: Uint8Array, to: Destination): Backpressure;
  /** No answer will come to what is still open of an exchange: the client cancelled it. */
  cancelled?(exchange: number): void;
}
