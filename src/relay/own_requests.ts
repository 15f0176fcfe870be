/**
 * Requests on the client's behalf, of which it hears nothing.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import { changedLists } from "./list_changes.ts";
import type { ClientMemory } from "./memory.ts";
import { readClientLine } from "./message.ts";
import type { OpenRequests } from "./open_requests.ts";
import { type Parcel, parcelOf } from "./parcel.ts";
import type { Upstream } from "./upstream/upstream.ts";

const TIMEOUT_MS = 15_000;

export interface OwnRequestsOptions {
  requests: OpenRequests;
  signal: AbortSignal;
}

export class OwnRequests {
  readonly #clock: Host["clock"];
  readonly #options: OwnRequestsOptions;
  readonly #prefix: string;
  #count = 0;

  constructor(host: Pick<Host, "clock" | "random">, options: OwnRequestsOptions) {
    this.#clock = host.clock;
    this.#options = options;
    this.#prefix = `foster-${host.random.hex(4)}`;
  }

  /** The answer to a request. @throws Error where none comes */
  ask(upstream: Upstream, { line, message }: Pick<Parcel, "line" | "message">): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const giveUp = (reason: string) => reject(new Error(reason));
      const answered = new AbortController();
      const keep = (answer: Uint8Array) => {
        answered.abort();
        resolve(answer);
      };
      const { requests, signal } = this.#options;
      const parcel = parcelOf(line, message, { keep, giveUp });
      requests.add(parcel);
      parcel.upstream = upstream;
      upstream.send(parcel);
      this.#clock.sleep(TIMEOUT_MS, AbortSignal.any([answered.signal, signal])).then(
        () => {
          requests.settleAll(parcel);
          giveUp(`no answer within ${TIMEOUT_MS / 1000} s`);
        },
        () => giveUp("nobody waits for it any more"),
      );
    });
  }

  /** The notifications of what a new life of the server lists otherwise. */
  changedLists(upstream: Upstream, memory: ClientMemory): Promise<Uint8Array[]> {
    const ask = (line: Uint8Array) => {
      const read = readClientLine(line);
      if (read.kind === "invalid") return Promise.reject(new Error(read.why));
      return this.ask(upstream, parcelOf(line, read.message));
    };
    const newId = () => `${this.#prefix}-${++this.#count}`;
    return changedLists(memory, { ask, newId, open: this.#options.requests.parcels() });
  }
}
