/**
 * What the two sides say to one another, read no further than a relay needs.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { isLong, skim } from "./skim.ts";

export type JsonRpcId = string | number;
export type Params = Readonly<Record<string, unknown>>;

export interface ClientRequest {
  kind: "request";
  id: JsonRpcId;
  method: string;
  params: Params;
}

export interface ClientNotification {
  kind: "notification";
  method: string;
  params: Params;
}

/** An answer to something that the server asked. */
export interface ClientResponse {
  kind: "response";
  id: JsonRpcId;
}

export type SingleMessage = ClientRequest | ClientNotification | ClientResponse;
export type ClientMessage = SingleMessage | { kind: "batch"; items: readonly SingleMessage[] };

export type ReadLine =
  | { kind: "message"; message: ClientMessage }
  | { kind: "invalid"; code: number; why: string };

export type ServerMessage =
  | { kind: "answer"; id: JsonRpcId | null; isError: boolean }
  | { kind: "request"; id: JsonRpcId; method: string }
  | { kind: "notification"; method: string }
  | { kind: "batch"; items: readonly ServerMessage[] }
  | { kind: "garbage" };

export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
/** No answer will come over this connection. */
export const CONNECTION_CLOSED = -32000;
/** The server was not there for as long as the client was made to wait. */
export const NOT_READY = -32001;

const PROTOCOL_VERSION_KEY = "io.modelcontextprotocol/protocolVersion";
const SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Reads one line of the client's. */
export function readClientLine(line: Uint8Array): ReadLine {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(line));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { kind: "invalid", code: PARSE_ERROR, why: `Parse error: ${why}` };
  }
  if (!Array.isArray(value)) {
    const message = clientMessage(value);
    return message === null ? NO_MESSAGE : { kind: "message", message };
  }
  const items = value.map(clientMessage).filter((item) => item !== null);
  if (items.length === 0 || items.length < value.length) return NO_MESSAGE;
  return { kind: "message", message: { kind: "batch", items } };
}

const NO_MESSAGE: ReadLine = {
  kind: "invalid",
  code: INVALID_REQUEST,
  why: "Invalid request: this is JSON, but no JSON-RPC message",
};

function clientMessage(value: unknown): SingleMessage | null {
  if (!isObject(value)) return null;
  const { id, method } = value;
  const params = isObject(value.params) ? value.params : {};
  if (typeof method === "string") {
    if (isId(id)) return { kind: "request", id, method, params };
    return id === undefined ? { kind: "notification", method, params } : null;
  }
  return isId(id) && ("result" in value || "error" in value) ? { kind: "response", id } : null;
}

/** Reads a server's message; a long one is only skimmed for what stands at its top. */
export function readServerLine(line: Uint8Array): ServerMessage {
  if (isLong(line)) {
    const top = skim(line);
    if (top !== null) return serverMessage(top);
  }
  const value = parseLine(line);
  if (Array.isArray(value)) return { kind: "batch", items: value.map(serverMessage) };
  return serverMessage(value);
}

function serverMessage(value: unknown): ServerMessage {
  if (!isObject(value)) return { kind: "garbage" };
  const { id, method } = value;
  if (typeof method === "string") {
    return isId(id) ? { kind: "request", id, method } : { kind: "notification", method };
  }
  const isError = "error" in value;
  if (!isError && !("result" in value)) return { kind: "garbage" };
  return { kind: "answer", id: isId(id) ? id : null, isError };
}

/** The whole value of a line, undefined where it is no JSON. */
export function parseLine(line: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(line));
  } catch {
    return undefined;
  }
}

export function encodeLine(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

/** The revision that a request names for itself; null where its session speaks for it. */
export function namedRevision(params: Params): string | null {
  const version = isObject(params._meta) ? params._meta[PROTOCOL_VERSION_KEY] : undefined;
  return typeof version === "string" ? version : null;
}

/** Which subscription a notification's params belong to. */
export function subscriptionOf(params: unknown): JsonRpcId | null {
  const id = isObject(params) && isObject(params._meta) ? params._meta[SUBSCRIPTION_KEY] : undefined;
  return isId(id) ? id : null;
}

/** A notification as the server would send it, for a subscription where one is named. */
export function notificationLine(method: string, subscription: JsonRpcId | null = null): Uint8Array {
  const params = subscription === null ? undefined : { _meta: { [SUBSCRIPTION_KEY]: subscription } };
  return encodeLine({ jsonrpc: "2.0", method, params });
}

export interface RpcError {
  code: number;
  message: string;
  data?: unknown;
}

export function errorLine(id: JsonRpcId | null, error: RpcError): Uint8Array {
  return encodeLine({ jsonrpc: "2.0", id, error });
}

/** Tells `1` and `"1"` apart. */
export function keyOf(id: JsonRpcId): string {
  return typeof id === "number" ? `${id}` : `"${id}`;
}

export function isId(value: unknown): value is JsonRpcId {
  return typeof value === "string" || typeof value === "number";
}
