/**
 * The events of one stream of an older client, kept for a while: a client that lost its connection goes on where it was.
 *
 * @module
 */
import type { Backpressure } from "../relay/client_side.ts";
import type { EventStream } from "./event_stream.ts";

/** How long a client waits before it comes back, in ms. */
export const RETRY_MS = 5000;

interface KeptEvent {
  seq: number;
  line: Uint8Array;
}

export interface ReplayOptions {
  /** Names the supervisor's life, the stream, and the requests that it answers (as JSON text; null for none). */
  epoch: string;
  stream: number;
  request: string | null;
  limitBytes: number;
  limitEvents: number;
  /** Older revisions take an event without data for JSON. */
  canPrime: boolean;
}

export class Replay {
  readonly #options: ReplayOptions;
  #events: KeptEvent[] = [];
  #bytes = 0;
  #seq = 0;
  /** The last event that was written to a connection. */
  #writtenSeq = 0;
  #live: EventStream | null = null;
  #isFinished = false;
  /** The event that was too large to be kept. */
  #droppedSeq = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** Whether a client is connected. */
  get isLive(): boolean {
    return this.#live !== null && !this.#live.isOver;
  }

  /** The newest connection is the one that counts: after sleep the old one may be half open. */
  attach(stream: EventStream, after: number | null = null): void {
    this.#live?.end();
    this.#live = stream;
    // A client that names no event gets each once: what an earlier connection carried is not repeated.
    const from = after ?? this.#writtenSeq;
    if (this.#options.canPrime && after === null) stream.prime(this.#id(from), RETRY_MS);
    else stream.comment();
    for (const { seq, line } of this.#events) if (seq > from) void stream.message(line, this.#id(seq));
    this.#writtenSeq = this.#seq;
    if (this.#isFinished) stream.end();
  }

  add(line: Uint8Array): Backpressure {
    if (this.#isFinished) return;
    this.#seq += 1;
    if (this.isLive) this.#writtenSeq = this.#seq;
    // A client that reads it has it, or has to be told that it is lost: memory is not for such.
    if (line.length > this.#options.limitBytes && this.isLive) {
      this.#droppedSeq = this.#seq;
      return this.#live?.message(line, this.#id(this.#seq));
    }
    this.#events.push({ seq: this.#seq, line });
    this.#bytes += line.length;
    this.#trim();
    return this.#live?.message(line, this.#id(this.#seq));
  }

  /** Whether an event that a client names is one of this stream's. */
  hasIssued({ seq, request }: EventId): boolean {
    return seq <= this.#seq && request === this.#options.request;
  }

  /** Whether nothing is left of the answer for a client that had the events until `after`. */
  isAnswerLost(after: number): boolean {
    return this.#isFinished && this.#droppedSeq === this.#seq && after < this.#seq;
  }

  /** Whether it never had an event. */
  get isUnused(): boolean {
    return this.#seq === 0;
  }

  /** Bytes kept for a client that comes back. */
  get keptBytes(): number {
    return this.#bytes;
  }

  comment(): void {
    this.#live?.comment();
  }

  /** Nothing more will come. */
  finish(): void {
    this.#isFinished = true;
    this.#live?.end();
  }

  #trim(): void {
    const { limitBytes, limitEvents } = this.#options;
    while (this.#events.length > 1 && (this.#bytes > limitBytes || this.#events.length > limitEvents)) {
      this.#bytes -= this.#events.shift()?.line.length ?? 0;
    }
  }

  #id(seq: number): string {
    const { epoch, stream, request } = this.#options;
    const tail = request === null ? "" : `.${base64Url(request)}`;
    return `${epoch}.${stream}.${seq}${tail}`;
  }
}

export interface EventId {
  epoch: string;
  stream: number;
  seq: number;
  /** The id of the request that the stream answers, as JSON text; null where it answers none. */
  request: string | null;
}

/** Reads a `Last-Event-ID`; null where it is none of the gateway's. */
export function readEventId(text: string): EventId | null {
  const [, epoch, stream, seq, tail] = /^([0-9a-f]{8})\.(\d{1,9})\.(\d{1,9})(?:\.([\w-]+))?$/.exec(text) ??
    [];
  if (epoch === undefined) return null;
  const request = tail === undefined ? null : fromBase64Url(tail);
  return { epoch, stream: Number(stream), seq: Number(seq), request };
}

function base64Url(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function fromBase64Url(text: string): string | null {
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const decoded = new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)));
    const value: unknown = JSON.parse(decoded);
    return typeof value === "string" || typeof value === "number" ? decoded : null;
  } catch {
    return null;
  }
}
