/**
 * Goes on with what a connection failed to bring an answer to.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import type { OpenRequests } from "./open_requests.ts";
import { isListen, type Parcel, singleOf } from "./parcel.ts";
import { decideReplay, interruptedError } from "./replay.ts";
import type { Failure } from "./upstream/upstream.ts";

export interface ReplayerOptions {
  /** The server's name, for errors. */
  name: string;
  requests: OpenRequests;
  /** How long a request waits for a server. */
  timeoutMs: number;
  /** Sends to the server that is there, or waits for one. */
  dispatch(parcel: Parcel): void;
}

/** A message that every server dies of is not sent to a hundred of them. */
const ATTEMPTS = 10;
const HELD_MS = 5000;

export class Replayer {
  readonly #clock: Host["clock"];
  readonly #options: ReplayerOptions;

  constructor(host: Pick<Host, "clock">, options: ReplayerOptions) {
    this.#clock = host.clock;
    this.#options = options;
  }

  /** Sends again what is safe to repeat, and answers the rest with an error. */
  replay(parcel: Parcel, failure: Failure): void {
    const { requests } = this.#options;
    parcel.upstream = null;
    if (parcel.giveUp !== null) {
      requests.settleAll(parcel);
      parcel.giveUp(failure.reason);
      return;
    }
    for (const part of partsOf(parcel, failure)) {
      requests.add(part);
      this.#replayPart(part, failure);
    }
  }

  #replayPart(part: Parcel, { phase, reason }: Failure): void {
    const { message } = part;
    if (message.kind === "batch") return this.#again(part);
    const { kind } = decideReplay(message, phase);
    switch (kind) {
      case "drop":
        return;
      case "send":
        if (hasAttemptsLeft(part)) return this.#again(part);
        break;
      case "refuse":
        break;
    }
    if (message.kind !== "request") return;
    const { requests, name } = this.#options;
    requests.refuse(part, interruptedError(name, { method: message.method, reason }));
  }

  /** Another server may be there already; else it waits for one. */
  #again(parcel: Parcel): void {
    // A subscription is as good as new when it has held for a while.
    if (isListen(parcel) && this.#clock.monotonic() - parcel.sentMs > HELD_MS) {
      parcel.attempts = 0;
      parcel.deadlineMs = null;
    }
    parcel.deadlineMs ??= this.#clock.monotonic() + this.#options.timeoutMs;
    this.#options.dispatch(parcel);
  }
}

export function hasAttemptsLeft({ attempts }: Parcel): boolean {
  return attempts < ATTEMPTS;
}

/** What of a failed parcel is to be decided on by itself: a batch that no server looked at stays one. */
function partsOf(parcel: Parcel, { phase }: Failure): Parcel[] {
  if (parcel.message.kind !== "batch" || phase !== "sent") return [parcel];
  return [...parcel.open.values()].map((request) => ({ ...singleOf(request), attempts: parcel.attempts }));
}
