import type { Host, HttpServer, ServerSocket } from "../host/host.ts";
import { guardRequest, refusal } from "./guard.ts";
import { SessionBook } from "./session_book.ts";
import { type ClientResponse, type Handshake, parseClientMessage, parseHandshake } from "./wire.ts";

const HANDSHAKE_TIMEOUT_MS = 10_000;
const COMMAND_TIMEOUT_MS = 5_000;
const MESSAGE_LIMIT_BYTES = 4 * 1024 * 1024;
const REMEMBERED_EVENTS = 100;
const CLOSE_NORMAL = 1000;
const CLOSE_TOO_BIG = 1009;
const CLOSE_DUPLICATE = 4001;

type ClientsHost = Pick<Host, "clock" | "net" | "random" | "terminal">;

interface Session {
  readonly handshake: Handshake;
  readonly socket: ServerSocket;
  readonly pending: Map<string, (result: CallResult) => void>;
  readonly events: { event: string; data: Record<string, unknown> }[];
  readiness: string;
  lastSeenAt: number;
}

export type CallResult =
  | { kind: "answered"; response: ClientResponse }
  | {
    kind: "failed";
    code: "SESSION_NOT_FOUND" | "COMMAND_TIMEOUT" | "PLUGIN_DISCONNECTED";
    message: string;
  };

export interface CallOptions {
  /** Null for the active session. */
  sessionId: string | null;
  signal?: AbortSignal;
}

/** The WebSocket side: clients that introduced themselves, the commands sent to them and the events they sent. */
export class Clients {
  readonly #host: ClientsHost;
  readonly #serverVersion: string;
  readonly #book = new SessionBook<Session>();
  readonly #sockets = new Set<ServerSocket>();
  readonly #closing = new AbortController();
  #server: HttpServer | null = null;

  constructor(host: ClientsHost, serverVersion: string) {
    this.#host = host;
    this.#serverVersion = serverVersion;
  }

