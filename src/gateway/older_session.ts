/**
 * The session of one client of an older revision over HTTP: its streams, and what is kept for when it comes back.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { errorLine, METHOD_NOT_FOUND, NOT_READY, parseLine } from "../relay/message.ts";
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import type { Fields } from "../mcp/revisions/messages.ts";
import type { Conversation } from "./conversation.ts";
import { EventStream } from "./event_stream.ts";
import { type Accepted, Exchange, type Outcome } from "./exchange.ts";
import { type EventId, Replay } from "./replay.ts";

export interface OlderSessionOptions {
  id: string;
  /** Eight hexadecimal digits that name this life of the gateway in event ids. */
  epoch: string;
  /** Monotonic, in ms. */
  now(): number;
  open(client: ClientSide): Conversation;
  /** How long the client waits for the answer to its initialize; a minute where it is left out. */
  handshakeMs?: number;
  /** A request is over, after so many ms. */
  onRequest?(outcome: Outcome, ms: number): void;
}

/** Bytes of a stream's events that wait for a client that lost its connection. */
const STREAM_LIMIT_BYTES = 256 * 1024;
const STREAM_LIMIT_EVENTS = 256;
/** Streams whose client is gone, or may not have had the last event. */
const STREAMS_KEPT = 4;
const STREAMS_LIMIT_BYTES = 1024 * 1024;
const INTERNAL_ERROR = -32603;
/** A handshake that the server does not answer is given up so long after its client. */
const ABANDONED_MS = 60_000;
const HANDSHAKE_MS = 60_000;
const SESSION_STREAM = 0;
/** The revision since which clients understand an event without data. */
const PRIMING_SINCE = "2025-11-25";

const LIST_CHANGED = /^notifications\/(?:tools|prompts|resources)\/list_changed$/;

export class OlderSession implements ClientSide {
  readonly id: string;
  readonly #options: OlderSessionOptions;
  readonly #conversation: Conversation;
  readonly #exchanges = new Map<number, Exchange>();
  readonly #streams = new Map<number, Replay>();
  /** Lists that changed while no stream was open. */
  readonly #changed = new Map<string, Uint8Array>();
  #nextExchange = 1;
  #version: string | null = null;
  #goneMs: number | null = null;
  #onHandshake: ((isAccepted: boolean) => Promise<void>) | null = null;
  #usedMs: number;

  constructor(options: OlderSessionOptions) {
    this.#options = options;
    this.id = options.id;
    this.#usedMs = options.now();
    this.#conversation = options.open(this);
  }

  /** Monotonic ms of the last request. */
  get usedMs(): number {
    return this.#usedMs;
  }

  /** Whether a stream or a call of it is open: such a session is not dropped. */
  get isOpen(): boolean {
    return this.#exchanges.size > 0 || (this.#streams.get(SESSION_STREAM)?.isLive ?? false);
  }

  /** Open requests. */
  get openCalls(): number {
    return this.#exchanges.size;
  }

