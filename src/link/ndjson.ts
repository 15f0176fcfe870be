/**
 * A link as lines of JSON: what the server sends comes out, what the driving program writes goes in.
 *
 * When the input ends the session stays: its pauses are taken back, and commands, those still waiting included, are
 * answered with an error, so that the server does not wait for somebody who is gone.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { readLines, type StreamLine } from "../base/lines.ts";
import { DEFERRED, type HandlerParams, type HandlerResult } from "./commands.ts";
import type { LinkEvent } from "./connection.ts";
import { type Link, type LinkHost, type LinkOptions, openLink } from "./link.ts";
import type { Overflow } from "./socket.ts";
import { verdictState, type VersionVerdict } from "./version.ts";
import { isWireError, type JsonObject, MESSAGE_LIMIT_BYTES, type Reply, utf8Bytes } from "./wire.ts";

/** Input is read only while no more than this waits in the socket. Bytes. */
const READ_AHEAD_BYTES = MESSAGE_LIMIT_BYTES / 4;

/** Longest input line; with what waits in the socket it stays within twice the message limit. Bytes. */
export const INPUT_LINE_LIMIT_BYTES = 2 * MESSAGE_LIMIT_BYTES - READ_AHEAD_BYTES;

/** What a line may grow by on its way to the wire. Bytes. */
const ENVELOPE_BYTES = 256;

const NOBODY_THERE: Reply = {
  status: "error",
  error: {
    code: "INTERNAL_ERROR",
    message: "Nobody answers commands here: the input of foster link is closed",
  },
};

export interface LinkNdjsonOptions {
  link: Omit<LinkOptions, "handlers" | "fallback" | "onEvent">;
  input: ReadableStream<Uint8Array>;
  /** Takes one line without its end. */
  output(line: string): void;
  /** Ends the link. */
  signal: AbortSignal;
  /** Whether a wrong server ends it; left out or false, it stays, blocked. */
  once?: boolean;
  /** Called with the link before anything happens on it: to unblock it. */
  onLink?(link: Link): void;
  /** Called after the line of each verdict. */
  onVerdict?(verdict: VersionVerdict): void;
}

export type LinkNdjsonEnd =
  | { kind: "closed" }
  | { kind: "blocked"; reason: string; verdict: VersionVerdict | null }
  | { kind: "interrupted" };

/** Runs a link until a `close` line, the signal, or with `once` a verdict that rules the server out. */
export async function runLinkNdjson(host: LinkHost, options: LinkNdjsonOptions): Promise<LinkNdjsonEnd> {
  const reader = options.input.getReader();
  const driven = new NdjsonLink(host, options);
  const interrupted = Promise.withResolvers<LinkNdjsonEnd>();
  const interrupt = () => interrupted.resolve({ kind: "interrupted" });
  options.signal.addEventListener("abort", interrupt, { once: true });
  if (options.signal.aborted) interrupt();
  const feeding = driven.feed(reader);
  const closed = driven.link.ended.then((): LinkNdjsonEnd => ({ kind: "closed" }));
  const end = await Promise.race([driven.blocked, closed, interrupted.promise]);
  options.signal.removeEventListener("abort", interrupt);
  await driven.link.close();
  await reader.cancel().catch(() => undefined);
  await feeding;
  return end;
}

class NdjsonLink {
  readonly link: Link;
  /** Resolves where it is to end for a wrong server. */
  readonly blocked: Promise<LinkNdjsonEnd>;
  readonly #options: LinkNdjsonOptions;
  #listening = true;
  #over = false;
  #pauses = 0;
  /** Answers that came while paused. */
  #held: { requestId: string; reply: Reply; bytes: number }[] = [];
  #heldBytes = 0;

