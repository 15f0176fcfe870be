/**
 * What the client sent and has no answer to yet: one table, by the ids that the server sees.
 *
 * @module
 */
import {
  type ClientMessage,
  isLikeId,
  type JsonRpcId,
  progressTokenOf,
  requestLine,
  type SingleMessage,
  withId,
  withProgressToken,
} from "./message.ts";
import type { OpenRequest, Pending, Upstream } from "./upstream/upstream.ts";

/** Ids of foster's own begin here: plain integers, as every server takes them, and unlikely to be a client's. */
const FIRST_OWN_ID = 1_000_000_000;

export class PendingTable {
  readonly #all = new Set<Pending>();
  readonly #byWireId = new Map<JsonRpcId, Pending>();
  readonly #byToken = new Map<string, Pending>();
  /** How many messages of an exchange have requests without an answer: a batch that is taken apart is several. */
  readonly #openOf = new Map<number, number>();
  readonly #onIdle: (() => void)[] = [];
  readonly #mintsIds: boolean;
  #lastId = FIRST_OWN_ID;
  /** Open requests that are no subscriptions. */
  #openCount = 0;

  /** `mintsIds`: several clients share the connection, so that every request gets an id and a token of its own. */
  constructor({ mintsIds = false } = {}) {
    this.#mintsIds = mintsIds;
  }

  /** A message that is not in the table yet. */
  create(
    line: Uint8Array,
    message: ClientMessage,
    { exchange = null, own = null }: Partial<Pick<Pending, "exchange" | "own">>,
  ): Pending {
    const items = itemsOf(message);
    const open = new Map<JsonRpcId, OpenRequest>();
    let wired = line;
    for (const item of items) {
      if (item.kind !== "request") continue;
      const isTaken = this.#mintsIds || own !== null || this.#byWireId.has(item.id) || open.has(item.id);
      const wireId = isTaken && message.kind !== "batch" ? this.newId() : item.id;
      if (wireId !== item.id) wired = withId(line, wireId);
      const token = progressTokenOf(item.params);
      const wireToken = token !== null && this.#mintsIds ? wireId : token;
      if (wireToken !== null && wireToken !== token) wired = withProgressToken(wired, wireToken);
      open.set(wireId, { request: item, wireId, wireToken });
    }
    return { ...fresh(wired, message), exchange, own, open };
  }

  /** A request by itself out of a batch, under the same wire id. */
  single(open: OpenRequest, { exchange }: Pending): Pending {
    const { request, wireId } = open;
    const line = requestLine(wireId, request.method, request.params);
    return { ...fresh(line, request), exchange, own: null, open: new Map([[wireId, open]]) };
  }

