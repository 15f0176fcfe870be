/**
 * One client's session with a server that may restart: messages pass through while the server is there, and what is
 * asked in between waits, is sent again or is answered with an error.
 *
 * Two relays stand between `foster connect` and a server: one in `connect`, whose server is the gateway
 * (`GatewaySource`), and one in the supervisor, whose server is the process (`CopySource`, `ManagedSource`).
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { aborted } from "../base/abort.ts";
import type { Host } from "../host/host.ts";
import type { Backpressure, ClientSide, Destination } from "./client_side.ts";
import { ClientSession, type SessionState } from "./client_session.ts";
import { fetchList } from "./lists.ts";
import {
  type ClientMessage,
  type ClientNotification,
  type ClientResponse,
  CONNECTION_CLOSED,
  encodeLine,
  errorLine,
  errorOf,
  HEADER_MISMATCH,
  idText,
  type JsonRpcId,
  METHOD_NOT_FOUND,
  type Params,
  parseLine,
  partsOf,
  progressTokenOf,
  readClientLine,
  readServerLine,
  requestLine,
  resultOf,
  type RpcError,
  type ServerMessage,
  SUBSCRIPTION_KEY,
  subscriptionOf,
  withId,
  withParam,
} from "./message.ts";
import { isInitialize, isListen, itemsOf, PendingTable } from "./pending.ts";
import { Reconnect, RefusedRequest } from "./reconnect.ts";
import {
  decideRefusal,
  decideRetry,
  endedError,
  interruptedError,
  isDoubtful,
  mayRunTwice,
  notReadyError,
  type ProcessFate,
  type Refusal,
  type RefusalContext,
  tooManyError,
  unansweredError,
  unavailableError,
} from "./retry.ts";
import { ServerRequests } from "./server_requests.ts";
import type { ServerIdentity, ServerSource } from "./server_source.ts";
import type { Failure, OpenRequest, Pending, Upstream, UpstreamEvents } from "./upstream/upstream.ts";

export interface RelayOptions {
  /** The server's name, for errors. */
  name: string;
  source: ServerSource;
  /** How long a request waits for a server. */
  timeoutMs: number;
  client: ClientSide;
  /** What an earlier relay kept of this session. */
  session?: SessionState;
  /** For people, on standard error. */
  warn(text: string): void;
  /** Several clients share the connection: every request gets an id and a progress token of its own. */
  mintsIds?: boolean;
  /** A request has to wait for the server. */
  onHeld?(): void;
  /** A server is there, or another one in its place. */
  onServer?(): void;
  /**
   * A server that came back does not know how to restore the session: it may speak another revision. Nothing more comes over
   * this relay. Without it, it is tried again.
   */
  onSessionRefused?(): void;
  /** Told when the first request is in flight, and when none is any more. */
  onBusy?(isBusy: boolean): void;
}

const CLOSE_GRACE_MS = 300;
/** A child that was just spawned is still ended with proof. */
const ABANDON_MS = 2500;
const OWN_TIMEOUT_MS = 15_000;
/** How long a broken connection's process may take to end until it counts as one that lives. */
const FATE_WAIT_MS = 500;
const FATE_LOOK_MS = 50;
/** A message that every server dies of is not sent to a hundred of them. */
const ATTEMPTS = 10;
const HELD_MS = 5000;
const WAITING_LIMIT = 1000;
const WAITING_LIMIT_BYTES = 64 * 1024 * 1024;
const WAITING_LOOK_MS = 250;
const DOUBT_PAUSE_MS = 1000;
const FIRST_PAUSE_MS = 25;
const LAST_PAUSE_MS = 1000;

const encoder = new TextEncoder();
const CANCELLED = "notifications/cancelled";
const PROGRESS = "notifications/progress";
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

export class Relay {
  readonly #clock: Host["clock"];
  readonly #options: RelayOptions;
  readonly #client: ClientSide;
  readonly #table: PendingTable;
  readonly #session: ClientSession;
  readonly #serverRequests = new ServerRequests(() => this.#table.newId());
  readonly #reconnect: Reconnect;
  readonly #identities = new WeakMap<Upstream, ServerIdentity>();
  readonly #closing = new AbortController();
  #current: Upstream | null = null;
  /** Connections that get nothing new, whose answers may still come. */
  readonly #retired = new Set<Upstream>();
  #recovering: Promise<void> = Promise.resolve();
  #isWatched = false;
  #doubtedMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #failedMs = Number.NEGATIVE_INFINITY;
  readonly #inFlight = new Set<Pending>();
  readonly #headersRefreshed = new WeakSet<Pending>();

