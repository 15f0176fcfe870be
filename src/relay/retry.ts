/**
 * What becomes of a client's message whose connection was lost: the decision, and the errors that say so.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import {
  CANCELLED,
  type ClientMessage,
  CONNECTION_CLOSED,
  METHOD_NOT_FOUND,
  NOT_READY,
  type Params,
  type RpcError,
  type SingleMessage,
} from "./message.ts";

/**
 * How far a message got. `unsent`: no server has seen it. `rejected`: the server refused to look at it, because it does
 * not know the session. `sent`: a server may have acted on it.
 */
export type Phase = "unsent" | "rejected" | "sent";

export type Retry =
  /** Goes to the server as soon as there is one. */
  | { kind: "send" }
  /** It was about something that ended with the server: it needs no answer. */
  | { kind: "drop" }
  /** Is answered with an error: the server may have run it already. */
  | { kind: "refuse" };

/** A message that every server dies of is not sent to a hundred of them. */
export const ATTEMPTS = 10;

/** Methods that may run twice with no harm. */
const REPEATABLE: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "server/discover",
  "tools/list",
  "prompts/list",
  "prompts/get",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "resources/subscribe",
  "resources/unsubscribe",
  "subscriptions/listen",
  "completion/complete",
  "logging/setLevel",
  "tasks/list",
  "tasks/get",
  "tasks/result",
]);

/** Whether it does no harm that the server may have it already. */
export function mayRunTwice(message: ClientMessage): boolean {
  return message.kind !== "batch" && decideRetry(message, "sent").kind === "send";
}

export function decideRetry(message: SingleMessage, phase: Phase): Retry {
  switch (message.kind) {
    case "response":
      return { kind: "drop" };
    case "notification":
      return phase === "sent" || isAboutOneRequest(message.method) ? { kind: "drop" } : { kind: "send" };
    case "request":
      switch (phase) {
        case "unsent":
        case "rejected":
          return { kind: "send" };
        case "sent":
          return isRepeatable(message.method, message.params) ? { kind: "send" } : { kind: "refuse" };
      }
  }
}

/** A request that starts a task does more than read. */
function isRepeatable(method: string, params: Params): boolean {
  return REPEATABLE.has(method) && !isObject(params.task);
}

/** A new process knows nothing of the request that it names. */
function isAboutOneRequest(method: string): boolean {
  return method === CANCELLED || method === "notifications/progress";
}

/**
 * What became of the server process that a connection led to. `same`: it is the one that runs now. `replaced`: another
 * one took its place, or it ended. `stopped`: it was asked to end, or nobody wants it any more. `unknown`: foster did
 * not start it, or can't see it.
 */
export type ProcessFate = "same" | "replaced" | "stopped" | "unknown";

/** For a request that may have been acted on. */
export function interruptedError(
  server: string,
  { method, reason, fate }: { method: string; reason: string; fate: ProcessFate },
): RpcError {
  return {
    code: CONNECTION_CLOSED,
    message: `${whatHappened(server, fate)} while ${method} was in flight (${reason}): ` +
      `it may or may not have run, and was not sent again`,
    data: { server, method, may_have_run: true },
  };
}

/** The beginning of a sentence that says why a request has no answer. */
export function whatHappened(server: string, fate: ProcessFate): string {
  switch (fate) {
    case "replaced":
      return `Server "${server}" restarted`;
    case "stopped":
      return `Server "${server}" was stopped`;
    case "same":
    case "unknown":
      return `The connection to server "${server}" was lost`;
  }
}

/** For a request that waited in vain. */
export function notReadyError(
  server: string,
  { waitedMs, reason }: { waitedMs: number; reason: string },
): RpcError {
  return {
    code: NOT_READY,
    message: `Server "${server}" was not there within ${waitedMs / 1000} s (${reason}); ` +
      `the request was not sent. foster status "${server}" tells more`,
    data: { server, may_have_run: false },
  };
}

/** For a request that need not wait: there will be no server. */
export function unavailableError(
  server: string,
  { message, hint }: { message: string; hint: string },
): RpcError {
  return {
    code: NOT_READY,
    message: hint === "" ? message : `${message} (${hint})`,
    data: { server, may_have_run: false },
  };
}

/** For a request that came when too many waited already. */
export function tooManyError(server: string, limit: number): RpcError {
  return {
    code: NOT_READY,
    message: `Server "${server}" is not there, and ${limit} requests wait for it already`,
    data: { server, may_have_run: false },
  };
}

