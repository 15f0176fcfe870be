/**
 * The MCP endpoint of one server, or of several as one: what a POST, GET or DELETE does there, in both revisions.
 *
 * @module
 */
import { isDeeperThan, isObject } from "../base/json.ts";
import { oneLine } from "../relay/lines.ts";
import { BODY_LIMIT_BYTES, readBody } from "./body.ts";
import { classify, isKnownOlder } from "./classify.ts";
import { readAccept } from "./exchange.ts";
import type { NewerClients } from "./newer_clients.ts";
import type { OlderSession } from "./older_session.ts";
import { readEventId } from "./replay.ts";

export const SESSION_HEADER = "mcp-session-id";

/** What initialize says is kept for as long as the session, and written to its file. */
const HANDSHAKE_LIMIT_BYTES = 64 * 1024;
/** Objects and arrays in one another: code that walks through them does so recursively. */
const DEPTH_LIMIT = 512;
/** Requests of one session that may be open at the same time. */
const OPEN_LIMIT = 1000;

const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
/** What servers of the older revisions answer by habit. */
const SESSION_MISSING = -32000;
const SESSION_UNKNOWN = -32001;
const UNAVAILABLE = -32603;

/** The sessions of clients of older revisions. */
export interface EndpointSessions {
  /** A new session, or why there is none. */
  begin(request: Request): OlderSession | { refused: string };
  /** From memory or from the state folder; null where it is unknown or too old. */
  find(id: string, request: Request): Promise<OlderSession | { refused: string } | null>;
  end(session: OlderSession): Promise<void>;
  /** The handshake of a new session was answered: it counts from now on, or it never was one. */
  noteHandshake(session: OlderSession, isAccepted: boolean): Promise<void>;
}

/** One server, or several as one, as the endpoint needs it. */
export interface EndpointServer {
  readonly sessions: EndpointSessions;
  /** Those that a request of the newer revision belongs to. */
  newerClients(request: Pick<Request, "headers">): NewerClients;
}

/** Answers one request that passed the guard. */
export async function serveEndpoint(server: EndpointServer, request: Request): Promise<Response> {
  switch (request.method) {
    case "POST":
      return await post(server, request);
    case "GET":
      return await get(server, request);
    case "DELETE":
      return await remove(server, request);
    default:
      return new Response(null, { status: 405, headers: { allow: "GET, POST, DELETE" } });
  }
}

