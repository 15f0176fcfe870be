/**
 * Asks a live server who it is and whether it is ready, in the way that its definition names.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import type { ProbeOutcome } from "../../mcp/outcome.ts";
import { handshake } from "../../mcp/probe.ts";
import { type StatusSnapshot, UNREACHED } from "../../mcp/snapshot.ts";
import { fetchStatus, liveSnapshot, readyCheckHttp, readyCheckTcp } from "../../mcp/status.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { resolveHeaders } from "../../definitions/launch/values.ts";
import { hostnameOf } from "./ports.ts";

type LiveHost = Pick<Host, "net" | "clock" | "files" | "env" | "system" | "processes">;

/** What `${cmd:…}` in headers printed: kept for as long as this foster runs. */
const commandOutputs = new Map<string, string>();

/** What goes with every request to a server of this definition. @throws DefinitionError */
export async function requestHeaders(
  host: Omit<LiveHost, "net" | "clock">,
  definition: ServerDefinition,
  endpoint: string,
): Promise<Record<string, string>> {
  if (Object.keys(definition.headers).length === 0) return {};
  const env = (name: string) => host.env.get(name);
  return await resolveHeaders(host, definition, {
    port: Number(new URL(endpoint).port),
    env,
    store: commandOutputs,
  });
}

export interface LiveQuestion {
  definition: ServerDefinition;
  endpoint: string;
  /** For the whole of one attempt; the definition's own where it is left out. */
  timeoutMs?: number;
  signal: AbortSignal;
}

export type ReadyAttempt =
  | { kind: "ready"; live: StatusSnapshot; protocol: string | null; tools: readonly string[] }
  /** Not yet: to be tried again while there is time. */
  | { kind: "retry"; reason: string; isTimeout: boolean }
  /** It answers, and never will be ready like this. */
  | { kind: "permanent"; reason: string };

const TIMEOUT_TAG = "response_timeout";

/** One attempt at what the definition calls ready. Never throws. */
export async function attemptReady(host: LiveHost, question: LiveQuestion): Promise<ReadyAttempt> {
  const { definition, signal, timeoutMs = definition.ready.probeTimeoutMs } = question;
  const endpoint = new URL(question.endpoint);
  let headers: Record<string, string>;
  try {
    headers = await requestHeaders(host, definition, question.endpoint);
  } catch (error) {
    return { kind: "permanent", reason: error instanceof Error ? error.message : String(error) };
  }
  const outcome = await check(host, { ...question, timeoutMs, url: endpoint, headers });
  switch (outcome.kind) {
    case "retry":
      return { kind: "retry", reason: outcome.reason, isTimeout: outcome.tag === TIMEOUT_TAG };
    case "permanent":
      return { kind: "permanent", reason: outcome.reason };
    case "ok":
      break;
  }
  const { name, version, protocol } = outcome.server;
  const ready: ReadyAttempt = {
    kind: "ready",
    live: { ...UNREACHED, reachable: true, statusCode: 200, name, version },
    protocol: protocol === "" ? null : protocol,
    tools: outcome.tools,
  };
  const { statusPath } = definition.identity;
  if (statusPath === null || definition.ready.check === "tcp") return ready;
  const live = await fetchStatus(host, {
    endpoint,
    statusPath,
    timeoutMs: Math.min(800, timeoutMs),
    signal,
    headers,
  });
  if (live.error !== "") {
    const isTimeout = live.error === TIMEOUT_TAG;
    const reason = isTimeout ? `${statusPath} did not answer` : `${statusPath} answered ${live.error}`;
    return { kind: "retry", reason, isTimeout };
  }
  return { ...ready, live };
}

/** Who holds the port: its status endpoint where the definition names one, else its handshake. Never throws. */
export async function askHolder(host: LiveHost, question: LiveQuestion): Promise<StatusSnapshot> {
  const { definition, signal, timeoutMs = definition.ready.probeTimeoutMs } = question;
  const { statusPath } = definition.identity;
  return await liveSnapshot(host, {
    endpoint: new URL(question.endpoint),
    transport: transportOf(definition),
    statusPath,
    timeoutMs: statusPath === null ? timeoutMs : undefined,
    signal,
    headers: await requestHeaders(host, definition, question.endpoint).catch(() => ({})),
  });
}

async function check(
  host: LiveHost,
  question: LiveQuestion & { url: URL; timeoutMs: number; headers: Record<string, string> },
): Promise<ProbeOutcome> {
  const { definition, url, timeoutMs, signal, headers } = question;
  switch (definition.ready.check) {
    case "mcp":
      return await handshake(host, {
        endpoint: url,
        transport: transportOf(definition),
        requiredTools: definition.requiredTools,
        timeoutMs,
        signal,
        headers,
      });
    case "http":
      return await readyCheckHttp(host, {
        endpoint: url,
        statusPath: definition.identity.statusPath,
        expectedName: definition.identity.name,
        timeoutMs,
        signal,
        headers,
      });
    case "tcp":
      return await readyCheckTcp(host, {
        hostname: hostnameOf(url.href),
        port: Number(url.port),
        timeoutMs,
      });
  }
}

export function transportOf(definition: Pick<ServerDefinition, "transport">): "streamable-http" | "sse" {
  return definition.transport === "sse" ? "sse" : "streamable-http";
}