/** For a request that had no answer when its client had ended its side and the time was over. */
export function unansweredError(
  server: string,
  { method, wasSent }: { method: string; wasSent: boolean },
): RpcError {
  return {
    code: CONNECTION_CLOSED,
    message: wasSent
      ? `Server "${server}" did not answer ${method} before the client's time was over: it may or may not have run`
      : `Server "${server}" was not there before the client's time was over; ${method} was not sent`,
    data: { server, method, may_have_run: wasSent },
  };
}

/** For a request that had no answer when foster itself ended the server. */
export function endedError(
  server: string,
  { method, wasSent, fate }: { method: string; wasSent: boolean; fate: ProcessFate },
): RpcError {
  const happened = whatHappened(server, fate);
  return wasSent
    ? {
      code: CONNECTION_CLOSED,
      message:
        `${happened} while ${method} was in flight: it may or may not have run, and was not sent again`,
      data: { server, method, may_have_run: true },
    }
    : {
      code: NOT_READY,
      message: `${happened} before ${method} was sent`,
      data: { server, method, may_have_run: false },
    };
}

/** How a server refused a request: with an HTTP status, with a JSON-RPC error, or both. */
export interface Refusal {
  status: number;
  /** Of the JSON-RPC error, null where there is none. */
  code: number | null;
  text: string;
  /** The error itself says that the request was not run. */
  wasNotRun?: boolean;
  /** A gateway that is about to end says so: it has not run it, and the next one is to be asked. */
  isEnding?: boolean;
  /** The error itself says that the request may have run: whatever else it speaks of, only what may run twice is sent again. */
  mayHaveRun?: boolean;
}

export interface RefusalContext {
  /** Whether the connection holds a session that the server can have lost. */
  hasSession: boolean;
  fate: ProcessFate;
  isRepeatable: boolean;
  /** How often this message was refused for its session already. */
  refusals: number;
  /** The server answered another request of the session since. */
  knowsSession?: boolean;
}

/** `deliver`: the client's answer. `renew`: the same, and the session is begun anew. Else the message failed. */
export type RefusalStep = "deliver" | "renew" | "rejected" | "sent";

/** Servers that close answer with these. */
const CLOSING: readonly number[] = [499, 502, 503, 504];
const SESSION_TEXT = /session|initiali[sz]|not connected|no transport/i;
const CLOSING_TEXT = /connection closed|server (?:is )?(?:closed|closing|shutting)|shutting down/i;
const REFUSALS = 2;

/**
 * Whether the server has to be asked something else first: a tool that ran may fail over a session of its own, and a call
 * must not run twice.
 */
export function isDoubtful({ status, text, mayHaveRun }: Refusal, context: RefusalContext): boolean {
  const { hasSession, isRepeatable, refusals } = context;
  if (mayHaveRun === true) return false;
  return status === 200 && hasSession && !isRepeatable && refusals === 0 && SESSION_TEXT.test(text);
}

/**
 * Servers say in many ways that they do not know a session: with 404 as the protocol wants it, with any other status,
 * or with an error in a 200. A text alone is believed once; after that it is the answer.
 */
export function decideRefusal(refusal: Refusal, context: RefusalContext): RefusalStep {
  const { status, code, text } = refusal;
  const { hasSession, fate, isRepeatable, refusals, knowsSession = false } = context;
  if (refusal.isEnding === true) return "rejected";
  // A gateway that ends says so of what is open: the next one is asked, once.
  if (refusal.mayHaveRun === true) return isRepeatable && refusals === 0 ? "sent" : "deliver";
  if (CLOSING.includes(status)) return refusal.wasNotRun === true ? "deliver" : "sent";
  const isReplaced = fate === "replaced" || fate === "stopped";
  if (isReplaced && code !== null && CLOSING_TEXT.test(text)) return "sent";
  if (!hasSession) return "deliver";
  if (status === 404 && code !== METHOD_NOT_FOUND) return refusals < REFUSALS ? "rejected" : "deliver";
  if (refusals > 0) return "deliver";
  if (SESSION_TEXT.test(text) && status < 500 && !knowsSession) return "rejected";
  if (!isReplaced) return "deliver";
  if (status >= 500) return isRepeatable ? "sent" : "renew";
  if (status >= 400) return "rejected";
  // A new process ran it without the session, or did not: only a repeatable one may find out.
  return isRepeatable ? "rejected" : "renew";
}
