import type { Clock } from "../host/host.ts";
import { DeferredTable, deferredTimeoutMs, timeoutReply } from "./deferred.ts";
import { Fifo } from "./fifo.ts";
import { similarNames } from "./hints.ts";
import type { LogLevel } from "./log_ring.ts";
import { type HandlerResult, judgeResult, malformedReply } from "./results.ts";
import type { Command, JsonObject, Reply } from "./wire.ts";

/** How long queued commands may run in one tick. Milliseconds. */
export const TICK_BUDGET_MS = 4;

/** Parameters as the server sent them, with the request's id beside them for answering later. */
export type HandlerParams = JsonObject & { _request_id: string };

/** Answers a command at once, later through the returned promise, or later through `respond` after `DEFERRED`. */
export type Handler = (params: HandlerParams, command: string) => HandlerResult | Promise<HandlerResult>;

export interface DispatcherOptions {
  handlers: ReadonlyMap<string, Handler>;
  /** Gets what no handler is there for; null leaves it an error. */
  fallback: Handler | null;
  /** Milliseconds a later answer may take, by command. */
  timeoutsMs: ReadonlyMap<string, number>;
  /** Sends an answer; false where it could not. */
  reply(requestId: string, reply: Reply): boolean;
  /** Whether the socket takes more answers at present. */
  room(): boolean;
  log(level: LogLevel, message: string): void;
  wake(): void;
}

/** Runs commands in the order they came, a few milliseconds a tick, and sees that each gets its one answer. */
export class Dispatcher {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #options: DispatcherOptions;
  readonly #queue = new Fifo<Command>();
  readonly #deferred = new DeferredTable();
  /** Answers of asynchronous handlers that could not be sent yet. */
  readonly #unsent = new Map<string, Reply>();
  #backlog = 0;

  constructor(clock: Pick<Clock, "monotonic">, options: DispatcherOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** Size of all queued commands, in characters. */
  get backlog(): number {
    return this.#backlog;
  }

  /** Requests that wait for a later answer. */
  get pending(): string[] {
    return this.#deferred.ids();
  }

  /** Whether answers lie here that a tick should try to send. */
  get hasUnsent(): boolean {
    return this.#unsent.size > 0;
  }

  get nextDeadlineMs(): number | null {
    return this.#deferred.nextDeadlineMs;
  }

  enqueue(command: Command): void {
    this.#queue.push(command);
    this.#backlog += command.size;
  }

  /** Answers what is overdue, then runs queued commands until the budget is spent. */
  tick(): void {
    const startMs = this.#clock.monotonic();
    for (const { requestId, entry } of this.#deferred.takeExpired(startMs)) {
      this.#unsent.delete(requestId);
      this.#options.reply(requestId, timeoutReply(entry, startMs));
    }
    for (const [requestId, reply] of this.#unsent) {
      if (this.respond(requestId, reply)) this.#unsent.delete(requestId);
    }
    while (this.#options.room()) {
      const command = this.#queue.shift();
      if (command === undefined) return;
      this.#backlog -= command.size;
      this.#run(command);
      if (this.#clock.monotonic() - startMs >= TICK_BUDGET_MS) return;
    }
  }

  /**
   * Answers a request later. False where nobody waits for it any more, and where it could not be sent: then it may be
   * tried again.
   */
  respond(requestId: string, reply: Reply): boolean {
    if (requestId !== "" && !this.#deferred.has(requestId)) {
      this.#options.log("warn", "dropped a late answer: its request is unknown, answered or expired");
      return false;
    }
    if (!this.#options.reply(requestId, reply)) return false;
    this.#deferred.remove(requestId);
    return true;
  }

  /** Forgets all that belongs to a connection which is gone. */
  reset(): void {
    this.#queue.clear();
    this.#deferred.clear();
    this.#unsent.clear();
    this.#backlog = 0;
  }

  #run(command: Command): void {
    const handler = this.#options.handlers.get(command.command) ?? this.#options.fallback;
    if (handler === null) {
      this.#options.reply(command.requestId, this.#unknown(command.command));
      return;
    }
    try {
      const result = handler({ ...command.params, _request_id: command.requestId }, command.command);
      if (result instanceof Promise) this.#later(command, result);
      else this.#settle(command, result);
    } catch (cause) {
      this.#options.reply(command.requestId, this.#failed(command.command, cause));
    }
  }

  #settle(command: Command, result: unknown): void {
    const verdict = judgeResult(result);
    switch (verdict.kind) {
      case "reply":
        this.#options.reply(command.requestId, verdict.reply);
        return;
      case "deferred":
        this.#defer(command);
        return;
      case "malformed":
        this.#options.reply(command.requestId, this.#malformed(command));
        return;
    }
  }

  #later(command: Command, result: Promise<unknown>): void {
    this.#defer(command);
    result.then(
      (value) => {
        const verdict = judgeResult(value);
        switch (verdict.kind) {
          case "reply":
            return this.#complete(command.requestId, verdict.reply);
          case "deferred":
            return;
          case "malformed":
            return this.#complete(command.requestId, this.#malformed(command));
        }
      },
      (cause) => this.#complete(command.requestId, this.#failed(command.command, cause)),
    );
  }

  #complete(requestId: string, reply: Reply): void {
    if (this.respond(requestId, reply) || !this.#deferred.has(requestId)) return;
    this.#unsent.set(requestId, reply);
    this.#options.wake();
  }

  #defer({ requestId, command }: Command): void {
    const timeoutMs = deferredTimeoutMs(command, this.#options.timeoutsMs);
    this.#deferred.add(requestId, { command, startedMs: this.#clock.monotonic(), timeoutMs });
  }

  #unknown(command: string): Reply {
    const similar = similarNames(command, this.#options.handlers.keys());
    const hint = similar.length === 0 ? "" : ` Did you mean ${similar.join(", ")}?`;
    const message = `Unknown command "${command}".${hint}`;
    return { status: "error", error: { code: "UNKNOWN_COMMAND", message, data: { command, similar } } };
  }

  #malformed({ command, params }: Command): Reply {
    this.#options.log("error", `handler "${command}" gave a malformed result (neither data nor error)`);
    return malformedReply(command, params, new Error().stack ?? "");
  }

  #failed(command: string, cause: unknown): Reply {
    const why = cause instanceof Error ? cause.message : String(cause);
    this.#options.log("error", `handler "${command}" failed: ${why}`);
    const error = { code: "INTERNAL_ERROR", message: `handler "${command}" failed: ${why}` };
    return { status: "error", error };
  }
}