  /** @throws HostError `busy` where the port is taken */
  async listen(hostname: string, port: number): Promise<void> {
    this.#server = await this.#host.net.serve({
      hostname,
      port,
      handle: (request, upgrade) => {
        const verdict = guardRequest(request.headers);
        if (verdict.kind === "refused") return refusal(verdict.reason);
        if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
          return new Response("This port speaks WebSocket.\n", {
            status: 426,
            headers: { upgrade: "websocket" },
          });
        }
        const { response, socket } = upgrade();
        socket.then((opened) => this.#welcome(opened), () => {});
        return response;
      },
    });
  }

  /** Sends a command and waits up to five seconds for its response. @throws the signal's reason */
  async call(command: string, params: Record<string, unknown>, options: CallOptions): Promise<CallResult> {
    const { sessionId, signal } = options;
    const session = sessionId === null ? this.#book.active() : this.#book.get(sessionId);
    if (session === null) {
      const message = sessionId === null ? "No session is active" : `There is no session "${sessionId}"`;
      return { kind: "failed", code: "SESSION_NOT_FOUND", message };
    }
    const requestId = this.#host.random.hex(16);
    const settled = new AbortController();
    try {
      return await new Promise<CallResult>((resolve, reject) => {
        session.pending.set(requestId, resolve);
        signal?.addEventListener("abort", () => reject(signal.reason), {
          once: true,
          signal: settled.signal,
        });
        this.#host.clock.sleep(COMMAND_TIMEOUT_MS, settled.signal).then(
          () => resolve(timedOut(command)),
          () => {},
        );
        session.socket.send(JSON.stringify({ request_id: requestId, command, params }));
      });
    } finally {
      settled.abort();
      session.pending.delete(requestId);
    }
  }

  /** The live sessions with the events that each of them sent last, oldest first. */
  describe(): Record<string, unknown>[] {
    const active = this.#book.active();
    return this.#book.all().map((session) => ({
      session_id: session.handshake.sessionId,
      active: session === active,
      client_name: session.handshake.clientName,
      project_path: session.handshake.projectPath,
      godot_version: session.handshake.runtimeVersion,
      plugin_version: session.handshake.clientVersion,
      protocol_version: session.handshake.protocolVersion,
      editor_pid: session.handshake.ownerPid,
      server_launch_mode: session.handshake.launchMode,
      readiness: session.readiness,
      last_seen_at: session.lastSeenAt,
      events: session.events,
    }));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const socket of this.#sockets) socket.close(CLOSE_NORMAL, "server is going away");
    await this.#server?.close();
  }

  #welcome(socket: ServerSocket): void {
    if (this.#closing.signal.aborted) return socket.close(CLOSE_NORMAL, "server is going away");
    this.#sockets.add(socket);
    const introduced = new AbortController();
    let session: Session | null = null;

    this.#host.clock.sleep(HANDSHAKE_TIMEOUT_MS, AbortSignal.any([introduced.signal, this.#closing.signal]))
      .then(
        () => socket.close(CLOSE_NORMAL, "no handshake"),
        () => {},
      );
    socket.onclose = () => {
      introduced.abort();
      this.#sockets.delete(socket);
      if (session !== null) this.#forget(session);
      session = null;
    };
    socket.onmessage = (data) => {
      introduced.abort();
      if (isTooBig(data)) return socket.close(CLOSE_TOO_BIG, "message too big");
      const text = typeof data === "string" ? data : new TextDecoder().decode(data);
      if (session === null) {
        session = this.#introduce(socket, text);
        if (session === null) socket.onmessage = null;
        return;
      }
      if (this.#receive(session, text)) return;
      this.#forget(session);
      session = null;
      socket.onmessage = null;
      socket.close(CLOSE_NORMAL, "malformed message");
    };
  }

  #introduce(socket: ServerSocket, text: string): Session | null {
    const handshake = parseHandshake(text);
    if (handshake === null) {
      socket.close(CLOSE_NORMAL, "invalid handshake");
      return null;
    }
    const session: Session = {
      handshake,
      socket,
      pending: new Map(),
      events: [],
      readiness: handshake.readiness,
      lastSeenAt: this.#host.clock.now(),
    };
    if (!this.#book.register(handshake.sessionId, session)) {
      socket.close(CLOSE_DUPLICATE, "session id already registered");
      return null;
    }
    socket.send(JSON.stringify({ type: "handshake_ack", server_version: this.#serverVersion }));
    return session;
  }

  /** False where the message ends the session. */
  #receive(session: Session, text: string): boolean {
    session.lastSeenAt = this.#host.clock.now();
    const message = parseClientMessage(text);
    switch (message.kind) {
      case "event":
        session.events.push({ event: message.event, data: message.data });
        if (session.events.length > REMEMBERED_EVENTS) session.events.shift();
        if (message.event === "readiness_changed") {
          const { readiness } = message.data;
          session.readiness = typeof readiness === "string" ? readiness : "ready";
        }
        return true;
      case "response":
        session.pending.get(message.response.request_id)?.({ kind: "answered", response: message.response });
        return true;
      case "unreadable_event":
        this.#host.terminal.err(`Skipped an unreadable event of session "${session.handshake.sessionId}"\n`);
        return true;
      case "broken":
        return false;
    }
  }

  #forget(session: Session): void {
    const { sessionId } = session.handshake;
    this.#book.unregister(sessionId);
    for (const settle of session.pending.values()) {
      const message = `Session "${sessionId}" ended before it answered`;
      settle({ kind: "failed", code: "PLUGIN_DISCONNECTED", message });
    }
  }
}

function timedOut(command: string): CallResult {
  const message = `"${command}" got no answer within ${COMMAND_TIMEOUT_MS} ms`;
  return { kind: "failed", code: "COMMAND_TIMEOUT", message };
}

function isTooBig(data: string | Uint8Array): boolean {
  if (typeof data !== "string") return data.byteLength > MESSAGE_LIMIT_BYTES;
  // UTF-8 takes one to three bytes for each UTF-16 unit: most messages need no encoding to be judged.
  if (data.length * 3 <= MESSAGE_LIMIT_BYTES) return false;
  return new TextEncoder().encode(data).byteLength > MESSAGE_LIMIT_BYTES;
}
