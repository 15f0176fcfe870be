/**
 * All clients of the newer revision at one server: it has no sessions, so that each POST stands for itself.
 *
 * @module
 */
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import { errorOf, METHOD_NOT_FOUND } from "../relay/message.ts";
import { type Accepted, Exchange, type Outcome } from "./exchange.ts";
import type { Fields } from "../mcp/revisions/messages.ts";
import type { Conversation } from "./conversation.ts";

export interface NewerClientsOptions {
  /** Monotonic, in ms. */
  now(): number;
  open(client: ClientSide): Conversation;
  /** A request is over, after so many ms. */
  onRequest?(outcome: Outcome, ms: number): void;
}

export class NewerClients implements ClientSide {
  readonly #options: NewerClientsOptions;
  readonly #conversation: Conversation;
  readonly #exchanges = new Map<number, Exchange>();
  #nextExchange = 1;
  #usedMs: number;

  constructor(options: NewerClientsOptions) {
    this.#options = options;
    this.#usedMs = options.now();
    this.#conversation = options.open(this);
  }

  /** Open requests, subscriptions included. */
  get open(): number {
    return this.#exchanges.size;
  }

  get hasBeenUsed(): boolean {
    return this.#nextExchange > 1;
  }

  /** Monotonic ms of the last time that a request was open. */
  get usedMs(): number {
    return this.#exchanges.size > 0 ? this.#options.now() : this.#usedMs;
  }

  /** A POST with a request. `signal` aborts when the client closes it, which cancels it in this revision. */
  async request(
    line: Uint8Array,
    message: Fields,
    { accepted, signal }: { accepted: Accepted; signal: AbortSignal },
  ): Promise<Response> {
    const number = this.#nextExchange++;
    const gone = () => this.#gone(number);
    const startedMs = this.#options.now();
    const exchange = new Exchange(startedMs, {
      accepted,
      isBatch: false,
      ids: [JSON.stringify(message.id)],
      headers: {},
      statusOf,
      replay: null,
      onGone: gone,
      onOver: (outcome) => {
        signal.removeEventListener("abort", gone);
        this.#exchanges.delete(number);
        this.#usedMs = this.#options.now();
        this.#options.onRequest?.(outcome, this.#usedMs - startedMs);
      },
    });
    this.#exchanges.set(number, exchange);
    signal.addEventListener("abort", gone, { once: true });
    await this.#conversation.receive(number, line, [message]);
    return await exchange.response;
  }

  /** A POST without a request. */
  async tell(line: Uint8Array, message: Fields): Promise<void> {
    // Over HTTP the end of a POST cancels it. An id is its client's own, and another client's request may have the same.
    if (message.method === "notifications/cancelled") return;
    await this.#conversation.receive(this.#nextExchange++, line, [message]);
  }

  write(line: Uint8Array, to: Destination): Backpressure {
    // There is nobody to tell of what belongs to no request.
    if (to.kind === "session") return;
    const exchange = this.#exchanges.get(to.exchange);
    if (to.kind === "answer") return exchange?.answer(line, to.isLast);
    return exchange?.related(line) || undefined;
  }

  cancelled(exchange: number): void {
    this.#exchanges.get(exchange)?.end();
  }

  tick({ withComments }: { withComments: boolean }): void {
    const now = this.#options.now();
    for (const exchange of this.#exchanges.values()) {
      exchange.streamIfSilent(now);
      if (withComments) exchange.comment();
    }
  }

  async close(): Promise<void> {
    for (const exchange of [...this.#exchanges.values()]) exchange.lose();
    await this.#conversation.close();
  }

  #gone(number: number): void {
    const exchange = this.#exchanges.get(number);
    if (exchange === undefined) return;
    this.#conversation.cancel(number);
    exchange.end();
  }
}

/** No more than an error is so short. */
const ERROR_BYTES = 4096;

/** This revision says in the status, too, that there is no such method. */
function statusOf(line: Uint8Array): number {
  if (line.length > ERROR_BYTES) return 200;
  return errorOf(line)?.code === METHOD_NOT_FOUND ? 404 : 200;
}
