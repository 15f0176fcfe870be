/**
 * The check that decides whether a server is ready: a real handshake. The official client, whose loading takes longer
 * than most checks, judges every server that does not answer in the plainest way.
 *
 * @module
 */
import type { Client, ProtocolError, Transport } from "@modelcontextprotocol/client";
import { isObject } from "../base/json.ts";
import { Attempt } from "./attempt.ts";
import { type LightLink, META_PREFIX, shakeLightly } from "./light.ts";
import {
  classifyProbeError,
  connectionFailure,
  type ConnectionReason,
  type ProbeFailure,
  type ProbeOutcome,
  type ServerIdentity,
} from "./outcome.ts";
import { Wire, type WireHost } from "./wire.ts";

const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;
const PAGE_LIMIT = 1_000;
/** The client's own timers only back up the attempt's deadline. */
const CLIENT_TIMER_SLACK_MS = 1_000;
const METHOD_NOT_FOUND = -32601;
/** Between two whole handshakes. */
const WHOLE_EVERY_MS = 60_000;

type Sdk = typeof import("./official_client.ts");

export interface ProbeTarget {
  endpoint: URL;
  transport: "streamable-http" | "sse";
  requiredTools: readonly string[];
  /** What the check calls itself towards the server. */
  clientName?: string;
  /** Sent with every request, as they are at each handshake; the values are secrets. */
  headers?: Readonly<Record<string, string>> | (() => Promise<Record<string, string>>);
}

export interface HandshakeOptions extends ProbeTarget {
  /** For the whole handshake. */
  timeoutMs: number;
  signal?: AbortSignal;
}

/** A session that is kept between checks. One check at a time. */
export interface KeptProbe {
  /** The first is a whole handshake; later ones are one small request for as long as the server knows the session. */
  check(timeoutMs: number, signal?: AbortSignal): Promise<ProbeOutcome>;
  /** Closes the session, also the one that a check still running would open. */
  close(): Promise<void>;
}

/** One whole handshake, with its session closed again whatever came of it. Never throws. */
export async function handshake(host: WireHost, options: HandshakeOptions): Promise<ProbeOutcome> {
  const probe = openProbe(host, options);
  try {
    return await probe.check(options.timeoutMs, options.signal);
  } finally {
    await probe.close();
  }
}

/** Prepares repeated checks; nothing is sent before the first one. */
export function openProbe(host: WireHost, target: ProbeTarget): KeptProbe {
  return new Probe(host, target);
}

/** The official client of a link. */
interface Official {
  readonly sdk: Sdk;
  readonly client: Client;
  readonly transport: Transport;
}

/** A server that shook hands, and what it said. */
interface Link {
  /** Null where the handshake went without it. */
  readonly official: Official | null;
  readonly wire: Wire;
  era: LightLink["era"];
  session: string | null;
  server: ServerIdentity;
  tools: string[];
  /** Monotonic ms of its handshake. */
  openedMs: number;
}

/** How a server's session is asked for a sign of life. One that answers no ping is never pinged again. */
type Sign = "ping" | "list";

type Revisions = "any" | "older";

class Probe implements KeptProbe {
  readonly #host: WireHost;
  readonly #target: ProbeTarget;
  #link: Link | null = null;
  #revisions: Revisions;
  #sign: Sign = "ping";
  /** The last ping had no answer: the next check is a whole handshake, which tells whether pings have none. */
  #isPingDoubted = false;
  #closed = false;

  constructor(host: WireHost, target: ProbeTarget) {
    this.#host = host;
    this.#target = target;
    // The SSE transport is older than discovery, and its servers end a session over an unknown first request.
    this.#revisions = target.transport === "sse" ? "older" : "any";
  }

