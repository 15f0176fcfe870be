/**
 * What becomes of a message whose connection failed, or that a server refused: sent again where that does no harm, answered
 * otherwise.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import type { Answers } from "./answers.ts";
import type { ClientSession } from "./client_session.ts";
import type { Connections } from "./connections.ts";
import { HEADER_MISMATCH, readServerLine, withId } from "./message.ts";
import type { OwnRequests } from "./own_requests.ts";
import { isInitialize, isListen, type PendingTable } from "./pending.ts";
import {
  ATTEMPTS,
  decideRefusal,
  decideRetry,
  interruptedError,
  isDoubtful,
  mayRunTwice,
  type ProcessFate,
  type Refusal,
  type RefusalContext,
} from "./retry.ts";
import type { Failure, OpenRequest, Pending, Upstream } from "./upstream/upstream.ts";

/** `lines`: the client's answers, if it comes to that; `open`: the one request that they are about, else all of the message. */
export type ServerRefusal = Refusal & { lines: readonly Uint8Array[]; open?: OpenRequest };

export interface FailuresOptions {
  /** The server's name, for errors. */
  name: string;
  table: PendingTable;
  session: ClientSession;
  answers: Answers;
  own: OwnRequests;
  connections: Connections;
  signal: AbortSignal;
  /** Sends a message, or lets it wait for a server. */
  dispatch(pending: Pending): void;
  float(work: Promise<void>): void;
}

/** A subscription that held for so long is as good as new. */
const HELD_MS = 5000;

export class Failures {
  readonly #clock: Host["clock"];
  readonly #options: FailuresOptions;
  readonly #headersRefreshed = new WeakSet<Pending>();

  constructor(clock: Host["clock"], options: FailuresOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  async refused(upstream: Upstream, pending: Pending, refusal: ServerRefusal): Promise<void> {
    const { connections, own } = this.#options;
    if (!isSentTo(upstream, pending)) return;
    if (refusal.code === HEADER_MISMATCH && await this.#refreshHeaders(upstream, pending)) return;
    const context: RefusalContext = {
      hasSession: upstream.hasSession && pending.own === null && !isInitialize(pending),
      fate: await connections.fateOf(upstream),
      isRepeatable: mayRunTwice(pending.message),
      refusals: pending.refusals,
    };
    const knowsSession = isDoubtful(refusal, context) && await own.mayKnowSession(upstream);
    const step = decideRefusal(refusal, { ...context, knowsSession });
    const reason = refusal.status === 200 ? refusal.text : `HTTP ${refusal.status}`;
    // It may have been cancelled, answered or lost meanwhile.
    if (!isSentTo(upstream, pending)) return;
    switch (step) {
      case "rejected":
        // As long as its client waits, it waits for the next one.
        if (refusal.isEnding === true) pending.attempts = 0;
        else pending.refusals++;
        connections.noteLost(upstream);
        return this.failed(upstream, pending, { phase: "rejected", reason });
      case "sent":
        if (refusal.mayHaveRun === true) pending.refusals++;
        return this.failed(upstream, pending, { phase: "sent", reason });
      case "renew":
        connections.noteLost(upstream);
        await this.#deliver(upstream, pending, refusal);
        return this.lost(upstream, { reason: "another process answers now", sameProcess: false });
      case "deliver":
        return await this.#deliver(upstream, pending, refusal);
    }
  }

  failed(upstream: Upstream, pending: Pending, failure: Failure): void {
    const { connections, signal } = this.#options;
    if (!isSentTo(upstream, pending) || signal.aborted) return;
    const { phase, reason } = failure;
    const goOn = connections.suspend(upstream, { reason, isDoubtful: phase === "sent" });
    this.#retry(upstream, pending, { failure, fate: null });
    goOn();
  }

  lost(
    upstream: Upstream,
    { reason, sameProcess }: { reason: string; sameProcess: boolean | null },
  ): void {
    const { connections, table, signal } = this.#options;
    if (signal.aborted) return;
    const goOn = connections.lose(upstream, reason);
    if (upstream.sharesStream) {
      const fate = sameProcess === false ? connections.endedAs(upstream) ?? "replaced" : null;
      for (const pending of table.sentTo(upstream)) {
        this.#retry(upstream, pending, { failure: { phase: "sent", reason }, fate });
      }
    }
    goOn();
  }

  async #deliver(upstream: Upstream, pending: Pending, { lines, open }: ServerRefusal): Promise<void> {
    const { answers, table } = this.#options;
    if (open !== undefined) {
      for (const line of lines) await answers.give(pending, open, line);
      return;
    }
    for (const line of lines) {
      const message = readServerLine(line);
      if (message.kind !== "answer" || message.id === null) continue;
      const found = table.find(upstream, message.id, pending);
      if (found === null) continue;
      if (pending.own !== null) {
        answers.settle(pending, found.open);
        pending.own.answer(line, message.isError);
      } else await answers.give(pending, found.open, withId(line, found.open.request.id));
    }
  }

  /** Sends again what is safe to repeat, and answers the rest with an error. */
  #retry(upstream: Upstream, pending: Pending, how: { failure: Failure; fate: ProcessFate | null }): void {
    const { answers, table } = this.#options;
    const { phase, reason } = how.failure;
    answers.noteOver(pending);
    pending.upstream = null;
    if (pending.own !== null) {
      const { own } = pending;
      table.remove(pending);
      return own.fail(reason);
    }
    if (pending.message.kind !== "batch" || phase !== "sent") return this.#retryOne(upstream, pending, how);
    // A server may have run a part of it: each request is decided on by itself.
    const parts = [...pending.open.values()].map((open) => table.single(open, pending));
    table.remove(pending);
    for (const part of parts) {
      part.attempts = pending.attempts;
      table.add(part);
    }
    for (const part of parts) this.#retryOne(upstream, part, how);
  }

