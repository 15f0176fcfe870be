/**
 * Clients of the newer revision at a server that need not be there: discovery and whole lists come from what it last said.
 *
 * @module
 */
import { canonicalJson } from "../base/hash.ts";
import { isObject } from "../base/json.ts";
import { type Fields, fieldsAt, LIST_CHANGES, META, NEWER_REVISION } from "../mcp/revisions/messages.ts";
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import { METHOD_NOT_FOUND, parseLine } from "../relay/message.ts";
import { type Conversation, isListenForLists } from "./conversation.ts";
import { isListMethod, type ListMethod, LISTS, ListWalk, promisingChanges, sameList } from "./discovery.ts";
import type { ServerMemory } from "./remembering.ts";

export interface RememberingNewerOptions {
  client: ClientSide;
  server: ServerMemory;
  isThere(): boolean;
  open(client: ClientSide): Conversation;
  /** A fault of foster's own, in what nobody waits for. */
  onFault(error: unknown): void;
}

interface Listen {
  line: Uint8Array;
  message: Fields;
  /** The server knows of it. */
  isPassedOn: boolean;
}

/** A list that clients were given from memory. */
interface Served {
  method: ListMethod;
  items: unknown[];
  capabilities: Fields;
}

/** Own requests begin here: plain integers, as every server takes them, and unlikely to be a client's. */
const FIRST_OWN_ID = 2_000_000_000;
/** Own exchanges are below it; a client's may be below 0. */
const OWN_EXCHANGES = -1_000_000_000;
/** Clients with ever new capabilities are not all told of changes. */
const SERVED_LIMIT = 64;
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class RememberingNewer implements Conversation, ClientSide {
  readonly #options: RememberingNewerOptions;
  readonly #server: Conversation;
  readonly #watched = new Map<number, { method: string; params: Fields; capabilities: Fields }>();
  /** Streams for list changes alone: they start no server, and outlive the one that is there. */
  readonly #listens = new Map<number, Listen>();
  /** Compared once the server is there. */
  readonly #served = new Map<string, Served>();
  /** Own requests that wait for their answer, by exchange. */
  readonly #own = new Map<number, (answer: Fields) => void>();
  #lastOwn = 0;

  constructor(options: RememberingNewerOptions) {
    this.#options = options;
    this.#server = options.open(this);
  }

  async receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    const [message] = messages;
    if (message === undefined) return;
    const { id, method } = message;
    const params = isObject(message.params) ? message.params : {};
    const capabilities = fieldsAt(fieldsAt(params, "_meta"), META.clientCapabilities);
    if (id !== undefined && typeof method === "string") {
      if (isListenForLists(message)) {
        return await this.#listen(exchange, { line, message, isPassedOn: false }, capabilities);
      }
      if (!this.#options.isThere() && await this.#answer(exchange, { id, method, params, capabilities })) {
        return;
      }
      if (method === "server/discover" || isListMethod(method)) {
        this.#watched.set(exchange, { method, params, capabilities });
      }
    }
    // First the streams: what the request changes is told on them.
    await this.#passListensOn();
    await this.#server.receive(exchange, line, messages);
    if (this.#served.size > 0) this.#compareLists().catch(this.#options.onFault);
  }

  cancel(exchange: number): void {
    this.#watched.delete(exchange);
    const listen = this.#listens.get(exchange);
    this.#listens.delete(exchange);
    if (listen?.isPassedOn !== false) this.#server.cancel(exchange);
  }

  async finish(limitMs: number): Promise<void> {
    await this.#server.finish(limitMs);
  }

  async close(): Promise<void> {
    await this.#server.close();
  }

  write(line: Uint8Array, to: Destination): Backpressure {
    if (to.kind === "session") return this.#options.client.write(line, to);
    if (to.exchange < OWN_EXCHANGES) {
      if (to.kind === "answer") this.#answerOwn(to.exchange, line);
      return;
    }
    if (to.kind === "answer") {
      this.#listens.delete(to.exchange);
      return this.#options.client.write(this.#readAnswer(line, to.exchange), to);
    }
    // The stream was acknowledged here, before there was a server.
    if (this.#listens.has(to.exchange) && decoder.decode(line).includes(ACKNOWLEDGED)) return;
    return this.#options.client.write(line, to);
  }

  cancelled(exchange: number): void {
    if (exchange < OWN_EXCHANGES) return this.#answerOwn(exchange, null);
    this.#watched.delete(exchange);
    this.#listens.delete(exchange);
    this.#options.client.cancelled?.(exchange);
  }

  /** Answers from what the server last said. False where it has to be asked. */
  async #answer(exchange: number, { id, method, params, capabilities }: {
    id: unknown;
    method: string;
    params: Fields;
    capabilities: Fields;
  }): Promise<boolean> {
    const entry = this.#options.server.find({ version: NEWER_REVISION, capabilities });
    if (entry === null) return false;
    const send = async (result: Fields) => {
      const whole = { ...result, resultType: "complete", ttlMs: 0, cacheScope: "private" };
      const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", id, result: whole }));
      await this.#options.client.write(line, { kind: "answer", exchange, isLast: true });
      return true;
    };
    if (method === "server/discover") return await send(promisingChanges(entry.answer));
    if (!isListMethod(method) || params.cursor !== undefined) return false;
    const items = entry.lists[method];
    if (items === undefined) return false;
    if (this.#served.size < SERVED_LIMIT) {
      this.#served.set(`${method} ${canonicalJson(capabilities)}`, { method, items, capabilities });
    }
    return await send({ [LISTS[method].items]: items });
  }

  /** Tells streams of lists that are not any more what was given from memory. */
  async #compareLists(): Promise<void> {
    const changed = new Set<string>();
    const all = [...this.#served.values()];
    this.#served.clear();
    for (const { method, items, capabilities } of all) {
      const live = await this.#walk(method, capabilities);
      if (live === null) continue;
      this.#options.server.noteList({ version: NEWER_REVISION, capabilities }, method, live);
      if (!sameList(items, live)) changed.add(LISTS[method].changed);
    }
    for (const { method, filter } of LIST_CHANGES) {
      if (!changed.has(method)) continue;
      for (const [exchange, { message }] of this.#listens) {
        if (fieldsAt(fieldsAt(message, "params"), "notifications")[filter] !== true) continue;
        const params = { _meta: { [META.subscriptionId]: message.id } };
        const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", method, params }));
        await this.#options.client.write(line, { kind: "related", exchange });
      }
    }
  }

  /** A whole list from the server; null where it gives none. */
  async #walk(method: ListMethod, capabilities: Fields): Promise<unknown[] | null> {
    const walk = new ListWalk(method);
    let params: Fields = {};
    while (true) {
      const { result, error } = await this.#ask(method, params, capabilities);
      if (isObject(error) && error.code === METHOD_NOT_FOUND) return [];
      const step = isObject(result) ? walk.add(result) : { kind: "broken" as const };
      if (step.kind === "whole") return step.items;
      if (step.kind === "broken") return null;
      params = { cursor: step.cursor };
    }
  }

  /** A client need not ask for discovery: what its list is kept under is then asked for here. */
  async #discover(capabilities: Fields): Promise<void> {
    const { result } = await this.#ask("server/discover", {}, capabilities);
    if (isObject(result)) {
      this.#options.server.noteAnswer({ version: NEWER_REVISION, capabilities }, result);
    }
  }

  async #ask(method: string, params: Fields, capabilities: Fields): Promise<Fields> {
    const number = ++this.#lastOwn;
    const exchange = OWN_EXCHANGES - number;
    const _meta = { [META.version]: NEWER_REVISION, [META.clientCapabilities]: capabilities };
    const message = { jsonrpc: "2.0", id: FIRST_OWN_ID + number, method, params: { ...params, _meta } };
    const answered = new Promise<Fields>((resolve) => this.#own.set(exchange, resolve));
    await this.#server.receive(exchange, encoder.encode(JSON.stringify(message)), [message]);
    return await answered;
  }

  #answerOwn(exchange: number, line: Uint8Array | null): void {
    const resolve = this.#own.get(exchange);
    this.#own.delete(exchange);
    const value = line === null ? null : parseLine(line);
    resolve?.(isObject(value) ? value : {});
  }

  async #listen(exchange: number, listen: Listen, capabilities: Fields): Promise<void> {
    this.#listens.set(exchange, listen);
    const asked = fieldsAt(fieldsAt(listen.message, "params"), "notifications");
    const entry = this.#options.server.find({ version: NEWER_REVISION, capabilities });
    const known = entry === null ? null : fieldsAt(entry.answer, "capabilities");
    const notifications = Object.fromEntries(
      LIST_CHANGES.filter(({ capability, filter }) =>
        asked[filter] === true && (known === null || isObject(known[capability]))
      )
        .map(({ filter }) => [filter, true]),
    );
    const params = { notifications, _meta: { [META.subscriptionId]: listen.message.id } };
    const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", method: ACKNOWLEDGED, params }));
    await this.#options.client.write(line, { kind: "related", exchange });
    if (this.#options.isThere()) await this.#passListensOn();
  }

  /** A server that is there hears of the streams that it did not start for. */
  async #passListensOn(): Promise<void> {
    for (const [exchange, listen] of this.#listens) {
      if (listen.isPassedOn) continue;
      listen.isPassedOn = true;
      await this.#server.receive(exchange, listen.line, [listen.message]);
    }
  }

  /** The server's processes were let go: the streams wait for the next. */
  noteGone(): void {
    for (const listen of this.#listens.values()) listen.isPassedOn = false;
  }

  #readAnswer(line: Uint8Array, exchange: number): Uint8Array {
    const watched = this.#watched.get(exchange);
    if (watched === undefined) return line;
    this.#watched.delete(exchange);
    const value = parseLine(line);
    if (!isObject(value) || !isObject(value.result)) return line;
    const { method, params, capabilities } = watched;
    if (isListMethod(method)) {
      const step = params.cursor === undefined ? new ListWalk(method).add(value.result) : null;
      if (step?.kind === "whole") this.#noteList(method, step.items, capabilities);
      return line;
    }
    this.#options.server.noteAnswer({ version: NEWER_REVISION, capabilities }, value.result);
    return encoder.encode(JSON.stringify({ ...value, result: promisingChanges(value.result) }));
  }

  #noteList(method: ListMethod, items: unknown[], capabilities: Fields): void {
    const { server, onFault } = this.#options;
    const asked = { version: NEWER_REVISION, capabilities };
    if (server.find(asked) !== null) return server.noteList(asked, method, items);
    this.#discover(capabilities).then(() => server.noteList(asked, method, items)).catch(onFault);
  }
}
