/**
 * Where a relay finds its server: a process that somebody keeps, or starts when it is needed.
 *
 * @module
 */
import type { ProcessFate } from "./retry.ts";
import type { Upstream, UpstreamOptions } from "./upstream/upstream.ts";

/** Which process of the server. Nulls where foster does not know it, as with a server that it did not start. */
export interface ServerIdentity {
  pid: number | null;
  startTime: string | null;
  /** Null over stdio. */
  endpoint: string | null;
}

export interface AcquireRequest {
  /** A request waits: the server is to be started. Without, it is only looked for. */
  demand: boolean;
  signal: AbortSignal;
}

/** A server that is there. */
export interface AcquiredServer {
  readonly identity: ServerIdentity;
  /** @throws Error where no connection can be had, or the signal's reason */
  connect(options: UpstreamOptions, signal: AbortSignal): Promise<Upstream>;
}

export type AcquireResult =
  | { kind: "there"; server: AcquiredServer }
  /** To be tried again while somebody waits. */
  | { kind: "later"; reason: string }
  /** Will not be there by waiting. */
  | { kind: "refused"; message: string; hint: string };

export interface ServerSource {
  acquire(request: AcquireRequest): Promise<AcquireResult>;
  /** What became of a process that {@link acquire} gave. Never throws. */
  fate(identity: ServerIdentity): Promise<ProcessFate>;
  /** What foster did to a process whose connection is lost; null where it did not end it. */
  endedAs?(identity: ServerIdentity): ProcessFate | null;
  /** Why there is no server at the moment, null where nothing more is known than {@link acquire} said. */
  reason(): Promise<string | null>;
}