  async check(timeoutMs: number, signal?: AbortSignal): Promise<ProbeOutcome> {
    const startedAt = this.#host.clock.monotonic();
    const attempt = new Attempt(this.#host.clock, { timeoutMs, limitBytes: ANSWER_LIMIT_BYTES, signal });
    try {
      const kept = this.#link;
      const isWhole = kept === null || this.#isWholeDue(kept);
      const failure = isWhole ? null : await this.#touch(attempt);
      if (failure !== null) return classifyProbeError(failure);
      const opened = isWhole || this.#link === null ? await this.#openAny(attempt) : this.#link;
      if (isFailure(opened)) return classifyProbeError(opened);
      this.#link = opened;
      if (kept !== null && isWhole) await closeLink(kept);
      if (this.#isPingDoubted) this.#sign = "list";
      this.#isPingDoubted = false;
      const outcome = verdict(opened, this.#target.requiredTools, this.#host.clock.monotonic() - startedAt);
      // Tools that were missing may have come by the next check, which therefore lists them again.
      if (outcome.kind !== "ok" || this.#closed) await this.#drop();
      return outcome;
    } finally {
      attempt.end();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#drop();
  }

  async #drop(): Promise<void> {
    const link = this.#link;
    this.#link = null;
    if (link !== null) await closeLink(link);
  }

  /** A server may answer small requests and open no session any more. */
  #isWholeDue({ openedMs }: Link): boolean {
    return this.#isPingDoubted || this.#host.clock.monotonic() - openedMs >= WHOLE_EVERY_MS;
  }

  /** Asks a kept session for a sign of life and drops it where it gives none, so that a new one is opened. */
  async #touch(attempt: Attempt): Promise<ProbeFailure | null> {
    const link = this.#link;
    if (link === null) return null;
    link.wire.begin(attempt);
    const isPing = this.#sign === "ping" && link.era === "legacy";
    const failure = link.wire.brokenBy ??
      await signOfLife(link, attempt, { sign: this.#sign, target: this.#target });
    if (failure === null) return null;
    if (failure.kind === "rpc" && failure.code === METHOD_NOT_FOUND) {
      this.#sign = "list";
      return null;
    }
    // A slow server still knows its session.
    const isOver = attempt.ending?.kind === "timeout" || attempt.ending?.kind === "cancelled";
    if (isPing && attempt.ending?.kind === "timeout") this.#isPingDoubted = true;
    if (isOver && this.#target.transport === "streamable-http") return failure;
    await this.#drop();
    return isOver ? failure : null;
  }

  async #openAny(attempt: Attempt): Promise<Link | ProbeFailure> {
    const opened = await this.#open(this.#revisions, attempt);
    if (!isFailure(opened) || this.#revisions === "older" || !mayKnowOnlyInitialize(opened, attempt)) {
      return opened;
    }
    const older = await this.#open("older", attempt);
    // What the newer handshake failed with says more about a server that knows neither.
    if (isFailure(older)) return attempt.ending ?? opened;
    this.#revisions = "older";
    return older;
  }

  async #open(revisions: Revisions, attempt: Attempt): Promise<Link | ProbeFailure> {
    const { endpoint, transport: kind, clientName = "foster", headers: given } = this.#target;
    let headers: Readonly<Record<string, string>> | undefined;
    try {
      headers = typeof given === "function" ? await given() : given;
    } catch (error) {
      return { kind: "answer", detail: error instanceof Error ? error.message : String(error) };
    }
    if (kind === "streamable-http" && revisions === "any") {
      const opened = await this.#openLightly(attempt, headers);
      if (opened !== null) return opened;
    }
    const sdk = await import("./official_client.ts");
    const wire = new Wire(this.#host, attempt, { streams: kind === "sse", headers });
    const transport = kind === "sse"
      ? new sdk.SSEClientTransport(endpoint, { fetch: wire.fetch })
      : new sdk.StreamableHTTPClientTransport(endpoint, { fetch: wire.fetch });
    const client = new sdk.Client(
      { name: clientName, version: "1" },
      // Half the time is left for the older handshake with a server that never answers what it does not know.
      revisions === "any"
        ? { versionNegotiation: { mode: "auto", probe: { timeoutMs: Math.ceil(attempt.timeoutMs / 2) } } }
        : {},
    );
    const official: Official = { sdk, client, transport };
    const link: Link = {
      official,
      wire,
      era: "legacy",
      session: null,
      server: { name: "", version: "", protocol: "" },
      tools: [],
      openedMs: this.#host.clock.monotonic(),
    };
    const shake = async () => {
      const timeout = attempt.timeoutMs + CLIENT_TIMER_SLACK_MS;
      await client.connect(transport, { timeout });
      const { name = "", version = "" } = client.getServerVersion() ?? {};
      link.server = { name, version, protocol: client.getNegotiatedProtocolVersion() ?? "" };
      link.era = client.getProtocolEra() ?? "legacy";
      link.session = "sessionId" in transport ? transport.sessionId ?? null : null;
      link.tools = client.getServerCapabilities()?.tools === undefined
        ? []
        : await listTools(client, timeout);
    };
    try {
      await wire.hold(shake());
      return link;
    } catch (error) {
      const failure = failureOf(error, link, attempt);
      await closeLink(link);
      return failure;
    }
  }

  /** Without the official client; null where that one is to judge. */
  async #openLightly(
    attempt: Attempt,
    headers: Readonly<Record<string, string>> | undefined,
  ): Promise<Link | ProbeFailure | null> {
    const { endpoint, clientName = "foster" } = this.#target;
    const { clock } = this.#host;
    const wire = new Wire(this.#host, attempt, { streams: false, headers });
    const openedMs = clock.monotonic();
    const link = { official: null, wire, openedMs };
    const over = new AbortController();
    try {
      // Half the time is left for the older handshake with a server that never answers what it does not know.
      const late = clock.sleep(Math.ceil(attempt.timeoutMs / 2), over.signal).then(() => "late" as const);
      late.catch(() => {});
      const shaken = await wire.hold(Promise.race([shakeLightly(wire, { endpoint, clientName }), late]));
      if (shaken !== null && shaken !== "late") return { ...link, ...shaken };
      await wire.closeSessions();
      return shaken === null ? null : { kind: "timeout", afterMs: attempt.timeoutMs / 2 };
    } catch (error) {
      const failure = attempt.ending ?? wire.brokenBy ?? wire.lastFailure ?? connectionFailure(error);
      await wire.closeSessions();
      const isSure = attempt.ending !== null ||
        (failure.kind === "connection" && SURE.includes(failure.reason));
      return isSure ? failure : null;
    } finally {
      over.abort();
    }
  }
}

/** What a whole handshake would fail with just the same. */
const SURE: readonly ConnectionReason[] = ["refused", "unreachable", "no_permission"];

function isFailure(opened: Link | ProbeFailure): opened is ProbeFailure {
  return "kind" in opened;
}

function verdict({ server, tools }: Link, required: readonly string[], elapsedMs: number): ProbeOutcome {
  const missing = required.filter((tool) => !tools.includes(tool));
  const found = { server, tools, missing };
  return missing.length === 0
    ? { kind: "ok", ...found, elapsedMs }
    : classifyProbeError({ kind: "missing_tools", found });
}

async function listTools(client: Client, timeout: number): Promise<string[]> {
  const names: string[] = [];
  const cursors = new Set<string>();
  let cursor: string | undefined;
  do {
    const params = cursor === undefined ? {} : { cursor };
    const page = await client.request({ method: "tools/list", params }, { timeout });
    names.push(...page.tools.map((tool) => tool.name));
    cursor = page.nextCursor;
    if (cursor === undefined) break;
    if (cursors.has(cursor) || cursors.size >= PAGE_LIMIT) {
      throw new Error("tools/list never comes to a last page");
    }
    cursors.add(cursor);
  } while (true);
  return names;
}

async function signOfLife(
  link: Link,
  attempt: Attempt,
  { sign, target: { transport, endpoint } }: { sign: Sign; target: ProbeTarget },
): Promise<ProbeFailure | null> {
  if (transport === "streamable-http") return await plainSignOfLife(link, attempt, { endpoint, sign });
  const options = { timeout: attempt.timeoutMs + CLIENT_TIMER_SLACK_MS };
  const { official } = link;
  try {
    if (official === null) return null;
    const { client, sdk } = official;
    if (link.era === "legacy") {
      await link.wire.hold(
        sign === "ping"
          ? client.ping(options)
          : client.request({ method: "tools/list", params: {} }, options),
      );
      return null;
    }
    const { _meta } = await link.wire.hold(client.discover(options));
    return isSameServer(_meta?.[sdk.SERVER_INFO_META_KEY], link.server)
      ? null
      : { kind: "answer", detail: "another server answers here now" };
  } catch (error) {
    return failureOf(error, link, attempt);
  }
}

/** A number that the client, which counts from 0, never uses in a session of a minute. */
const OWN_ID = 1_000_000;

/** One small request by hand: the client would cost several times as much, for every server and every few seconds. */
async function plainSignOfLife(
  link: Link,
  attempt: Attempt,
  { endpoint, sign }: { endpoint: URL; sign: Sign },
): Promise<ProbeFailure | null> {
  const { wire, session, server: { protocol: version } } = link;
  const isOlder = link.era === "legacy";
  const method = !isOlder ? "server/discover" : sign === "ping" ? "ping" : "tools/list";
  const headers: Record<string, string> = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": version,
    ...(isOlder ? {} : { "mcp-method": method }),
    ...(session === null ? {} : { "mcp-session-id": session }),
  };
  const params = isOlder ? undefined : {
    _meta: {
      [`${META_PREFIX}protocolVersion`]: version,
      [`${META_PREFIX}clientInfo`]: { name: "foster", version: "1" },
      [`${META_PREFIX}clientCapabilities`]: {},
    },
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: OWN_ID, method, params });
  try {
    const response = await wire.hold(wire.post(endpoint, { headers, body }));
    const failure = wire.lastFailure;
    if (failure !== null) {
      await response.body?.cancel();
      return failure;
    }
    return judgeAnswer(await wire.hold(ownAnswer(response, attempt)), link, isOlder);
  } catch (error) {
    return failureOf(error, link, attempt);
  }
}

function judgeAnswer(
  answer: Record<string, unknown> | null,
  link: Link,
  isOlder: boolean,
): ProbeFailure | null {
  if (answer === null) return { kind: "answer", detail: "it did not answer what it was asked" };
  const { error, result } = answer;
  if (isObject(error)) {
    const { code, message } = error;
    return { kind: "rpc", code: Number(code), message: String(message) };
  }
  if (isOlder) return null;
  const meta = isObject(result) && isObject(result._meta) ? result._meta : {};
  return isSameServer(meta[`${META_PREFIX}serverInfo`], link.server)
    ? null
    : { kind: "answer", detail: "another server answers here now" };
}

/** The answer to the one request, in either form; null where none came. */
async function ownAnswer(response: Response, attempt: Attempt): Promise<Record<string, unknown> | null> {
  const isStream = (response.headers.get("content-type") ?? "").includes("text/event-stream");
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    attempt.receive(chunk.byteLength);
    text += decoder.decode(chunk, { stream: true });
    if (!isStream) continue;
    const lines = text.split(/\r\n|\n|\r/);
    text = lines.pop() ?? "";
    for (const line of lines) {
      const message = line.startsWith("data:") ? ownMessage(line.slice("data:".length)) : null;
      // Leaving the loop ends the stream.
      if (message !== null) return message;
    }
  }
  return isStream ? null : ownMessage(text + decoder.decode());
}

function ownMessage(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && value.id === OWN_ID ? value : null;
  } catch {
    return null;
  }
}

