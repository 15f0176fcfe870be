/**
 * A handshake without the official client, for servers that answer as the specification says: loading that client takes
 * longer than most checks. What is in any way unusual is left to the official client to judge.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import type { ServerIdentity } from "./outcome.ts";
import type { Wire } from "./wire.ts";

const NEWER = "2026-07-28";
const LATEST_OLDER = "2025-11-25";
const OLDER: readonly unknown[] = [LATEST_OLDER, "2025-06-18", "2025-03-26", "2024-11-05", "2024-10-07"];
export const META_PREFIX = "io.modelcontextprotocol/";
const SERVER_INFO = `${META_PREFIX}serverInfo`;
const PAGE_LIMIT = 1000;
/** What servers of the older revision say to a request that they do not know. */
const UNKNOWN_STATUSES: readonly number[] = [400, 404, 405, 406, 415, 422];

/** A server that shook hands, and what it said. */
export interface LightLink {
  readonly era: "legacy" | "modern";
  readonly server: ServerIdentity;
  readonly tools: string[];
  /** The older revision's session, null where it has none. */
  readonly session: string | null;
}

type Fields = Record<string, unknown>;

/** An answer that only the official client should judge. */
class Unusual extends Error {
  override readonly name = "Unusual";
}

type Reply =
  | { kind: "result"; result: Fields }
  | { kind: "error"; code: number; message: string }
  | { kind: "status"; status: number };

/** Null where anything is unusual: nothing is said of the server then. @throws as {@link Wire.fetch} */
export async function shakeLightly(
  wire: Pick<Wire, "fetch">,
  { endpoint, clientName }: { endpoint: URL; clientName: string },
): Promise<LightLink | null> {
  const line = new LightLine(wire, endpoint, clientName);
  try {
    return await line.discover() ?? await line.initialize();
  } catch (error) {
    if (error instanceof Unusual) return null;
    throw error;
  }
}

class LightLine {
  readonly #wire: Pick<Wire, "fetch">;
  readonly #endpoint: URL;
  readonly #clientInfo: Fields;
  #session: Record<string, string> = {};
  #count = 0;

  constructor(wire: Pick<Wire, "fetch">, endpoint: URL, clientName: string) {
    this.#wire = wire;
    this.#endpoint = endpoint;
    this.#clientInfo = { name: clientName, version: "1" };
  }

  /** Null where the server speaks the older revision. */
  async discover(): Promise<LightLink | null> {
    const reply = await this.#askNewer("server/discover", {});
    switch (reply.kind) {
      case "status":
        if (UNKNOWN_STATUSES.includes(reply.status)) return null;
        throw new Unusual();
      case "error":
        // Codes of the newer revision say more than "unknown".
        if (reply.code <= -32020 && reply.code >= -32099) throw new Unusual();
        return null;
      case "result":
        break;
    }
    const server = newerServer(reply.result);
    const { capabilities } = reply.result;
    const tools = isObject(capabilities) && capabilities.tools !== undefined
      ? await this.#tools((params) => this.#askNewer("tools/list", params), { isNewer: true })
      : [];
    return { era: "modern", server, tools, session: null };
  }

  async initialize(): Promise<LightLink> {
    const params = { protocolVersion: LATEST_OLDER, capabilities: {}, clientInfo: this.#clientInfo };
    const id = this.#count++;
    const response = await this.#post({ id, method: "initialize", params }, {});
    const session = response.headers.get("mcp-session-id");
    const reply = await replyIn(response, id);
    if (reply.kind !== "result") throw new Unusual();
    const { protocolVersion, capabilities, serverInfo, instructions, _meta } = reply.result;
    const server = identityOf(serverInfo);
    if (server === null || !isObject(capabilities) || !isText(instructions) || !isMeta(_meta)) {
      throw new Unusual();
    }
    if (typeof protocolVersion !== "string" || !OLDER.includes(protocolVersion)) throw new Unusual();
    if (!Object.values(capabilities).every((one) => one === undefined || isObject(one))) throw new Unusual();
    this.#session = {
      "mcp-protocol-version": protocolVersion,
      ...(session === null ? {} : { "mcp-session-id": session }),
    };
    const initialized = await this.#post({ method: "notifications/initialized" }, this.#session);
    await initialized.body?.cancel();
    if (!initialized.ok) throw new Unusual();
    const tools = capabilities.tools === undefined
      ? []
      : await this.#tools((params) => this.#askOlder("tools/list", params), { isNewer: false });
    return {
      era: "legacy",
      server: { ...server, protocol: protocolVersion },
      tools,
      session,
    };
  }

  async #tools(
    ask: (params: Fields) => Promise<Reply>,
    { isNewer }: { isNewer: boolean },
  ): Promise<string[]> {
    const names: string[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < PAGE_LIMIT; page++) {
      const reply = await ask(cursor === undefined ? {} : { cursor });
      if (reply.kind !== "result") throw new Unusual();
      const { tools, nextCursor, _meta } = reply.result;
      if (isNewer && !isComplete(reply.result)) throw new Unusual();
      if (!Array.isArray(tools) || !isMeta(_meta) || !isText(nextCursor)) throw new Unusual();
      for (const tool of tools) names.push(toolName(tool));
      if (nextCursor === undefined) return names;
      if (nextCursor === cursor) break;
      cursor = nextCursor as string;
    }
    throw new Unusual();
  }

  async #askNewer(method: string, params: Fields): Promise<Reply> {
    const _meta = {
      [`${META_PREFIX}protocolVersion`]: NEWER,
      [`${META_PREFIX}clientInfo`]: this.#clientInfo,
      [`${META_PREFIX}clientCapabilities`]: {},
    };
    const id = method === "server/discover" ? "server-discover-probe-1" : this.#count++;
    const headers = { "mcp-protocol-version": NEWER, "mcp-method": method };
    return await replyIn(await this.#post({ id, method, params: { ...params, _meta } }, headers), id);
  }

  async #askOlder(method: string, params: Fields): Promise<Reply> {
    const id = this.#count++;
    return await replyIn(await this.#post({ id, method, params }, this.#session), id);
  }

  #post(message: Fields, headers: Record<string, string>): Promise<Response> {
    return this.#wire.fetch(this.#endpoint, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        ...headers,
      },
      body: JSON.stringify({ jsonrpc: "2.0", ...message }),
    });
  }
}

