/**
 * What travels on the demo server's WebSocket: the client's first message, its events and its responses.
 *
 * @module
 */
import { isObject } from "../base/json.ts";

type Fields = Record<string, unknown>;

export interface Handshake {
  sessionId: string;
  /** Null where the client gives no name. */
  clientName: string | null;
  runtimeVersion: string;
  projectPath: string;
  clientVersion: string;
  protocolVersion: number;
  readiness: string;
  ownerPid: number;
  launchMode: string;
}

export interface ClientResponse extends Fields {
  request_id: string;
  status: "ok" | "error";
}

export type ClientMessage =
  | { kind: "event"; event: string; data: Fields }
  | { kind: "response"; response: ClientResponse }
  /** An event that can't be read: skipped, the connection goes on. */
  | { kind: "unreadable_event" }
  /** Neither an event nor a response: the connection ends. */
  | { kind: "broken" };

/** Reads a connection's first message; null where it is not a valid handshake. */
export function parseHandshake(text: string): Handshake | null {
  const fields = parseFields(text);
  if (fields === null || fields.type !== "handshake") return null;
  const { session_id, godot_version, project_path, plugin_version } = fields;
  if (typeof session_id !== "string" || session_id === "") return null;
  if (typeof godot_version !== "string" || typeof project_path !== "string") return null;
  if (typeof plugin_version !== "string") return null;
  const { protocol_version = 1, readiness = "ready", editor_pid = 0, server_launch_mode = "unknown" } =
    fields;
  const { client_name } = fields;
  if (typeof protocol_version !== "number" || typeof readiness !== "string") return null;
  if (typeof editor_pid !== "number" || typeof server_launch_mode !== "string") return null;
  return {
    sessionId: session_id,
    clientName: typeof client_name === "string" ? client_name : null,
    runtimeVersion: godot_version,
    projectPath: project_path,
    clientVersion: plugin_version,
    protocolVersion: protocol_version,
    readiness,
    ownerPid: editor_pid,
    launchMode: server_launch_mode,
  };
}

/** Reads any later message of a connection. */
export function parseClientMessage(text: string): ClientMessage {
  const fields = parseFields(text);
  if (fields === null) return { kind: "broken" };
  if (fields.type === "event") {
    const { event, data = {} } = fields;
    return typeof event === "string" && isObject(data)
      ? { kind: "event", event, data }
      : { kind: "unreadable_event" };
  }
  const { request_id, status } = fields;
  return typeof request_id === "string" && (status === "ok" || status === "error")
    ? { kind: "response", response: { ...fields, request_id, status } }
    : { kind: "broken" };
}

function parseFields(text: string): Fields | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