  /** An id that no open request has. */
  newId(): JsonRpcId {
    do this.#lastId++; while (this.#byWireId.has(String(this.#lastId)));
    return String(this.#lastId);
  }

  /** Whether a batch has an id that is open already, or one twice, or whether its ids are not to be seen at all. */
  hasDoubles(message: ClientMessage): boolean {
    if (this.#mintsIds) return true;
    const ids = itemsOf(message).flatMap((item) => item.kind === "request" ? [item.id] : []);
    return new Set(ids).size < ids.length || ids.some((id) => this.#byWireId.has(id));
  }

  add(pending: Pending): void {
    this.#all.add(pending);
    if (pending.open.size > 0) this.#count(pending.exchange, 1);
    for (const [wireId, { wireToken }] of pending.open) {
      this.#byWireId.set(wireId, pending);
      if (wireToken !== null) this.#byToken.set(wireToken, pending);
      if (!isListen(pending)) this.#openCount++;
    }
  }

  /** The request that an answer over this connection belongs to; `own`: the message on whose stream it came. */
  find(
    upstream: Upstream,
    id: JsonRpcId,
    own: Pending | null,
  ): { pending: Pending; open: OpenRequest } | null {
    const pending = this.#byWireId.get(id);
    const open = pending?.open.get(id);
    if (pending !== undefined && open !== undefined) {
      return pending.upstream === upstream ? { pending, open } : null;
    }
    // Some servers give a number back as a text, or the other way round.
    const candidates = own === null ? this.#byWireId.values() : [own];
    for (const candidate of candidates) {
      if (candidate.upstream !== upstream) continue;
      for (const like of candidate.open.values()) {
        if (isLikeId(like.wireId, id)) return { pending: candidate, open: like };
      }
    }
    return null;
  }

  /** The message whose progress is told of under this token. */
  withToken(token: string): Pending | null {
    return this.#byToken.get(token) ?? null;
  }

  /** Open requests under an id of the client's: more than one where it used it twice. */
  withClientId(id: JsonRpcId): { pending: Pending; open: OpenRequest }[] {
    return [...this.#all].flatMap((pending) =>
      pending.own !== null
        ? []
        : [...pending.open.values()].flatMap((open) => open.request.id === id ? [{ pending, open }] : [])
    );
  }

  all(): readonly Pending[] {
    return [...this.#all];
  }

  /** What one connection has to answer. */
  sentTo(upstream: Upstream): Pending[] {
    return [...this.#all].filter((pending) => pending.upstream === upstream && pending.state === "sent");
  }

  waiting(): Pending[] {
    return [...this.#all].filter(({ state }) => state === "waiting");
  }

  /** One request is answered, or its answer is not wanted any more. */
  settle(pending: Pending, { wireId, wireToken }: OpenRequest): void {
    if (!pending.open.delete(wireId)) return;
    if (this.#byWireId.get(wireId) === pending) this.#byWireId.delete(wireId);
    if (wireToken !== null && this.#byToken.get(wireToken) === pending) this.#byToken.delete(wireToken);
    if (!isListen(pending)) this.#openCount--;
    if (pending.open.size === 0) {
      this.#count(pending.exchange, -1);
      this.remove(pending);
    }
    if (this.#openCount === 0) { for (const wake of this.#onIdle.splice(0)) wake(); }
  }

  /** Whether a request of the exchange has no answer yet. */
  isExchangeOpen(exchange: number): boolean {
    return this.#openOf.has(exchange);
  }

  #count(exchange: number | null, change: 1 | -1): void {
    if (exchange === null) return;
    const count = (this.#openOf.get(exchange) ?? 0) + change;
    if (count > 0) this.#openOf.set(exchange, count);
    else this.#openOf.delete(exchange);
  }

  /** Takes the message out of the table, with all that is open in it. */
  remove(pending: Pending): void {
    for (const open of [...pending.open.values()]) this.settle(pending, open);
    this.#all.delete(pending);
    pending.state = "done";
  }

  /** Whether nothing but subscriptions is open. */
  get isIdle(): boolean {
    return this.#openCount === 0;
  }

  /** Resolves when the last request but subscriptions is settled. */
  becomesIdle(): Promise<void> {
    return this.isIdle ? Promise.resolve() : new Promise((resolve) => this.#onIdle.push(resolve));
  }
}

function fresh(line: Uint8Array, message: ClientMessage): Omit<Pending, "exchange" | "own" | "open"> {
  return {
    line,
    message,
    state: "waiting",
    upstream: null,
    deadlineMs: null,
    attempts: 0,
    refusals: 0,
    sentMs: 0,
    isConfirmed: false,
  };
}

export function itemsOf(message: ClientMessage): readonly SingleMessage[] {
  return message.kind === "batch" ? message.items : [message];
}

/** A subscription: its answer is its end. */
export function isListen({ message }: Pick<Pending, "message">): boolean {
  return message.kind === "request" && message.method === "subscriptions/listen";
}

export function isInitialize({ message }: Pick<Pending, "message">): boolean {
  return message.kind === "request" && message.method === "initialize";
}
