/**
 * The messages of an editor-style WebSocket session, as text JSON in both directions.
 *
 * @module
 */
import { isObject } from "../base/json.ts";

const PROTOCOL_VERSION = 1;

/** The server's close code for a session id that a live session already has. */
export const DUPLICATE_SESSION = 4001;

/** How the client takes its leave. */
export const GOODBYE = { code: 1000, reason: "Plugin unloading" } as const;

/** Largest message either side takes, and the most that may wait in the socket, in bytes. */
export const MESSAGE_LIMIT_BYTES = 4_194_304;

export type JsonObject = Record<string, unknown>;

export interface WireError {
  code: string;
  message: string;
  data?: JsonObject;
}

/** What a client tells of itself when a connection opens. */
export interface Hello {
  sessionId: string;
  /** What the client program calls itself: `client_name`, which is left out where it is null. */
  clientName: string | null;
  /** The project's folder. */
  projectPath: string;
  /** Version of the client program: `plugin_version`. */
  clientVersion: string;
  /** Version of what it runs in: `godot_version`. */
  runtimeVersion: string;
  /** How the server was started: `server_launch_mode`. */
  launchMode: string;
  /** Pid of the owner: `editor_pid`. */
  editorPid: number;
  readiness: string;
}

/** One frame as it came in: text, or the size of a binary frame. */
export type Packet = string | { binaryBytes: number };

export interface Command {
  requestId: string;
  command: string;
  params: JsonObject;
  /** Length of the packet it came in, for bounding queues. */
  size: number;
}

export type Inbound =
  | { kind: "ack"; serverVersion: string; note: string | null }
  | { kind: "command"; command: Command }
  | { kind: "ignored" }
  | { kind: "unreadable"; why: string };

/** What a command is answered with. Without `status` it is `ok` where there is data and no error, else `error`. */
export interface Reply {
  status?: "ok" | "error";
  data?: JsonObject;
  error?: WireError;
}

export function encodeHandshake(hello: Hello): string {
  return JSON.stringify({
    type: "handshake",
    session_id: hello.sessionId,
    client_name: hello.clientName ?? undefined,
    godot_version: hello.runtimeVersion,
    project_path: hello.projectPath,
    plugin_version: hello.clientVersion,
    protocol_version: PROTOCOL_VERSION,
    readiness: hello.readiness,
    editor_pid: hello.editorPid,
    server_launch_mode: hello.launchMode,
  });
}

export function encodeEvent(event: string, data: JsonObject): string {
  return JSON.stringify({ type: "event", event, data });
}

/** A response always has its id and a status: without them the server ends the session. */
export function encodeResponse(requestId: string, reply: Reply, readiness: string): string {
  const { data, error } = reply;
  const status = reply.status ?? (error === undefined && data !== undefined ? "ok" : "error");
  return JSON.stringify({ request_id: requestId, status, data, error, readiness });
}

/** Understands one packet; what it does not know it ignores, and it never throws. */
export function decodeInbound(packet: Packet): Inbound {
  if (typeof packet !== "string") {
    return { kind: "unreadable", why: `a binary frame of ${packet.binaryBytes} bytes` };
  }
  let message: unknown;
  try {
    message = JSON.parse(packet);
  } catch {
    return { kind: "unreadable", why: `text that is not JSON (${packet.length} characters)` };
  }
  if (!isObject(message)) return { kind: "ignored" };
  if (message.type === "handshake_ack") return decodeAck(message.server_version);
  if (message.type !== undefined && message.type !== "command") return { kind: "ignored" };
  const { request_id: requestId, command, params } = message;
  if (typeof requestId !== "string" || typeof command !== "string") return { kind: "ignored" };
  return {
    kind: "command",
    command: { requestId, command, params: isObject(params) ? params : {}, size: packet.length },
  };
}

function decodeAck(version: unknown): Inbound {
  if (typeof version === "string") return { kind: "ack", serverVersion: version, note: null };
  const note = version === undefined
    ? null
    : `acknowledged with a version that is not text (${typeof version})`;
  return { kind: "ack", serverVersion: "", note };
}

export function isWireError(value: unknown): value is WireError {
  return isObject(value) && typeof value.code === "string" && typeof value.message === "string" &&
    (value.data === undefined || isObject(value.data));
}

/** Size of a text in UTF-8, in bytes. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      bytes += 1;
      continue;
    }
    bytes += 2;
    if (unit >= 0xd800 && unit <= 0xdbff && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) at += 1;
  }
  return bytes;
}
