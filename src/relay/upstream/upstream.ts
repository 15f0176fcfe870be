/**
 * One connection to one process of a server, and what goes over it.
 *
 * @module
 */
import type { Backpressure } from "../client_side.ts";
import type { ClientMessage, ClientRequest, JsonRpcId } from "../message.ts";
import type { Phase, Refusal } from "../retry.ts";
import type { ToolHeader } from "./headers.ts";

/** A request in a pending message, under the id that the server sees. */
export interface OpenRequest {
  readonly request: ClientRequest;
  readonly wireId: JsonRpcId;
  /** The progress token that the server sees, null where no progress is wanted. */
  readonly wireToken: string | null;
}

/** One message of the client's on its way to a server: a request, a notification, an answer or a batch. */
export interface Pending {
  /** The client's handle for what it sent; null for requests of foster's own. */
  readonly exchange: number | null;
  /** As the server sees it. */
  line: Uint8Array;
  readonly message: ClientMessage;
  /** The requests in it that have no answer yet, by wire id. */
  readonly open: Map<JsonRpcId, OpenRequest>;
  state: "waiting" | "sent" | "done";
  /** Where it was sent; null while it waits. */
  upstream: Upstream | null;
  /** Monotonic ms at which it has waited long enough; null before it had to wait. */
  deadlineMs: number | null;
  /** How often it was sent. */
  attempts: number;
  /** How often a server refused it for its session. */
  refusals: number;
  /** Monotonic ms of the last time it was sent. */
  sentMs: number;
  /** Takes the answer of a request of foster's own. */
  readonly own: { answer(line: Uint8Array, isError: boolean): void; fail(reason: string): void } | null;
  /** The server confirmed this subscription before: the client need not hear of it again. */
  isConfirmed: boolean;
}

export interface Failure {
  phase: Phase;
  reason: string;
}

/** What a connection tells the relay. `pending`: the client's message on whose own stream it came, else null. */
export interface UpstreamEvents {
  /** A message of the server's, on one line. */
  message(upstream: Upstream, line: Uint8Array, pending: Pending | null): Backpressure;
  /** The server refused a message with an HTTP status; `lines` are the client's answers, if it comes to that. */
  refused(
    upstream: Upstream,
    pending: Pending,
    refusal: Refusal & { lines: readonly Uint8Array[] },
  ): Backpressure;
  /** No more answers can come to what is still open in the message. */
  failed(upstream: Upstream, pending: Pending, failure: Failure): void;
  /** The server is gone, or does not know the session any more; at most once. `sameProcess`: null if not known. */
  lost(upstream: Upstream, reason: string, facts: { sameProcess: boolean | null }): void;
  /** Something suggests that the server is another process now. */
  doubted(upstream: Upstream): void;
}

export interface UpstreamOptions {
  events: UpstreamEvents;
  /** The arguments of a tool that are repeated as headers; null where its list is not known. */
  toolHeaders(tool: string): readonly ToolHeader[] | null;
}

export interface Upstream {
  /** All answers come over one stream: when that ends, everything in flight is lost with it. */
  readonly sharesStream: boolean;
  /** Whether the server can have lost a session of ours while it still answers. */
  readonly hasSession: boolean;
  /** The process was started for this connection: its first answer takes as long as its start. */
  readonly isFresh: boolean;
  /** Set while too much is sent that nobody took yet; resolves when there is room for more. */
  readonly room: Promise<void> | null;
  /**
   * Sends in the order of the calls where that matters. Resolves once the message is written; never rejects, failures
   * are told through the events.
   */
  send(pending: Pending): Promise<void>;
  /** The client wants no answer to this any more. True where the server needs no word of it. */
  cancel(pending: Pending): boolean;
  /** Whether a connection that failed for one message is still good for others. */
  isAlive(signal: AbortSignal): Promise<boolean>;
  /**
   * Sends nothing new, and lets what is in flight come to its own end: its answers, failures and the loss of the
   * server are still told.
   */
  retire(): void;
  /** Takes a line that is no message: it goes where the server's own words go. Without, it is only said that one came. */
  takeText?(line: Uint8Array): Backpressure;
  /** Ends it in good order, within about `graceMs`. */
  close(graceMs: number): Promise<void>;
}
