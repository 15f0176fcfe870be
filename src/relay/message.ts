/**
 * JSON-RPC messages as bytes: read no further than a relay needs, changed in nothing but what has to be changed.
 *
 * An id is kept as its JSON text, so that numbers which JavaScript can't hold come back as they were.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import { isObject } from "../base/json.ts";
import { isLong, type Member, scanList, scanObject } from "./scan.ts";

/** JSON text: `7`, `"7"`. */
export type JsonRpcId = string;
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

/** An answer to a request of the server's. */
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
  | { kind: "notification"; method: string; params: Params }
  | { kind: "batch"; items: readonly ServerMessage[] }
  /** `text`: what an error without a request's id says; servers refuse sessions with such. */
  | { kind: "garbage"; text: string };

export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
/** A header that repeats a part of the body differs from it or is missing (2026-07-28). */
export const HEADER_MISMATCH = -32020;
/** No answer will come over this connection. */
export const CONNECTION_CLOSED = -32000;
/** The server was not there for as long as the client was made to wait. */
export const NOT_READY = -32001;

export const CANCELLED = "notifications/cancelled";
const PROTOCOL_VERSION_KEY = "io.modelcontextprotocol/protocolVersion";
export const SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId";
const EXCERPT_CHARS = 500;

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
    const message = clientMessage(value, line);
    return message === null ? NO_MESSAGE : { kind: "message", message };
  }
  const parts = scanList(line) ?? [];
  const items = value.map((item, index) => clientMessage(item, partOf(line, parts[index])));
  const read = items.filter((item) => item !== null);
  if (read.length === 0 || read.length < items.length) return NO_MESSAGE;
  return { kind: "message", message: { kind: "batch", items: read } };
}

const NO_MESSAGE: ReadLine = {
  kind: "invalid",
  code: INVALID_REQUEST,
  why: "Invalid request: this is JSON, but no JSON-RPC message",
};

function clientMessage(value: unknown, line: Uint8Array): SingleMessage | null {
  if (!isObject(value)) return null;
  const { method } = value;
  const params = isObject(value.params) ? value.params : {};
  const id = idOf(value.id, line);
  if (typeof method === "string") {
    if (id !== null) return { kind: "request", id, method, params };
    return value.id === undefined ? { kind: "notification", method, params } : null;
  }
  return id !== null && ("result" in value || "error" in value) ? { kind: "response", id } : null;
}

/** Reads a server's message; a long one is only scanned for what stands at its top. */
export function readServerLine(line: Uint8Array): ServerMessage {
  if (isLong(line)) {
    const top = scanObject(line, isAnswer);
    if (top !== null) {
      return serverMessage(Object.fromEntries([...top].map(([key, { value }]) => [key, value])), line);
    }
  }
  const value = parseLine(line);
  if (!Array.isArray(value)) return serverMessage(value, line);
  const parts = scanList(line) ?? [];
  return {
    kind: "batch",
    items: value.map((item, index) => serverMessage(item, partOf(line, parts[index]))),
  };
}

/** An answer has nothing else that matters: what follows need not be read. */
function isAnswer(found: ReadonlyMap<string, Member>, next: string): boolean {
  return found.has("id") &&
    (found.has("result") || found.has("error") || next === "result" || next === "error");
}

function serverMessage(value: unknown, line: Uint8Array): ServerMessage {
  if (!isObject(value)) return { kind: "garbage", text: "" };
  const { method } = value;
  const id = idOf(value.id, line);
  if (typeof method === "string") {
    if (id !== null) return { kind: "request", id, method };
    return { kind: "notification", method, params: isObject(value.params) ? value.params : {} };
  }
  const isError = "error" in value;
  if (!isError && !("result" in value)) return { kind: "garbage", text: "" };
  if (isError && value.jsonrpc === undefined && id === null) {
    return { kind: "garbage", text: JSON.stringify(value).slice(0, EXCERPT_CHARS) };
  }
  return { kind: "answer", id, isError };
}

/** An id's JSON text, null where the value is none. `line` is the message that it stands in. */
function idOf(value: unknown, line: Uint8Array): JsonRpcId | null {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "number") return null;
  if (Number.isSafeInteger(value)) return String(value);
  const member = scanObject(line)?.get("id");
  return member === undefined ? String(value) : decoder.decode(line.subarray(member.start, member.end));
}