  constructor(host: LinkHost, options: LinkNdjsonOptions) {
    this.#options = options;
    const blocked = Promise.withResolvers<LinkNdjsonEnd>();
    this.blocked = blocked.promise;
    let verdict: VersionVerdict | null = null;
    this.link = openLink(host, {
      ...options.link,
      fallback: (params, command) => this.#command(params, command),
      onEvent: (event) => {
        const line = eventLine(event);
        if (line !== null) this.#say(line);
        if (event.type === "verdict") {
          verdict = event.verdict;
          options.onVerdict?.(event.verdict);
        }
        if (event.type === "blocked" && options.once) {
          blocked.resolve({ kind: "blocked", reason: event.reason, verdict });
        }
      },
    });
    options.onLink?.(this.link);
    void this.link.ended.then(() => this.#over = true);
  }

  /** Takes in the input to its end; never throws. */
  async feed(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    try {
      for await (const line of readLines(reader, INPUT_LINE_LIMIT_BYTES)) {
        if (this.#over) return;
        await this.#take(line);
      }
    } catch (cause) {
      this.#warn(`reading the input failed: ${cause instanceof Error ? cause.message : cause}`);
    }
    if (!this.#over) await this.#inputEnded();
  }

  #command({ _request_id, ...params }: HandlerParams, command: string): HandlerResult {
    if (!this.#listening) {
      this.#warn(`answered "${command}" with an error: the input is closed`);
      return NOBODY_THERE;
    }
    this.#say({ type: "command", request_id: _request_id, command, params });
    return DEFERRED;
  }

  async #take(line: StreamLine): Promise<void> {
    if (line.kind === "too_long") {
      return this.#warn(
        `input line ignored: its ${line.sizeBytes} bytes are over the limit of ${INPUT_LINE_LIMIT_BYTES}`,
      );
    }
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(line.bytes);
    } catch {
      return this.#warn("input line ignored: it is not UTF-8");
    }
    if (text.trim() !== "") await this.#apply(text);
  }

  async #apply(text: string): Promise<void> {
    const input = parseInput(text);
    switch (input.kind) {
      case "bad":
        return this.#warn(`input line ignored: ${input.why}`);
      case "readiness":
        return this.link.setReadiness(input.readiness);
      case "pause":
        this.#pauses += 1;
        return this.link.pause();
      case "resume":
        return await this.#resume();
      case "close":
        return await this.link.close();
      case "event":
        await this.#makeRoom(utf8Bytes(text));
        if (!this.link.sendEvent(input.event, input.data)) this.#warn(`event "${input.event}" was not sent`);
        return;
      case "response":
        return await this.#respond(input.requestId, input.reply, utf8Bytes(text));
    }
  }

  async #respond(requestId: string, reply: Reply, bytes: number): Promise<void> {
    if (this.link.paused) {
      if (this.#heldBytes + bytes > MESSAGE_LIMIT_BYTES) {
        return this.#warn("answer dropped: too much waits for the end of the pause");
      }
      this.#heldBytes += bytes;
      this.#held.push({ requestId, reply, bytes });
      return;
    }
    await this.#makeRoom(bytes);
    this.link.respond(requestId, reply);
  }

  async #resume(): Promise<void> {
    this.#pauses = Math.max(this.#pauses - 1, 0);
    this.link.resume();
    if (this.link.paused) return;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const { requestId, reply, bytes } of held) await this.#respond(requestId, reply, bytes);
  }

  /** Waits, reading nothing, until the socket takes `bytes` more. */
  async #makeRoom(bytes: number): Promise<void> {
    const allowed = Math.max(Math.min(READ_AHEAD_BYTES, MESSAGE_LIMIT_BYTES - bytes - ENVELOPE_BYTES), 0);
    if (this.link.bufferedBytes <= allowed) return;
    this.#say(backpressureLine("waiting", this.#sizes(bytes)));
    await this.link.room(allowed);
    this.#say(backpressureLine("resumed", this.#sizes(bytes)));
  }

  #sizes(messageBytes: number): { bufferedBytes: number; messageBytes: number; limitBytes: number } {
    return { bufferedBytes: this.link.bufferedBytes, messageBytes, limitBytes: MESSAGE_LIMIT_BYTES };
  }

  async #inputEnded(): Promise<void> {
    while (this.#pauses > 0) await this.#resume();
    this.#listening = false;
    for (const requestId of this.link.pending) this.link.respond(requestId, NOBODY_THERE);
  }

  #warn(message: string): void {
    this.#say({ type: "log", level: "warn", message });
  }

  #say(line: JsonObject): void {
    this.#options.output(JSON.stringify(line));
  }
}

