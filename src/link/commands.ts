import { isObject } from "../base/json.ts";
import { Queue } from "../base/queue.ts";
import { similarNames } from "../base/suggest.ts";
import type { Clock } from "../host/host.ts";
import type { LogLevel } from "./connection.ts";
import { type Command, isWireError, type JsonObject, MESSAGE_LIMIT_BYTES, type Reply } from "./wire.ts";

/** How long queued commands may run in one tick. Milliseconds. */
const TICK_BUDGET_MS = 4;

/** How many characters of commands may wait to be run, and how many requests for their answer, before none is read. */
const QUEUE_LIMIT_CHARS = 4 * MESSAGE_LIMIT_BYTES;
const PENDING_LIMIT = 100_000;

/** How long a later answer may take: below the server's own 5 s, so that it hears why. Milliseconds. */
const DEFERRED_TIMEOUT_MS = 4_500;

const TIMEOUTS_MS: ReadonlyMap<string, number> = new Map([
  ["create_script", 4_500],
  ["stop_project", 4_500],
  ["take_screenshot", 30_000],
]);

const ARGS_CUT_CHARS = 400;
const BACKTRACE_FRAMES = 8;

/** What a handler returns to say that the answer comes later. */
export const DEFERRED = { deferred: true } as const;

export type HandlerResult = Reply | typeof DEFERRED;

/** Parameters as the server sent them, with the request's id beside them for answering later. */
export type HandlerParams = JsonObject & { _request_id: string };

/** Answers a command at once, later through the returned promise, or later through `respond` after `DEFERRED`. */
export type Handler = (params: HandlerParams, command: string) => HandlerResult | Promise<HandlerResult>;

export interface CommandsOptions {
  handlers: ReadonlyMap<string, Handler>;
  /** Gets what no handler is there for; null leaves it an error. */
  fallback: Handler | null;
  /** Milliseconds a later answer may take, by command. */
  timeoutsMs: ReadonlyMap<string, number>;
  /** For the others; null for what each is known to need. */
  defaultTimeoutMs: number | null;
  /** Sends an answer; false where it could not. */
  reply(requestId: string, reply: Reply): boolean;
  /** Whether the socket takes more answers at present. */
  hasRoom(): boolean;
  log(level: LogLevel, message: string): void;
  wake(): void;
}

/** A request that is answered later. */
interface PendingRequest {
  command: string;
  /** Monotonic milliseconds. */
  startedMs: number;
  deadlineMs: number;
  /** The answer of an asynchronous handler that could not be sent yet. */
  unsent: Reply | null;
}

/** Runs commands in the order they came, a few milliseconds a tick, and sees that each gets its one answer. */
export class Commands {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #options: CommandsOptions;
  readonly #queue = new Queue<Command>();
  readonly #pending = new Map<string, PendingRequest>();
  #queuedChars = 0;
  #unsent = 0;
  /** Never later than the earliest deadline: a removal leaves it as it is, and the next look puts it right. */
  #earliestMs = Number.POSITIVE_INFINITY;