/** The JSON text of an id that was read as a value, out of params for example; null where it is none. */
export function idText(value: unknown): JsonRpcId | null {
  return typeof value === "string" || typeof value === "number" ? JSON.stringify(value) : null;
}

function partOf(line: Uint8Array, part: { start: number; end: number } | undefined): Uint8Array {
  return part === undefined ? line : line.subarray(part.start, part.end);
}

/** The messages of a batch, each as it stands in it. */
export function partsOf(line: Uint8Array): Uint8Array[] {
  return (scanList(line) ?? []).map(({ start, end }) => line.subarray(start, end));
}

/** The same message under another id. */
export function withId(line: Uint8Array, id: JsonRpcId): Uint8Array {
  const member = scanObject(line, (found) => found.has("id"))?.get("id");
  return member === undefined ? line : splice(line, member, id);
}

/** The same message with another value in its params, which has to be there already. `path` leads to it. */
export function withParam(line: Uint8Array, path: readonly string[], text: string): Uint8Array {
  let [start, end] = [0, line.length];
  for (const name of ["params", ...path]) {
    const inner = scanObject(line.subarray(start, end), (found) => found.has(name))?.get(name);
    if (inner === undefined) return line;
    [start, end] = [start + inner.start, start + inner.end];
  }
  return splice(line, { start, end }, text);
}

/** The same request with another progress token (JSON text), where it has one. */
export function withProgressToken(line: Uint8Array, token: string): Uint8Array {
  return withParam(line, ["_meta", "progressToken"], token);
}

function splice(line: Uint8Array, { start, end }: { start: number; end: number }, text: string): Uint8Array {
  return concat([line.subarray(0, start), encoder.encode(text), line.subarray(end)]);
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

/** The result of an answer, empty where it has none. */
export function resultOf(answer: unknown): Params {
  return isObject(answer) && isObject(answer.result) ? answer.result : {};
}

/** Code and message of an answer that is an error. */
export function errorOf(line: Uint8Array): RpcError | null {
  const value = parseLine(line);
  if (!isObject(value) || !isObject(value.error)) return null;
  const { code, message, data } = value.error;
  return {
    ...(data === undefined ? {} : { data }),
    code: typeof code === "number" ? code : CONNECTION_CLOSED,
    message: typeof message === "string" ? message : JSON.stringify(value.error).slice(0, EXCERPT_CHARS),
  };
}

/** The revision that a request names for itself; null where its session speaks for it. */
export function namedRevision(params: Params): string | null {
  const version = isObject(params._meta) ? params._meta[PROTOCOL_VERSION_KEY] : undefined;
  return typeof version === "string" ? version : null;
}

/** Which request's progress is wanted under which token, or told of; null where none is named. */
export function progressTokenOf(params: Params): string | null {
  return idText(isObject(params._meta) ? params._meta.progressToken : undefined);
}

/** Which subscription a notification's params belong to. */
export function subscriptionOf(params: Params): JsonRpcId | null {
  return idText(isObject(params._meta) ? params._meta[SUBSCRIPTION_KEY] : undefined);
}

/** A notification as the server would send it, for a subscription where one is named. */
export function notificationLine(method: string, subscription: JsonRpcId | null = null): Uint8Array {
  const params = subscription === null ? "" : `,"params":{"_meta":{"${SUBSCRIPTION_KEY}":${subscription}}}`;
  return encoder.encode(`{"jsonrpc":"2.0","method":${JSON.stringify(method)}${params}}`);
}

/** A request under an id of foster's own. */
export function requestLine(id: JsonRpcId, method: string, params: Params): Uint8Array {
  return encoder.encode(
    `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`,
  );
}

export interface RpcError {
  code: number;
  message: string;
  data?: unknown;
}

export function errorLine(id: JsonRpcId | null, error: RpcError): Uint8Array {
  return encoder.encode(`{"jsonrpc":"2.0","id":${id ?? "null"},"error":${JSON.stringify(error)}}`);
}

/** Both ids are the same but for their JSON type: `7` and `"7"`. */
export function isLikeId(one: JsonRpcId, other: JsonRpcId): boolean {
  return bare(one) === bare(other);
}

function bare(id: JsonRpcId): string {
  return id.startsWith('"') ? id.slice(1, -1) : id;
}
