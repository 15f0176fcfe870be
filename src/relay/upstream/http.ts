/**
 * A server over streamable HTTP: a POST for each message, a GET stream for what it says unasked.
 *
 * @module
 */
import { concat } from "../../base/bytes.ts";
import type { Host } from "../../host/host.ts";
import { decideRedirect, redirectReason } from "../../mcp/redirect.ts";
import { MESSAGE_LIMIT_BYTES, oneLine } from "../lines.ts";
import {
  CONNECTION_CLOSED,
  errorLine,
  METHOD_NOT_FOUND,
  namedRevision,
  parseLine,
  readServerLine,
  resultOf,
} from "../message.ts";
import { isInitialize, itemsOf } from "../pending.ts";
import { mayRunTwice } from "../retry.ts";
import { EventReader } from "./event_stream.ts";
import { headersFor, type HttpSession, sessionHeaders } from "./headers.ts";
import { readBody, readExcerpt, reasonOf, refusalOf, TooLargeError } from "./http_answers.ts";
import {
  ExchangeError,
  HeaderError,
  HttpClient,
  type HttpRequest,
  type HttpResponse,
} from "./http_client.ts";
import { isInitialized, Turns } from "./turns.ts";
import type { Failure, Pending, Upstream, UpstreamOptions } from "./upstream.ts";

export interface HttpUpstreamOptions extends UpstreamOptions {
  endpoint: URL;
  /** Sent with every request; the values are secrets. */
  headers?: Readonly<Record<string, string>>;
}

const ALIVE_TIMEOUT_MS = 2000;
/** In a row: one that brought anything begins the count anew. */
const RESUME_ATTEMPTS = 5;
const FIRST_DELAY_MS = 50;
const LAST_DELAY_MS = 2000;
/** Bounds for what a server asks with `retry`. */
const RETRY_FLOOR_MS = 100;
const RETRY_CEILING_MS = 30_000;

/** One POST, from the moment that it is to be sent. */
interface Post {
  pending: Pending;
  abort: AbortController;
  wasBegun: boolean;
}

export class HttpUpstream implements Upstream {
  readonly sharesStream = false;
  readonly isFresh = false;
  readonly #clock: Host["clock"];
  readonly #options: HttpUpstreamOptions;
  readonly #client: HttpClient;
  readonly #turns: Turns;
  #endpoint: URL;
  #session: HttpSession = { id: null, protocol: null };
  #isAgreed = false;
  readonly #posts = new Map<Pending, Post>();
  readonly #closing = new AbortController();
  #onAgreed: (() => void) | null = null;
  /** The GET stream: `open` also while it is asked for. */
  #stream: "none" | "open" | "refused" = "none";
  /** Requests that were taken without an answer: it may come over the GET stream. */
  readonly #expected = new Set<Pending>();

  constructor(host: Pick<Host, "net" | "clock">, options: HttpUpstreamOptions) {
    this.#clock = host.clock;
    this.#options = options;
    this.#endpoint = options.endpoint;
    this.#client = new HttpClient(host, () => this.#closing.signal.aborted || options.events.doubted(this));
    this.#turns = new Turns(host.clock);
  }

  get hasSession(): boolean {
    return this.#isAgreed;
  }

  get room(): Promise<void> | null {
    return this.#turns.room;
  }

