/**
 * What a client told and was told, as far as the next life of the server must hear of it.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type ToolHeaders, toolHeadersOf } from "./upstream/headers.ts";
import { type ClientRequest, encodeLine, type JsonRpcId, type Params, parseLine } from "./message.ts";
import type { Parcel } from "./parcel.ts";

/** A list that a client may hold, and how it is told of a change. */
export interface ListKind {
  method: string;
  /** Member of the result. */
  items: string;
  changed: string;
  /** Member of a subscription's filter. */
  filter: string;
}

export const LISTS: readonly ListKind[] = [
  {
    method: "tools/list",
    items: "tools",
    changed: "notifications/tools/list_changed",
    filter: "toolsListChanged",
  },
  {
    method: "prompts/list",
    items: "prompts",
    changed: "notifications/prompts/list_changed",
    filter: "promptsListChanged",
  },
  {
    method: "resources/list",
    items: "resources",
    changed: "notifications/resources/list_changed",
    filter: "resourcesListChanged",
  },
  {
    method: "resources/templates/list",
    items: "resourceTemplates",
    changed: "notifications/resources/list_changed",
    filter: "resourcesListChanged",
  },
];

/** More pages than any list has: a bound against a server that never ends one. */
export const PAGE_LIMIT = 1000;

interface KnownList {
  items: string[];
  /** What the client's requests carry about themselves, for those asked on its behalf. */
  meta: unknown;
}

export class ClientMemory {
  #initialize: Parcel | null = null;
  #initialized: Parcel | null = null;
  #logLevel: Parcel | null = null;
  readonly #subscriptions = new Map<string, Parcel>();
  readonly #lists = new Map<string, KnownList>();
  #toolHeaders: ToolHeaders = new Map();

  /** Which arguments go into headers, as far as the client has seen the tools. */
  get toolHeaders(): ToolHeaders {
    return this.#toolHeaders;
  }

  /** Whether the client has a session that a new life of the server must be told of. */
  get hasSession(): boolean {
    return this.#initialize !== null;
  }

  /** The client's notification that it is ready; to be noted when it is first seen. */
  noteNotification(parcel: Parcel): void {
    const { message } = parcel;
    if (message.kind === "notification" && message.method === "notifications/initialized") {
      this.#initialized = parcel;
    }
  }

  /** A request that the server answered, and well. */
  noteAnswer(parcel: Parcel, request: ClientRequest, line: Uint8Array): void {
    const { method, params } = request;
    switch (method) {
      case "initialize":
        this.#initialize = parcel;
        return;
      case "logging/setLevel":
        this.#logLevel = parcel;
        return;
      case "resources/subscribe":
        this.#subscriptions.set(String(params.uri), parcel);
        return;
      case "resources/unsubscribe":
        this.#subscriptions.delete(String(params.uri));
        return;
    }
    const kind = LISTS.find((list) => list.method === method);
    if (kind !== undefined) this.#noteList(kind, { params, result: resultOf(parseLine(line)) });
  }

  /** What restores the client's session with a new life of the server, in this order. */
  sessionParcels(): { handshake: Parcel; rest: Parcel[] } | null {
    if (this.#initialize === null) return null;
    const rest = [this.#initialized, this.#logLevel, ...this.#subscriptions.values()];
    return { handshake: this.#initialize, rest: rest.filter((parcel) => parcel !== null) };
  }

  knownLists(): ListKind[] {
    return LISTS.filter((kind) => this.#lists.has(kind.method));
  }

  /** A request for a page of a list on the client's behalf. */
  listRequest(kind: ListKind, { id, cursor }: { id: JsonRpcId; cursor: string | null }): Uint8Array {
    const meta = this.#lists.get(kind.method)?.meta;
    const params = { ...(cursor === null ? {} : { cursor }), ...(isObject(meta) ? { _meta: meta } : {}) };
    return encodeLine({ jsonrpc: "2.0", id, method: kind.method, params });
  }

  /** Whether the server's list is another than the client's; the client is to be told once. */
  isChanged(kind: ListKind, items: readonly unknown[]): boolean {
    const known = this.#lists.get(kind.method);
    if (known === undefined) return false;
    const now = items.map((item) => JSON.stringify(item));
    const same = [...known.items].sort().join("\n") === [...now].sort().join("\n");
    known.items = now;
    if (kind.method === "tools/list") this.#toolHeaders = toolHeadersOf(items);
    return !same;
  }

  #noteList(kind: ListKind, { params, result }: { params: Params; result: Params }): void {
    const found = result[kind.items];
    if (!Array.isArray(found)) return;
    const isFirst = params.cursor === undefined;
    const before = isFirst ? [] : this.#lists.get(kind.method)?.items ?? [];
    this.#lists.set(kind.method, {
      items: [...before, ...found.map((item) => JSON.stringify(item))],
      meta: withoutProgress(params._meta),
    });
    if (kind.method !== "tools/list") return;
    const headers = toolHeadersOf(found);
    this.#toolHeaders = isFirst ? headers : new Map([...this.#toolHeaders, ...headers]);
  }
}

/** The result of an answer, empty where it has none. */
export function resultOf(answer: unknown): Params {
  return isObject(answer) && isObject(answer.result) ? answer.result : {};
}

function withoutProgress(meta: unknown): unknown {
  if (!isObject(meta)) return undefined;
  const { progressToken: _, ...rest } = meta;
  return rest;
}