async function post(server: EndpointServer, request: Request): Promise<Response> {
  const mediaType = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (mediaType !== "application/json") {
    return refusal(415, { code: INVALID_REQUEST, message: "The body has to be application/json" });
  }
  const encoding = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (encoding !== "identity") {
    return refusal(415, {
      code: INVALID_REQUEST,
      message: `Content-Encoding ${JSON.stringify(encoding)} is not taken: send the body as it is`,
    });
  }
  const accepted = readAccept(request.headers.get("accept"));
  if (accepted === null) {
    return refusal(406, {
      code: INVALID_REQUEST,
      message: "Accept has to allow application/json or text/event-stream",
    });
  }
  const body = await readBody(request, BODY_LIMIT_BYTES);
  if (body === null) {
    return refusal(413, {
      code: INVALID_REQUEST,
      message: `The body is over ${BODY_LIMIT_BYTES} bytes: send less at once`,
    });
  }
  if (isDeeperThan(body, DEPTH_LIMIT)) {
    return refusal(400, {
      code: INVALID_REQUEST,
      message: `The body has more than ${DEPTH_LIMIT} objects and arrays in one another: send flatter values`,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return refusal(400, { code: PARSE_ERROR, message: `Parse error: ${why}` });
  }
  const header = (name: string) => request.headers.get(name);
  const classified = classify({ body: value, header });
  const line = oneLine(body);
  switch (classified.kind) {
    case "refused":
      return refusal(classified.status, classified.error, classified.id);
    case "newer": {
      const clients = server.newerClients(request);
      if (!classified.isRequest) {
        await clients.tell(line, classified.message);
        return new Response(null, { status: 202 });
      }
      return await clients.request(line, classified.message, { accepted, signal: request.signal });
    }
    case "older":
      return await postOlder(server, { request, line, accepted, ...classified });
  }
}

async function postOlder(
  server: EndpointServer,
  { request, line, accepted, messages, isBatch }: {
    request: Request;
    line: Uint8Array;
    accepted: { json: boolean; events: boolean };
    messages: readonly Record<string, unknown>[];
    isBatch: boolean;
  },
): Promise<Response> {
  const ids = messages.flatMap((message) =>
    "method" in message && "id" in message ? [JSON.stringify(message.id)] : []
  );
  const isHandshake = messages[0]?.method === "initialize" && ids.length === 1;
  if (isHandshake && line.length > HANDSHAKE_LIMIT_BYTES) {
    const message = `initialize is over ${HANDSHAKE_LIMIT_BYTES} bytes: declare less`;
    return refusal(413, { code: INVALID_REQUEST, message }, messages[0]?.id);
  }
  const found = isHandshake
    ? server.sessions.begin(request)
    : await sessionOf(server, request, messages[0]?.id);
  if (found instanceof Response) return found;
  if ("refused" in found) return refusal(503, { code: UNAVAILABLE, message: found.refused }, messages[0]?.id);
  const session = found;
  if (!isHandshake) {
    const version = request.headers.get("mcp-protocol-version");
    // What the server itself agreed on is good, however odd.
    if (!isKnownOlder(version) && version?.trim() !== session.version) {
      return refusal(400, {
        code: SESSION_MISSING,
        message: `Bad Request: Unsupported protocol version: ${version}`,
      });
    }
    if (isBatch && session.version !== null && session.version !== "2025-03-26") {
      return refusal(400, { code: INVALID_REQUEST, message: `There are no batches in ${session.version}` });
    }
  }
  if (ids.length === 0) {
    await session.tell(line, messages);
    return new Response(null, { status: 202 });
  }
  if (session.openCalls >= OPEN_LIMIT) {
    const message =
      `${OPEN_LIMIT} requests of this session are open: wait for some of their answers, or cancel them`;
    return refusal(503, { code: UNAVAILABLE, message }, messages[0]?.id);
  }
  const headers: Record<string, string> = isHandshake ? { [SESSION_HEADER]: session.id } : {};
  const options = { accepted, isBatch, ids, headers, messages };
  if (!isHandshake) return await session.request(line, options);
  request.signal.addEventListener("abort", () => session.noteGone(), { once: true });
  return await session.handshake(
    line,
    options,
    (isAccepted) => server.sessions.noteHandshake(session, isAccepted),
  );
}

async function sessionOf(
  server: EndpointServer,
  request: Request,
  requestId: unknown = null,
): Promise<OlderSession | Response> {
  const id = request.headers.get(SESSION_HEADER);
  if (id === null) {
    return refusal(400, {
      code: SESSION_MISSING,
      message: "Bad Request: Mcp-Session-Id header is required: initialize first",
    });
  }
  const found = await server.sessions.find(id, request);
  if (found === null) {
    return refusal(404, { code: SESSION_UNKNOWN, message: "Session not found: initialize again" });
  }
  return "refused" in found ? refusal(503, { code: UNAVAILABLE, message: found.refused }, requestId) : found;
}

async function get(server: EndpointServer, request: Request): Promise<Response> {
  if (request.headers.get(SESSION_HEADER) === null) {
    return new Response(null, { status: 405, headers: { allow: "POST" } });
  }
  if (readAccept(request.headers.get("accept"))?.events !== true) {
    return refusal(406, { code: INVALID_REQUEST, message: "Accept has to allow text/event-stream" });
  }
  const session = await sessionOf(server, request);
  if (session instanceof Response) return session;
  const last = request.headers.get("last-event-id");
  return session.listen(last === null ? null : readEventId(last));
}

async function remove(server: EndpointServer, request: Request): Promise<Response> {
  if (request.headers.get(SESSION_HEADER) === null) {
    return new Response(null, { status: 405, headers: { allow: "POST" } });
  }
  const session = await sessionOf(server, request);
  if (session instanceof Response) return session;
  await server.sessions.end(session);
  return new Response(null, { status: 200 });
}

/** A JSON-RPC error as the body of a refused request. `connect` passes one with 503 on, as it says that nothing was run. */
export function refusal(
  status: number,
  error: { code: number; message: string; data?: unknown },
  id: unknown = null,
): Response {
  const said = status === 503
    ? { ...error, data: { ...isObject(error.data) ? error.data : {}, may_have_run: false } }
    : error;
  return Response.json({ jsonrpc: "2.0", error: said, id: id ?? null }, { status });
}

/** To whom the next supervisor has to be asked: `connect` does so by itself. */
export function endingRefusal(): Response {
  const message = "The supervisor is about to end: the request was not run, send it again";
  return refusal(503, { code: UNAVAILABLE, message, data: { is_ending: true } });
}