  #retryOne(
    upstream: Upstream,
    pending: Pending,
    { failure: { phase, reason }, fate }: { failure: Failure; fate: ProcessFate | null },
  ): void {
    const { message } = pending;
    const { kind } = message.kind === "batch" ? { kind: "send" as const } : decideRetry(message, phase);
    if (kind === "drop") return this.#options.table.remove(pending);
    if (kind === "send" && pending.attempts < ATTEMPTS) return this.#again(pending);
    this.#options.float(this.#refuseInterrupted(upstream, pending, { reason, fate }));
  }

  async #refuseInterrupted(
    upstream: Upstream,
    pending: Pending,
    { reason, fate }: { reason: string; fate: ProcessFate | null },
  ): Promise<void> {
    const { name, answers, connections } = this.#options;
    pending.state = "sent";
    const known = fate ?? await connections.settledFateOf(upstream);
    await answers.refuse(
      pending,
      ({ request: { method } }) => interruptedError(name, { method, reason, fate: known }),
    );
  }

  #again(pending: Pending): void {
    if (isListen(pending) && this.#clock.monotonic() - pending.sentMs > HELD_MS) {
      pending.attempts = 0;
      pending.deadlineMs = null;
    }
    this.#options.dispatch(pending);
  }

  /** The server wants headers for arguments, as a list says that the client never asked for, or that changed. */
  async #refreshHeaders(upstream: Upstream, pending: Pending): Promise<boolean> {
    const { message } = pending;
    if (message.kind !== "request" || message.method !== "tools/call") return false;
    if (this.#headersRefreshed.has(pending)) return false;
    this.#headersRefreshed.add(pending);
    const { own, session, dispatch } = this.#options;
    const { progressToken: _, ...meta } = message.params._meta as Record<string, unknown> ?? {};
    try {
      session.noteTools(await own.tools(upstream, meta), { isWhole: true });
    } catch {
      return false;
    }
    if (isSentTo(upstream, pending)) dispatch(pending);
    return true;
  }
}

/** Whether the connection has the message, and has not answered it. */
function isSentTo(upstream: Upstream, pending: Pending): boolean {
  return pending.upstream === upstream && pending.state === "sent";
}
