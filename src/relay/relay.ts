/**
 * Carries one client across the lives of a server: message for message while there is one, and over the gaps between.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import { Asked } from "./asked.ts";
import { Delivery } from "./delivery.ts";
import { ClientMemory } from "./memory.ts";
import { type ClientMessage, errorLine, isId, keyOf, readClientLine } from "./message.ts";
import { OpenRequests } from "./open_requests.ts";
import { OwnRequests } from "./own_requests.ts";
import { itemsOf, type Parcel, parcelOf } from "./parcel.ts";
import { notReadyError, unavailableError } from "./replay.ts";
import { Replayer } from "./replayer.ts";
import { Revival } from "./revival.ts";
import type { Failure, Source, Upstream, UpstreamEvents } from "./upstream/upstream.ts";
import { WaitingRoom } from "./waiting_room.ts";

export interface RelayOptions {
  /** The server's name, for errors. */
  name: string;
  source: Source;
  /** How long a request waits for a server. */
  timeoutMs: number;
  toClient(line: Uint8Array): void;
  /** For people, on standard error. */
  warn(text: string): void;
}

const CLOSE_GRACE_MS = 300;
const ABANDON_MS = 500;
const CANCELLED = "notifications/cancelled";

export class Relay {
  readonly #clock: Host["clock"];
  readonly #options: RelayOptions;
  readonly #memory = new ClientMemory();
  readonly #asked: Asked;
  readonly #requests: OpenRequests;
  readonly #own: OwnRequests;
  readonly #waiting: WaitingRoom;
  readonly #replayer: Replayer;
  readonly #revival: Revival;
  readonly #closing = new AbortController();
  #current: Upstream | null = null;
  #recovering: Promise<void> = Promise.resolve();

