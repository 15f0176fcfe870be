/**
 * One conversation that several clients have with one process: exchanges are numbered anew, so that nothing crosses.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { canonicalJson } from "../base/hash.ts";
import { lostAnswers, requestIds } from "./lost.ts";
import { type Fields, fieldsAt, META } from "../mcp/revisions/messages.ts";
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import { readServerLine } from "../relay/message.ts";
import { type Conversation, isListenForLists } from "./conversation.ts";

interface Member {
  client: ClientSide;
  /** The shared number of each open exchange. */
  open: Map<number, number>;
}

interface Owner {
  member: Member;
  exchange: number;
  /** A stream for list changes is none. */
  isUse: boolean;
  /** It asked for log messages. */
  hasLogs: boolean;
  /** Ids of its requests, as JSON text. */
  ids: readonly string[];
}

export class SharedConversation implements ClientSide {
  readonly #open: (client: ClientSide) => Conversation;
  readonly #how: () => string | undefined;
  readonly #now: () => number;
  readonly #owners = new Map<number, Owner>();
  #server: Conversation | null = null;
  #next = 1;
  #usedMs: number;

  /**
   * `open` is called again for the first message after {@link close}. `how` says what became of the server, as the beginning
   * of a sentence.
   */
  constructor({ now, open, how = () => undefined }: {
    now(): number;
    open(client: ClientSide): Conversation;
    how?(): string | undefined;
  }) {
    this.#open = open;
    this.#how = how;
    this.#now = now;
    this.#usedMs = now();
  }

  /** Requests that are open, of all members. A stream for list changes is none. */
  get open(): number {
    let open = 0;
    for (const { isUse } of this.#owners.values()) if (isUse) open++;
    return open;
  }

  /** Monotonic ms of the last time that a request was open. */
  get usedMs(): number {
    return this.open > 0 ? this.#now() : this.#usedMs;
  }

  /** Whether there is a conversation with the server. */
  get isBegun(): boolean {
    return this.#server !== null;
  }

  join(client: ClientSide): Conversation {
    const member: Member = { client, open: new Map() };
    return {
      receive: async (exchange, line, messages) => {
        const shared = this.#next++;
        const ids = requestIds(messages);
        if (ids.length > 0) {
          const isUse = !messages.every(isListenForLists);
          const hasLogs = messages.some(({ params }) =>
            isObject(params) && fieldsAt(params, "_meta")[META.logLevel] !== undefined
          );
          this.#owners.set(shared, { member, exchange, isUse, hasLogs, ids });
          member.open.set(exchange, shared);
          if (isUse) this.#usedMs = this.#now();
        }
        this.#server ??= this.#open(this);
        await this.#server.receive(shared, line, messages);
      },
      cancel: (exchange) => {
        const shared = member.open.get(exchange);
        if (shared === undefined) return;
        this.#settle(shared);
        this.#server?.cancel(shared);
      },
      finish: async (limitMs) => await this.#server?.finish(limitMs),
      close: async () => {
        const lost = [...member.open.values()].map((shared) => ({ shared, owner: this.#owners.get(shared) }));
        for (const { shared } of lost) {
          this.#settle(shared);
          this.#server?.cancel(shared);
        }
        // Its session may stay: whoever waits is answered.
        for (const { owner } of lost) if (owner?.isUse === true) await this.#answerLost(owner);
      },
    };
  }

  write(line: Uint8Array, to: Destination): Backpressure {
    if (to.kind === "session") return this.#atLarge(line);
    const owner = this.#owners.get(to.exchange);
    if (owner === undefined) return;
    if (to.kind === "answer" && to.isLast) this.#settle(to.exchange);
    return owner.member.client.write(line, { ...to, exchange: owner.exchange });
  }

  /**
   * What belongs to no exchange belongs to no member either: to pass it to all would show one client's to the others. Over
   * stdio log messages name no request: they are those of the only one that asked for such.
   */
  #atLarge(line: Uint8Array): Backpressure {
    const asking = [...this.#owners.values()].filter(({ hasLogs }) => hasLogs);
    const [only] = asking;
    if (asking.length !== 1 || only === undefined) return;
    const read = readServerLine(line);
    if (read.kind !== "notification" || read.method !== "notifications/message") return;
    return only.member.client.write(line, { kind: "related", exchange: only.exchange });
  }

  cancelled(shared: number): void {
    const owner = this.#owners.get(shared);
    if (owner === undefined) return;
    this.#settle(shared);
    owner.member.client.cancelled?.(owner.exchange);
  }

  async finish(limitMs: number): Promise<void> {
    await this.#server?.finish(limitMs);
  }

  /**
   * Ends the conversation; the members stay, and their next message begins another one. What is open is answered with an
   * error, but for streams: members open those again.
   */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    const lost = [...this.#owners];
    for (const [shared] of lost) this.#settle(shared);
    for (const [, owner] of lost) if (owner.isUse) await this.#answerLost(owner);
    await server?.close();
  }

  #answerLost({ member, exchange, ids }: Owner): Promise<void> {
    return lostAnswers(member.client, exchange, { ids, how: this.#how() });
  }

  #settle(shared: number): void {
    const owner = this.#owners.get(shared);
    if (owner === undefined) return;
    this.#owners.delete(shared);
    owner.member.open.delete(owner.exchange);
    if (owner.isUse) this.#usedMs = this.#now();
  }
}

/** Sets of capabilities that one client, or all clients of one server together, may have a session each for. */
export const SETS_LIMIT = 32;

/** Sends each exchange to the conversation of the capabilities that its client declares: a session knows but one set. */
export class ByCapabilities implements Conversation, ClientSide {
  readonly #client: ClientSide;
  readonly #join: (client: ClientSide, capabilities: Fields) => Conversation;
  readonly #joined = new Map<string, Conversation>();
  readonly #exchanges = new Map<number, Conversation>();

  constructor(client: ClientSide, join: (client: ClientSide, capabilities: Fields) => Conversation) {
    this.#client = client;
    this.#join = join;
  }

  /** Exchanges that have no last answer yet. */
  get open(): number {
    return this.#exchanges.size;
  }

  async receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    const meta = fieldsAt(fieldsAt(messages[0] ?? {}, "params"), "_meta");
    const capabilities = fieldsAt(meta, META.clientCapabilities);
    const named = canonicalJson(capabilities);
    const isRoom = this.#joined.has(named) || this.#joined.size < SETS_LIMIT;
    // Beyond the limit the server is told of none: it then asks for none.
    const key = isRoom ? named : "{}";
    const joined = this.#joined.get(key) ?? this.#join(this, isRoom ? capabilities : {});
    this.#joined.set(key, joined);
    if (requestIds(messages).length > 0) this.#exchanges.set(exchange, joined);
    await joined.receive(exchange, line, messages);
  }

  cancel(exchange: number): void {
    this.#exchanges.get(exchange)?.cancel(exchange);
    this.#exchanges.delete(exchange);
  }

  write(line: Uint8Array, to: Destination): Backpressure {
    if (to.kind === "answer" && to.isLast) this.#exchanges.delete(to.exchange);
    return this.#client.write(line, to);
  }

  cancelled(exchange: number): void {
    this.#exchanges.delete(exchange);
    this.#client.cancelled?.(exchange);
  }

  async finish(limitMs: number): Promise<void> {
    await Promise.all([...this.#joined.values()].map((each) => each.finish(limitMs)));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#joined.values()].map((each) => each.close()));
    this.#joined.clear();
    this.#exchanges.clear();
  }
}
