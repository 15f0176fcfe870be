/**
 * One POST and what answers it: plain JSON where the answer is all there is, else a stream of events.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import { isObject } from "../base/json.ts";
import type { Backpressure } from "../relay/client_side.ts";
import { parseLine } from "../relay/message.ts";
import { EventStream } from "./event_stream.ts";
import { lostLine } from "./lost.ts";
import type { Replay } from "./replay.ts";

/** What the client said that it takes. */
export interface Accepted {
  json: boolean;
  events: boolean;
}

/** How a request ended. `failed`: with an error, of the server or of foster. */
export type Outcome = "answered" | "failed" | "cancelled";

export interface ExchangeOptions {
  accepted: Accepted;
  /** An answer to a batch is one array. */
  isBatch: boolean;
  /** Ids of its requests, as JSON text. */
  ids: readonly string[];
  /** The status of an answer that is the whole response; 200 where it is left out. */
  statusOf?(line: Uint8Array): number;
  /** Headers of the response, whatever its form. */
  headers: Record<string, string>;
  /** Where the stream's events are kept for a client that comes back; null where the revision has none of that. */
  replay: Replay | null;
  /** The client closed its connection before the end. */
  onGone(): void;
  /** The last answer was given, or none will be. */
  onOver(outcome: Outcome): void;
}

/** A client that got no byte for this long gets a stream. */
const SILENCE_MS = 2000;
const COMMA = new TextEncoder().encode(",");

/** What both forms forbid: to keep a copy, or to hold back what is written. */
const HEADERS = { "cache-control": "no-cache, no-transform", "x-accel-buffering": "no" };

export class Exchange {
  readonly response: Promise<Response>;
  readonly #options: ExchangeOptions;
  readonly #startedMs: number;
  #resolve: ((response: Response) => void) | null = null;
  #answers: Uint8Array[] = [];
  #events: EventStream | null = null;
  #isOver = false;
  /** Ids of a batch that have their answer. */
  readonly #answered = new Set<string>();

  constructor(startedMs: number, options: ExchangeOptions) {
    this.#startedMs = startedMs;
    this.#options = options;
    this.response = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    if (!options.accepted.json) this.stream();
  }

  get ids(): readonly string[] {
    return this.#options.ids;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Begins the stream for a client that has had no byte for long. */
  streamIfSilent(nowMs: number): void {
    if (nowMs - this.#startedMs >= SILENCE_MS) this.stream();
  }

  /** Something that belongs to the exchange and is no answer. False where the client takes no such thing. */
  related(line: Uint8Array): Backpressure | false {
    if (this.#isOver || !this.#options.accepted.events) return false;
    this.stream();
    return this.#emit(line);
  }

  answer(line: Uint8Array, isLast: boolean): Backpressure {
    if (this.#isOver) return;
    if (!isLast) this.#answered.add(idOf(line));
    if (this.#events === null) {
      this.#answers.push(line);
      if (!isLast) return;
      this.#isOver = true;
      this.#respondWhole(this.#options.statusOf?.(line) ?? 200);
      return this.#options.onOver(outcomeOf(line));
    }
    const room = this.#emit(line);
    if (isLast) this.#end(outcomeOf(line));
    return room;
  }

  /** Begins the stream, where the client takes one: from now on it sees signs of life. */
  stream(): void {
    if (this.#events !== null || this.#isOver || !this.#options.accepted.events) return;
    const { replay } = this.#options;
    this.#events = new EventStream(() => this.#gone());
    if (replay === null) this.#events.comment();
    else replay.attach(this.#events);
    this.#respond(
      new Response(this.#events.body, {
        headers: { ...this.#headers(), "content-type": "text/event-stream" },
      }),
    );
    for (const answer of this.#answers.splice(0)) void this.#emit(answer);
  }

  comment(): void {
    this.#events?.comment();
  }

  /** The conversation with the server ended before it answered. */
  lose(): void {
    const lost = this.#options.ids.filter((id) => !this.#answered.has(id));
    for (const [index, id] of lost.entries()) void this.answer(lostLine(id), index === lost.length - 1);
    this.end();
  }

  /** Ends it without another word: it was cancelled, or everything is said. */
  end(): void {
    this.#end("cancelled");
  }

  #end(outcome: Outcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.replay?.finish();
    this.#events?.end();
    if (this.#events === null) this.#respondWhole(202);
    this.#options.onOver(outcome);
  }

  #emit(line: Uint8Array): Backpressure {
    const { replay } = this.#options;
    return replay === null ? this.#events?.message(line, null) : replay.add(line);
  }

  #gone(): void {
    this.#options.onGone();
  }

  /** A batch of which the rest was cancelled has its answers; what was cancelled alone has none. */
  #respondWhole(status: number): void {
    if (this.#answers.length === 0) {
      return this.#respond(new Response(null, { status, headers: this.#headers() }));
    }
    const headers = { ...this.#headers(), "content-type": "application/json" };
    this.#respond(new Response(this.#json(), { status: status === 202 ? 200 : status, headers }));
  }

  #respond(response: Response): void {
    this.#resolve?.(response);
    this.#resolve = null;
  }

  #headers(): Record<string, string> {
    return { ...HEADERS, ...this.#options.headers };
  }

  #json(): Uint8Array<ArrayBuffer> {
    const [only] = this.#answers;
    const parts = this.#answers.flatMap((line, index) => index === 0 ? [line] : [COMMA, line]);
    const whole = !this.#options.isBatch && only !== undefined
      ? only
      : concat([BRACKETS[0], ...parts, BRACKETS[1]]);
    return whole as Uint8Array<ArrayBuffer>;
  }
}

/** An error stands at the front of a short line, as every server writes it; all else counts as an answer. */
export function outcomeOf(line: Uint8Array): Outcome {
  const head = new TextDecoder().decode(line.subarray(0, HEAD_BYTES));
  const error = head.indexOf('"error"');
  const result = head.indexOf('"result"');
  return error >= 0 && (result < 0 || error < result) ? "failed" : "answered";
}

const HEAD_BYTES = 128;

/** The id of an answer, as JSON text. */
function idOf(line: Uint8Array): string {
  const value = parseLine(line);
  return isObject(value) ? JSON.stringify(value.id) ?? "" : "";
}

const BRACKETS = [new TextEncoder().encode("["), new TextEncoder().encode("]")] as const;

/** What an Accept header allows: absent or a wildcard is both. Null where it allows neither. */
export function readAccept(accept: string | null): Accepted | null {
  if (accept === null || accept.trim() === "") return { json: true, events: true };
  const types = accept.split(",").map((part) => part.split(";")[0]?.trim().toLowerCase() ?? "");
  const json = types.some((type) =>
    type === "application/json" || type === "application/*" || type === "*/*"
  );
  const events = types.some((type) => type === "text/event-stream" || type === "text/*" || type === "*/*");
  return json || events ? { json, events } : null;
}
