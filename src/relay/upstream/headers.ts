/**
 * The HTTP headers that go with a message.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";
import { namedRevision, type Params } from "../message.ts";
import type { Parcel } from "../parcel.ts";

/** A session with a server, as it agreed to it; nulls before that, and for servers without sessions. */
export interface HttpSession {
  id: string | null;
  protocol: string | null;
}

/** Which arguments of which tools are to be repeated as headers: paths into the arguments, by header name. */
export type ToolHeaders = ReadonlyMap<string, readonly { header: string; path: readonly string[] }[]>;

/** Where the name stands that a request's header repeats. */
const NAME_FIELDS: Readonly<Record<string, string>> = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId",
};

export function headersFor(
  parcel: Pick<Parcel, "message">,
  { session, tools }: { session: HttpSession; tools: ToolHeaders },
): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
  };
  const { message } = parcel;
  const revision = message.kind === "request" ? namedRevision(message.params) : null;
  if (message.kind === "request" && revision !== null) {
    headers["mcp-protocol-version"] = revision;
    headers["mcp-method"] = message.method;
    const field = Object.hasOwn(NAME_FIELDS, message.method) ? NAME_FIELDS[message.method] : undefined;
    const name = field === undefined ? undefined : message.params[field];
    if (typeof name === "string") headers["mcp-name"] = headerValue(name);
    if (message.method === "tools/call") Object.assign(headers, argumentHeaders(message.params, tools));
    return headers;
  }
  if (message.kind === "request" && message.method === "initialize") return headers;
  return { ...headers, ...sessionHeaders(session) };
}

export function sessionHeaders({ id, protocol }: HttpSession): Record<string, string> {
  return {
    ...(id === null ? {} : { "mcp-session-id": id }),
    ...(protocol === null ? {} : { "mcp-protocol-version": protocol }),
  };
}

function argumentHeaders(params: Params, tools: ToolHeaders): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const { header, path } of tools.get(String(params.name)) ?? []) {
    const value = path.reduce<unknown>(
      (node, key) => isObject(node) ? node[key] : undefined,
      params.arguments,
    );
    const text = textOf(value);
    if (text !== null) headers[`mcp-param-${header.toLowerCase()}`] = headerValue(text);
  }
  return headers;
}

function textOf(value: unknown): string | null {
  switch (typeof value) {
    case "string":
      return value;
    case "boolean":
      return String(value);
    case "number":
      return Number.isInteger(value) && !Number.isSafeInteger(value) ? null : String(value);
    default:
      return null;
  }
}

const ENCODED = /^=\?base64\?.*\?=$/s;
const PLAIN = /^[\t\x20-\x7e]+$/;

/** As it is where a header can carry it, else as Base64 between the marks that say so. */
export function headerValue(text: string): string {
  if (PLAIN.test(text) && text === text.trim() && !ENCODED.test(text)) return text;
  const bytes = Array.from(new TextEncoder().encode(text), (byte) => String.fromCodePoint(byte));
  return `=?base64?${btoa(bytes.join(""))}?=`;
}

/** The arguments that a list of tools declares to be headers. */
export function toolHeadersOf(tools: readonly unknown[]): ToolHeaders {
  const found = new Map<string, { header: string; path: string[] }[]>();
  for (const tool of tools) {
    if (!isObject(tool) || typeof tool.name !== "string") continue;
    const declared = declarations(tool.inputSchema, []);
    if (declared.length > 0) found.set(tool.name, declared);
  }
  return found;
}

function declarations(schema: unknown, path: string[]): { header: string; path: string[] }[] {
  if (!isObject(schema)) return [];
  const own = schema["x-mcp-header"];
  const here = typeof own === "string" && path.length > 0 ? [{ header: own, path }] : [];
  const inner = isObject(schema.properties) ? Object.entries(schema.properties) : [];
  return [...here, ...inner.flatMap(([key, child]) => declarations(child, [...path, key]))];
}
