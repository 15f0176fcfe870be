/**
 * What the client is answered, each request once.
 *
 * @module
 */
import type { Backpressure, ClientSide } from "./client_side.ts";
import { errorLine, type RpcError } from "./message.ts";
import { isListen, type PendingTable } from "./pending.ts";
import type { OpenRequest, Pending } from "./upstream/upstream.ts";

export interface AnswersOptions {
  table: PendingTable;
  client: ClientSide;
  /** Told when the first request is in flight, and when none is any more. */
  onBusy?(isBusy: boolean): void;
  /** A request is not open any more. */
  onSettled(): void;
}

export class Answers {
  readonly #options: AnswersOptions;
  readonly #inFlight = new Set<Pending>();

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** Monotonic ms since when the oldest request in flight runs; null where none is. */
  get oldestCallMs(): number | null {
    let oldest: number | null = null;
    for (const { sentMs } of this.#inFlight) if (oldest === null || sentMs < oldest) oldest = sentMs;
    return oldest;
  }

  /** The message is on its way to a server. */
  noteSent(pending: Pending): void {
    if (pending.open.size === 0 || pending.own !== null || isListen(pending)) return;
    this.#inFlight.add(pending);
    if (this.#inFlight.size === 1) this.#options.onBusy?.(true);
  }

  /** No server works on it any more. */
  noteOver(pending: Pending): void {
    if (this.#inFlight.delete(pending) && this.#inFlight.size === 0) this.#options.onBusy?.(false);
  }

  /** Answers one request of the message. */
  give(pending: Pending, open: OpenRequest, line: Uint8Array): Backpressure {
    this.settle(pending, open);
    return this.#write(line, pending.exchange);
  }

  /** Answers a batch with one line. */
  giveAll(line: Uint8Array, settled: readonly { pending: Pending; open: OpenRequest }[]): Backpressure {
    for (const { pending, open } of settled) this.settle(pending, open);
    return this.#write(line, settled[0]?.pending.exchange ?? null);
  }

  settle(pending: Pending, open: OpenRequest): void {
    this.#options.table.settle(pending, open);
    if (pending.open.size === 0) this.noteOver(pending);
    this.#options.onSettled();
  }

  /** Answers all that is open in a message with an error. From now on no server gets it, however slowly its client reads. */
  async refuse(pending: Pending, errorFor: (open: OpenRequest) => RpcError): Promise<void> {
    const { table } = this.#options;
    const refused = [...pending.open.values()].map((open) => ({
      id: open.request.id,
      error: errorFor(open),
    }));
    for (const open of [...pending.open.values()]) this.settle(pending, open);
    table.remove(pending);
    const { exchange, own } = pending;
    for (const [index, { id, error }] of refused.entries()) {
      if (own !== null) own.fail(error.message);
      else await this.#write(errorLine(id, error), exchange, index < refused.length - 1);
    }
  }

  #write(line: Uint8Array, exchange: number | null, isMore = false): Backpressure {
    if (exchange === null) return;
    const { client, table } = this.#options;
    return client.write(line, {
      kind: "answer",
      exchange,
      isLast: !isMore && !table.isExchangeOpen(exchange),
    });
  }
}