  constructor(host: Pick<Host, "clock">, options: RelayOptions) {
    this.#clock = host.clock;
    this.#options = options;
    this.#client = options.client;
    this.#table = new PendingTable({ mintsIds: options.mintsIds });
    this.#session = new ClientSession(options.session);
    const events: UpstreamEvents = {
      message: (upstream, line, pending) => this.#fromServer(upstream, line, pending),
      refused: (upstream, pending, refusal) => this.#onRefused(upstream, pending, refusal),
      failed: (upstream, pending, failure) => this.#onFailed(upstream, pending, failure),
      lost: (upstream, reason, { sameProcess }) => this.#onLost(upstream, { reason, sameProcess }),
      doubted: (upstream) => this.#float(this.#onDoubted(upstream)),
    };
    this.#reconnect = new Reconnect(host, {
      source: options.source,
      session: this.#session,
      upstream: { events, toolHeaders: (tool) => this.#session.toolHeaders(tool) },
      signal: this.#closing.signal,
      isWanted: () => this.#table.waiting().some(({ open }) => open.size > 0),
      onRefused: (refusal) => this.#refuseWaiting(refusal),
      onSessionRefused: (reason) => this.#giveSessionUp(reason),
      ask: (upstream, step) =>
        this.#ask(upstream, step, { isFirst: upstream.isFresh && step.method === "initialize" }),
      tell: (upstream, { method, params }) => this.#tell(upstream, { kind: "notification", method, params }),
      noteIdentity: (upstream, identity) => {
        this.#identities.set(upstream, identity);
        options.onServer?.();
      },
    });
  }

  /** Plain data that continues this session in another relay. */
  get session(): SessionState {
    return this.#session.toJSON();
  }

  /** Monotonic ms since when the oldest request in flight runs; null where none is. */
  get oldestCallMs(): number | null {
    let oldest: number | null = null;
    for (const { sentMs } of this.#inFlight) if (oldest === null || sentMs < oldest) oldest = sentMs;
    return oldest;
  }

  /** Requests that wait for the server. */
  get waiting(): number {
    return this.#table.waiting().filter(({ open }) => open.size > 0).length;
  }

  /** Looks for the server, or starts it, and goes on looking until the end. */
  start(): void {
    this.#recoverFrom(null, { isDoubtful: false });
  }

  /** Takes one message of the client's under the number that its side gave it. Resolves once there is room for more. */
  async receive(exchange: number, line: Uint8Array): Promise<void> {
    const read = readClientLine(line);
    switch (read.kind) {
      case "invalid":
        await this.#client.write(errorLine(null, { code: read.code, message: read.why }), {
          kind: "answer",
          exchange,
          isLast: true,
        });
        return;
      case "message":
        this.#take(line, read.message, exchange);
        await this.#current?.room;
    }
  }

  /**
   * Resolves once every request but a subscription has its answer; after `limitMs` the rest gets an error, which says what
   * foster did to the server where `fate` is given.
   */
  async finish(limitMs: number, fate: ProcessFate | null = null): Promise<void> {
    if (this.#table.isIdle) return;
    const over = this.#clock.deadline(limitMs, this.#closing.signal);
    await Promise.race([this.#table.becomesIdle(), aborted(over)]);
    if (this.#closing.signal.aborted) return;
    for (const pending of this.#table.all()) {
      if (isListen(pending)) continue;
      const wasSent = pending.state === "sent";
      await this.#refuse(
        pending,
        ({ request: { method } }) =>
          fate === null
            ? unansweredError(this.#options.name, { method, wasSent })
            : endedError(this.#options.name, { method, wasSent, fate }),
      );
    }
  }

  /** Ends the connection to the server, and a start that is under way; what is in flight gets no answer any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    const upstreams = [...this.#retired];
    if (this.#current !== null) upstreams.push(this.#current);
    this.#current = null;
    this.#retired.clear();
    await Promise.all(upstreams.map((upstream) => upstream.close(CLOSE_GRACE_MS)));
    await Promise.race([this.#recovering, this.#clock.sleep(ABANDON_MS)]);
  }

  // ------------------------------------------------------------------------------------------- client to server

  #take(line: Uint8Array, message: ClientMessage, exchange: number): void {
    const isSplit = message.kind === "batch" && this.#mustSplit(message);
    const parts = isSplit ? partsOf(line) : [line];
    const items = isSplit ? message.items : [message];
    // All are in the table before one is sent: the first answer is not the exchange's last.
    const taken = items.map((item, index) => this.#note(parts[index] ?? line, item, exchange));
    for (const pending of taken) {
      if (pending !== null && pending.state !== "done") this.#dispatch(pending);
    }
  }

  /** What is to be sent; null for an answer or a cancellation, which are acted upon at once. */
  #note(line: Uint8Array, message: ClientMessage, exchange: number): Pending | null {
    if (message.kind === "response") {
      this.#answerServer(line, message);
      return null;
    }
    if (message.kind === "notification" && message.method === CANCELLED) {
      this.#cancel(line, message);
      return null;
    }
    const pending = this.#table.create(line, message, { exchange });
    this.#table.add(pending);
    return pending;
  }

  /** Answers and cancellations are looked at one by one, and no id may be open twice. */
  #mustSplit(message: Extract<ClientMessage, { kind: "batch" }>): boolean {
    const isOther = message.items.some((item) =>
      item.kind === "response" || (item.kind === "notification" && item.method === CANCELLED)
    );
    return isOther || this.#table.hasDoubles(message);
  }

  #answerServer(line: Uint8Array, message: ClientResponse): void {
    const answer = this.#serverRequests.answer(line, message);
    if (answer === null) return;
    this.#send(answer.upstream, this.#table.create(answer.line, { kind: "response", id: answer.id }, {}));
  }

  #cancel(line: Uint8Array, message: ClientNotification): void {
    const id = idText(message.params.requestId);
    const found = id === null ? [] : this.#table.withClientId(id);
    const [only] = found;
    // Answered already, never asked, asked twice under one id, or the handshake, which no server may be told to drop.
    if (found.length !== 1 || only === undefined || isInitialize(only.pending)) return;
    const { pending, open } = only;
    const { upstream, exchange } = pending;
    this.#settle(pending, open);
    if (exchange !== null && !this.#table.isExchangeOpen(exchange)) this.#client.cancelled?.(exchange);
    if (upstream === null || upstream.cancel(pending)) return;
    const wired = open.wireId === open.request.id ? line : withParam(line, ["requestId"], open.wireId);
    this.#send(upstream, this.#table.create(wired, message, {}));
  }

  /** The client does not want the answers of this exchange any more. */
  cancel(exchange: number): void {
    for (const pending of this.#table.all()) {
      if (pending.exchange !== exchange || pending.own !== null || isInitialize(pending)) continue;
      const { upstream } = pending;
      const opens = [...pending.open.values()];
      for (const open of opens) this.#settle(pending, open);
      if (upstream === null || upstream.cancel(pending)) continue;
      for (const { wireId } of opens) {
        const line = encodeLine({ jsonrpc: "2.0", method: CANCELLED, params: { requestId: 0 } });
        const message: ClientNotification = { kind: "notification", method: CANCELLED, params: {} };
        this.#send(upstream, this.#table.create(withParam(line, ["requestId"], wireId), message, {}));
      }
    }
  }

  #dispatch(pending: Pending): void {
    if (this.#current !== null) this.#transmit(this.#current, pending);
    else this.#hold(pending);
  }

  #transmit(upstream: Upstream, pending: Pending): void {
    for (const item of itemsOf(pending.message)) {
      if (item.kind === "notification") this.#session.noteNotification(item);
    }
    this.#send(upstream, pending);
  }

  #send(upstream: Upstream, pending: Pending): void {
    pending.upstream = upstream;
    pending.state = "sent";
    pending.attempts++;
    pending.sentMs = this.#clock.monotonic();
    if (pending.open.size > 0 && pending.own === null && !isListen(pending)) this.#noteBusy(pending);
    const sent = upstream.send(pending);
    // Nothing answers a notification: it is over once it is written.
    if (pending.open.size === 0) {
      this.#float(sent.then(() => pending.upstream === upstream ? this.#table.remove(pending) : undefined));
    }
  }

  #noteBusy(pending: Pending): void {
    this.#inFlight.add(pending);
    if (this.#inFlight.size === 1) this.#options.onBusy?.(true);
  }

  #noteOver(pending: Pending): void {
    if (this.#inFlight.delete(pending) && this.#inFlight.size === 0) this.#options.onBusy?.(false);
  }

  // ------------------------------------------------------------------------------------------ waiting for a server

  #hold(pending: Pending): void {
    const { name, timeoutMs } = this.#options;
    this.#noteOver(pending);
    pending.upstream = null;
    pending.state = "waiting";
    const waiting = this.#table.waiting();
    const bytes = waiting.reduce((sum, { line }) => sum + line.length, 0);
    if (waiting.length > WAITING_LIMIT || (bytes > WAITING_LIMIT_BYTES && waiting.length > 1)) {
      this.#float(this.#refuse(pending, () => tooManyError(name, waiting.length - 1)));
      return;
    }
    const isFirst = pending.deadlineMs === null && pending.own === null && (pending.exchange ?? -1) >= 0;
    if (isFirst && pending.open.size > 0) this.#options.onHeld?.();
    pending.deadlineMs ??= this.#clock.monotonic() + timeoutMs;
    if (pending.open.size > 0) this.#reconnect.hurry();
    if (!this.#isWatched) this.#float(this.#watchWaiting());
  }

  async #watchWaiting(): Promise<void> {
    this.#isWatched = true;
    const { signal } = this.#closing;
    for (
      let waiting = this.#table.waiting();
      waiting.length > 0 && !signal.aborted;
      waiting = this.#table.waiting()
    ) {
      const now = this.#clock.monotonic();
      const overdue = waiting.filter(({ deadlineMs }) => (deadlineMs ?? Infinity) <= now);
      if (overdue.length > 0) await this.#refuseOverdue(overdue);
      const deadlines = waiting.map(({ deadlineMs }) => deadlineMs ?? Infinity).filter((at) => at > now);
      const waitMs = Math.max(1, Math.min(WAITING_LOOK_MS, Math.min(...deadlines) - this.#clock.monotonic()));
      await this.#clock.sleep(waitMs, signal).catch(() => {});
    }
    this.#isWatched = false;
  }

  async #refuseOverdue(overdue: readonly Pending[]): Promise<void> {
    const { name, source, timeoutMs } = this.#options;
    const reason = await source.reason() ?? this.#reconnect.reason;
    for (const pending of overdue) {
      if (pending.state !== "waiting") continue;
      await this.#refuse(pending, () => notReadyError(name, { waitedMs: timeoutMs, reason }));
    }
  }

  #refuseWaiting(refusal: { message: string; hint: string }): void {
    const { message, hint } = refusal;
    this.#options.warn(hint === "" ? message : `${message}\n  ${hint}`);
    for (const pending of this.#table.waiting()) {
      this.#float(this.#refuse(pending, () => unavailableError(this.#options.name, refusal)));
    }
  }

  /** False where it is to be tried again. */
  #giveSessionUp(reason: string): boolean {
    const { name, onSessionRefused } = this.#options;
    if (onSessionRefused === undefined) return false;
    const message =
      `Server "${name}" came back and does not know the session (${reason}): the request was not ` +
      "sent. The next one begins another session";
    this.#refuseWaiting({ message, hint: "" });
    onSessionRefused();
    return true;
  }

  /** Answers all that is open in a message with an error. From now on no server gets it, however slowly its client reads. */
  async #refuse(pending: Pending, errorFor: (open: OpenRequest) => RpcError): Promise<void> {
    const refused = [...pending.open.values()].map((open) => ({
      id: open.request.id,
      error: errorFor(open),
    }));
    for (const open of [...pending.open.values()]) this.#settle(pending, open);
    this.#table.remove(pending);
    const { exchange, own } = pending;
    for (const [index, { id, error }] of refused.entries()) {
      if (own !== null) own.fail(error.message);
      else if (exchange !== null) {
        const isLast = index === refused.length - 1 && !this.#table.isExchangeOpen(exchange);
        await this.#client.write(errorLine(id, error), { kind: "answer", exchange, isLast });
      }
    }
  }

  // ------------------------------------------------------------------------------------------- server to client

  #fromServer(upstream: Upstream, line: Uint8Array, own: Pending | null): Backpressure {
    const message = readServerLine(line);
    switch (message.kind) {
      case "answer":
        return this.#onAnswer(upstream, { message, line, own });
      case "request":
        return this.#onServerRequest(upstream, { id: message.id, line, own });
      case "notification":
        return this.#onNotification(upstream, { message, line, own });
      case "batch":
        return this.#onBatch(upstream, { items: message.items, line, own });
      case "garbage":
        if (own !== null && own.open.size > 0 && message.text !== "") {
          // To a client its end is the answer; foster's own question is answered by it.
          const error = { code: CONNECTION_CLOSED, message: message.text };
          const lines = own.own === null ? [] : [...own.open.keys()].map((id) => errorLine(id, error));
          return this.#onRefused(upstream, own, { status: 200, code: null, text: message.text, lines });
        }
        if (upstream.takeText !== undefined) return upstream.takeText(line);
        return this.#options.warn(`"${this.#options.name}" sent something that is no JSON-RPC message`);
    }
  }

  #onAnswer(
    upstream: Upstream,
    { message, line, own }: {
      message: Extract<ServerMessage, { kind: "answer" }>;
      line: Uint8Array;
      own: Pending | null;
    },
  ): Backpressure {
    const found = message.id === null ? onlyOpen(own, upstream) : this.#table.find(upstream, message.id, own);
    // An error that names no request is the server's last word on something that it could not read.
    if (message.id === null && found === null) return this.#client.write(line, { kind: "session" });
    // Answered already, cancelled, or asked by somebody else.
    if (found === null) return;
    const { pending, open } = found;
    // A server that closes in good order answers its subscriptions: they are opened again.
    if (isListen(pending) && !message.isError && pending.attempts < ATTEMPTS) {
      return this.#onListenEnded(upstream, found);
    }
    const shown = message.id === open.request.id ? line : withId(line, open.request.id);
    if (pending.own !== null) {
      this.#settle(pending, open);
      return pending.own.answer(line, message.isError);
    }
    if (message.isError) return this.#onErrorAnswer(upstream, { pending, open, line: shown });
    this.#session.noteAnswer(open.request, line);
    return this.#answer(pending, open, shown);
  }

  #onListenEnded(
    upstream: Upstream,
    { pending, open }: { pending: Pending; open: OpenRequest },
  ): Backpressure {
    if (pending.attempts < ATTEMPTS) {
      const reason = "the server ended the subscription";
      return this.#onFailed(upstream, pending, { phase: "sent", reason });
    }
    const id = open.request.id;
    const result = `{"resultType":"complete","_meta":{"${SUBSCRIPTION_KEY}":${id}}}`;
    return this.#answer(pending, open, encoder.encode(`{"jsonrpc":"2.0","id":${id},"result":${result}}`));
  }

  /** An error may be how the server says that it lost the session. */
  async #onErrorAnswer(
    upstream: Upstream,
    { pending, open, line }: { pending: Pending; open: OpenRequest; line: Uint8Array },
  ): Promise<void> {
    const error = errorOf(line);
    const mayHaveRun = isObject(error?.data) && error.data.may_have_run === true;
    const refusal = { status: 200, code: error?.code ?? null, text: error?.message ?? "", mayHaveRun };
    await this.#onRefused(upstream, pending, { ...refusal, lines: [line], open });
  }

  #onServerRequest(
    upstream: Upstream,
    { id, line, own }: { id: JsonRpcId; line: Uint8Array; own: Pending | null },
  ): Backpressure {
    const shown = this.#serverRequests.open(upstream, { id, line, related: own });
    if (shown === null) return;
    if (shown !== "full") return this.#client.write(shown, relatedTo(own));
    const error = errorLine(id, { code: -32603, message: "too many requests of the server's are open" });
    this.#send(upstream, this.#table.create(error, { kind: "response", id }, {}));
  }

  #onNotification(
    upstream: Upstream,
    { message: { method, params }, line, own }: {
      message: Extract<ServerMessage, { kind: "notification" }>;
      line: Uint8Array;
      own: Pending | null;
    },
  ): Backpressure {
    switch (method) {
      case ACKNOWLEDGED: {
        const id = subscriptionOf(params);
        const pending = id === null ? null : this.#table.find(upstream, id, own)?.pending ?? null;
        if (pending?.isConfirmed) return;
        if (pending !== null) pending.isConfirmed = true;
        return this.#client.write(withClientSubscription(line, pending), relatedTo(pending ?? own));
      }
      case CANCELLED: {
        const id = idText(params.requestId);
        const ended = id === null ? null : this.#table.find(upstream, id, own);
        if (ended !== null && isListen(ended.pending)) return this.#onListenEnded(upstream, ended);
        const shown = id === null ? null : this.#serverRequests.takenBack(upstream, { id, line });
        return this.#client.write(shown ?? line, relatedTo(own));
      }
      case PROGRESS: {
        const token = idText(params.progressToken);
        const pending = own ?? (token === null ? null : this.#table.withToken(token));
        return this.#client.write(withClientToken(line, { pending, token }), relatedTo(pending));
      }
      default: {
        const id = own === null ? subscriptionOf(params) : null;
        const listen = id === null ? null : this.#table.find(upstream, id, null)?.pending ?? null;
        return this.#client.write(withClientSubscription(line, own ?? listen), relatedTo(own ?? listen));
      }
    }
  }

  async #onBatch(
    upstream: Upstream,
    { items, line, own }: { items: readonly ServerMessage[]; line: Uint8Array; own: Pending | null },
  ): Promise<void> {
    const found = items.map((item) =>
      item.kind === "answer" && item.id !== null ? this.#table.find(upstream, item.id, own) : null
    );
    const [first] = found;
    const isWhole = first != null && first.pending.own === null && first.pending.message.kind === "batch" &&
      found.every((each) => each?.pending === first.pending && each.open.wireId === each.open.request.id);
    if (!isWhole) {
      for (const part of partsOf(line)) await this.#fromServer(upstream, part, own);
      return;
    }
    for (const each of found) if (each !== null) this.#settle(each.pending, each.open);
    const { exchange } = first.pending;
    if (exchange !== null) {
      const isLast = !this.#table.isExchangeOpen(exchange);
      await this.#client.write(line, { kind: "answer", exchange, isLast });
    }
  }

  #answer(pending: Pending, open: OpenRequest, line: Uint8Array): Backpressure {
    this.#settle(pending, open);
    const { exchange } = pending;
    if (exchange === null) return;
    return this.#client.write(line, {
      kind: "answer",
      exchange,
      isLast: !this.#table.isExchangeOpen(exchange),
    });
  }

  #settle(pending: Pending, open: OpenRequest): void {
    this.#table.settle(pending, open);
    if (pending.open.size === 0) this.#noteOver(pending);
    this.#closeRetired();
  }

  // --------------------------------------------------------------------------------- failures and lost sessions

  async #onRefused(
    upstream: Upstream,
    pending: Pending,
    refusal: Refusal & { lines: readonly Uint8Array[]; open?: OpenRequest },
  ): Promise<void> {
    if (pending.upstream !== upstream || pending.state !== "sent") return;
    if (refusal.code === HEADER_MISMATCH && await this.#refreshHeaders(upstream, pending)) return;
    const fate = await this.#fateOf(upstream);
    const context: RefusalContext = {
      hasSession: upstream.hasSession && pending.own === null && !isInitialize(pending),
      fate,
      isRepeatable: mayRunTwice(pending.message),
      refusals: pending.refusals,
    };
    const knowsSession = isDoubtful(refusal, context) && await this.#knowsSession(upstream);
    const step = decideRefusal(refusal, { ...context, knowsSession });
    const reason = refusal.status === 200 ? refusal.text : `HTTP ${refusal.status}`;
    // It may have been cancelled, answered or lost meanwhile.
    if (pending.upstream !== upstream || pending.state !== "sent") return;
    switch (step) {
      case "rejected":
        // As long as its client waits, it waits for the next one.
        if (refusal.isEnding === true) pending.attempts = 0;
        else pending.refusals++;
        this.#reconnect.noteLost(upstream);
        return this.#onFailed(upstream, pending, { phase: "rejected", reason });
      case "sent":
        if (refusal.mayHaveRun === true) pending.refusals++;
        return this.#onFailed(upstream, pending, { phase: "sent", reason });
      case "renew":
        this.#reconnect.noteLost(upstream);
        await this.#deliverRefusal(upstream, pending, refusal);
        return this.#onLost(upstream, { reason: "another process answers now", sameProcess: false });
      case "deliver":
        return await this.#deliverRefusal(upstream, pending, refusal);
    }
  }

  /**
   * False only where the server refuses a request that is safe to make: one that is gone, or silent, may have run the call
   * before. One that has no such list says so by its session, too.
   */
  async #knowsSession(upstream: Upstream): Promise<boolean> {
    try {
      await this.#ask(upstream, { method: "tools/list", params: {} });
      return true;
    } catch (error) {
      return !(error instanceof RefusedRequest) || error.code === METHOD_NOT_FOUND;
    }
  }

  async #deliverRefusal(
    upstream: Upstream,
    pending: Pending,
    { lines, open }: { lines: readonly Uint8Array[]; open?: OpenRequest },
  ): Promise<void> {
    if (open !== undefined) {
      for (const line of lines) await this.#answer(pending, open, line);
      return;
    }
    for (const line of lines) {
      const message = readServerLine(line);
      if (message.kind !== "answer" || message.id === null) continue;
      const found = this.#table.find(upstream, message.id, pending);
      if (found === null) continue;
      if (pending.own !== null) {
        this.#settle(pending, found.open);
        pending.own.answer(line, message.isError);
      } else await this.#answer(pending, found.open, withId(line, found.open.request.id));
    }
  }

  async #fateOf(upstream: Upstream): Promise<ProcessFate> {
    const identity = this.#identities.get(upstream);
    return identity === undefined ? "unknown" : await this.#options.source.fate(identity);
  }

  #onFailed(upstream: Upstream, pending: Pending, failure: Failure): void {
    if (pending.upstream !== upstream || pending.state !== "sent" || this.#closing.signal.aborted) return;
    const isCurrent = this.#current === upstream;
    if (isCurrent) this.#current = null;
    this.#reconnect.reason = failure.reason;
    this.#retry(upstream, pending, failure);
    if (isCurrent) this.#recoverFrom(upstream, { isDoubtful: failure.phase === "sent" });
    else this.#closeRetired();
  }

  #onLost(
    upstream: Upstream,
    { reason, sameProcess }: { reason: string; sameProcess: boolean | null },
  ): void {
    if (this.#closing.signal.aborted) return;
    this.#reconnect.noteLost(upstream);
    const isCurrent = this.#current === upstream;
    if (isCurrent || this.#current === null) this.#reconnect.reason = reason;
    if (isCurrent) this.#current = null;
    this.#retired.delete(upstream);
    if (upstream.sharesStream) {
      const identity = this.#identities.get(upstream);
      const ended = identity === undefined ? null : this.#options.source.endedAs?.(identity) ?? null;
      const fate = sameProcess === false ? ended ?? "replaced" : null;
      for (const pending of this.#table.sentTo(upstream)) {
        this.#retry(upstream, pending, { phase: "sent", reason }, fate);
      }
    }
    if (isCurrent) this.#recoverFrom(upstream, { isDoubtful: false });
  }

  /** Asks once in a while whether the connection leads to the same process still. */
  async #onDoubted(upstream: Upstream): Promise<void> {
    const now = this.#clock.monotonic();
    if (this.#current !== upstream || now - this.#doubtedMs < DOUBT_PAUSE_MS) return;
    this.#doubtedMs = now;
    const fate = await this.#fateOf(upstream);
    if (fate !== "replaced" && fate !== "stopped") return;
    if (this.#current === upstream) {
      this.#onLost(upstream, { reason: "its process is gone", sameProcess: false });
    }
  }

  /** Sends again what is safe to repeat, and answers the rest with an error. */
  #retry(upstream: Upstream, pending: Pending, failure: Failure, fate: ProcessFate | null = null): void {
    this.#noteOver(pending);
    pending.upstream = null;
    if (pending.own !== null) {
      const { own } = pending;
      this.#table.remove(pending);
      return own.fail(failure.reason);
    }
    if (pending.message.kind !== "batch" || failure.phase !== "sent") {
      return this.#retryOne(upstream, pending, failure, fate);
    }
    // A server may have run a part of it: each request is decided on by itself.
    const parts = [...pending.open.values()].map((open) => this.#table.single(open, pending));
    this.#table.remove(pending);
    for (const part of parts) {
      part.attempts = pending.attempts;
      this.#table.add(part);
    }
    for (const part of parts) this.#retryOne(upstream, part, failure, fate);
  }

  #retryOne(
    upstream: Upstream,
    pending: Pending,
    { phase, reason }: Failure,
    fate: ProcessFate | null,
  ): void {
    const { message } = pending;
    const { kind } = message.kind === "batch" ? { kind: "send" as const } : decideRetry(message, phase);
    if (kind === "drop") return this.#table.remove(pending);
    if (kind === "send" && pending.attempts < ATTEMPTS) return this.#again(pending);
    this.#float(this.#refuseInterrupted(upstream, pending, { reason, fate }));
  }

  async #refuseInterrupted(
    upstream: Upstream,
    pending: Pending,
    { reason, fate }: { reason: string; fate: ProcessFate | null },
  ): Promise<void> {
    pending.state = "sent";
    const known = fate ?? await this.#settledFate(upstream);
    await this.#refuse(
      pending,
      ({ request: { method } }) => interruptedError(this.#options.name, { method, reason, fate: known }),
    );
  }

  /** A process that closes its connections may take a moment to end, and one that is asked to end may get a successor. */
  async #settledFate(upstream: Upstream): Promise<ProcessFate> {
    const endsAt = this.#clock.monotonic() + FATE_WAIT_MS;
    while (true) {
      const fate = await this.#fateOf(upstream);
      const isSettled = fate !== "same" && fate !== "stopped";
      if (isSettled || this.#clock.monotonic() >= endsAt || this.#closing.signal.aborted) return fate;
      await this.#clock.sleep(FATE_LOOK_MS, this.#closing.signal).catch(() => {});
    }
  }

  #again(pending: Pending): void {
    const now = this.#clock.monotonic();
    // A subscription is as good as new when it has held for a while.
    if (isListen(pending) && now - pending.sentMs > HELD_MS) {
      pending.attempts = 0;
      pending.deadlineMs = null;
    }
    this.#dispatch(pending);
  }

  /** Runs once at a time: only who takes the connection away calls it. */
  #recoverFrom(old: Upstream | null, how: { isDoubtful: boolean }): void {
    this.#recovering = this.#recover(old, how);
    this.#float(this.#recovering);
  }

  async #recover(old: Upstream | null, { isDoubtful }: { isDoubtful: boolean }): Promise<void> {
    if (old !== null && isDoubtful && await this.#isGood(old)) {
      await this.#slowDown();
      if (!this.#reconnect.isLost(old)) return this.#resume(old);
    }
    if (old !== null) {
      this.#retire(old);
      for (const { line, related } of this.#serverRequests.cancelAll(old)) {
        await this.#client.write(line, relatedTo(related));
      }
    }
    const upstream = await this.#reconnect.connect({ isFirst: old === null });
    if (upstream === null) return;
    this.#resume(upstream);
    if (old !== null) await this.#tellChanges(upstream);
  }

  /** A connection that brings all answers over one stream is kept for those that are still to come. */
  #retire(upstream: Upstream): void {
    upstream.retire();
    if (!upstream.sharesStream || this.#reconnect.isLost(upstream)) return;
    this.#retired.add(upstream);
    this.#closeRetired();
  }

  #closeRetired(): void {
    for (const upstream of this.#retired) {
      if (this.#table.sentTo(upstream).some(({ open }) => open.size > 0)) continue;
      this.#retired.delete(upstream);
      this.#float(upstream.close(CLOSE_GRACE_MS));
    }
  }

  /** A server that fails again and again at the same message is not asked in haste. */
  async #slowDown(): Promise<void> {
    const now = this.#clock.monotonic();
    this.#failures = now - this.#failedMs < HELD_MS ? this.#failures + 1 : 0;
    this.#failedMs = now;
    if (this.#failures === 0) return;
    const delayMs = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    await this.#clock.sleep(delayMs, this.#closing.signal).catch(() => {});
  }

  async #isGood(old: Upstream): Promise<boolean> {
    const fate = await this.#fateOf(old);
    if (fate === "replaced" || fate === "stopped") return false;
    return await old.isAlive(this.#closing.signal) && !this.#reconnect.isLost(old);
  }

  #resume(upstream: Upstream): void {
    if (this.#closing.signal.aborted) return;
    this.#current = upstream;
    for (const pending of this.#table.waiting()) this.#transmit(upstream, pending);
  }

  // ---------------------------------------------------------------------------------- requests of foster's own

  /** @throws Error where the server does not answer it well */
  #ask(
    upstream: Upstream,
    { method, params }: { method: string; params: Params },
    { isFirst = false } = {},
  ): Promise<Params> {
    // A process that still starts is given the time that a client would wait for it.
    const limitMs = isFirst ? Math.max(OWN_TIMEOUT_MS, this.#options.timeoutMs) : OWN_TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const answered = new AbortController();
      const done = (action: () => void) => {
        answered.abort();
        action();
      };
      const pending = this.#table.create(requestLine("0", method, params), {
        kind: "request",
        id: "0",
        method,
        params,
      }, {
        own: {
          answer: (line, isError) =>
            done(() =>
              isError ? reject(new RefusedRequest(errorOf(line))) : resolve(resultOf(parseLine(line)))
            ),
          fail: (reason) => done(() => reject(new Error(reason))),
        },
      });
      this.#table.add(pending);
      const over = this.#clock.deadline(limitMs, this.#closing.signal);
      over.addEventListener("abort", () => {
        if (pending.state === "done") return;
        this.#table.remove(pending);
        pending.own?.fail(
          this.#closing.signal.aborted
            ? "nobody waits for it any more"
            : `no answer within ${limitMs / 1000} s`,
        );
      }, { once: true, signal: answered.signal });
      this.#send(upstream, pending);
    });
  }

  #tell(upstream: Upstream, { method, params }: ClientNotification): void {
    const line = encodeLine({ jsonrpc: "2.0", method, params });
    this.#send(upstream, this.#table.create(line, { kind: "notification", method, params }, {}));
  }

  /** Tells the client of the lists that differ from what it holds. A server that is lost meanwhile has none. */
  async #tellChanges(upstream: Upstream): Promise<void> {
    const changed: ReturnType<ClientSession["changeLines"]> = [];
    const told = new Set<string>();
    try {
      for (const kind of this.#session.knownLists()) {
        const items = await fetchList(kind, {
          params: (cursor) => this.#session.listParams(kind.method, cursor),
          ask: (params) => this.#ask(upstream, { method: kind.method, params }),
        }).catch(emptyWhereRefused);
        if (!this.#session.isChanged(kind, items) || told.has(kind.changed)) continue;
        told.add(kind.changed);
        changed.push(...this.#session.changeLines(kind, this.#table.all()));
      }
    } catch {
      return;
    }
    for (const { line, to } of changed) await this.#client.write(line, to);
  }

  /** The server wants headers for arguments, as a list says that the client never asked for, or that changed. */
  async #refreshHeaders(upstream: Upstream, pending: Pending): Promise<boolean> {
    const { message } = pending;
    if (message.kind !== "request" || message.method !== "tools/call") return false;
    if (this.#headersRefreshed.has(pending)) return false;
    this.#headersRefreshed.add(pending);
    const { progressToken: _, ...meta } = message.params._meta as Record<string, unknown> ?? {};
    try {
      const tools = await fetchList({ items: "tools" }, {
        params: (cursor) => ({ ...(cursor === null ? {} : { cursor }), _meta: meta }),
        ask: (params) => this.#ask(upstream, { method: "tools/list", params }),
      });
      this.#session.noteTools(tools, { isWhole: true });
    } catch {
      return false;
    }
    if (pending.state !== "sent" || pending.upstream !== upstream) return true;
    this.#dispatch(pending);
    return true;
  }

  /** For what nobody waits for: a fault in it is a fault of foster's, and is said. */
  #float(work: Promise<void>): void {
    work.catch((error) =>
      this.#options.warn(`foster: ${error instanceof Error ? error.stack : String(error)}`)
    );
  }
}

