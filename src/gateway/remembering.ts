/**
 * A client's session that needs no server until it asks for something: the handshake and the lists come from what the server
 * last said, and a server that comes, or comes back, is told what the client told its predecessor.
 *
 * @module
 */
import { canonicalJson } from "../base/hash.ts";
import { isObject } from "../base/json.ts";
import type { Clock } from "../host/host.ts";
import { type Fields, fieldsAt } from "../mcp/revisions/messages.ts";
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import { errorLine, METHOD_NOT_FOUND, NOT_READY, parseLine } from "../relay/message.ts";
import {
  type DiscoveryEntry,
  isListMethod,
  type ListMethod,
  LISTS,
  ListWalk,
  promisingChanges,
  sameList,
} from "./discovery.ts";
import type { Conversation } from "./conversation.ts";
import { requestIds } from "./lost.ts";

/** What the client set up, in plain data that is kept in the state folder. No bodies of calls, no environment values. */
export interface SessionMemory {
  /** The parameters of the client's initialize; null before it. */
  initialize: Fields | null;
  /** What initialize was answered. */
  answer: Fields | null;
  isInitialized: boolean;
  logLevel: string | null;
  subscriptions: string[];
}

export const NEW_MEMORY: SessionMemory = {
  initialize: null,
  answer: null,
  isInitialized: false,
  logLevel: null,
  subscriptions: [],
};

/** What is remembered of the server for clients like this one. */
export interface ServerMemory {
  find(asked: { version: string; capabilities: Fields }): DiscoveryEntry | null;
  noteAnswer(asked: { version: string; capabilities: Fields }, answer: Fields): void;
  noteList(asked: { version: string; capabilities: Fields }, method: ListMethod, items: unknown[]): void;
}

export interface RememberingOptions {
  client: ClientSide;
  server: ServerMemory;
  memory: SessionMemory;
  /** Whether a process of the server is there, or about to be. */
  isThere(): boolean;
  open(client: ClientSide): Conversation;
  /** The memory changed. */
  onMemory(memory: SessionMemory): void;
  /** The server that came differs so much from what the client was told that the session can't go on. */
  onMismatch(): void;
  clock: Pick<Clock, "sleep">;
  /** A fault of foster's own, in what nobody waits for. */
  onFault(error: unknown): void;
}

/** Own requests begin here: plain integers, as every server takes them, and unlikely to be a client's. */
const FIRST_OWN_ID = 2_000_000_000;
/** No message that has to be read is larger. */
const READ_LIMIT_BYTES = 64 * 1024;
/** What may wait for a server that wakes. */
const HELD_LIMIT = 1000;
const HELD_LIMIT_BYTES = 64 * 1024 * 1024;
/** How long it may wait for a process that is there and has not answered the handshake. */
const HANDSHAKE_WAIT_MS = 60_000;
/** A client with more is only promised the newest of them over the lives of a server. */
const SUBSCRIPTION_LIMIT = 1000;

interface Held {
  exchange: number;
  line: Uint8Array;
  messages: readonly Fields[];
}

type State = "new" | "asleep" | "waking" | "live";

const encoder = new TextEncoder();

export class Remembering implements Conversation, ClientSide {
  readonly #options: RememberingOptions;
  #memory: SessionMemory;
  #state: State;
  #server: Conversation | null = null;
  #held: Held[] = [];
  /** Own requests that wait for their answer, by exchange: all below 0. */
  readonly #own = new Map<number, (answer: Fields) => void>();
  #nextOwn = -1;
  /** What the client's requests in flight are, where their answers are to be read. */
  readonly #watched = new Map<number, { method: string; params: Fields }>();
  readonly #walks = new Map<ListMethod, ListWalk>();
  /** Lists that the client has from memory: compared once the server is there. */
  readonly #served = new Map<ListMethod, unknown[]>();
  readonly #closing = new AbortController();

  constructor(options: RememberingOptions) {
    this.#options = options;
    this.#memory = options.memory;
    this.#state = options.memory.initialize === null ? "new" : "asleep";
  }

  /** Requests that wait for the server. */
  get waiting(): number {
    return this.#held.length;
  }

