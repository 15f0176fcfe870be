/**
 * Clients of the newer revision at a server that need not be there: discovery and whole lists come from what it last said.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type Fields, fieldsAt, LIST_CHANGES, META, NEWER_REVISION } from "../mcp/revisions/messages.ts";
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import { parseLine } from "../relay/message.ts";
import { type Conversation, isListenForLists } from "./conversation.ts";
import { isListMethod, LISTS, ListWalk, promisingChanges } from "./discovery.ts";
import type { ServerMemory } from "./remembering.ts";

export interface RememberingNewerOptions {
  client: ClientSide;
  server: ServerMemory;
  isThere(): boolean;
  open(client: ClientSide): Conversation;
}

interface Listen {
  line: Uint8Array;
  message: Fields;
  /** The server knows of it. */
  isPassedOn: boolean;
}

const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class RememberingNewer implements Conversation, ClientSide {
  readonly #options: RememberingNewerOptions;
  readonly #server: Conversation;
  readonly #watched = new Map<number, { method: string; params: Fields; capabilities: Fields }>();
  /** Streams for list changes alone: they start no server, and outlive the one that is there. */
  readonly #listens = new Map<number, Listen>();

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
    await this.#server.receive(exchange, line, messages);
    await this.#passListensOn();
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
    if (to.kind === "answer") {
      this.#listens.delete(to.exchange);
      return this.#options.client.write(this.#readAnswer(line, to.exchange), to);
    }
    // The stream was acknowledged here, before there was a server.
    if (this.#listens.has(to.exchange) && decoder.decode(line).includes(ACKNOWLEDGED)) return;
    return this.#options.client.write(line, to);
  }

  cancelled(exchange: number): void {
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
    return items === undefined ? false : await send({ [LISTS[method].items]: items });
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
    const asked = { version: NEWER_REVISION, capabilities };
    if (isListMethod(method)) {
      const step = params.cursor === undefined ? new ListWalk(method).add(value.result) : null;
      if (step?.kind === "whole") this.#options.server.noteList(asked, method, step.items);
      return line;
    }
    this.#options.server.noteAnswer(asked, value.result);
    return encoder.encode(JSON.stringify({ ...value, result: promisingChanges(value.result) }));
  }
}
