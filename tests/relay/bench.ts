/**
 * A client in front of small HTTP servers, through a relay.
 *
 * @module
 */
import { HttpUpstream } from "../../src/relay/upstream/http.ts";
import { Relay } from "../../src/relay/relay.ts";
import { openSse } from "../../src/relay/upstream/sse.ts";
import type { ProcessFate } from "../../src/relay/retry.ts";
import type { AcquireResult } from "../../src/relay/server_source.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { type Running, serveWith } from "../fixtures/mcp_servers.ts";

export const host = await createDenoHost();
export const encoder = new TextEncoder();
export const decoder = new TextDecoder();

export interface Answer {
  id?: unknown;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { code: number; message: string; data?: unknown };
}

/** A client in front of whatever server is named at the time. */
export class Bench {
  server: Pick<Running, "url"> | null = null;
  refusal: Extract<AcquireResult, { kind: "refused" }> | null = null;
  fate: ProcessFate = "unknown";
  readonly lines: string[] = [];
  readonly #parsed: Answer[] = [];
  readonly relay: Relay;
  #wake = () => {};
  #exchange = 0;

  /** Set while the client takes no more. */
  blocked: Promise<void> | null = null;

  constructor({ timeoutMs = 5000, sse = false }: { timeoutMs?: number; sse?: boolean } = {}) {
    const acquire = (): Promise<AcquireResult> => {
      if (this.refusal !== null) return Promise.resolve(this.refusal);
      if (this.server === null) return Promise.resolve({ kind: "later", reason: "it is not running" });
      const endpoint = this.server.url;
      return Promise.resolve({
        kind: "there",
        server: {
          identity: { pid: 1, startTime: "t", endpoint: endpoint.href },
          connect: async (options, signal) =>
            sse
              ? await openSse(host, { ...options, endpoint }, signal)
              : new HttpUpstream(host, { ...options, endpoint }),
        },
      });
    };
    this.relay = new Relay(host, {
      name: "bench",
      source: { acquire, fate: () => Promise.resolve(this.fate), reason: () => Promise.resolve(null) },
      timeoutMs,
      client: {
        write: (line) => {
          this.lines.push(decoder.decode(line));
          this.#wake();
          return this.blocked ?? undefined;
        },
      },
      warn: () => {},
    });
  }

  say(message: unknown): void {
    const one = (value: unknown) => ({ jsonrpc: "2.0", ...value as object });
    const line = JSON.stringify(Array.isArray(message) ? message.map(one) : one(message));
    this.relay.receive(++this.#exchange, encoder.encode(line));
  }

  /** Each line is parsed once: there may be many, and long ones. */
  #answers(): readonly Answer[] {
    for (const line of this.lines.slice(this.#parsed.length)) this.#parsed.push(JSON.parse(line));
    return this.#parsed;
  }

  /** The first message that matches, now or later. */
  async hears(matches: (message: Answer) => boolean): Promise<Answer> {
    const endsAt = performance.now() + 10_000;
    while (performance.now() < endsAt) {
      const found = this.#answers().find(matches);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    throw new Error(`not heard, only: ${this.lines.join("\n").slice(0, 2000)}`);
  }

  async ask(message: { id: unknown } & Record<string, unknown>): Promise<Answer> {
    this.say(message);
    return await this.hears((answer) => answer.id === message.id && answer.method === undefined);
  }

  async handshake(): Promise<Answer> {
    const answer = await this.ask({
      id: "i",
      method: "initialize",
      params: { protocolVersion: "2025-06-18" },
    });
    this.say({ method: "notifications/initialized" });
    return answer;
  }
}

export type Message = { id?: unknown; method?: string; params?: Record<string, unknown> };

export interface OlderOptions {
  on?: (message: Message, request: Request) => Response | null | Promise<Response | null>;
  /** Answers the GET that asks for what is said unasked, or for the rest of a stream. */
  onStream?: (request: Request) => Response;
  seen?: string[];
}

/** A server of the older revision with sessions, on a new port. */
export async function older(
  { on = () => null, onStream, seen = [] }: OlderOptions = {},
): Promise<Running & { lastSession(): string | null }> {
  const sessions = new Set<string>();
  const running = await serveWith(host, "/mcp", async (request) => {
    const session = request.headers.get("mcp-session-id") ?? "";
    if (request.method === "GET") return onStream?.(request) ?? new Response(null, { status: 405 });
    if (request.method === "DELETE") {
      seen.push("DELETE");
      return new Response(null, { status: 200 });
    }
    const message: Message | Message[] = await request.json();
    const items = Array.isArray(message) ? message : [message];
    seen.push(items.map((item) => item.method ?? "answer").join("+"));
    for (const item of items) {
      const special = await on(item, request);
      if (special !== null) return special;
    }
    if (items[0]?.method === "initialize") {
      const opened = crypto.randomUUID();
      sessions.add(opened);
      const result = {
        protocolVersion: "2025-06-18",
        capabilities: {},
        serverInfo: { name: "s", version: "1" },
      };
      return Response.json({ jsonrpc: "2.0", id: items[0].id, result }, {
        headers: { "mcp-session-id": opened },
      });
    }
    if (!sessions.has(session)) return new Response("unknown session", { status: 404 });
    const asked = items.filter((item) => item.id !== undefined && item.method !== undefined);
    if (asked.length === 0) return new Response(null, { status: 202 });
    const answers = asked.map(({ id, method }) => ({ jsonrpc: "2.0", id, result: { method } }));
    return Response.json(Array.isArray(message) ? answers : answers[0]);
  });
  return { ...running, lastSession: () => [...sessions].at(-1) ?? null };
}

/** Server-sent events that break off where `cut` says so. */
export function events(parts: string[], { cut = false }: { cut?: boolean } = {}): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const part of parts) controller.enqueue(encoder.encode(part));
      if (!cut) controller.close();
    },
    pull(controller) {
      if (cut) controller.error(new Error("cut"));
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

export const event = (message: unknown, id?: string) =>
  `${id === undefined ? "" : `id: ${id}\n`}data: ${
    JSON.stringify({ jsonrpc: "2.0", ...message as object })
  }\n\n`;
