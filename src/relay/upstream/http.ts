/**
 * A server over streamable HTTP: a POST for each message, a GET stream for what it says unasked.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import { connectionFailure } from "../../mcp/outcome.ts";
import { EventReader } from "./event_stream.ts";
import { headersFor, type HttpSession, sessionHeaders, type ToolHeaders } from "./headers.ts";
import { httpFailureLines, isUnknownSession, reasonOf, type Refusal } from "./http_answers.ts";
import { oneLine } from "../lines.ts";
import { encodeLine, namedRevision, parseLine } from "../message.ts";
import { itemsOf, type Parcel } from "../parcel.ts";
import { resultOf } from "../memory.ts";
import { decideReplay } from "../replay.ts";
import type { Failure, Upstream, UpstreamEvents } from "./upstream.ts";

export interface HttpUpstreamOptions {
  endpoint: URL;
  events: UpstreamEvents;
  toolHeaders(): ToolHeaders;
}

const ALIVE_TIMEOUT_MS = 2000;
const RESUME_ATTEMPTS = 5;
const FIRST_DELAY_MS = 50;
const LAST_DELAY_MS = 2000;
const REFUSAL_LIMIT_CHARS = 64 * 1024;
const STARTING: readonly number[] = [502, 503, 504];

export class HttpUpstream implements Upstream {
  readonly sharesStream = false;
  readonly #host: Pick<Host, "net" | "clock">;
  readonly #options: HttpUpstreamOptions;
  #session: HttpSession = { id: null, protocol: null };
  /** The handshake, notifications and answers arrive before what was sent after them. */
  #gate: Promise<void> | null = null;
  readonly #posts = new Map<Parcel, AbortController>();
  readonly #closing = new AbortController();
  #onAgreed: (() => void) | null = null;
  #follows = false;

  constructor(host: Pick<Host, "net" | "clock">, options: HttpUpstreamOptions) {
    this.#host = host;
    this.#options = options;
  }

  send(parcel: Parcel): void {
    const isHandshake = isInitialize(parcel);
    if (parcel.open.size > 0 && !isHandshake) {
      if (this.#gate === null) this.#post(parcel);
      else this.#gate.then(() => this.#post(parcel));
      return;
    }
    const begin = () => isHandshake ? this.#agreement(parcel) : this.#post(parcel);
    const done = (this.#gate ?? Promise.resolve()).then(begin).then(() => {
      if (this.#gate === done) this.#gate = null;
    });
    this.#gate = done;
  }

  /** Resolves with the answer; the stream that brings it may stay open for longer. */
  #agreement(parcel: Parcel): Promise<void> {
    return new Promise((resolve) => {
      this.#onAgreed = resolve;
      this.#post(parcel).then(resolve);
    });
  }

  abandon(parcel: Parcel): boolean {
    const { message } = parcel;
    if (message.kind !== "request" || namedRevision(message.params) === null) return false;
    this.#posts.get(parcel)?.abort();
    return true;
  }

  async isAlive(signal: AbortSignal): Promise<boolean> {
    if (this.#session.id === null) return false;
    try {
      const response = await this.#fetch("POST", {
        headers: {
          "content-type": "application/json",
          "accept": "application/json, text/event-stream",
          ...sessionHeaders(this.#session),
        },
        body: PING,
        signal: this.#host.clock.deadline(ALIVE_TIMEOUT_MS, signal),
      });
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }

  retire(): void {
    this.#closing.abort();
  }

  async close(graceMs: number): Promise<void> {
    this.#closing.abort();
    for (const post of this.#posts.values()) post.abort();
    if (this.#session.id === null) return;
    try {
      const signal = this.#host.clock.deadline(graceMs);
      const response = await this.#fetch("DELETE", { headers: sessionHeaders(this.#session), signal });
      await response.body?.cancel();
    } catch {
      // The session can't outlive a server that can't be reached.
    }
  }

  async #post(parcel: Parcel): Promise<void> {
    const abort = new AbortController();
    this.#posts.set(parcel, abort);
    try {
      await this.#exchange(parcel, abort.signal);
    } finally {
      this.#posts.delete(parcel);
    }
  }

  async #exchange(parcel: Parcel, signal: AbortSignal): Promise<void> {
    let response: Response;
    try {
      const headers = headersFor(parcel, { session: this.#session, tools: this.#options.toolHeaders() });
      response = await this.#fetch("POST", { headers, body: bodyOf(parcel), signal });
    } catch (error) {
      return this.#fail(parcel, { ...connectionLost(error), signal });
    }
    try {
      if (response.ok) await this.#accept(parcel, { response, signal });
      else await this.#refuse(parcel, response);
    } catch (error) {
      this.#fail(parcel, { phase: "sent", reason: reasonOf(error), signal });
    }
  }

  async #accept(
    parcel: Parcel,
    { response, signal }: { response: Response; signal: AbortSignal },
  ): Promise<void> {
    const isHandshake = isInitialize(parcel);
    if (isHandshake) this.#session = { id: response.headers.get("mcp-session-id"), protocol: null };
    if (parcel.open.size === 0) {
      await response.body?.cancel();
      if (itemsOf(parcel.message).some(isInitialized)) this.#startFollowing();
      return;
    }
    const deliver = (line: Uint8Array) => {
      this.#options.events.line(this, line);
      if (isHandshake && parcel.open.size === 0) this.#agree(line);
    };
    const type = response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
    if (type === "text/event-stream") return await this.#answerStream(parcel, { response, signal, deliver });
    const body = oneLine(new Uint8Array(await response.arrayBuffer()));
    if (type === "application/json") deliver(body);
    this.#fail(parcel, { phase: "sent", reason: `HTTP ${response.status} without an answer`, signal });
  }

  /** Until everything is answered, through resumptions where the server offers them. */
  async #answerStream(
    parcel: Parcel,
    { response, signal, deliver }: {
      response: Response;
      signal: AbortSignal;
      deliver(line: Uint8Array): void;
    },
  ): Promise<void> {
    const events = new EventReader();
    let reason = await this.#drain(response, { events, deliver });
    for (let attempt = 0; parcel.open.size > 0 && !signal.aborted && attempt < RESUME_ATTEMPTS; attempt++) {
      if (events.lastId === null) break;
      await this.#host.clock.sleep(events.retryMs ?? FIRST_DELAY_MS * 2 ** attempt, signal).catch(() => {});
      const resumed = await this.#stream(events.lastId, signal).catch(() => null);
      if (resumed === null) break;
      if (!resumed.ok) {
        await resumed.body?.cancel();
        break;
      }
      reason = await this.#drain(resumed, { events, deliver });
    }
    this.#fail(parcel, { phase: "sent", reason, signal });
  }

  /** Reads a stream to its end and says how it ended. */
  async #drain(
    response: Response,
    { events, deliver }: { events: EventReader; deliver(line: Uint8Array): void },
  ): Promise<string> {
    try {
      for await (const chunk of response.body ?? []) {
        for (const { name, data } of events.add(chunk)) {
          if (name === "message" && data !== null && data.length > 0) deliver(oneLine(data));
        }
      }
      return "its stream ended before the answer";
    } catch (error) {
      return reasonOf(error);
    }
  }

  async #refuse(parcel: Parcel, response: Response): Promise<void> {
    const { status } = response;
    const text = (await response.text()).slice(0, REFUSAL_LIMIT_CHARS);
    const refusal: Refusal = { status, text, body: parseLine(new TextEncoder().encode(text)) };
    if (this.#session.id !== null && isUnknownSession(parcel, refusal)) {
      return this.#fail(parcel, { phase: "rejected", reason: "it does not know the session any more" });
    }
    if (STARTING.includes(status)) return this.#fail(parcel, { phase: "sent", reason: `HTTP ${status}` });
    for (const line of httpFailureLines(parcel, refusal)) this.#options.events.line(this, line);
  }

  #agree(line: Uint8Array): void {
    const { protocolVersion } = resultOf(parseLine(line));
    if (typeof protocolVersion === "string") this.#session.protocol = protocolVersion;
    this.#onAgreed?.();
  }

  #startFollowing(): void {
    if (this.#follows) return;
    this.#follows = true;
    this.#follow();
  }

  /** What the server says unasked. That this stream can't be had again is how a lost server is noticed. */
  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    const { events: { line, lost } } = this.#options;
    const events = new EventReader();
    let delayMs = 0;
    for (let opened = false; !signal.aborted; opened = true) {
      let response: Response;
      try {
        response = await this.#stream(events.lastId, signal);
      } catch (error) {
        if (!signal.aborted) lost(this, reasonOf(error));
        return;
      }
      if (!response.ok) {
        await response.body?.cancel();
        if (opened && !signal.aborted) lost(this, "it does not know the session any more");
        return;
      }
      const startedAt = this.#host.clock.monotonic();
      await this.#drain(response, { events, deliver: (data) => line(this, data) });
      const wasShort = this.#host.clock.monotonic() - startedAt < LAST_DELAY_MS;
      delayMs = wasShort ? Math.min(LAST_DELAY_MS, delayMs * 2 || FIRST_DELAY_MS) : 0;
      await this.#host.clock.sleep(events.retryMs ?? (wasShort ? delayMs : 0), signal).catch(() => {});
    }
  }

  async #stream(lastEventId: string | null, signal: AbortSignal): Promise<Response> {
    const headers = { accept: "text/event-stream", ...sessionHeaders(this.#session) };
    const resumed = lastEventId === null ? headers : { ...headers, "last-event-id": lastEventId };
    return await this.#fetch("GET", { headers: resumed, signal });
  }

  #fetch(method: "GET" | "POST" | "DELETE", init: RequestInit): Promise<Response> {
    // Bun would give up after five minutes, and a tool may well take longer.
    const patient = { ...init, method, redirect: "manual" as const, timeout: false };
    return this.#host.net.fetch(this.#options.endpoint, patient);
  }

  #fail(parcel: Parcel, { phase, reason, signal }: Failure & { signal?: AbortSignal }): void {
    if (signal?.aborted) return;
    const isOver = parcel.open.size === 0 && itemsOf(parcel.message).some((item) => item.kind === "request");
    if (!isOver) this.#options.events.failed(this, parcel, { phase, reason });
  }
}

const PING = encodeLine({ jsonrpc: "2.0", id: "foster-alive", method: "ping" }) as Uint8Array<ArrayBuffer>;

/** A refused connection has carried nothing. */
function connectionLost(error: unknown): Failure {
  const failure = connectionFailure(error);
  const reason = reasonOf(error);
  const isUnsent = failure.kind === "connection" &&
    ["refused", "unreachable", "no_permission"].includes(failure.reason);
  return { phase: isUnsent ? "unsent" : "sent", reason };
}

/**
 * Deno sends a request again by itself when a connection that it kept breaks under it, unless its body is a blob: what
 * must not run twice is one.
 */
function bodyOf({ line, message }: Parcel): BodyInit {
  const bytes = line as Uint8Array<ArrayBuffer>;
  const isRepeatable = message.kind !== "batch" && decideReplay(message, "sent").kind === "send";
  return isRepeatable ? bytes : new Blob([bytes]);
}

function isInitialize({ message }: Parcel): boolean {
  return message.kind === "request" && message.method === "initialize";
}

function isInitialized(item: { kind: string; method?: string }): boolean {
  return item.kind === "notification" && item.method === "notifications/initialized";
}
