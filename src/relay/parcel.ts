/**
 * One line of the client's on its way to a server.
 *
 * @module
 */
import { type ClientMessage, type ClientRequest, encodeLine, keyOf, type SingleMessage } from "./message.ts";
import type { Upstream } from "./upstream/upstream.ts";

export interface Parcel {
  readonly line: Uint8Array;
  readonly message: ClientMessage;
  /** The requests in it that have no answer yet. */
  readonly open: Map<string, ClientRequest>;
  /** Where it was sent; null while it waits. */
  upstream: Upstream | null;
  /** Monotonic ms at which the client's patience with its waiting is over; null before it had to wait. */
  deadlineMs: number | null;
  /** How often it was sent. */
  attempts: number;
  /** Monotonic ms of the last time. */
  sentMs: number;
  /** Takes the answer in the client's place, for what was asked on its behalf. */
  readonly keep: ((line: Uint8Array) => void) | null;
  /** Why no answer can come to {@link keep}. */
  readonly giveUp: ((reason: string) => void) | null;
  /** The server confirmed this subscription before, and need not be heard again. */
  confirmed: boolean;
}

export function parcelOf(
  line: Uint8Array,
  message: ClientMessage,
  own: { keep: (line: Uint8Array) => void; giveUp: (reason: string) => void } | null = null,
): Parcel {
  const open = new Map<string, ClientRequest>();
  for (const item of itemsOf(message)) if (item.kind === "request") open.set(keyOf(item.id), item);
  return {
    line,
    message,
    open,
    upstream: null,
    deadlineMs: null,
    attempts: 0,
    sentMs: 0,
    keep: own?.keep ?? null,
    giveUp: own?.giveUp ?? null,
    confirmed: false,
  };
}

export function itemsOf(message: ClientMessage): readonly SingleMessage[] {
  return message.kind === "batch" ? message.items : [message];
}

/** A request by itself, out of whatever it came in. */
export function singleOf(request: ClientRequest): Parcel {
  const { id, method, params } = request;
  return parcelOf(encodeLine({ jsonrpc: "2.0", id, method, params }), request);
}

/** A subscription: its answer is its end. */
export function isListen({ message }: Parcel): boolean {
  return message.kind === "request" && message.method === "subscriptions/listen";
}
