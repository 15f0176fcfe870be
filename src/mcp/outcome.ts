/**
 * What one check of a server can come to, and which failures are worth another try while it is starting.
 *
 * @module
 */

import { redirectReason } from "./redirect.ts";

/** Who answered, in its own words; empty where it did not say. */
export interface ServerIdentity {
  name: string;
  version: string;
  /** Protocol revision that was agreed on, e.g. `2026-07-28`. */
  protocol: string;
}

/** A server that answered, with the tools asked of it that it has not. */
export interface ServerFound {
  server: ServerIdentity;
  tools: string[];
  missing: string[];
}

export interface ProbeOk extends ServerFound {
  kind: "ok";
  elapsedMs: number;
}

export interface ProbeFailed {
  /** `retry` may pass by itself while a server starts; `permanent` says that it answered, and wrongly. */
  kind: "retry" | "permanent";
  /** Short and stable, e.g. `connect_refused`, `response_timeout`, `http_503`, `invalid_answer`. */
  tag: string;
  /** For people, without the endpoint. */
  reason: string;
  statusCode?: number;
  /** The server, where it answered but lacks tools. */
  found?: ServerFound;
}

export type ProbeOutcome = ProbeOk | ProbeFailed;

export type ConnectionReason =
  | "refused"
  | "reset"
  | "aborted"
  | "timeout"
  | "unreachable"
  | "no_permission"
  | "failed";

/** How an attempt failed, as it was seen. */
export type ProbeFailure =
  | { kind: "timeout"; afterMs: number }
  | { kind: "cancelled" }
  | { kind: "connection"; reason: ConnectionReason; detail: string }
  | { kind: "http"; status: number; detail: string }
  | { kind: "redirect"; status: number; location: string; from: URL }
  | { kind: "too_large"; limitBytes: number }
  | { kind: "rpc"; code: number; message: string }
  | { kind: "answer"; detail: string }
  | { kind: "cross_origin"; detail: string }
  /** Not dialled at all. */
  | { kind: "address"; detail: string }
  | { kind: "wrong_name"; expected: string; actual: string }
  | { kind: "missing_tools"; found: ServerFound };

const STARTING_STATUSES: readonly number[] = [404, 502, 503];

/** Decides whether a failure is worth another try while the server starts. */
export function classifyProbeError(seen: ProbeFailure): ProbeFailed {
  switch (seen.kind) {
    case "timeout":
      return {
        kind: "retry",
        tag: "response_timeout",
        reason: `no answer within ${Math.round(seen.afterMs)} ms`,
      };
    case "cancelled":
      return { kind: "retry", tag: "cancelled", reason: "the check was cancelled" };
    case "connection":
      return connectionFailed(seen.reason, seen.detail);
    case "http":
      return {
        kind: STARTING_STATUSES.includes(seen.status) ? "retry" : "permanent",
        tag: `http_${seen.status}`,
        reason: seen.detail === "" ? `HTTP ${seen.status}` : `HTTP ${seen.status}: ${seen.detail}`,
        statusCode: seen.status,
      };
    case "redirect":
      return {
        kind: "permanent",
        tag: `http_${seen.status}`,
        reason: redirectReason(seen, seen.from),
        statusCode: seen.status,
      };
    case "too_large":
      return {
        kind: "permanent",
        tag: "too_large",
        reason: `the answer is larger than ${seen.limitBytes} bytes`,
      };
    case "rpc":
      return {
        kind: "permanent",
        tag: `rpc_${seen.code}`,
        reason: `JSON-RPC error ${seen.code}: ${seen.message}`,
      };
    case "answer":
      return { kind: "permanent", tag: "invalid_answer", reason: seen.detail };
    case "cross_origin":
      return {
        kind: "permanent",
        tag: "cross_origin",
        reason: `cross-origin message endpoint: ${seen.detail}`,
      };
    case "address":
      return {
        kind: "permanent",
        tag: "foreign_address",
        reason: `foster connects to this machine only: ${seen.detail}`,
      };
    case "wrong_name":
      return {
        kind: "permanent",
        tag: "wrong_name",
        reason: seen.actual === ""
          ? `it does not say that it is "${seen.expected}"`
          : `it says that it is "${seen.actual}", not "${seen.expected}"`,
      };
    case "missing_tools": {
      const { missing, tools } = seen.found;
      const reason = `missing tools: ${missing.join(", ")} (available: ${tools.join(", ") || "none"})`;
      return { kind: "permanent", tag: "missing_tools", reason, found: seen.found };
    }
  }
}

function connectionFailed(reason: ConnectionReason, detail: string): ProbeFailed {
  switch (reason) {
    case "refused":
      return { kind: "retry", tag: "connect_refused", reason: "connection refused" };
    case "reset":
      return { kind: "retry", tag: "connect_reset", reason: "connection reset" };
    case "aborted":
      return { kind: "retry", tag: "connect_aborted", reason: "connection aborted" };
    case "timeout":
      return { kind: "retry", tag: "connect_timeout", reason: "connecting timed out" };
    case "unreachable":
      return { kind: "retry", tag: "connect_unreachable", reason: "host or network unreachable" };
    case "failed":
      return { kind: "retry", tag: "connect_failed", reason: `connection failed: ${detail}` };
    case "no_permission":
      return {
        kind: "permanent",
        tag: "connect_no_permission",
        reason: `not permitted to connect: ${detail}`,
      };
  }
}

const CONNECTION_SIGNS: readonly [ConnectionReason, RegExp][] = [
  ["no_permission", /NotCapable|PermissionDenied|Requires net access|no_permission/],
  ["refused", /ECONNREFUSED|ConnectionRefused|connection refused|actively refused|unable to connect/i],
  ["aborted", /ECONNABORTED|ConnectionAborted|connection abort/i],
  ["timeout", /ETIMEDOUT|timed out/i],
  ["unreachable", /E(?:HOST|NET)UNREACH|unreachable/i],
  [
    "reset",
    /ECONNRESET|EPIPE|ConnectionReset|ConnectionClosed|reset|broken pipe|closed|unexpected (?:eof|end)|incomplete/i,
  ],
];

/** Tells from what the runtime's fetch threw why a connection failed; looks through its causes. */
export function connectionFailure(error: unknown): ProbeFailure {
  const parts: string[] = [];
  for (let at: unknown = error; at instanceof Error && parts.length < 12; at = at.cause) {
    parts.push(at.name, at.message);
    if ("code" in at && typeof at.code === "string") parts.push(at.code);
  }
  const text = parts.join(" ");
  const sign = CONNECTION_SIGNS.find(([, pattern]) => pattern.test(text));
  const detail = error instanceof Error ? error.message : String(error);
  return { kind: "connection", reason: sign?.[0] ?? "failed", detail };
}
