/**
 * The client's requests that have no answer yet, waiting or in flight.
 *
 * @module
 */
import { errorLine, type RpcError } from "./message.ts";
import { isListen, type Parcel } from "./parcel.ts";
import type { Upstream } from "./upstream/upstream.ts";

export class OpenRequests {
  readonly #toClient: (line: Uint8Array) => void;
  /** By the key of each request's id. */
  readonly #parcels = new Map<string, Parcel>();
  #onIdle: (() => void) | null = null;

  constructor(toClient: (line: Uint8Array) => void) {
    this.#toClient = toClient;
  }

  /** Whether nothing but subscriptions is open. */
  get isIdle(): boolean {
    return [...this.#parcels.values()].every(isListen);
  }

  /** Resolves when the last request but subscriptions is settled. */
  becomesIdle(): Promise<void> {
    return new Promise((resolve) => this.#onIdle = resolve);
  }

  add(parcel: Parcel): void {
    for (const key of parcel.open.keys()) this.#parcels.set(key, parcel);
  }

  /** The parcel that a request came in; undefined where it has its answer, or nobody asked. */
  find(key: string): Parcel | undefined {
    return this.#parcels.get(key);
  }

  parcels(): Set<Parcel> {
    return new Set(this.#parcels.values());
  }

  /** What one connection has to answer. */
  sentTo(upstream: Upstream): Parcel[] {
    return [...this.parcels()].filter((parcel) => parcel.upstream === upstream);
  }

  /** One request of a parcel is answered, or nobody waits for it any more. */
  settle(parcel: Parcel, key: string): void {
    parcel.open.delete(key);
    if (this.#parcels.get(key) === parcel) this.#parcels.delete(key);
    if (this.#onIdle !== null && this.isIdle) this.#onIdle();
  }

  /** Nobody waits for anything in the parcel any more. */
  settleAll(parcel: Parcel): void {
    for (const key of [...parcel.open.keys()]) this.settle(parcel, key);
  }

  /** Answers all that is open in a parcel with an error. */
  refuse(parcel: Parcel, error: RpcError): void {
    for (const [key, request] of [...parcel.open]) {
      this.settle(parcel, key);
      this.#toClient(errorLine(request.id, error));
    }
  }
}
