/**
 * One client's session with a server that may restart: messages pass through while the server is there, and what is
 * asked in between waits, is sent again or is answered with an error.
 *
 * Two relays stand between `foster connect` and a server: one in `connect`, whose server is the gateway
 * (`GatewaySource`), and one in the supervisor, whose server is the process (`CopySource`, `ManagedSource`).
 *
 * @module
 */
import { aborted } from "../base/abort.ts";
import type { Host } from "../host/host.ts";
import { Answers } from "./answers.ts";
import type { ClientSide } from "./client_side.ts";
import { ClientSession, type SessionState } from "./client_session.ts";
import { Connections } from "./connections.ts";
import { Failures } from "./failures.ts";
import {
  CANCELLED,
  type ClientMessage,
  type ClientNotification,
  type ClientResponse,
  encodeLine,
  errorLine,
  idText,
  partsOf,
  readClientLine,
  withParam,
} from "./message.ts";
import { OwnRequests } from "./own_requests.ts";
import { isInitialize, isListen, itemsOf, PendingTable } from "./pending.ts";
import { RequestQueue } from "./queue.ts";
import { endedError, type ProcessFate, unansweredError } from "./retry.ts";
import { relatedTo, ServerMessages } from "./server_messages.ts";
import { ServerRequests } from "./server_requests.ts";
import type { ServerSource } from "./server_source.ts";
import type { Pending, Upstream, UpstreamEvents } from "./upstream/upstream.ts";

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

export class Relay {
  readonly #clock: Host["clock"];
  readonly #options: RelayOptions;
  readonly #client: ClientSide;
  readonly #table: PendingTable;
  readonly #session: ClientSession;
  readonly #serverRequests = new ServerRequests(() => this.#table.newId());
  readonly #answers: Answers;
  readonly #queue: RequestQueue;
  readonly #connections: Connections;
  readonly #closing = new AbortController();

  constructor(host: Pick<Host, "clock">, options: RelayOptions) {
    const { name, source, client, timeoutMs } = options;
    const { clock } = host;
    const { signal } = this.#closing;
    const session = new ClientSession(options.session);
    const table = new PendingTable({ mintsIds: options.mintsIds });
    const send = (upstream: Upstream, pending: Pending) => this.#send(upstream, pending);
    const float = (work: Promise<void>) => this.#float(work);
    const warn = (text: string) => options.warn(text);
    const answers = new Answers({
      table,
      client,
      onBusy: options.onBusy,
      onSettled: () => this.#connections.closeRetired(),
    });
    const own = new OwnRequests(clock, { table, timeoutMs, signal, send });
    const events: UpstreamEvents = {
      message: (upstream, line, pending) => messages.take(upstream, line, pending),
      refused: (upstream, pending, refusal) => failures.refused(upstream, pending, refusal),
      failed: (upstream, pending, failure) => failures.failed(upstream, pending, failure),
      lost: (upstream, reason, { sameProcess }) => failures.lost(upstream, { reason, sameProcess }),
      doubted: (upstream) =>
        float(
          connections.isOutlived(upstream).then((isOutlived) => {
            if (isOutlived) failures.lost(upstream, { reason: "its process is gone", sameProcess: false });
          }),
        ),
    };
    const connections = new Connections(host, {
      source,
      session,
      table,
      upstream: { events, toolHeaders: (tool) => session.toolHeaders(tool) },
      signal,
      ask: (upstream, step) => own.ask(upstream, step, { isFirst: step.method === "initialize" }),
      tell: (upstream, step) => own.tell(upstream, step),
      onServer: options.onServer,
      onReady: (upstream) => {
        for (const pending of table.waiting()) this.#transmit(upstream, pending);
      },
      onRetired: (upstream) => this.#takeQuestionsBack(upstream),
      onReplaced: async (upstream) => {
        for (const { line, to } of await own.changes(upstream, session)) await client.write(line, to);
      },
      onRefused: (refusal) => this.#queue.refuseAll(refusal),
      onSessionRefused: (reason) => this.#giveSessionUp(reason),
      float,
    });
    const messages = new ServerMessages({
      name,
      client,
      table,
      session,
      answers,
      serverRequests: this.#serverRequests,
      onRefused: events.refused,
      onFailed: events.failed,
      send,
      warn,
    });
    const failures = new Failures(clock, {
      name,
      table,
      session,
      answers,
      own,
      connections,
      signal,
      dispatch: (pending) => this.#dispatch(pending),
      float,
    });
    this.#queue = new RequestQueue(clock, {
      name,
      timeoutMs,
      table,
      answers,
      signal,
      reason: async () => await source.reason() ?? connections.reason,
      onHeld: options.onHeld,
      onWanted: () => connections.hurry(),
      warn,
      float,
    });
    this.#clock = clock;
    this.#options = options;
    this.#client = client;
    this.#table = table;
    this.#session = session;
    this.#answers = answers;
    this.#connections = connections;
  }

  /** Plain data that continues this session in another relay. */
  get session(): SessionState {
    return this.#session.toJSON();
  }

  /** Monotonic ms since when the oldest request in flight runs; null where none is. */
  get oldestCallMs(): number | null {
    return this.#answers.oldestCallMs;
  }

  /** Requests that wait for the server. */
  get waiting(): number {
    return this.#table.waiting().filter(({ open }) => open.size > 0).length;
  }

  /** Looks for the server, or starts it, and goes on looking until the end. */
  start(): void {
    this.#connections.start();
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
        await this.#connections.current?.room;
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
      await this.#answers.refuse(
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
    await this.#connections.close();
  }

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
    this.#answers.settle(pending, open);
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
      for (const open of opens) this.#answers.settle(pending, open);
      if (upstream === null || upstream.cancel(pending)) continue;
      for (const { wireId } of opens) {
        const line = encodeLine({ jsonrpc: "2.0", method: CANCELLED, params: { requestId: 0 } });
        const message: ClientNotification = { kind: "notification", method: CANCELLED, params: {} };
        this.#send(upstream, this.#table.create(withParam(line, ["requestId"], wireId), message, {}));
      }
    }
  }

  #dispatch(pending: Pending): void {
    const { current } = this.#connections;
    if (current !== null) this.#transmit(current, pending);
    else this.#queue.hold(pending);
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
    this.#answers.noteSent(pending);
    const sent = upstream.send(pending);
    // Nothing answers a notification: it is over once it is written.
    if (pending.open.size === 0) {
      this.#float(sent.then(() => pending.upstream === upstream ? this.#table.remove(pending) : undefined));
    }
  }

  /** No server waits any more for the client's answers to what it asked over this connection. */
  async #takeQuestionsBack(upstream: Upstream): Promise<void> {
    for (const { line, related } of this.#serverRequests.cancelAll(upstream)) {
      await this.#client.write(line, relatedTo(related));
    }
  }

  /** False where it is to be tried again. */
  #giveSessionUp(reason: string): boolean {
    const { name, onSessionRefused } = this.#options;
    if (onSessionRefused === undefined) return false;
    const message =
      `Server "${name}" came back and does not know the session (${reason}): the request was not ` +
      "sent. The next one begins another session";
    this.#queue.refuseAll({ message, hint: "" });
    onSessionRefused();
    return true;
  }

  /** For what nobody waits for: a fault in it is a fault of foster's, and is said. */
  #float(work: Promise<void>): void {
    work.catch((error) =>
      this.#options.warn(`foster: ${error instanceof Error ? error.stack : String(error)}`)
    );
  }
}
