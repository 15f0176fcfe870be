/**
 * What becomes of a client's message whose connection was lost.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { CONNECTION_CLOSED, NOT_READY, type Params, type RpcError, type SingleMessage } from "./message.ts";

/**
 * How far a message got. `unsent`: no server has seen it. `rejected`: the server refused to look at it, because it does
 * not know the session. `sent`: a server may have acted on it.
 */
export type Phase = "unsent" | "rejected" | "sent";

export type Replay =
  /** Goes to the server as soon as there is one. */
  | { kind: "send" }
  /** Meant a server that is gone: nobody is to be told. */
  | { kind: "drop" }
  /** Is answered with an error: once more might be once too often. */
  | { kind: "refuse" };

/** What can be asked twice with no harm. */
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

export function decideReplay(message: SingleMessage, phase: Phase): Replay {
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

/** A request that asks the server to start something of its own is none that merely reads. */
function isRepeatable(method: string, params: Params): boolean {
  return REPEATABLE.has(method) && !isObject(params.task);
}

/** The server that it is about has forgotten that request. */
function isAboutOneRequest(method: string): boolean {
  return method === "notifications/cancelled" || method === "notifications/progress";
}

/** For a request that may have been acted on. */
export function interruptedError(
  server: string,
  { method, reason }: { method: string; reason: string },
): RpcError {
  return {
    code: CONNECTION_CLOSED,
    message: `Server "${server}" restarted while ${method} was in flight (${reason}): ` +
      `it may or may not have run, and was not sent again`,
    data: { server, method, may_have_run: true },
  };
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
