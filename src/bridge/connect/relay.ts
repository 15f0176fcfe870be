/**
 * Carries one client across the lives of a server: message for message while there is one, and over the gaps between.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import { Asked } from "./asked.ts";
import { changedLists } from "./list_changes.ts";
import { ClientMemory } from "./memory.ts";
import {
  type ClientMessage,
  type ClientRequest,
  encodeLine,
  errorLine,
  isId,
  isObject,
  keyOf,
  parseLine,
  readClientLine,
  readServerLine,
  type RpcError,
  type ServerMessage,
  subscriptionOf,
} from "./message.ts";
import { itemsOf, type Parcel, parcelOf } from "./parcel.ts";
import { decideReplay, interruptedError, notReadyError, unavailableError } from "./replay.ts";
import { Revival } from "./revival.ts";
import type { Failure, Source, Upstream, UpstreamEvents } from "./upstream.ts";
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

/** A message that every server dies of is not sent to a hundred of them. */
const ATTEMPTS = 10;
const HELD_MS = 5000;
const RESTORE_TIMEOUT_MS = 15_000;
const CLOSE_GRACE_MS = 300;
const ABANDON_MS = 500;
const CANCELLED = "notifications/cancelled";
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

export class Relay {
  readonly #host: Pick<Host, "clock" | "random">;
  readonly #options: RelayOptions;
  readonly #memory = new ClientMemory();
  readonly #asked: Asked;
  readonly #closing = new AbortController();
  /** Requests without an answer, by id: waiting or in flight. */
  readonly #parcels = new Map<string, Parcel>();
  readonly #events: UpstreamEvents = {
    line: (upstream, line) => this.#fromServer(upstream, line),
    failed: (upstream, parcel, failure) => this.#onFailed(upstream, parcel, failure),
    lost: (upstream, reason) => this.#onLost(upstream, reason),
  };
  readonly #waiting: WaitingRoom;
  readonly #revival: Revival;
  #current: Upstream | null = null;
  #recovering: Promise<void> = Promise.resolve();
  #onIdle: (() => void) | null = null;
  readonly #ownPrefix: string;
  #ownCount = 0;

  constructor(host: Pick<Host, "clock" | "random">, options: RelayOptions) {
    this.#host = host;
    this.#options = options;
    this.#ownPrefix = `foster-${host.random.hex(4)}`;
    this.#asked = new Asked(options.toClient);
    const { signal } = this.#closing;
    this.#waiting = new WaitingRoom(host, {
      timeoutMs: options.timeoutMs,
      signal,
      onDemand: () => this.#revival.hurry(),
      onOverdue: (parcels) => this.#refuseOverdue(parcels),
    });
    this.#revival = new Revival(host, {
      source: options.source,
      memory: this.#memory,
      events: this.#events,
      signal,
      isWanted: () => this.#waiting.isWanted,
      onRefused: (refusal) => this.#refuseWaiting(refusal),
      askFor: (upstream, parcel) => this.#askFor(upstream, parcel),
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
    if (this.#isIdle()) return;
    const idle = new Promise<void>((resolve) => this.#onIdle = resolve);
    await Promise.race([idle, this.#host.clock.sleep(limitMs, this.#closing.signal).catch(() => {})]);
  }

  /** Ends the connection to the server, and a start that is under way; what is in flight gets no answer any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    const upstream = this.#current;
    this.#current = null;
    await upstream?.close(CLOSE_GRACE_MS);
    await Promise.race([this.#recovering, this.#host.clock.sleep(ABANDON_MS)]);
  }

  #take(line: Uint8Array, message: ClientMessage): void {
    if (message.kind === "response") return this.#asked.answer(line, message);
    if (message.kind === "notification" && message.method === CANCELLED && this.#cancel(message.params)) {
      return;
    }
    const parcel = parcelOf(line, message);
    for (const item of itemsOf(message)) if (item.kind === "response") this.#asked.forget(item.id);
    this.#register(parcel);
    this.#dispatch(parcel);
  }

  /** True where the server need not hear of it. */
  #cancel({ requestId }: Readonly<Record<string, unknown>>): boolean {
    const parcel = isId(requestId) ? this.#parcels.get(keyOf(requestId)) : undefined;
    if (parcel === undefined || !isId(requestId)) return false;
    this.#settle(parcel, keyOf(requestId));
    if (parcel.upstream !== null) return parcel.upstream.abandon(parcel);
    if (parcel.open.size === 0) this.#waiting.remove(parcel);
    return true;
  }

  #register(parcel: Parcel): void {
    for (const key of parcel.open.keys()) this.#parcels.set(key, parcel);
  }

  #settle(parcel: Parcel, key: string): void {
    parcel.open.delete(key);
    if (this.#parcels.get(key) === parcel) this.#parcels.delete(key);
    if (this.#onIdle !== null && this.#isIdle()) this.#onIdle();
  }

  #isIdle(): boolean {
    return [...this.#parcels.values()].every(isListen);
  }

  #dispatch(parcel: Parcel): void {
    if (this.#current !== null) this.#transmit(this.#current, parcel);
    else this.#waiting.hold(parcel);
  }

  #transmit(upstream: Upstream, parcel: Parcel): void {
    parcel.upstream = upstream;
    parcel.attempts++;
    parcel.sentMs = this.#host.clock.monotonic();
    this.#memory.noteNotification(parcel);
    upstream.send(parcel);
  }

  #fromServer(upstream: Upstream, line: Uint8Array): void {
    const message = readServerLine(line);
    switch (message.kind) {
      case "answer":
        return this.#answered(upstream, { message, line });
      case "request":
        return this.#asked.ask(upstream, { id: message.id, line });
      case "notification":
        if (message.method === ACKNOWLEDGED && this.#isConfirmed(line)) return;
        return this.#options.toClient(line);
      case "batch":
        return this.#answeredTogether(upstream, { items: message.items, line });
      case "garbage":
        return this.#options.warn(`"${this.#options.name}" sent something that is no JSON-RPC message`);
    }
  }

  #answered(
    upstream: Upstream,
    { message, line }: { message: Extract<ServerMessage, { kind: "answer" }>; line: Uint8Array },
  ): void {
    // An error that names no request is the server's last word on something that it could not read.
    if (message.id === null) return this.#options.toClient(line);
    const key = keyOf(message.id);
    const parcel = this.#parcels.get(key);
    const request = parcel?.open.get(key);
    // Answered already, cancelled, or asked by somebody else.
    if (parcel === undefined || request === undefined || parcel.upstream !== upstream) return;
    // With its good word a server that is about to end closes the subscriptions.
    if (isListen(parcel) && !message.isError && parcel.attempts < ATTEMPTS) {
      return this.#onFailed(upstream, parcel, { phase: "sent", reason: "the server ended the subscription" });
    }
    this.#settle(parcel, key);
    if (parcel.keep !== null) return parcel.keep(line);
    if (!message.isError) this.#memory.noteAnswer(asSingle(parcel, request), request, line);
    this.#options.toClient(line);
  }

  #answeredTogether(
    upstream: Upstream,
    { items, line }: { items: readonly ServerMessage[]; line: Uint8Array },
  ): void {
    const keys = items.map((item) => item.kind === "answer" && item.id !== null ? keyOf(item.id) : "");
    const parcels = keys.map((key) => this.#parcels.get(key));
    const isWhole = parcels.every((parcel, index) =>
      parcel?.upstream === upstream && parcel.keep === null && parcel.open.has(keys[index] ?? "")
    );
    if (!isWhole) {
      const values = parseLine(line);
      if (Array.isArray(values)) {
        for (const value of values) this.#fromServer(upstream, encodeLine(value));
      }
      return;
    }
    parcels.forEach((parcel, index) => parcel !== undefined && this.#settle(parcel, keys[index] ?? ""));
    this.#options.toClient(line);
  }

  /** Whether this confirms a subscription that the client knows to be confirmed. */
  #isConfirmed(line: Uint8Array): boolean {
    const value = parseLine(line);
    const id = isObject(value) ? subscriptionOf(value.params) : null;
    const parcel = id === null ? undefined : this.#parcels.get(keyOf(id));
    if (parcel === undefined) return false;
    const before = parcel.confirmed;
    parcel.confirmed = true;
    return before;
  }

  #onFailed(upstream: Upstream, parcel: Parcel, failure: Failure): void {
    if (parcel.upstream !== upstream || this.#closing.signal.aborted) return;
    const isCurrent = this.#current === upstream;
    if (isCurrent) this.#current = null;
    parcel.upstream = null;
    this.#revival.reason = failure.reason;
    if (parcel.giveUp !== null) {
      for (const key of [...parcel.open.keys()]) this.#settle(parcel, key);
      parcel.giveUp(failure.reason);
    } else {
      for (const part of partsOf(parcel, failure)) {
        this.#register(part);
        this.#replay(part, failure);
      }
    }
    if (isCurrent) this.#recovering = this.#recover(upstream, { isDoubtful: failure.phase === "sent" });
  }

  #replay(parcel: Parcel, { phase, reason }: Failure): void {
    const { message } = parcel;
    if (message.kind === "batch") return this.#again(parcel);
    const { kind } = decideReplay(message, phase);
    switch (kind) {
      case "drop":
        return;
      case "send":
        if (parcel.attempts < ATTEMPTS) return this.#again(parcel);
        break;
      case "refuse":
        break;
    }
    if (message.kind !== "request") return;
    this.#refuse(parcel, interruptedError(this.#options.name, { method: message.method, reason }));
  }

  /** Another server may be there already; else it waits for one. */
  #again(parcel: Parcel): void {
    // A subscription is as good as new when it has held for a while.
    if (isListen(parcel) && this.#host.clock.monotonic() - parcel.sentMs > HELD_MS) {
      parcel.attempts = 0;
      parcel.deadlineMs = null;
    }
    parcel.deadlineMs ??= this.#host.clock.monotonic() + this.#options.timeoutMs;
    this.#dispatch(parcel);
  }

  /** Answers all that is open in a parcel with an error. */
  #refuse(parcel: Parcel, error: RpcError): void {
    for (const [key, request] of [...parcel.open]) {
      this.#settle(parcel, key);
      this.#options.toClient(errorLine(request.id, error));
    }
  }

  #onLost(upstream: Upstream, reason: string): void {
    if (this.#closing.signal.aborted) return;
    this.#revival.noteLost(upstream);
    this.#revival.reason = reason;
    const isCurrent = this.#current === upstream;
    if (isCurrent) this.#current = null;
    if (upstream.sharesStream) {
      const inFlight = new Set([...this.#parcels.values()].filter((parcel) => parcel.upstream === upstream));
      for (const parcel of inFlight) this.#onFailed(upstream, parcel, { phase: "sent", reason });
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
    const ask = (line: Uint8Array) => {
      const read = readClientLine(line);
      if (read.kind === "invalid") return Promise.reject(new Error(read.why));
      return this.#askFor(upstream, parcelOf(line, read.message));
    };
    const newId = () => `${this.#ownPrefix}-${++this.#ownCount}`;
    const open = new Set(this.#parcels.values());
    for (const line of await changedLists(this.#memory, { ask, newId, open })) this.#options.toClient(line);
  }

  /** Asks on the client's behalf. @throws Error where no answer comes */
  #askFor(upstream: Upstream, { line, message }: Pick<Parcel, "line" | "message">): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const giveUp = (reason: string) => reject(new Error(reason));
      const answered = new AbortController();
      const keep = (answer: Uint8Array) => {
        answered.abort();
        resolve(answer);
      };
      const parcel = parcelOf(line, message, { keep, giveUp });
      this.#register(parcel);
      parcel.upstream = upstream;
      upstream.send(parcel);
      const signal = AbortSignal.any([answered.signal, this.#closing.signal]);
      this.#host.clock.sleep(RESTORE_TIMEOUT_MS, signal).then(
        () => {
          for (const key of [...parcel.open.keys()]) this.#settle(parcel, key);
          giveUp(`no answer within ${RESTORE_TIMEOUT_MS / 1000} s`);
        },
        () => giveUp("nobody waits for it any more"),
      );
    });
  }

  #refuseWaiting(refusal: { message: string; hint: string }): void {
    const { message, hint } = refusal;
    this.#options.warn(hint === "" ? message : `${message}\n  ${hint}`);
    for (const parcel of this.#waiting.empty()) {
      this.#refuse(parcel, unavailableError(this.#options.name, refusal));
    }
  }

  async #refuseOverdue(parcels: readonly Parcel[]): Promise<void> {
    const { name, source, timeoutMs } = this.#options;
    const reason = await source.reason() ?? this.#revival.reason;
    for (const parcel of parcels) this.#refuse(parcel, notReadyError(name, { waitedMs: timeoutMs, reason }));
  }
}

function isListen({ message }: Parcel): boolean {
  return message.kind === "request" && message.method === "subscriptions/listen";
}

/** A request out of a batch is repeated on its own. */
function asSingle(parcel: Parcel, request: ClientRequest): Parcel {
  return parcel.message.kind === "batch" ? single(request) : parcel;
}

function single(request: ClientRequest): Parcel {
  const { id, method, params } = request;
  return parcelOf(encodeLine({ jsonrpc: "2.0", id, method, params }), request);
}

/** What of a failed parcel is to be decided on by itself: a batch that no server looked at stays one. */
function partsOf(parcel: Parcel, { phase }: Failure): Parcel[] {
  if (parcel.message.kind !== "batch" || phase !== "sent") return [parcel];
  return [...parcel.open.values()].map((request) => ({ ...single(request), attempts: parcel.attempts }));
}
