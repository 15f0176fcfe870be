/**
 * What a client said and was shown, as far as another process of the server must hear of it. Plain data: it can be
 * kept on disk and read back.
 *
 * @module
 */
import { sha256Hex } from "../base/hash.ts";
import { isObject } from "../base/json.ts";
import type { Destination } from "./client_side.ts";
import {
  type ClientNotification,
  type ClientRequest,
  namedRevision,
  notificationLine,
  type Params,
  parseLine,
  resultOf,
} from "./message.ts";
import { type ToolHeader, toolHeadersOf } from "./upstream/headers.ts";
import type { Pending } from "./upstream/upstream.ts";

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

/** Params of a request that restores something. */
type Kept = Record<string, unknown>;

interface KnownList {
  /** Hashes of the items, sorted. */
  hashes: string[];
  /** What the client's requests carry about themselves, for requests made on its behalf. */
  meta: Record<string, unknown> | null;
}

/** Everything that outlives a connection. */
export interface SessionState {
  initialize: Kept | null;
  /** Params of the client's `initialized`. */
  initialized: Kept | null;
  logLevel: Kept | null;
  /** By URI. */
  subscriptions: Record<string, Kept>;
  /** By method. */
  lists: Record<string, KnownList>;
  /** Arguments that are repeated as headers, by tool. */
  toolHeaders: Record<string, readonly ToolHeader[]>;
}

/** Bounds against a client or a server that never ends. */
const SUBSCRIPTION_LIMIT = 10_000;
const ITEM_LIMIT = 100_000;

/** One step of a restoration, in order. */
export interface RestoreStep {
  kind: "request" | "notification";
  method: string;
  params: Kept;
}

export class ClientSession {
  readonly #state: SessionState;

  constructor(kept: SessionState | null = null) {
    this.#state = kept ?? {
      initialize: null,
      initialized: null,
      logLevel: null,
      subscriptions: {},
      lists: {},
      toolHeaders: {},
    };
  }

  /** Plain data, to be given to the constructor later. */
  toJSON(): SessionState {
    return this.#state;
  }

  /** Whether the client has a session that another process of the server must be told of. */
  get hasSession(): boolean {
    return this.#state.initialize !== null;
  }

  /** The arguments of a tool that go into headers; null where the client's lists never named it. */
  toolHeaders(tool: string): readonly ToolHeader[] | null {
    if (Object.hasOwn(this.#state.toolHeaders, tool)) return this.#state.toolHeaders[tool] ?? [];
    return null;
  }

  noteNotification({ method, params }: ClientNotification): void {
    if (method === "notifications/initialized") this.#state.initialized = { ...params };
  }

  /** A request that the server answered, and well. */
  noteAnswer({ method, params }: ClientRequest, line: Uint8Array): void {
    const state = this.#state;
    switch (method) {
      case "initialize":
        state.initialize = { ...params };
        return;
      case "logging/setLevel":
        state.logLevel = withoutProgress(params);
        return;
      case "resources/subscribe":
        if (Object.keys(state.subscriptions).length < SUBSCRIPTION_LIMIT) {
          state.subscriptions = { ...state.subscriptions, [String(params.uri)]: withoutProgress(params) };
        }
        return;
      case "resources/unsubscribe": {
        const { [String(params.uri)]: _, ...rest } = state.subscriptions;
        state.subscriptions = rest;
        return;
      }
    }
    const kind = LISTS.find((list) => list.method === method);
    if (kind !== undefined) this.#notePage(kind, { params, result: resultOf(parseLine(line)) });
  }

  /** What restores the session with another process of the server; null where there is none. */
  restoreSteps(): { handshake: RestoreStep; rest: RestoreStep[] } | null {
    const { initialize, initialized, logLevel, subscriptions } = this.#state;
    if (initialize === null) return null;
    const request = (method: string, params: Kept): RestoreStep => ({ kind: "request", method, params });
    return {
      handshake: request("initialize", initialize),
      rest: [
        ...(initialized === null ? [] : [{
          kind: "notification" as const,
          method: "notifications/initialized",
          params: initialized,
        }]),
        ...(logLevel === null ? [] : [request("logging/setLevel", logLevel)]),
        ...Object.values(subscriptions).map((params) => request("resources/subscribe", params)),
      ],
    };
  }

  knownLists(): ListKind[] {
    return LISTS.filter(({ method }) => Object.hasOwn(this.#state.lists, method));
  }

  /** Params of a request for a page of a list on the client's behalf. */
  listParams(method: string, cursor: string | null): Params {
    const meta = this.#state.lists[method]?.meta ?? null;
    return { ...(cursor === null ? {} : { cursor }), ...(meta === null ? {} : { _meta: meta }) };
  }

  /** Whether the server's list differs from the client's; true once for each change. */
  isChanged(kind: ListKind, items: readonly unknown[]): boolean {
    const known = this.#state.lists[kind.method];
    if (kind.method === "tools/list") this.noteTools(items, { isWhole: true });
    if (known === undefined) return false;
    const hashes = hashesOf(items);
    const isSame = hashes.join() === known.hashes.join();
    known.hashes = hashes;
    return !isSame;
  }

  /** Learns which arguments of these tools go into headers. */
  noteTools(tools: readonly unknown[], { isWhole }: { isWhole: boolean }): void {
    const found = Object.fromEntries(toolHeadersOf(tools));
    this.#state.toolHeaders = isWhole ? found : { ...this.#state.toolHeaders, ...found };
  }

  /** What tells the client of a changed list: as its session wants it, and to each subscription that asked for it. */
  changeLines(kind: ListKind, open: readonly Pending[]): { line: Uint8Array; to: Destination }[] {
    const plain = { line: notificationLine(kind.changed), to: { kind: "session" as const } };
    return [...(this.hasSession ? [plain] : []), ...open.flatMap((pending) => subscribed(kind, pending))];
  }

  #notePage(kind: ListKind, { params, result }: { params: Params; result: Params }): void {
    const found = result[kind.items];
    if (!Array.isArray(found)) return;
    const isFirst = params.cursor === undefined;
    const before = isFirst ? [] : this.#state.lists[kind.method]?.hashes ?? [];
    if (before.length + found.length > ITEM_LIMIT) return;
    const { _meta: meta } = withoutProgress(params);
    this.#state.lists[kind.method] = {
      hashes: [...before, ...hashesOf(found)].sort(),
      meta: isObject(meta) ? meta : null,
    };
    if (kind.method === "tools/list") this.noteTools(found, { isWhole: isFirst });
  }
}

function hashesOf(items: readonly unknown[]): string[] {
  return items.map((item) => sha256Hex(JSON.stringify(item)).slice(0, 16)).sort();
}

/** The notification for an open subscription that asked for this kind of change. */
function subscribed(
  kind: ListKind,
  { message, exchange }: Pending,
): { line: Uint8Array; to: Destination }[] {
  if (message.kind !== "request" || message.method !== "subscriptions/listen") return [];
  if (namedRevision(message.params) === null) return [];
  const filter = message.params.notifications;
  if (!isObject(filter) || filter[kind.filter] !== true) return [];
  const to: Destination = exchange === null ? { kind: "session" } : { kind: "related", exchange };
  return [{ line: notificationLine(kind.changed, message.id), to }];
}

/** A progress token belongs to the request that it came with. */
function withoutProgress(params: Params): Kept {
  if (!isObject(params._meta)) return { ...params };
  const { progressToken: _, ...meta } = params._meta;
  return { ...params, _meta: meta };
}