  /** The client closed the connection of its handshake. */
  noteGone(): void {
    if (this.#version === null) this.#goneMs ??= this.#options.now();
  }

  /** Nobody waits for the handshake any more: its client went, or was told that it took too long. */
  get isUnawaited(): boolean {
    return this.#version === null && this.#goneMs !== null;
  }

  /** Nobody knows of the session: its client went before the server answered the handshake. */
  get isAbandoned(): boolean {
    return this.isUnawaited && this.#options.now() - (this.#goneMs ?? 0) >= ABANDONED_MS;
  }

  /** The version that the handshake agreed on. */
  set version(version: string | null) {
    this.#version = version;
  }

  get version(): string | null {
    return this.#version;
  }

  /** A POST with at least one request: the response is what answers it. */
  async request(
    line: Uint8Array,
    { accepted, isBatch, ids, headers, messages }: {
      accepted: Accepted;
      isBatch: boolean;
      /** JSON text of the requests' ids. */
      ids: readonly string[];
      headers: Record<string, string>;
      messages: readonly Fields[];
    },
  ): Promise<Response> {
    const startedMs = this.#options.now();
    this.#usedMs = startedMs;
    const number = this.#nextExchange++;
    const replay = this.#newStream(number, ids.length === 1 ? ids[0] ?? null : null);
    const exchange = new Exchange(startedMs, {
      accepted,
      isBatch,
      ids,
      headers,
      replay,
      // A lost connection is no cancel in these revisions: the answer waits for the client's return.
      onGone: () => {},
      onOver: (outcome) => {
        this.#exchanges.delete(number);
        this.#usedMs = this.#options.now();
        this.#options.onRequest?.(outcome, this.#usedMs - startedMs);
        this.#forgetStreams(number);
      },
    });
    this.#exchanges.set(number, exchange);
    await this.#conversation.receive(number, line, messages);
    return await exchange.response;
  }

  /**
   * The POST with the client's initialize. `onAnswer` is told whether the server took it, before the client is; a refused
   * one has no session to name in its headers.
   */
  async handshake(
    line: Uint8Array,
    options: Parameters<OlderSession["request"]>[1],
    onAnswer: (isAccepted: boolean) => Promise<void>,
  ): Promise<Response> {
    this.#onHandshake = onAnswer;
    const response = await this.request(line, options);
    if (this.#version === null && response.headers.get("content-type") === "application/json") {
      for (const name of Object.keys(options.headers)) response.headers.delete(name);
    }
    return response;
  }

  /** A POST without a request. Resolves once there is room for more. */
  async tell(line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    this.#usedMs = this.#options.now();
    await this.#conversation.receive(this.#nextExchange++, line, messages);
  }

  /** A GET: the session's own stream, or the one that the last event names. */
  listen(last: EventId | null): Response {
    const isResumed = last !== null && last.epoch === this.#options.epoch;
    const named = isResumed ? this.#streams.get(last.stream) : undefined;
    const resumed = last !== null && named?.hasIssued(last) ? named : undefined;
    const stream = new EventStream(() => {});
    if (last !== null && last.stream !== SESSION_STREAM) {
      if (resumed !== undefined && !resumed.isAnswerLost(last.seq)) resumed.attach(stream, last.seq);
      else if (named !== undefined && resumed === undefined) stream.end();
      else this.#answerLost(stream, last);
      return streamResponse(stream);
    }
    const session = this.#sessionStream();
    session.attach(stream, resumed === undefined ? null : last?.seq ?? null);
    for (const line of this.#changed.values()) void session.add(line);
    this.#changed.clear();
    return streamResponse(stream);
  }

  /** The stream's events are gone, with the supervisor that had them or for their age. */
  #answerLost(stream: EventStream, { request }: EventId): void {
    const isOpen = [...this.#exchanges.values()].some(({ ids }) => request !== null && ids.includes(request));
    // An open request of that id has its own stream: the event is another session's.
    if (request !== null && !isOpen) {
      const message = "The connection was lost while the request was in flight: it may or may not have run";
      const error = { code: INTERNAL_ERROR, message, data: { may_have_run: true } };
      void stream.message(errorLine(request, error), null);
    }
    stream.end();
  }

  write(line: Uint8Array, to: Destination): Backpressure {
    switch (to.kind) {
      case "answer":
        if (this.#onHandshake !== null) return this.#answerHandshake(line, to);
        return this.#exchanges.get(to.exchange)?.answer(line, to.isLast);
      case "related": {
        const exchange = this.#exchanges.get(to.exchange);
        const room = exchange === undefined ? false : exchange.related(line);
        return room === false ? this.#toSession(line) : room;
      }
      case "session":
        return this.#toSession(line);
    }
  }

  async #answerHandshake(line: Uint8Array, to: Extract<Destination, { kind: "answer" }>): Promise<void> {
    const onAnswer = this.#onHandshake;
    this.#onHandshake = null;
    this.#version = agreedVersion(line);
    await onAnswer?.(this.#version !== null);
    await this.#exchanges.get(to.exchange)?.answer(line, to.isLast);
    // Nobody can come back to a session that was refused. What it waits for waits for this very answer.
    if (this.#version === null) this.close().catch(() => {});
  }

  cancelled(exchange: number): void {
    this.#exchanges.get(exchange)?.end();
  }

  /** Called about twice a second: begins streams for clients that wait, and shows that open ones live. */
  tick({ withComments }: { withComments: boolean }): void {
    const now = this.#options.now();
    if (this.#onHandshake !== null && this.#goneMs === null) this.#watchHandshake(now);
    for (const exchange of this.#exchanges.values()) exchange.streamIfSilent(now);
    // Those of exchanges are among them.
    if (withComments) { for (const stream of this.#streams.values()) stream.comment(); }
  }

  /** A server that is there and silent: its client is told so, and the process has the time of one that was abandoned. */
  #watchHandshake(now: number): void {
    const limitMs = this.#options.handshakeMs ?? HANDSHAKE_MS;
    if (now - this.#usedMs < limitMs) return;
    this.#goneMs = now;
    const message = `The server did not answer the handshake within ${Math.round(limitMs / 1000)} s. ` +
      "foster logs shows what the server says";
    for (const exchange of [...this.#exchanges.values()]) {
      for (const id of exchange.ids) {
        void exchange.answer(
          errorLine(id, { code: NOT_READY, message, data: { may_have_run: false } }),
          true,
        );
      }
    }
  }

  /** Ends the streams and the conversation; what is open is answered with an error. */
  async close(): Promise<void> {
    for (const exchange of [...this.#exchanges.values()]) exchange.lose();
    for (const stream of this.#streams.values()) stream.finish();
    await this.#conversation.close();
  }

  /** Messages at large go to the session's stream; without one, only the change of a list is remembered. */
  #toSession(line: Uint8Array): Backpressure {
    const stream = this.#streams.get(SESSION_STREAM);
    if (stream?.isLive) return stream.add(line);
    const method = methodOf(line);
    if (method !== null && LIST_CHANGED.test(method)) this.#changed.set(method, line);
    else if (stream === undefined && method !== null && isQuestion(line)) return this.#ask(line, method);
    else void this.#sessionStream().add(line);
  }

  /** A question to a client that never opened the session's own stream: it goes on one that a call opens, or is refused. */
  #ask(line: Uint8Array, method: string): Backpressure {
    for (const exchange of [...this.#exchanges.values()].reverse()) {
      const room = exchange.related(line);
      if (room !== false) return room;
    }
    const { id } = JSON.parse(new TextDecoder().decode(line));
    const error = {
      code: METHOD_NOT_FOUND,
      message: `The client has no stream that ${method} could come over`,
    };
    const answer = method === "ping" ? { jsonrpc: "2.0", id, result: {} } : { jsonrpc: "2.0", id, error };
    const sent = new TextEncoder().encode(JSON.stringify(answer));
    return this.#conversation.receive(this.#nextExchange++, sent, [answer]);
  }

  #sessionStream(): Replay {
    return this.#streams.get(SESSION_STREAM) ?? this.#newStream(SESSION_STREAM, null);
  }

  #newStream(stream: number, request: string | null): Replay {
    const replay = new Replay({
      epoch: this.#options.epoch,
      stream,
      request,
      limitBytes: STREAM_LIMIT_BYTES,
      limitEvents: STREAM_LIMIT_EVENTS,
      canPrime: this.#version !== null && this.#version >= PRIMING_SINCE,
    });
    this.#streams.set(stream, replay);
    return replay;
  }

  #forgetStreams(exchange: number): void {
    // What never was a stream has nothing to resume.
    const own = this.#streams.get(exchange);
    if (own?.isUnused !== false) return void this.#streams.delete(exchange);
    const finished = [...this.#streams].filter(([stream, { isFinished }]) =>
      stream !== SESSION_STREAM && isFinished
    );
    let bytes = 0;
    for (const [index, [stream, replay]] of finished.reverse().entries()) {
      bytes += replay.keptBytes;
      // The newest stays whatever its size: it may be an answer that its client comes back for.
      if (index > 0 && (index >= STREAMS_KEPT || bytes > STREAMS_LIMIT_BYTES)) this.#streams.delete(stream);
    }
  }
}

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

function streamResponse(stream: EventStream): Response {
  return new Response(stream.body, { headers: HEADERS });
}

/** The version that an answer to initialize agrees on; null where it refuses. */
function agreedVersion(line: Uint8Array): string | null {
  const value = parseLine(line);
  const result = isObject(value) && isObject(value.result) ? value.result : null;
  return typeof result?.protocolVersion === "string" ? result.protocolVersion : null;
}

/** Whether a message with a method wants an answer. */
function isQuestion(line: Uint8Array): boolean {
  const value: unknown = JSON.parse(new TextDecoder().decode(line));
  return isObject(value) && value.id !== undefined;
}

/** The method of a short message, null for an answer. */
function methodOf(line: Uint8Array): string | null {
  return /"method"\s*:\s*"([^"]*)"/.exec(new TextDecoder().decode(line.subarray(0, 512)))?.[1] ?? null;
}
