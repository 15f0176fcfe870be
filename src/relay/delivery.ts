/**
 * Brings what a server says to whom it concerns.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import type { Asked } from "./asked.ts";
import type { ClientMemory } from "./memory.ts";
import {
  type ClientRequest,
  encodeLine,
  keyOf,
  parseLine,
  readServerLine,
  type ServerMessage,
  subscriptionOf,
} from "./message.ts";
import type { OpenRequests } from "./open_requests.ts";
import { isListen, type Parcel, singleOf } from "./parcel.ts";
import { hasAttemptsLeft } from "./replayer.ts";
import type { Upstream } from "./upstream/upstream.ts";

export interface DeliveryOptions {
  /** The server's name, for warnings. */
  name: string;
  requests: OpenRequests;
  asked: Asked;
  memory: ClientMemory;
  toClient(line: Uint8Array): void;
  /** For people, on standard error. */
  warn(text: string): void;
  /** The server ended a subscription, and its client still wants it. */
  onEnded(upstream: Upstream, parcel: Parcel): void;
}

const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

export class Delivery {
  readonly #options: DeliveryOptions;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /** Takes one line of a server's. */
  deliver(upstream: Upstream, line: Uint8Array): void {
    const { asked, toClient, warn, name } = this.#options;
    const message = readServerLine(line);
    switch (message.kind) {
      case "answer":
        return this.#answered(upstream, { message, line });
      case "request":
        return asked.ask(upstream, { id: message.id, line });
      case "notification":
        if (message.method === ACKNOWLEDGED && this.#isConfirmed(line)) return;
        return toClient(line);
      case "batch":
        return this.#answeredTogether(upstream, { items: message.items, line });
      case "garbage":
        return warn(`"${name}" sent something that is no JSON-RPC message`);
    }
  }

  #answered(
    upstream: Upstream,
    { message, line }: { message: Extract<ServerMessage, { kind: "answer" }>; line: Uint8Array },
  ): void {
    const { requests, memory, toClient, onEnded } = this.#options;
    // An error that names no request is the server's last word on something that it could not read.
    if (message.id === null) return toClient(line);
    const key = keyOf(message.id);
    const parcel = requests.find(key);
    const request = parcel?.open.get(key);
    // Answered already, cancelled, or asked by somebody else.
    if (parcel === undefined || request === undefined || parcel.upstream !== upstream) return;
    // With its good word a server that is about to end closes the subscriptions.
    if (isListen(parcel) && !message.isError && hasAttemptsLeft(parcel)) return onEnded(upstream, parcel);
    requests.settle(parcel, key);
    if (parcel.keep !== null) return parcel.keep(line);
    if (!message.isError) memory.noteAnswer(asSingle(parcel, request), request, line);
    toClient(line);
  }

  #answeredTogether(
    upstream: Upstream,
    { items, line }: { items: readonly ServerMessage[]; line: Uint8Array },
  ): void {
    const { requests, toClient } = this.#options;
    const keys = items.map((item) => item.kind === "answer" && item.id !== null ? keyOf(item.id) : "");
    const parcels = keys.map((key) => requests.find(key));
    const isWhole = parcels.every((parcel, index) =>
      parcel?.upstream === upstream && parcel.keep === null && parcel.open.has(keys[index] ?? "")
    );
    if (!isWhole) {
      const values = parseLine(line);
      if (Array.isArray(values)) {
        for (const value of values) this.deliver(upstream, encodeLine(value));
      }
      return;
    }
    parcels.forEach((parcel, index) => parcel !== undefined && requests.settle(parcel, keys[index] ?? ""));
    toClient(line);
  }

  /** Whether this confirms a subscription that the client knows to be confirmed. */
  #isConfirmed(line: Uint8Array): boolean {
    const value = parseLine(line);
    const id = isObject(value) ? subscriptionOf(value.params) : null;
    const parcel = id === null ? undefined : this.#options.requests.find(keyOf(id));
    if (parcel === undefined) return false;
    const before = parcel.confirmed;
    parcel.confirmed = true;
    return before;
  }
}

/** A request out of a batch is repeated on its own. */
function asSingle(parcel: Parcel, request: ClientRequest): Parcel {
  return parcel.message.kind === "batch" ? singleOf(request) : parcel;
}
