/**
 * The HTTP headers that go with a message.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";
import { type ClientMessage, namedRevision, type Params } from "../message.ts";
import { HeaderError } from "./http_client.ts";

/** A session with a server, as it agreed to it; nulls before that, and for servers without sessions. */
export interface HttpSession {
  id: string | null;
  protocol: string | null;
}

/** An argument of a tool that is repeated as a header: where it stands, and under which name. */
export interface ToolHeader {
  header: string;
  path: readonly string[];
}

/** Where the name stands that a request's header repeats. */
const NAME_FIELDS: Readonly<Record<string, string>> = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId",
};

/** @throws HeaderError where the message names something that can't be a header */
export function headersFor(
  message: ClientMessage,
  { session, toolHeaders }: {
    session: HttpSession;
    toolHeaders: (tool: string) => readonly ToolHeader[] | null;
  },
): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
  };
  const revision = message.kind === "request" ? namedRevision(message.params) : null;
  if (message.kind === "request" && revision !== null) {
    headers["mcp-protocol-version"] = revision;
    headers["mcp-method"] = message.method;
    const field = Object.hasOwn(NAME_FIELDS, message.method) ? NAME_FIELDS[message.method] : undefined;
    const name = field === undefined ? undefined : message.params[field];
    if (typeof name === "string") headers["mcp-name"] = headerValue(name);
    if (message.method === "tools/call") {
      Object.assign(headers, argumentHeaders(message.params, toolHeaders(String(message.params.name)) ?? []));
    }
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

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;

/** @throws HeaderError */
function argumentHeaders(params: Params, declared: readonly ToolHeader[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const { header, path } of declared) {
    if (!TOKEN.test(header)) {
      throw new HeaderError(
        `tool "${params.name}" declares the header ${JSON.stringify(header)}, which can't be one`,
      );
    }
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

/** The arguments that each of these tools declares to be headers. */
export function toolHeadersOf(tools: readonly unknown[]): Map<string, readonly ToolHeader[]> {
  const found = new Map<string, readonly ToolHeader[]>();
  for (const tool of tools) {
    if (!isObject(tool) || typeof tool.name !== "string") continue;
    found.set(tool.name, declarations(tool.inputSchema, []));
  }
  return found;
}

function declarations(schema: unknown, path: string[]): ToolHeader[] {
  if (!isObject(schema)) return [];
  const own = schema["x-mcp-header"];
  const here = typeof own === "string" && path.length > 0 ? [{ header: own, path }] : [];
  const inner = isObject(schema.properties) ? Object.entries(schema.properties) : [];
  return [...here, ...inner.flatMap(([key, child]) => declarations(child, [...path, key]))];
}
