/**
 * One connection to one life of a server.
 *
 * @module
 */
import type { Parcel } from "../parcel.ts";
import type { Phase } from "../replay.ts";

export interface Failure {
  phase: Phase;
  reason: string;
}

/** What a connection tells the relay. */
export interface UpstreamEvents {
  /** A message of the server's, on one line. */
  line(upstream: Upstream, line: Uint8Array): void;
  /** No more answers can come to what is still open in the parcel. */
  failed(upstream: Upstream, parcel: Parcel, failure: Failure): void;
  /** The server is gone, or does not know the session any more; told at most once. */
  lost(upstream: Upstream, reason: string): void;
}

export interface Upstream {
  /** All answers come over one stream: when that ends, everything in flight is lost with it. */
  readonly sharesStream: boolean;
  /** Sends in the order of the calls where it matters; failures are told through the events. */
  send(parcel: Parcel): void;
  /** The client wants no answer to this any more. True where the server needs no word of it. */
  abandon(parcel: Parcel): boolean;
  /** Whether a connection that failed for one message is still good for others. */
  isAlive(signal: AbortSignal): Promise<boolean>;
  /** Sends nothing new, and lets what is in flight come to its own end. */
  retire(): void;
  /** Ends it in good order, within about `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** What came of trying to reach the server. */
export type Opened =
  | { kind: "open"; upstream: Upstream }
  /** To be tried again while somebody waits. */
  | { kind: "later"; reason: string }
  /** Will not be there by waiting. */
  | { kind: "refused"; message: string; hint: string };

export interface OpenRequest {
  events: UpstreamEvents;
  /** Somebody waits: the server is to be started. Without, it is only looked for. */
  demand: boolean;
  signal: AbortSignal;
}

export interface Source {
  open(request: OpenRequest): Promise<Opened>;
  /** Why there is no server at the moment, null where nothing more is known than {@link Opened} said. */
  reason(): Promise<string | null>;
}
