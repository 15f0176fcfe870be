/**
 * What both directions of translation share: the names of the newer revision, and messages as values.
 *
 * Source: specification 2026-07-28 (basic, versioning, mrtr, subscriptions) and 2025-11-25.
 *
 * @module
 */
import { isNumber, isObject, omit } from "../../base/json.ts";

/** The stateless revision: every request says its version, client and capabilities in `_meta`. */
export const NEWER_REVISION = "2026-07-28";

/** Revisions with `initialize` and sessions, the newest first. */
export const OLDER_REVISIONS: readonly string[] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

export const META = {
  version: "io.modelcontextprotocol/protocolVersion",
  clientInfo: "io.modelcontextprotocol/clientInfo",
  clientCapabilities: "io.modelcontextprotocol/clientCapabilities",
  logLevel: "io.modelcontextprotocol/logLevel",
  serverInfo: "io.modelcontextprotocol/serverInfo",
  subscriptionId: "io.modelcontextprotocol/subscriptionId",
} as const;

/** The keys of `_meta` that a request of the newer revision carries for the hop, not for the tool. */
export const ENVELOPE_KEYS: readonly string[] = [
  META.version,
  META.clientInfo,
  META.clientCapabilities,
  META.logLevel,
];

export const CODE = {
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  resourceNotFound: -32002,
  urlElicitationRequired: -32042,
  missingCapability: -32021,
} as const;

/** The methods whose result may be `input_required`. */
export const INPUT_METHODS: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"]);

/** The methods whose complete result carries `ttlMs` and `cacheScope`. */
export const CACHEABLE_METHODS: ReadonlySet<string> = new Set([
  "server/discover",
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
  "resources/read",
]);

export const TASKS_EXTENSION = "io.modelcontextprotocol/tasks";

/** Notifications that say that a list changed, with the capability and the key of a listen filter that go with it. */
export const LIST_CHANGES = [
  { method: "notifications/tools/list_changed", capability: "tools", filter: "toolsListChanged" },
  { method: "notifications/prompts/list_changed", capability: "prompts", filter: "promptsListChanged" },
  { method: "notifications/resources/list_changed", capability: "resources", filter: "resourcesListChanged" },
] as const;

export type Fields = Record<string, unknown>;
export type RequestId = string | number;

export interface RpcError {
  code: number;
  message: string;
  data?: unknown;
}

export interface Request {
  jsonrpc: "2.0";
  id: RequestId;
  method: string;
  params?: Fields;
}

export interface Notification {
  jsonrpc: "2.0";
  method: string;
  params?: Fields;
}

export type Response =
  | { jsonrpc: "2.0"; id: RequestId; result: Fields }
  | { jsonrpc: "2.0"; id: RequestId; error: RpcError };

export type Message = Request | Notification | Response;

/** A message for the client. `exchange` is the request that it belongs to; null concerns the session. */
export interface ToClient {
  message: Message;
  exchange: number | null;
}

/** What follows from one message: everything to send, in this order, each side on its own. */
export interface Step {
  toServer: Message[];
  toClient: ToClient[];
  /** Exchanges that the client cancelled: they end without an answer. */
  cancelled?: number[];
}

/** The JSON value as a message that every part of it can be relied on; null where it is none. */
export function readMessage(value: unknown): Message | null {
  if (!isObject(value)) return null;
  const { method, params } = value;
  const id = typeof value.id === "string" || isNumber(value.id) ? value.id as RequestId : null;
  if (typeof method === "string") {
    const given = isObject(params) ? params : undefined;
    if (value.id === undefined) return notification(method, given);
    return id === null ? null : request(id, method, given);
  }
  if (id === null) return null;
  if ("error" in value) return { jsonrpc: "2.0", id, error: readError(value.error) };
  if (isObject(value.result)) return resultOf(id, value.result);
  if (!("result" in value)) return null;
  return errorOf(id, CODE.internal, `The result is ${JSON.stringify(value.result).slice(0, 100)}, no object`);
}

function readError(error: unknown): RpcError {
  const { code, message, data }: Fields = isObject(error) ? error : {};
  return {
    code: typeof code === "number" ? code : CODE.internal,
    message: typeof message === "string" ? message : JSON.stringify(error ?? "an error").slice(0, 500),
    ...(data === undefined ? {} : { data }),
  };
}

/** Whether two ids or progress tokens are the same: those that no number holds are objects. */
export function isSameId(one: unknown, other: unknown): boolean {
  return one === other || (isObject(one) && isObject(other) && JSON.stringify(one) === JSON.stringify(other));
}

export function isRequest(message: Message): message is Request {
  return "method" in message && "id" in message;
}

export function isResponse(message: Message): message is Response {
  return !("method" in message);
}

export function request(id: RequestId, method: string, params?: Fields): Request {
  return { jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) };
}

export function notification(method: string, params?: Fields): Notification {
  return { jsonrpc: "2.0", method, ...(params === undefined ? {} : { params }) };
}

export function resultOf(id: RequestId, result: Fields): Response {
  return { jsonrpc: "2.0", id, result };
}

export function errorOf(id: RequestId, code: number, message: string, data?: unknown): Response {
  return { jsonrpc: "2.0", id, error: { code, message, ...(data === undefined ? {} : { data }) } };
}

/** The object under the key; an empty one where it is something else. */
export function fieldsAt(object: Readonly<Fields> | undefined, key: string): Fields {
  const value = object?.[key];
  return isObject(value) ? value : {};
}

/** The object with `_meta` set; without the key where there is nothing in it. */
export function withMeta(object: Readonly<Fields>, meta: Readonly<Fields>): Fields {
  return Object.keys(meta).length === 0 ? omit(object, "_meta") : { ...object, _meta: meta };
}

/** The texts of a list, passing over all else. */
export function textsAt(object: Readonly<Fields>, key: string): string[] {
  const value = object[key];
  return Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : [];
}

/** Whether an update of `updated` is one for a subscriber of `uri`: the same resource or one below it. */
export function coversResource(uri: string, updated: string): boolean {
  return updated === uri || updated.startsWith(uri.endsWith("/") ? uri : `${uri}/`) ||
    updated.startsWith(`${uri}#`) || updated.startsWith(`${uri}?`);
}

/** The text by which two values are equal as JSON, whatever the order of their keys. */
export function sameText(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, each) =>
      isObject(each)
        ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0))
        : each,
  ) ??
    "undefined";
}