function isSameServer(info: unknown, known: ServerIdentity): boolean {
  if (typeof info !== "object" || info === null) return known.name === "" && known.version === "";
  return "name" in info && info.name === known.name && "version" in info && info.version === known.version;
}

/** Some servers of the older revision meet an unknown first request with an error page, silence or a closed door. */
function mayKnowOnlyInitialize(failure: ProbeFailure, attempt: Attempt): boolean {
  if (attempt.ending !== null) return false;
  switch (failure.kind) {
    case "timeout":
    case "answer":
    case "rpc":
      return true;
    case "http":
      return failure.status === 500 || failure.status === 501;
    case "connection":
      return failure.reason === "reset";
    case "cancelled":
    case "address":
    case "redirect":
    case "too_large":
    case "cross_origin":
    case "wrong_name":
    case "missing_tools":
      return false;
  }
}

function failureOf(error: unknown, link: Link, attempt: Attempt): ProbeFailure {
  if (attempt.ending !== null) return attempt.ending;
  const seen = link.wire.brokenBy ?? link.wire.lastFailure;
  if (seen !== null) return seen;
  const sdk = link.official?.sdk;
  if (sdk?.ProtocolError.isInstance(error)) {
    const { code, message }: ProtocolError = error;
    return { kind: "rpc", code, message };
  }
  const detail = error instanceof Error ? error.message : String(error);
  if (sdk?.SdkError.isInstance(error) && error.code === sdk.SdkErrorCode.RequestTimeout) {
    return { kind: "timeout", afterMs: attempt.timeoutMs };
  }
  return detail.startsWith("Endpoint origin does not match")
    ? { kind: "cross_origin", detail }
    : { kind: "answer", detail };
}

async function closeLink(link: Link): Promise<void> {
  await link.official?.client.close().catch(() => {});
  // The client only closes a transport that it took over, which it does after the first answer.
  await link.official?.transport.close().catch(() => {});
  await link.wire.closeSessions();
}