/** @throws Unusual, or where the body breaks off */
async function replyIn(response: Response, id: string | number): Promise<Reply> {
  if (!response.ok) {
    await response.body?.cancel();
    return { kind: "status", status: response.status };
  }
  const type = response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  const value = type === "application/json"
    ? parsed(await response.text())
    : type === "text/event-stream"
    ? await messageIn(response, id)
    : undefined;
  if (!isObject(value) || value.jsonrpc !== "2.0") throw new Unusual();
  const { result, error } = value;
  if (isObject(error) && result === undefined) {
    if (typeof error.code !== "number" || typeof error.message !== "string") throw new Unusual();
    return { kind: "error", code: error.code, message: error.message };
  }
  if (value.id !== id || !isObject(result) || error !== undefined) throw new Unusual();
  return { kind: "result", result };
}

/** The answer among the events of a stream, which may stay open behind it. */
async function messageIn(response: Response, id: string | number): Promise<unknown> {
  if (response.body === null) throw new Unusual();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      text += read.value;
      const events = text.split(/\r\n\r\n|\n\n|\r\r/);
      text = events.pop() ?? "";
      for (const event of events) {
        const lines = event.split(/\r\n|\n|\r/).filter((line) => line.startsWith("data:"));
        const data = lines.map((line) => line.slice(line[5] === " " ? 6 : 5)).join("\n");
        if (data === "") continue;
        const value = parsed(data);
        if (isObject(value) && value.id === id && value.method === undefined) return value;
        // A notification may come first; a request of the server's is the official client's to answer.
        if (!isObject(value) || value.id !== undefined) throw new Unusual();
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
  throw new Unusual();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Unusual();
  }
}

/** @throws Unusual */
function newerServer(result: Fields): ServerIdentity {
  const { supportedVersions, capabilities, instructions, _meta } = result;
  if (!Array.isArray(supportedVersions) || !supportedVersions.every((one) => typeof one === "string")) {
    throw new Unusual();
  }
  if (!supportedVersions.includes(NEWER) || !isObject(capabilities) || !isComplete(result)) {
    throw new Unusual();
  }
  if (!Object.values(capabilities).every((one) => one === undefined || isObject(one))) throw new Unusual();
  const server = isObject(_meta) ? identityOf(_meta[SERVER_INFO]) : null;
  if (server === null || !isText(instructions)) throw new Unusual();
  return { ...server, protocol: NEWER };
}

function isComplete({ resultType, ttlMs, cacheScope }: Fields): boolean {
  const isScope = cacheScope === "public" || cacheScope === "private";
  return resultType === "complete" && Number.isInteger(ttlMs) && Number(ttlMs) >= 0 && isScope;
}

function identityOf(info: unknown): Omit<ServerIdentity, "protocol"> & { protocol: string } | null {
  if (!isObject(info) || typeof info.name !== "string" || typeof info.version !== "string") return null;
  const isPlain = Object.entries(info).every(([key, value]) => typeof value === "string" && key !== "icons");
  return isPlain ? { name: info.name, version: info.version, protocol: "" } : null;
}

/** The keys of a tool, and what each may be. */
const TOOL_KEYS: Readonly<Record<string, (value: unknown) => boolean>> = {
  name: (value) => typeof value === "string",
  title: isText,
  description: isText,
  inputSchema: isObjectSchema,
  outputSchema: (value) => value === undefined || isObjectSchema(value),
  annotations: (value) =>
    value === undefined ||
    (isObject(value) &&
      Object.entries(value).every(([key, one]) => typeof one === (key === "title" ? "string" : "boolean"))),
  execution: (value) =>
    isObject(value) &&
    Object.entries(value).every(([key, one]) =>
      key === "taskSupport" && ["required", "optional", "forbidden"].includes(String(one))
    ),
  _meta: isMeta,
};

/** @throws Unusual */
function toolName(tool: unknown): string {
  if (!isObject(tool) || typeof tool.name !== "string" || !isObjectSchema(tool.inputSchema)) {
    throw new Unusual();
  }
  for (const [key, value] of Object.entries(tool)) {
    if (!Object.hasOwn(TOOL_KEYS, key) || TOOL_KEYS[key]?.(value) !== true) throw new Unusual();
  }
  return tool.name;
}

function isObjectSchema(value: unknown): boolean {
  if (!isObject(value) || value.type !== "object") return false;
  const { properties, required } = value;
  const areProperties = properties === undefined ||
    (isObject(properties) && Object.values(properties).every((one) => isObject(one)));
  return areProperties &&
    (required === undefined || (Array.isArray(required) && required.every((one) => typeof one === "string")));
}

function isText(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

function isMeta(value: unknown): boolean {
  return value === undefined || isObject(value);
}
