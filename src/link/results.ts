import { isObject } from "../base/json.ts";
import { isWireError, type JsonObject, type Reply } from "./wire.ts";

export const ARGS_CUT_CHARACTERS = 400;
export const BACKTRACE_FRAMES = 8;

/** What a handler returns to say that the answer comes later. */
export const DEFERRED = { deferred: true } as const;

export type HandlerResult = Reply | typeof DEFERRED;

export type ResultVerdict = { kind: "reply"; reply: Reply } | { kind: "deferred" } | { kind: "malformed" };

/**
 * Tells a usable result from one that would break the session. It needs an object as `data`, an `error` with code and
 * message, or the deferred marker.
 */
export function judgeResult(result: unknown): ResultVerdict {
  if (!isObject(result)) return { kind: "malformed" };
  if (result.deferred === true) return { kind: "deferred" };
  const { data, error } = result;
  if (data === undefined && error === undefined) return { kind: "malformed" };
  if (data !== undefined && !isObject(data)) return { kind: "malformed" };
  if (error !== undefined && !isWireError(error)) return { kind: "malformed" };
  const status = result.status === "ok" || result.status === "error" ? result.status : undefined;
  return { kind: "reply", reply: { status, data, error } };
}

/** The answer in place of a malformed result. `stack` is an error's stack as the engine prints it. */
export function malformedReply(command: string, params: JsonObject, stack: string): Reply {
  const args = cutArgs(params);
  return {
    status: "error",
    error: {
      code: "INTERNAL_ERROR",
      message: `malformed result of handler "${command}" (neither data nor error), received ${args}`,
      data: { handler: command, args, backtrace: frames(stack) },
    },
  };
}

/** Arguments as JSON, cut at 400 characters. */
export function cutArgs(params: JsonObject): string {
  const json = JSON.stringify(params);
  return json.length <= ARGS_CUT_CHARACTERS ? json : `${json.slice(0, ARGS_CUT_CHARACTERS)}...`;
}

function frames(stack: string): string[] {
  const lines = stack.split("\n").map((line) => line.trim());
  return lines.filter((line) => line.startsWith("at ")).slice(0, BACKTRACE_FRAMES);
}
