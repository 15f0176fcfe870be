import { type LocalUrl, localUrl } from "../base/local_url.ts";
import type { Host } from "../host/host.ts";
import { Attempt } from "./attempt.ts";
import { discard, readStart } from "./body.ts";
import { classifyProbeError, connectionFailure, type ProbeOutcome } from "./outcome.ts";
import { handshake, type ProbeTarget } from "./probe.ts";
import { fetchFollowing } from "./redirect.ts";
import { parseStatus, type StatusSnapshot, UNREACHED } from "./snapshot.ts";

const STATUS_TIMEOUT_MS = 800;
const STATUS_LIMIT_BYTES = 1024 * 1024;

type StatusHost = Pick<Host, "net" | "clock">;

export interface FetchStatusOptions {
  /** Any URL of the server; only its origin is used. */
  endpoint: URL;
  statusPath: string;
  /** For connecting and for the whole answer. 800 where it is not given. */
  timeoutMs?: number;
  headers?: Readonly<Record<string, string>>;
  signal?: AbortSignal;
}

/** Asks a server's status endpoint. Never throws: what went wrong is in `error`. */
export async function fetchStatus(host: StatusHost, options: FetchStatusOptions): Promise<StatusSnapshot> {
  const { endpoint, statusPath, timeoutMs = STATUS_TIMEOUT_MS, signal, headers } = options;
  const answer = await get(host, localUrl(statusPath, endpoint), { timeoutMs, signal, headers });
  switch (answer.kind) {
    case "unreached":
      return { ...UNREACHED, error: answer.tag };
    case "broken":
      return { ...UNREACHED, reachable: true, statusCode: answer.statusCode, error: answer.tag };
    case "answered": {
      const { statusCode, text } = answer;
      const reached = { ...UNREACHED, reachable: true, statusCode };
      if (!isSuccess(statusCode)) return { ...reached, error: `http_${statusCode}` };
      const parsed = parseStatus(text);
      return parsed === null ? { ...reached, error: "invalid_json" } : { ...reached, ...parsed };
    }
  }
}

export interface ReadyHttpOptions {
  endpoint: URL;
  /** Null for the endpoint itself. */
  statusPath: string | null;
  /** Name that the answer must carry; null for any. */
  expectedName: string | null;
  timeoutMs: number;
  headers?: Readonly<Record<string, string>>;
  signal?: AbortSignal;
}

/** Whether a plain GET is answered with 2xx, and by the expected server. Never throws. */
export async function readyCheckHttp(host: StatusHost, options: ReadyHttpOptions): Promise<ProbeOutcome> {
  const { endpoint, statusPath, expectedName, timeoutMs, signal, headers } = options;
  const startedAt = host.clock.monotonic();
  const url = statusPath === null ? localUrl(endpoint) : localUrl(statusPath, endpoint);
  const answer = await get(host, url, { timeoutMs, signal, headers, withBody: expectedName !== null });
  switch (answer.kind) {
    case "unreached":
    case "broken":
      return answer.outcome;
    case "answered": {
      if (!isSuccess(answer.statusCode)) {
        return classifyProbeError({ kind: "http", status: answer.statusCode, detail: "" });
      }
      const { name, version } = parseStatus(answer.text) ?? UNREACHED;
      if (expectedName !== null && name !== expectedName) {
        return classifyProbeError({ kind: "wrong_name", expected: expectedName, actual: name });
      }
      const elapsedMs = host.clock.monotonic() - startedAt;
      return { kind: "ok", server: { name, version, protocol: "" }, tools: [], missing: [], elapsedMs };
    }
  }
}

/** Whether a TCP connection opens. */
export async function readyCheckTcp(
  host: StatusHost,
  options: { hostname: string; port: number; timeoutMs: number },
): Promise<ProbeOutcome> {
  const startedAt = host.clock.monotonic();
  const result = await host.net.dial(options.hostname, options.port, options.timeoutMs);
  switch (result) {
    case "open": {
      const elapsedMs = host.clock.monotonic() - startedAt;
      const server = { name: "", version: "", protocol: "" };
      return { kind: "ok", server, tools: [], missing: [], elapsedMs };
    }
    case "refused":
    case "timeout":
    case "failed":
      return classifyProbeError({ kind: "connection", reason: result, detail: "the port does not open" });
  }
}

export interface LiveSnapshotOptions extends Omit<ProbeTarget, "requiredTools" | "headers"> {
  headers?: Readonly<Record<string, string>>;
  /** Null where the server has no status endpoint: then its handshake tells who it is. */
  statusPath: string | null;
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** Who answers at the endpoint right now, asked once in the way that the definition names. Never throws. */
export async function liveSnapshot(host: StatusHost, options: LiveSnapshotOptions): Promise<StatusSnapshot> {
  const { statusPath, timeoutMs = STATUS_TIMEOUT_MS, ...target } = options;
  if (statusPath !== null) {
    const { endpoint, signal, headers } = target;
    return await fetchStatus(host, { endpoint, statusPath, timeoutMs, signal, headers });
  }
  const outcome = await handshake(host, { ...target, requiredTools: [], timeoutMs });
  switch (outcome.kind) {
    case "ok": {
      const { name, version } = outcome.server;
      return { ...UNREACHED, reachable: true, statusCode: 200, name, version };
    }
    case "retry":
    case "permanent": {
      const statusCode = outcome.statusCode ?? 0;
      const reachable = statusCode > 0 || outcome.kind === "permanent";
      return { ...UNREACHED, reachable, statusCode, error: outcome.tag };
    }
  }
}

type Answer =
  | { kind: "answered"; statusCode: number; text: string }
  | { kind: "unreached"; tag: string; outcome: ProbeOutcome }
  /** Headers came, the body did not. */
  | { kind: "broken"; statusCode: number; tag: string; outcome: ProbeOutcome };

interface GetOptions {
  timeoutMs: number;
  headers?: Readonly<Record<string, string>>;
  signal?: AbortSignal;
  withBody?: boolean;
}

async function get(host: StatusHost, address: LocalUrl, options: GetOptions): Promise<Answer> {
  if (address.kind === "refused") {
    const outcome = classifyProbeError({ kind: "address", detail: address.why });
    return { kind: "unreached", tag: outcome.tag, outcome };
  }
  const { timeoutMs, signal, headers, withBody = true } = options;
  const attempt = new Attempt(host.clock, { timeoutMs, limitBytes: STATUS_LIMIT_BYTES, signal });
  let statusCode = 0;
  try {
    const { response } = await attempt.hold(fetchFollowing(host.net, address.url, {
      headers: { ...headers, accept: "application/json" },
      signal: attempt.signal,
    }));
    statusCode = response.status;
    if (!withBody || !isSuccess(statusCode)) {
      await discard(response);
      return { kind: "answered", statusCode, text: "" };
    }
    const { text, cut } = await attempt.hold(readStart(response, STATUS_LIMIT_BYTES));
    if (!cut) return { kind: "answered", statusCode, text };
    const outcome = classifyProbeError({ kind: "too_large", limitBytes: STATUS_LIMIT_BYTES });
    return { kind: "broken", statusCode, tag: outcome.tag, outcome };
  } catch (error) {
    const outcome = classifyProbeError(attempt.ending ?? connectionFailure(error));
    const { tag } = outcome;
    return statusCode === 0
      ? { kind: "unreached", tag, outcome }
      : { kind: "broken", statusCode, tag: tag.replace(/^connect_/, "response_"), outcome };
  } finally {
    attempt.end();
  }
}

function isSuccess(statusCode: number): boolean {
  return statusCode >= 200 && statusCode < 300;
}
