/**
 * The lines between a link and the program that drives it: one JSON object with a `type` each.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import type { LinkEvent } from "./events.ts";
import type { Overflow } from "./outbound.ts";
import { verdictState } from "./version_check.ts";
import { isWireError, type JsonObject, type Reply } from "./wire.ts";

export type Input =
  | { kind: "event"; event: string; data: JsonObject }
  | { kind: "response"; requestId: string; reply: Reply }
  | { kind: "readiness"; readiness: string }
  | { kind: "pause" }
  | { kind: "resume" }
  | { kind: "close" }
  | { kind: "bad"; why: string };

/** Understands one line of input; never throws. */
export function parseInput(text: string): Input {
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    return bad("it is not JSON");
  }
  if (!isObject(line)) return bad("it is not an object");
  const { type } = line;
  if (type === "pause" || type === "resume" || type === "close") return { kind: type };
  if (type === "event") return parseEvent(line);
  if (type === "response") return parseResponse(line);
  if (type !== "readiness") {
    return bad("its type is none of event, response, readiness, pause, resume, close");
  }
  const { readiness } = line;
  return typeof readiness === "string" && readiness !== ""
    ? { kind: "readiness", readiness }
    : bad("readiness needs a text as readiness");
}

function parseEvent({ event, data }: JsonObject): Input {
  if (typeof event !== "string" || event === "") return bad("event needs a text as event");
  if (data !== undefined && !isObject(data)) return bad("event needs an object as data");
  return { kind: "event", event, data: data ?? {} };
}

function parseResponse(line: JsonObject): Input {
  const { request_id: requestId, status } = line;
  const data = line.data ?? undefined;
  const error = line.error ?? undefined;
  if (typeof requestId !== "string") return bad("response needs a text as request_id");
  if (data === undefined && error === undefined) return bad("response needs data or error");
  if (data !== undefined && !isObject(data)) return bad("response needs an object as data");
  if (error !== undefined && !isWireError(error)) return bad("response needs an error with code and message");
  if (status !== undefined && status !== "ok" && status !== "error") {
    return bad("response needs ok or error as status");
  }
  return { kind: "response", requestId, reply: { status, data, error } };
}

function bad(why: string): Input {
  return { kind: "bad", why };
}

/** The line for an event; null where a log line says it already. */
export function eventLine(event: LinkEvent): JsonObject | null {
  switch (event.type) {
    case "open":
      return { type: "open", session_id: event.sessionId };
    case "ack":
      return { type: "ack", server_version: event.serverVersion };
    case "verdict": {
      const { verdict } = event;
      const { expected, actual } = verdict;
      const error = verdict.kind === "unverified" ? verdict.error : undefined;
      return { type: "verdict", state: verdictState(verdict), expected, actual, error };
    }
    case "reconnecting":
      return { type: "reconnecting", attempt: event.attempt, next_retry_s: event.nextRetryS };
    case "closed":
      return { type: "closed", code: event.code, reason: event.reason };
    case "backpressure":
      return { ...backpressureLine(event.action, event.overflow), request_id: event.requestId };
    case "log":
      return { type: "log", level: event.level, message: event.message };
    case "session":
    case "blocked":
      return null;
  }
}

/** Told when an answer did not fit (`replaced`, `dropped`) and when reading stops for want of room and goes on. */
export function backpressureLine(
  action: "replaced" | "dropped" | "waiting" | "resumed",
  { bufferedBytes, messageBytes, limitBytes }: Overflow,
): JsonObject {
  return {
    type: "backpressure",
    action,
    buffered_bytes: bufferedBytes,
    message_bytes: messageBytes,
    limit_bytes: limitBytes,
  };
}