  constructor(host: Pick<Host, "clock" | "random">, options: RelayOptions) {
    const { name, source, timeoutMs, toClient, warn } = options;
    const { signal } = this.#closing;
    const memory = this.#memory;
    const asked = new Asked(toClient);
    const requests = new OpenRequests(toClient);
    this.#clock = host.clock;
    this.#options = options;
    this.#asked = asked;
    this.#requests = requests;
    this.#own = new OwnRequests(host, { requests, signal });
    this.#waiting = new WaitingRoom(host, {
      timeoutMs,
      signal,
      onDemand: () => this.#revival.hurry(),
      onOverdue: (parcels) => this.#refuseOverdue(parcels),
    });
    this.#replayer = new Replayer(host, {
      name,
      requests,
      timeoutMs,
      dispatch: (parcel) => this.#dispatch(parcel),
    });
    const delivery = new Delivery({
      name,
      requests,
      asked,
      memory,
      toClient,
      warn,
      onEnded: (upstream, parcel) =>
        this.#onFailed(upstream, parcel, { phase: "sent", reason: "the server ended the subscription" }),
    });
    const events: UpstreamEvents = {
      line: (upstream, line) => delivery.deliver(upstream, line),
      failed: (upstream, parcel, failure) => this.#onFailed(upstream, parcel, failure),
      lost: (upstream, reason) => this.#onLost(upstream, reason),
    };
    this.#revival = new Revival(host, {
      source,
      memory,
      events,
      signal,
      isWanted: () => this.#waiting.isWanted,
      onRefused: (refusal) => this.#refuseWaiting(refusal),
      askFor: (upstream, parcel) => this.#own.ask(upstream, parcel),
    });
  }

  /** What the client has been shown, for the headers of its calls. */
  get memory(): ClientMemory {
    return this.#memory;
  }

  /** Looks for the server, or starts it, and goes on looking until the end. */
  start(): void {
    this.#recovering = this.#recover(null, { isDoubtful: false });
  }

  /** Takes one line of the client's. */
  receive(line: Uint8Array): void {
    const read = readClientLine(line);
    switch (read.kind) {
      case "invalid":
        this.#options.toClient(errorLine(null, { code: read.code, message: read.why }));
        return;
      case "message":
        this.#take(line, read.message);
    }
  }

  /** Resolves once every request but a subscription has its answer, or after `limitMs`. */
  async finish(limitMs: number): Promise<void> {
    if (this.#requests.isIdle) return;
    const limit = this.#clock.sleep(limitMs, this.#closing.signal).catch(() => {});
    await Promise.race([this.#requests.becomesIdle(), limit]);
  }

  /** Ends the connection to the server, and a start that is under way; what is in flight gets no answer any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    const upstream = this.#current;
    this.#current = null;
    await upstream?.close(CLOSE_GRACE_MS);
    await Promise.race([this.#recovering, this.#clock.sleep(ABANDON_MS)]);
  }

  #take(line: Uint8Array, message: ClientMessage): void {
    if (message.kind === "response") return this.#asked.answer(line, message);
    if (message.kind === "notification" && message.method === CANCELLED && this.#cancel(message.params)) {
      return;
    }
    const parcel = parcelOf(line, message);
    for (const item of itemsOf(message)) if (item.kind === "response") this.#asked.forget(item.id);
    this.#requests.add(parcel);
    this.#dispatch(parcel);
  }

  /** True where the server need not hear of it. */
  #cancel({ requestId }: Readonly<Record<string, unknown>>): boolean {
    const parcel = isId(requestId) ? this.#requests.find(keyOf(requestId)) : undefined;
    if (parcel === undefined || !isId(requestId)) return false;
    this.#requests.settle(parcel, keyOf(requestId));
    if (parcel.upstream !== null) return parcel.upstream.abandon(parcel);
    if (parcel.open.size === 0) this.#waiting.remove(parcel);
    return true;
  }

  #dispatch(parcel: Parcel): void {
    if (this.#current !== null) this.#transmit(this.#current, parcel);
    else this.#waiting.hold(parcel);
  }

  #transmit(upstream: Upstream, parcel: Parcel): void {
    parcel.upstream = upstream;
    parcel.attempts++;
    parcel.sentMs = this.#clock.monotonic();
    this.#memory.noteNotification(parcel);
    upstream.send(parcel);
  }

  #onFailed(upstream: Upstream, parcel: Parcel, failure: Failure): void {
    if (parcel.upstream !== upstream || this.#closing.signal.aborted) return;
    const isCurrent = this.#current === upstream;
    if (isCurrent) this.#current = null;
    this.#revival.reason = failure.reason;
    this.#replayer.replay(parcel, failure);
    if (isCurrent) this.#recovering = this.#recover(upstream, { isDoubtful: failure.phase === "sent" });
  }

  #onLost(upstream: Upstream, reason: string): void {
    if (this.#closing.signal.aborted) return;
    this.#revival.noteLost(upstream);
    this.#revival.reason = reason;
    const isCurrent = this.#current === upstream;
    if (isCurrent) this.#current = null;
    if (upstream.sharesStream) {
      for (const parcel of this.#requests.sentTo(upstream)) {
        this.#onFailed(upstream, parcel, { phase: "sent", reason });
      }
    }
    if (isCurrent) this.#recovering = this.#recover(upstream, { isDoubtful: false });
  }

  /** Runs once at a time: only who takes the connection away calls it. */
  async #recover(old: Upstream | null, { isDoubtful }: { isDoubtful: boolean }): Promise<void> {
    if (old !== null && isDoubtful && await this.#revival.isGood(old)) return this.#resume(old);
    if (old !== null) {
      old.retire();
      this.#asked.cancelAll(old);
    }
    const upstream = await this.#revival.revive({ isFirst: old === null });
    if (upstream === null) return;
    this.#resume(upstream);
    if (old !== null) this.#tellChanges(upstream);
  }

  #resume(upstream: Upstream): void {
    this.#current = upstream;
    for (const parcel of this.#waiting.empty()) this.#dispatch(parcel);
  }

  async #tellChanges(upstream: Upstream): Promise<void> {
    for (const line of await this.#own.changedLists(upstream, this.#memory)) this.#options.toClient(line);
  }

  #refuseWaiting(refusal: { message: string; hint: string }): void {
    const { message, hint } = refusal;
    this.#options.warn(hint === "" ? message : `${message}\n  ${hint}`);
    for (const parcel of this.#waiting.empty()) {
      this.#requests.refuse(parcel, unavailableError(this.#options.name, refusal));
    }
  }

  async #refuseOverdue(parcels: readonly Parcel[]): Promise<void> {
    const { name, source, timeoutMs } = this.#options;
    const reason = await source.reason() ?? this.#revival.reason;
    for (const parcel of parcels) {
      this.#requests.refuse(parcel, notReadyError(name, { waitedMs: timeoutMs, reason }));
    }
  }
}