  send(pending: Pending): Promise<void> {
    const post: Post = { pending, abort: new AbortController(), wasBegun: false };
    this.#posts.set(pending, post);
    return new Promise((written) => {
      const run = () => isInitialize(pending) ? this.#agreement(post, written) : this.#post(post, written);
      this.#turns.take(pending, run).finally(() => {
        this.#posts.delete(pending);
        written();
      });
    });
  }

  /** Resolves with the answer; the stream that brings it may stay open for longer. */
  #agreement(post: Post, written: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.#onAgreed = resolve;
      this.#post(post, written).finally(resolve);
    });
  }

  cancel(pending: Pending): boolean {
    this.#expected.delete(pending);
    const post = this.#posts.get(pending);
    const { message } = pending;
    const isNewer = message.kind === "request" && namedRevision(message.params) !== null;
    if (post === undefined || (post.wasBegun && !isNewer)) return false;
    post.abort.abort();
    return true;
  }

  async isAlive(signal: AbortSignal): Promise<boolean> {
    if (this.#session.id === null) return false;
    const deadline = this.#clock.deadline(ALIVE_TIMEOUT_MS, signal);
    try {
      const headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        ...sessionHeaders(this.#session),
      };
      const response = await this.#fetch({
        method: "POST",
        headers,
        body: PING,
        isRepeatable: true,
        signal: deadline,
      });
      if (response.status < 200 || response.status > 299) {
        response.discard();
        return false;
      }
      return await isPong(response);
    } catch {
      // A server that is busy with a call answers nothing else.
      return deadline.aborted && !signal.aborted;
    }
  }

  retire(): void {
    this.#closing.abort();
    this.#failExpected("the connection was given up");
  }

  async close(graceMs: number): Promise<void> {
    this.#closing.abort();
    for (const { abort } of this.#posts.values()) abort.abort();
    try {
      if (this.#session.id === null) return;
      const signal = this.#clock.deadline(graceMs);
      const headers = sessionHeaders(this.#session);
      (await this.#fetch({ method: "DELETE", headers, isRepeatable: true, signal })).discard();
    } catch {
      // The session can't outlive a server that can't be reached.
    } finally {
      this.#client.close();
    }
  }

  async #post(post: Post, written: () => void): Promise<void> {
    const { pending, abort: { signal } } = post;
    if (signal.aborted) return;
    post.wasBegun = true;
    let response: HttpResponse;
    try {
      const { toolHeaders } = this.#options;
      const headers = headersFor(pending.message, { session: this.#session, toolHeaders });
      const body = pending.line;
      response = await this.#fetch({
        method: "POST",
        headers,
        body,
        isRepeatable: mayRunTwice(pending.message),
        signal,
        onWritten: written,
      });
    } catch (error) {
      return await this.#failed(post, error);
    }
    try {
      if (response.status >= 200 && response.status < 300) await this.#accept(post, response);
      else await this.#refused(post, response);
    } catch (error) {
      if (error instanceof TooLargeError) return await this.#answerAll(pending, error.message);
      this.#fail(post, { phase: "sent", reason: reasonOf(error) });
    }
  }

  async #failed(post: Post, error: unknown): Promise<void> {
    if (error instanceof HeaderError) return await this.#answerAll(post.pending, error.message);
    const wasSent = !(error instanceof ExchangeError) || error.wasSent;
    this.#fail(post, { phase: wasSent ? "sent" : "unsent", reason: reasonOf(error) });
  }

  /** The fault is this message's alone. */
  async #answerAll(pending: Pending, message: string): Promise<void> {
    for (const { wireId } of [...pending.open.values()]) {
      await this.#options.events.message(
        this,
        errorLine(wireId, { code: CONNECTION_CLOSED, message }),
        pending,
      );
    }
  }

  async #accept(post: Post, response: HttpResponse): Promise<void> {
    const { pending } = post;
    const isHandshake = isInitialize(pending);
    if (isHandshake) this.#session = { id: response.headers.get("mcp-session-id") ?? null, protocol: null };
    if (pending.open.size === 0) {
      response.discard();
      if (itemsOf(pending.message).some(isInitialized)) this.#startFollowing();
      return;
    }
    const deliver = async (line: Uint8Array) => {
      await this.#options.events.message(this, line, pending);
      if (isHandshake && pending.open.size === 0) this.#agree(line);
    };
    const type = response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
    if (type === "text/event-stream") return await this.#answerStream(post, { response, deliver });
    const body = oneLine(concat(await readBody(response, MESSAGE_LIMIT_BYTES)));
    if (body.length > 0 && (type.endsWith("json") || isJson(body))) await deliver(body);
    else if (body.length === 0 && this.#stream === "open") {
      this.#expected.add(pending);
      return;
    }
    this.#fail(post, { phase: "sent", reason: `HTTP ${response.status} without an answer` });
  }

  /** Until everything is answered, through resumptions where the server offers them. */
  async #answerStream(
    post: Post,
    { response, deliver }: { response: HttpResponse; deliver(line: Uint8Array): Promise<void> },
  ): Promise<void> {
    const { pending, abort: { signal } } = post;
    const events = new EventReader(MESSAGE_LIMIT_BYTES);
    let reason = await this.#drain(response, { events, deliver });
    for (let attempt = 0; attempt < RESUME_ATTEMPTS; attempt++) {
      const { lastId } = events;
      if (pending.open.size === 0 || signal.aborted || lastId === null) break;
      await this.#clock.sleep(retryDelay(events.retryMs ?? FIRST_DELAY_MS * 2 ** attempt), signal).catch(
        () => {},
      );
      const resumed = await this.#get(lastId, signal).catch(() => null);
      if (resumed === null) break;
      if (resumed.status !== 200 || !isEventStream(resumed)) {
        resumed.discard();
        break;
      }
      events.restart();
      reason = await this.#drain(resumed, { events, deliver });
      if (events.lastId !== lastId) attempt = -1;
    }
    this.#fail(post, { phase: "sent", reason });
  }

  /** Reads a stream to its end and says how it ended. */
  async #drain(
    response: HttpResponse,
    { events, deliver }: { events: EventReader; deliver(line: Uint8Array): Promise<void> | void },
  ): Promise<string> {
    try {
      for (let chunk = await response.read(); chunk !== null; chunk = await response.read()) {
        for (const { name, data } of events.add(chunk)) {
          if (name !== "message" || data === null || data.length === 0) continue;
          const room = deliver(oneLine(data));
          if (room instanceof Promise) await room;
        }
      }
      return "its stream ended before the answer";
    } catch (error) {
      response.discard();
      return reasonOf(error);
    }
  }

  async #refused(post: Post, response: HttpResponse): Promise<void> {
    const { pending } = post;
    const { status } = response;
    const location = response.headers.get("location");
    if (status >= 300 && status < 400 && location !== undefined) {
      response.discard();
      return await this.#answerAll(pending, redirectReason({ status, location }, this.#endpoint));
    }
    const body = await readExcerpt(response);
    await this.#options.events.refused(this, pending, refusalOf(pending, { status, body }));
    // A notification that was refused is over.
  }

  #agree(line: Uint8Array): void {
    const answer = readServerLine(line);
    if (answer.kind === "answer" && !answer.isError) {
      const { protocolVersion } = resultOf(parseLine(line));
      if (typeof protocolVersion === "string") this.#session.protocol = protocolVersion;
      this.#isAgreed = true;
    }
    this.#onAgreed?.();
  }

  #startFollowing(): void {
    if (this.#stream !== "none") return;
    this.#stream = "open";
    this.#follow().finally(() => {
      this.#stream = "refused";
      this.#failExpected("the stream that was to bring the answer ended");
    });
  }

  /** What the server says unasked. That this stream can't be had again is how a lost server is noticed. */
  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    const { events: { message, lost } } = this.#options;
    const events = new EventReader(MESSAGE_LIMIT_BYTES);
    let delayMs = 0;
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      let response: HttpResponse;
      try {
        response = await this.#get(events.lastId, signal);
      } catch (error) {
        if (!signal.aborted) lost(this, reasonOf(error), { sameProcess: null });
        return;
      }
      if (response.status !== 200 || !isEventStream(response)) {
        response.discard();
        const isRefused = response.status < 200 || response.status > 299;
        if (!isFirst && isRefused && !signal.aborted) {
          lost(this, "it does not know the session any more", { sameProcess: null });
        }
        return;
      }
      const startedMs = this.#clock.monotonic();
      events.restart();
      await this.#drain(response, { events, deliver: (data) => message(this, data, null) });
      if (events.lastId === null) this.#failExpected("the stream that was to bring the answer ended");
      const wasShort = this.#clock.monotonic() - startedMs < LAST_DELAY_MS;
      delayMs = wasShort ? Math.min(LAST_DELAY_MS, Math.max(FIRST_DELAY_MS, delayMs * 2)) : FIRST_DELAY_MS;
      const waitMs = events.retryMs === null ? delayMs : Math.max(delayMs, retryDelay(events.retryMs));
      await this.#clock.sleep(waitMs, signal).catch(() => {});
    }
  }

  #failExpected(reason: string): void {
    for (const pending of this.#expected) {
      this.#expected.delete(pending);
      if (pending.open.size > 0) this.#options.events.failed(this, pending, { phase: "sent", reason });
    }
  }

  #get(lastEventId: string | null, signal: AbortSignal): Promise<HttpResponse> {
    const headers = { accept: "text/event-stream", ...sessionHeaders(this.#session) };
    const resumed = lastEventId === null ? headers : { ...headers, "last-event-id": lastEventId };
    return this.#fetch({ method: "GET", headers: resumed, isRepeatable: true, signal });
  }

  /** Follows redirects as every verb does; where one led is where the next request goes. */
  async #fetch(request: Omit<HttpRequest, "url">): Promise<HttpResponse> {
    const headers = { ...this.#options.headers, ...request.headers, "accept-encoding": "identity" };
    for (let hops = 0;; hops++) {
      const response = await this.#client.request({ ...request, headers, url: this.#endpoint });
      const location = response.headers.get("location") ?? null;
      const step = decideRedirect({ status: response.status, location, hops }, this.#endpoint);
      if (step?.kind !== "follow") return response;
      response.discard();
      this.#endpoint = step.url;
    }
  }

  #fail({ pending, abort }: Post, failure: Failure): void {
    if (abort.signal.aborted) return;
    const isOver = pending.open.size === 0 &&
      itemsOf(pending.message).some((item) => item.kind === "request");
    if (!isOver) this.#options.events.failed(this, pending, failure);
  }
}

const PING = new TextEncoder().encode('{"jsonrpc":"2.0","id":999999999,"method":"ping"}');

/** Whether the session answered. A server that knows no ping knows the session all the same. */
async function isPong(response: HttpResponse): Promise<boolean> {
  const decoder = new TextDecoder();
  let text = "";
  for (
    let part = await response.read();
    part !== null && text.length < 65_536;
    part = await response.read()
  ) {
    text += decoder.decode(part, { stream: true });
    // A stream may stay open after it.
    if (/"result"|"error"/.test(text) && text.trimEnd().endsWith("}")) break;
  }
  response.discard();
  return text.includes('"result"') || text.includes(String(METHOD_NOT_FOUND));
}

function retryDelay(ms: number): number {
  return Math.min(RETRY_CEILING_MS, Math.max(RETRY_FLOOR_MS, ms));
}

function isEventStream({ headers }: HttpResponse): boolean {
  return headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() === "text/event-stream";
}

function isJson(body: Uint8Array): boolean {
  return body[0] === 0x7b || body[0] === 0x5b;
}