  constructor(clock: Pick<Clock, "monotonic">, options: CommandsOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** Whether no more may be read for now. */
  get full(): boolean {
    return this.#queuedChars > QUEUE_LIMIT_CHARS || this.#pending.size >= PENDING_LIMIT;
  }

  /** Ids of the requests that wait for a later answer. */
  get pending(): string[] {
    return [...this.#pending.keys()];
  }

  /** Whether answers lie here that a tick should try to send. */
  get hasUnsent(): boolean {
    return this.#unsent > 0;
  }

  /** Monotonic milliseconds at which to look again; null where nothing is waited for. */
  get nextDeadlineMs(): number | null {
    return this.#pending.size === 0 ? null : this.#earliestMs;
  }

  enqueue(command: Command): void {
    this.#queue.push(command);
    this.#queuedChars += command.size;
  }

  /** Answers what is overdue, then runs queued commands until the budget is spent. */
  tick(): void {
    const startMs = this.#clock.monotonic();
    this.#answerOverdue(startMs);
    if (this.#unsent > 0) this.#sendUnsent();
    while (this.#options.hasRoom()) {
      const command = this.#queue.shift();
      if (command === undefined) return;
      this.#queuedChars -= command.size;
      this.#run(command);
      if (this.#clock.monotonic() - startMs >= TICK_BUDGET_MS) return;
    }
  }

  /**
   * Answers a request later. False where nobody waits for it any more, and where it could not be sent: then it may be
   * tried again.
   */
  respond(requestId: string, reply: Reply): boolean {
    if (requestId !== "" && !this.#pending.has(requestId)) {
      this.#logLate();
      return false;
    }
    if (!this.#options.reply(requestId, reply)) return false;
    this.#forget(requestId);
    return true;
  }

  /** Forgets all that belongs to a connection which is gone. */
  reset(): void {
    this.#queue.clear();
    this.#pending.clear();
    this.#queuedChars = 0;
    this.#unsent = 0;
    this.#earliestMs = Number.POSITIVE_INFINITY;
  }

  #run(command: Command): void {
    const { requestId, command: name } = command;
    const { handlers, fallback, reply } = this.#options;
    const handler = handlers.get(name) ?? fallback;
    if (handler === null) return void reply(requestId, unknownCommand(name, handlers.keys()));
    try {
      const result = handler({ ...command.params, _request_id: requestId }, name);
      if (result instanceof Promise) return this.#answerLater(command, result);
      const settled = this.#settle(command, result);
      if (settled === "deferred") this.#defer(command);
      else reply(requestId, settled);
    } catch (cause) {
      reply(requestId, this.#failed(name, cause));
    }
  }

  #answerLater(command: Command, result: Promise<unknown>): void {
    this.#defer(command);
    const pending = this.#pending.get(command.requestId);
    result.then(
      (value) => this.#settle(command, value),
      (cause) => this.#failed(command.command, cause),
    ).then((settled) => {
      if (settled !== "deferred") this.#complete(command.requestId, pending, settled);
    });
  }

  /** The answer that a handler's result is, or that it comes later. */
  #settle({ command, params }: Command, result: unknown): Reply | "deferred" {
    const verdict = judgeResult(result);
    switch (verdict.kind) {
      case "reply":
        return verdict.reply;
      case "deferred":
        return "deferred";
      case "malformed":
        this.#options.log("error", `handler "${command}" gave a malformed result (neither data nor error)`);
        return malformedReply(command, params, new Error().stack ?? "");
    }
  }

  #complete(requestId: string, pending: PendingRequest | undefined, reply: Reply): void {
    // The same id may have come again on a new connection.
    if (pending !== this.#pending.get(requestId)) return this.#logLate();
    if (this.respond(requestId, reply) || pending === undefined) return;
    pending.unsent = reply;
    this.#unsent += 1;
    this.#options.wake();
  }

  /** An empty id is not tracked. */
  #defer({ requestId, command }: Command): void {
    if (requestId === "") return;
    const startedMs = this.#clock.monotonic();
    const { timeoutsMs, defaultTimeoutMs } = this.#options;
    const timeoutMs = timeoutsMs.get(command) ?? defaultTimeoutMs ?? TIMEOUTS_MS.get(command) ??
      DEFERRED_TIMEOUT_MS;
    const deadlineMs = startedMs + timeoutMs;
    this.#forget(requestId);
    if (this.#pending.size === 0) this.#earliestMs = Number.POSITIVE_INFINITY;
    this.#pending.set(requestId, { command, startedMs, deadlineMs, unsent: null });
    this.#earliestMs = Math.min(this.#earliestMs, deadlineMs);
  }

  #forget(requestId: string): void {
    if (this.#pending.get(requestId)?.unsent) this.#unsent -= 1;
    this.#pending.delete(requestId);
  }

  #answerOverdue(nowMs: number): void {
    if (this.#pending.size === 0 || nowMs < this.#earliestMs) return;
    this.#earliestMs = Number.POSITIVE_INFINITY;
    for (const [requestId, pending] of this.#pending) {
      if (pending.deadlineMs > nowMs) {
        this.#earliestMs = Math.min(this.#earliestMs, pending.deadlineMs);
        continue;
      }
      this.#forget(requestId);
      this.#options.reply(requestId, timeoutReply(pending, nowMs));
    }
  }

  #sendUnsent(): void {
    for (const [requestId, { unsent }] of this.#pending) {
      if (unsent !== null) this.respond(requestId, unsent);
    }
  }

  #logLate(): void {
    this.#options.log("warn", "dropped a late answer: its request is unknown, answered or expired");
  }

  #failed(command: string, cause: unknown): Reply {
    const message = `handler "${command}" failed: ${cause instanceof Error ? cause.message : String(cause)}`;
    this.#options.log("error", message);
    return { status: "error", error: { code: "INTERNAL_ERROR", message } };
  }
}

type ResultVerdict = { kind: "reply"; reply: Reply } | { kind: "deferred" } | { kind: "malformed" };

/** Tells a usable result from one that would break the session. */
function judgeResult(result: unknown): ResultVerdict {
  if (!isObject(result)) return { kind: "malformed" };
  if (result.deferred === true) return { kind: "deferred" };
  const { data, error } = result;
  if (data === undefined && error === undefined) return { kind: "malformed" };
  if (data !== undefined && !isObject(data)) return { kind: "malformed" };
  if (error !== undefined && !isWireError(error)) return { kind: "malformed" };
  const status = result.status === "ok" || result.status === "error" ? result.status : undefined;
  return { kind: "reply", reply: { status, data, error } };
}

function unknownCommand(command: string, known: Iterable<string>): Reply {
  const similar = similarNames(command, known);
  const hint = similar.length === 0 ? "" : ` Did you mean ${similar.join(", ")}?`;
  const message = `Unknown command "${command}".${hint}`;
  return { status: "error", error: { code: "UNKNOWN_COMMAND", message, data: { command, similar } } };
}

function timeoutReply({ command, startedMs, deadlineMs }: PendingRequest, nowMs: number): Reply {
  const timeoutMs = deadlineMs - startedMs;
  return {
    status: "error",
    error: {
      code: "DEFERRED_TIMEOUT",
      message: `"${command}" was not answered within ${timeoutMs} ms`,
      data: { command, elapsed_ms: Math.round(nowMs - startedMs), timeout_ms: timeoutMs },
    },
  };
}

/** `stack` is an error's stack as the engine prints it. */
function malformedReply(command: string, params: JsonObject, stack: string): Reply {
  const json = JSON.stringify(params);
  const args = json.length <= ARGS_CUT_CHARS ? json : `${json.slice(0, ARGS_CUT_CHARS)}...`;
  const frames = stack.split("\n").map((line) => line.trim()).filter((line) => line.startsWith("at "));
  return {
    status: "error",
    error: {
      code: "INTERNAL_ERROR",
      message: `malformed result of handler "${command}" (neither data nor error), received ${args}`,
      data: { handler: command, args, backtrace: frames.slice(0, BACKTRACE_FRAMES) },
    },
  };
}