type Input =
  | { kind: "event"; event: string; data: JsonObject }
  | { kind: "response"; requestId: string; reply: Reply }
  | { kind: "readiness"; readiness: string }
  | { kind: "pause" }
  | { kind: "resume" }
  | { kind: "close" }
  | { kind: "bad"; why: string };

/** Understands one line of input; never throws. */
function parseInput(text: string): Input {
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    return bad("it is not JSON");
  }
  if (!isObject(line)) return bad("it is not an object");
  const { type } = line;
  if (type === "pause" || type === "resume" || type === "close") return { kind: type };
  if (type === "event") return parseEvent(line);
  if (type === "response") return parseResponse(line);
  if (type !== "readiness") {
    return bad("its type is none of event, response, readiness, pause, resume, close");
  }
  const { readiness } = line;
  return typeof readiness === "string" && readiness !== ""
    ? { kind: "readiness", readiness }
    : bad("readiness needs a text as readiness");
}

function parseEvent({ event, data }: JsonObject): Input {
  if (typeof event !== "string" || event === "") return bad("event needs a text as event");
  if (data !== undefined && !isObject(data)) return bad("event needs an object as data");
  return { kind: "event", event, data: data ?? {} };
}

function parseResponse(line: JsonObject): Input {
  const { request_id: requestId, status } = line;
  const data = line.data ?? undefined;
  const error = line.error ?? undefined;
  if (typeof requestId !== "string") return bad("response needs a text as request_id");
  if (data === undefined && error === undefined) return bad("response needs data or error");
  if (data !== undefined && !isObject(data)) return bad("response needs an object as data");
  if (error !== undefined && !isWireError(error)) return bad("response needs an error with code and message");
  if (status !== undefined && status !== "ok" && status !== "error") {
    return bad("response needs ok or error as status");
  }
  return { kind: "response", requestId, reply: { status, data, error } };
}

function bad(why: string): Input {
  return { kind: "bad", why };
}

/** The line for an event; null where a log line says it already. */
function eventLine(event: LinkEvent): JsonObject | null {
  switch (event.type) {
    case "open":
      return { type: "open", session_id: event.sessionId };
    case "ack":
      return { type: "ack", server_version: event.serverVersion };
    case "verdict": {
      const { verdict } = event;
      const { expected, actual } = verdict;
      const error = verdict.kind === "unverified" ? verdict.error : undefined;
      return { type: "verdict", state: verdictState(verdict), expected, actual, error };
    }
    case "reconnecting":
      return { type: "reconnecting", attempt: event.attempt, next_retry_s: event.nextRetryS };
    case "closed":
      return { type: "closed", code: event.code, reason: event.reason };
    case "backpressure":
      return { ...backpressureLine(event.action, event.overflow), request_id: event.requestId };
    case "log":
      return { type: "log", level: event.level, message: event.message };
    case "session":
    case "blocked":
    case "unblocked":
      return null;
  }
}

/** For an answer that did not fit (`replaced`, `dropped`) and for reading that stops for want of room and goes on. */
function backpressureLine(
  action: "replaced" | "dropped" | "waiting" | "resumed",
  { bufferedBytes, messageBytes, limitBytes }: Overflow,
): JsonObject {
  return {
    type: "backpressure",
    action,
    buffered_bytes: bufferedBytes,
    message_bytes: messageBytes,
    limit_bytes: limitBytes,
  };
}