  async receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    for (const message of messages) this.#note(message);
    const [first] = messages;
    // It asks whether this side lives: a server that answers none is not lost by that.
    if (messages.length === 1 && first?.method === "ping" && first.id !== undefined) {
      return await this.#answerPing(exchange, first.id);
    }
    switch (this.#state) {
      case "live":
        this.#watch(exchange, messages);
        return await this.#server?.receive(exchange, line, messages);
      case "waking":
        return await this.#hold({ exchange, line, messages });
      case "new":
      case "asleep":
        break;
    }
    const [only] = messages;
    // A batch has one answer: what sleeps can't give the half of it.
    const isAnswered = messages.length === 1 && only !== undefined
      ? await this.#answerAsleep(exchange, only)
      : this.#state === "asleep" && requestIds(messages).length === 0;
    if (isAnswered) return;
    // Others may have come while the answer was looked for.
    if (this.#isAwake()) {
      return await this.receive(exchange, line, messages);
    }
    this.#wake({ exchange, line, messages });
  }

  #isAwake(): boolean {
    return this.#state === "live" || this.#state === "waking";
  }

  async #hold(held: Held): Promise<void> {
    const bytes = this.#held.reduce((sum, { line }) => sum + line.length, held.line.length);
    if (this.#held.length < HELD_LIMIT && (bytes <= HELD_LIMIT_BYTES || this.#held.length === 0)) {
      this.#held.push(held);
      return;
    }
    const message =
      `The server is not there yet, and ${this.#held.length} requests wait for it already: try again later`;
    await this.#refuse(held, { code: NOT_READY, message });
  }

  async #refuse({ exchange, messages }: Held, error: { code: number; message: string }): Promise<void> {
    const ids = requestIds(messages);
    for (const [index, id] of ids.entries()) {
      const isLast = index === ids.length - 1;
      await this.#options.client.write(errorLine(id, error), { kind: "answer", exchange, isLast });
    }
  }

  /** Whoever waits for a process that does not answer the handshake is told so; the process may still be installing. */
  async #watchHandshake(): Promise<void> {
    while (this.#state === "waking" && !this.#closing.signal.aborted) {
      const waiting = new Set(this.#held);
      await this.#options.clock.sleep(HANDSHAKE_WAIT_MS, this.#closing.signal).catch(() => {});
      if (this.#state !== "waking" || this.#closing.signal.aborted) return;
      const overdue = this.#held.filter((held) => waiting.has(held));
      this.#held = this.#held.filter((held) => !waiting.has(held));
      const message = `The server did not answer initialize within ${HANDSHAKE_WAIT_MS / 1000} s: ` +
        "the request was not sent. foster logs shows what the server says";
      for (const held of overdue) await this.#refuse(held, { code: NOT_READY, message });
    }
  }

  cancel(exchange: number): void {
    this.#held = this.#held.filter((held) => held.exchange !== exchange);
    this.#server?.cancel(exchange);
  }

  async finish(limitMs: number): Promise<void> {
    await this.#server?.finish(limitMs);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#server?.close();
  }

  /** The server's processes are gone by foster's own doing: the session sleeps until it is asked for something. */
  async sleep(): Promise<void> {
    if (this.#watched.size === 0) await this.startOver();
  }

  /** The server that came back does not take the session as it was: the next request begins another one there. */
  async startOver(): Promise<void> {
    if (this.#state !== "live") return;
    this.#state = "asleep";
    const server = this.#server;
    this.#server = null;
    await server?.close();
  }

  write(line: Uint8Array, to: Destination): Backpressure {
    if (to.kind !== "session" && to.exchange < 0) {
      if (to.kind === "answer") this.#answerOwn(line, to.exchange);
      return;
    }
    if (to.kind === "answer") return this.#options.client.write(this.#readAnswer(line, to.exchange), to);
    return this.#options.client.write(line, to);
  }

  cancelled(exchange: number): void {
    this.#watched.delete(exchange);
    this.#options.client.cancelled?.(exchange);
  }

  // What the client sets up

  #note({ method, params }: Fields): void {
    const given = isObject(params) ? params : {};
    switch (method) {
      case "initialize":
        return this.#change({ initialize: given, isInitialized: false });
      case "notifications/initialized":
        return this.#change({ isInitialized: true });
      case "logging/setLevel":
        return this.#change({ logLevel: typeof given.level === "string" ? given.level : null });
      case "resources/subscribe":
      case "resources/unsubscribe": {
        const others = this.#memory.subscriptions.filter((uri) => uri !== given.uri);
        const isAdded = method === "resources/subscribe" && typeof given.uri === "string";
        const all = isAdded ? [...others, given.uri as string] : others;
        return this.#change({ subscriptions: all.slice(-SUBSCRIPTION_LIMIT) });
      }
    }
  }

  #change(change: Partial<SessionMemory>): void {
    this.#memory = { ...this.#memory, ...change };
    this.#options.onMemory(this.#memory);
  }

  get #asked(): { version: string; capabilities: Fields } {
    const { protocolVersion } = this.#memory.initialize ?? {};
    return {
      version: typeof protocolVersion === "string" ? protocolVersion : "",
      capabilities: fieldsAt(this.#memory.initialize ?? {}, "capabilities"),
    };
  }

  async #answerPing(exchange: number, id: unknown): Promise<void> {
    const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", id, result: {} }));
    await this.#options.client.write(line, { kind: "answer", exchange, isLast: true });
  }

  // While there is no server

  /** Answers without the server what can be answered so. False where the server is needed. */
  async #answerAsleep(exchange: number, { id, method, params }: Fields): Promise<boolean> {
    const { client, isThere, server } = this.#options;
    const answer = async (result: Fields) => {
      const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", id, result }));
      await client.write(line, { kind: "answer", exchange, isLast: true });
      return true;
    };
    if (id === undefined) return this.#state === "asleep";
    // An answer to a question of a process that is gone.
    if (method === undefined) return true;
    if (isThere()) return false;
    const entry = server.find(this.#asked);
    if (method === "initialize") {
      if (entry === null) return false;
      const promised = promisingChanges(entry.answer);
      this.#state = "asleep";
      this.#change({ answer: promised });
      return await answer(promised);
    }
    if (this.#state === "new") return false;
    // The level is told when the server comes.
    if (method === "logging/setLevel") return await answer({});
    const { cursor } = isObject(params) ? params : {};
    const list = typeof method === "string" && isListMethod(method) && cursor === undefined ? method : null;
    const items = list === null ? undefined : entry?.lists[list];
    if (list === null || items === undefined) return false;
    this.#served.set(list, items);
    return await answer({ [LISTS[list].items]: items });
  }

  #wake(held: Held): void {
    if (this.#state === "new") {
      // The client's own handshake goes to the server: there is nothing to repeat.
      this.#state = "live";
      this.#server = this.#options.open(this);
      this.#watch(held.exchange, held.messages);
      this.#float(this.#server.receive(held.exchange, held.line, held.messages));
      return;
    }
    this.#state = "waking";
    this.#held.push(held);
    this.#server = this.#options.open(this);
    this.#float(this.#introduce(this.#server));
    this.#float(this.#watchHandshake());
  }

  /** Tells the server what the client told its predecessor, then sends what waits. */
  async #introduce(server: Conversation): Promise<void> {
    const { initialize, isInitialized, logLevel, subscriptions, answer: told } = this.#memory;
    const answer = await this.#ask("initialize", initialize ?? {});
    if (this.#closing.signal.aborted) return;
    const { result } = answer;
    if (!isObject(result)) return await this.#refuseHeld(server, answer);
    this.#options.server.noteAnswer(this.#asked, result);
    if (told !== null && isMismatch(told, result)) {
      const message =
        "The server that came lacks what this session was promised: the request was not sent, initialize again";
      for (const held of this.#held.splice(0)) await this.#refuse(held, { code: NOT_READY, message });
      return this.#options.onMismatch();
    }
    if (isInitialized) await this.#tell(server, "notifications/initialized");
    if (logLevel !== null) await this.#ask("logging/setLevel", { level: logLevel });
    for (const uri of subscriptions) await this.#ask("resources/subscribe", { uri });
    // One by one, so that what comes meanwhile stays behind, and what is cancelled is not sent.
    for (let next = this.#held.shift(); next !== undefined; next = this.#held.shift()) {
      this.#watch(next.exchange, next.messages);
      await server.receive(next.exchange, next.line, next.messages);
    }
    this.#state = "live";
    await this.#compareLists();
  }

  /** The server did not take the handshake: that is what all who wait are answered. */
  async #refuseHeld(server: Conversation, { error }: Fields): Promise<void> {
    this.#state = "asleep";
    this.#server = null;
    const refusal = isObject(error) && typeof error.code === "number"
      ? error as { code: number; message: string }
      : { code: NOT_READY, message: "The server's answer to initialize is none" };
    for (const held of this.#held.splice(0)) await this.#refuse(held, refusal);
    await server.close();
  }

  /** Tells the client of lists that are not any more what it was given from memory. */
  async #compareLists(): Promise<void> {
    const changed = new Set<string>();
    for (const [method, items] of [...this.#served]) {
      this.#served.delete(method);
      const live = await this.#walk(method);
      if (live === null) continue;
      this.#options.server.noteList(this.#asked, method, live);
      if (!sameList(items, live)) changed.add(LISTS[method].changed);
    }
    for (const method of changed) {
      await this.#options.client.write(encoder.encode(JSON.stringify({ jsonrpc: "2.0", method })), {
        kind: "session",
      });
    }
  }

  /** A whole list from the server; null where it gives none. */
  async #walk(method: ListMethod): Promise<unknown[] | null> {
    const walk = new ListWalk(method);
    let params: Fields = {};
    while (!this.#closing.signal.aborted) {
      const { result, error } = await this.#ask(method, params);
      if (isObject(error) && error.code === METHOD_NOT_FOUND) return [];
      const step = isObject(result) ? walk.add(result) : { kind: "broken" as const };
      if (step.kind === "whole") return step.items;
      if (step.kind === "broken") return null;
      params = { cursor: step.cursor };
    }
    return null;
  }

  // Own requests

  async #ask(method: string, params: Fields): Promise<Fields> {
    const exchange = this.#nextOwn--;
    const message = { jsonrpc: "2.0", id: FIRST_OWN_ID - exchange, method, params };
    const answered = new Promise<Fields>((resolve) => this.#own.set(exchange, resolve));
    await this.#server?.receive(exchange, encoder.encode(JSON.stringify(message)), [message]);
    return await answered;
  }

  async #tell(server: Conversation, method: string): Promise<void> {
    const message = { jsonrpc: "2.0", method };
    await server.receive(this.#nextOwn--, encoder.encode(JSON.stringify(message)), [message]);
  }

  #answerOwn(line: Uint8Array, exchange: number): void {
    const resolve = this.#own.get(exchange);
    this.#own.delete(exchange);
    const value = parseLine(line);
    resolve?.(isObject(value) ? value : {});
  }

  // What the server says of itself

  #watch(exchange: number, messages: readonly Fields[]): void {
    const [only] = messages;
    if (messages.length !== 1 || only === undefined || only.id === undefined) return;
    const { method, params } = only;
    if (typeof method !== "string" || (method !== "initialize" && !isListMethod(method))) return;
    this.#watched.set(exchange, { method, params: isObject(params) ? params : {} });
  }

  /** The answer as the client gets it: that of initialize promises changes of every list. */
  #readAnswer(line: Uint8Array, exchange: number): Uint8Array {
    const watched = this.#watched.get(exchange);
    if (watched === undefined) return line;
    this.#watched.delete(exchange);
    const { method, params } = watched;
    if (method !== "initialize" && line.length > READ_LIMIT_BYTES * 64) return line;
    const value = parseLine(line);
    if (!isObject(value) || !isObject(value.result)) return line;
    const { result } = value;
    if (isListMethod(method)) {
      this.#noteList(method, params, result);
      return line;
    }
    this.#options.server.noteAnswer(this.#asked, result);
    const promised = promisingChanges(result);
    this.#change({ answer: promised });
    return canonicalJson(promised) === canonicalJson(result)
      ? line
      : encoder.encode(JSON.stringify({ ...value, result: promised }));
  }

  /** Follows the client through the pages of a list: only whole ones are kept. */
  #noteList(method: ListMethod, { cursor }: Fields, result: Fields): void {
    const walk = cursor === undefined ? new ListWalk(method) : this.#walks.get(method);
    if (walk === undefined) return;
    const step = walk.add(result);
    if (step.kind === "more") this.#walks.set(method, walk);
    else this.#walks.delete(method);
    if (step.kind === "whole") this.#options.server.noteList(this.#asked, method, step.items);
  }

  #float(work: Promise<void>): void {
    work.catch((error: unknown) => this.#options.onFault(error));
  }
}

/** Whether a client that was told the one can't live with the other: what it was promised is not there. */
function isMismatch(told: Fields, live: Fields): boolean {
  if (told.protocolVersion !== live.protocolVersion) return true;
  const now = fieldsAt(live, "capabilities");
  return Object.keys(fieldsAt(told, "capabilities")).some((capability) => !(capability in now));
}
