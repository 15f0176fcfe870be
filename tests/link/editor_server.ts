/**
 * The server's side of the session as the real one does it: guard, handshake within a time limit, acknowledgement,
 * one peer for a session id, commands answered out of order.
 *
 * @module
 */
import { isObject } from "../../src/base/json.ts";
// @ts-types="../../src/ambient/ws.d.ts"
import { type ServerPeer, type UpgradeRequest, WebSocketServer } from "ws";
import { type JsonObject, MESSAGE_LIMIT_BYTES } from "../../src/link/wire.ts";

export interface EditorServerOptions {
  /** What it acknowledges with, `2.4.2`. */
  version?: unknown;
  port?: number;
  /** Takes the place of the acknowledgement. */
  greet?(peer: Peer): void;
  /** For the first message. 10 s. */
  handshakeMs?: number;
}

const REQUIRED = ["session_id", "godot_version", "project_path", "plugin_version"];

export class EditorServer {
  readonly #server: WebSocketServer;
  readonly #options: EditorServerOptions;
  readonly #sockets = new Set<ServerPeer>();
  /** Registered peers, first one first. */
  readonly sessions = new Map<string, Peer>();
  /** Upgrade requests it turned down. */
  readonly turnedDown: string[];
  /** Peers that got past the handshake, in order. */
  readonly peers = new Inbox<Peer>();
  /** Close codes of those that did not. */
  readonly rejected = new Inbox<number>();

  private constructor(server: WebSocketServer, options: EditorServerOptions, turnedDown: string[]) {
    this.turnedDown = turnedDown;
    this.#server = server;
    this.#options = options;
    server.on("connection", (socket) => this.#connected(socket));
  }

  static start(options: EditorServerOptions = {}): Promise<EditorServer> {
    return new Promise((resolve, reject) => {
      const turnedDown: string[] = [];
      const server = new WebSocketServer({
        host: "127.0.0.1",
        port: options.port ?? 0,
        maxPayload: MESSAGE_LIMIT_BYTES,
        verifyClient: ({ req }, decide) => {
          const why = guard(req);
          if (why !== null) turnedDown.push(why);
          decide(why === null, 403, "Forbidden");
        },
      });
      server.on("error", reject);
      const started = new EditorServer(server, options, turnedDown);
      server.on("listening", () => resolve(started));
    });
  }

  get port(): number {
    return this.#server.address().port;
  }

  /** Only the platform's own connections end with it. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.terminate();
    await new Promise<void>((resolve) => this.#server.close(resolve));
  }

  #connected(socket: ServerPeer): void {
    this.#sockets.add(socket);
    const late = setTimeout(() => socket.close(1000, "no handshake"), this.#options.handshakeMs ?? 10_000);
    const peer = new Peer(socket);
    let registered = false;
    socket.on("error", () => undefined);
    socket.on("close", (code) => {
      clearTimeout(late);
      this.#sockets.delete(socket);
      if (registered) this.sessions.delete(peer.sessionId);
      else this.rejected.push(code);
    });
    socket.on("message", (data, isBinary) => {
      clearTimeout(late);
      const text = isBinary ? "" : new TextDecoder().decode(data);
      if (registered) return peer.receive(text);
      const handshake = parse(text);
      if (handshake?.type !== "handshake" || REQUIRED.some((key) => typeof handshake[key] !== "string")) {
        return socket.close(1000, "invalid handshake");
      }
      peer.handshake = handshake;
      if (this.sessions.has(peer.sessionId)) return socket.close(4001, "session id already registered");
      registered = true;
      this.sessions.set(peer.sessionId, peer);
      if (this.#options.greet) this.#options.greet(peer);
      else peer.ack("version" in this.#options ? this.#options.version : "2.4.2");
      this.peers.push(peer);
    });
  }
}

export class Peer {
  readonly socket: ServerPeer;
  handshake: JsonObject = {};
  /** Everything it sent after the handshake. */
  readonly messages = new Inbox<JsonObject>();
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #waiting = new Map<string, (response: JsonObject) => void>();

  constructor(socket: ServerPeer) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => resolve({ code, reason: new TextDecoder().decode(reason) }));
    });
  }

  get sessionId(): string {
    return String(this.handshake.session_id);
  }

  ack(version: unknown): void {
    this.send({ type: "handshake_ack", server_version: version });
  }

  send(message: unknown): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Sends a command under a fresh id; resolves with its response. */
  command(command: string, params: JsonObject = {}): Promise<JsonObject> {
    const requestId = crypto.randomUUID().replaceAll("-", "");
    return new Promise((resolve) => {
      this.#waiting.set(requestId, resolve);
      this.send({ request_id: requestId, command, params });
    });
  }

  receive(text: string): void {
    const message = parse(text);
    if (message === null) return this.socket.close(1000, "not JSON");
    if (message.type !== "event" && (typeof message.request_id !== "string" || !("status" in message))) {
      return this.socket.close(1000, "malformed response");
    }
    this.#waiting.get(String(message.request_id))?.(message);
    this.#waiting.delete(String(message.request_id));
    this.messages.push(message);
  }
}

/** Values as they come, each to be taken once. */
export class Inbox<T> {
  readonly all: T[] = [];
  #taken = 0;
  #waiting: (() => void)[] = [];

  push(value: T): void {
    this.all.push(value);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  async next(): Promise<T> {
    while (this.#taken === this.all.length) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const value = this.all[this.#taken];
    this.#taken += 1;
    if (value === undefined) throw new Error("nothing there");
    return value;
  }

  /** The next one that fits; those before it are skipped. */
  async find(fits: (value: T) => boolean): Promise<T> {
    for (;;) {
      const value = await this.next();
      if (fits(value)) return value;
    }
  }
}

const LOOPBACK = /^(127\.0\.0\.1|localhost|\[::1\])\.?(:\d+)?\.?$/i;

/** Why an upgrade is turned down, or null. */
export function guard(request: UpgradeRequest): string | null {
  const names = request.rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
  for (const name of ["host", "origin", "sec-fetch-site"]) {
    if (names.filter((each) => each === name).length > 1) return `duplicated ${name}`;
  }
  const { host, origin, "sec-fetch-site": site } = request.headers;
  if (host === undefined || !LOOPBACK.test(host)) return `host ${host}`;
  if (site === "cross-site" || site === "same-site") return `site ${site}`;
  const authority = /^(?:https?|wss?):\/\/([^/]+)\/?$/i.exec(origin ?? "")?.[1] ?? "";
  return (origin ?? "").trim() === "" || LOOPBACK.test(authority) ? null : `origin ${origin}`;
}

function parse(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