/** A server that knows no such list has an empty one. @throws what it is given where no answer came */
function emptyWhereRefused(error: unknown): unknown[] {
  if (error instanceof RefusedRequest) return [];
  throw error;
}

/** The one request that an answer without an id can mean. */
function onlyOpen(own: Pending | null, upstream: Upstream): { pending: Pending; open: OpenRequest } | null {
  if (own === null || own.upstream !== upstream || own.open.size !== 1) return null;
  const [open] = own.open.values();
  return open === undefined ? null : { pending: own, open };
}

/** A subscription's message with the id that the client gave it. */
function withClientSubscription(line: Uint8Array, pending: Pending | null): Uint8Array {
  if (pending === null || !isListen(pending)) return line;
  const [open] = pending.open.values();
  if (open === undefined || open.wireId === open.request.id) return line;
  return withParam(line, ["_meta", SUBSCRIPTION_KEY], open.request.id);
}

/** Progress with the token that the client gave. */
function withClientToken(
  line: Uint8Array,
  { pending, token }: { pending: Pending | null; token: string | null },
): Uint8Array {
  const open = [...pending?.open.values() ?? []].find(({ wireToken }) => wireToken === token);
  const given = open === undefined ? null : progressTokenOf(open.request.params);
  return given === null || given === token ? line : withParam(line, ["progressToken"], given);
}

function relatedTo(pending: Pending | null): Destination {
  if (pending === null || pending.exchange === null) return { kind: "session" };
  return { kind: "related", exchange: pending.exchange };
}
