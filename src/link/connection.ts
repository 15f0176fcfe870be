/**
 * The client's side of the session, driven from outside: nothing happens but in {@link Connection.tick}, save for what
 * its owner asks for. A tick is one turn of the event loop.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import { type Attempt, Backoff, isLogged } from "./backoff.ts";
import { type Outgoing, type Overflow, Socket, type SocketEnd } from "./socket.ts";
import {
  ACK_TIMEOUT_MS,
  type Acknowledgement,
  blockReason,
  judgeVersion,
  type VersionMatches,
  type VersionVerdict,
} from "./version.ts";
import {
  type Command,
  decodeInbound,
  DUPLICATE_SESSION,
  encodeEvent,
  encodeHandshake,
  GOODBYE,
  type Hello,
  type JsonObject,
  type Packet,
} from "./wire.ts";

/** Packets read in one tick at most. */
const DRAIN_LIMIT = 32;

/** How long a socket may take to open, half-open ones included. Milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

const READINESS_EVENT = "readiness_changed";
const STATE_EVENTS: ReadonlySet<string> = new Set(["scene_changed", "play_state_changed", READINESS_EVENT]);

/** Whether an event tells the present state: only its latest value matters, and a new connection hears it again. */
export function isStateEvent(event: string): boolean {
  return STATE_EVENTS.has(event);
}

export type LogLevel = "info" | "warn" | "error";

export interface LogLine {
  level: LogLevel;
  message: string;
}

/** What a link reports. For each connection `open`, `ack` and `verdict` come in this order, before any command. */
export type LinkEvent =
  | { type: "open"; sessionId: string }
  | { type: "ack"; serverVersion: string }
  | { type: "verdict"; verdict: VersionVerdict }
  /** Attempt number `attempt` since the last success begins now; the next one is made `nextRetryS` seconds later. */
  | { type: "reconnecting" } & Attempt
  | { type: "closed"; code: number; reason: string }
  /** The server has the old session id already: from here on the link goes by this one. */
  | { type: "session"; sessionId: string }
  /** Nothing is opened any more until it is unblocked. */
  | { type: "blocked"; reason: string }
  | { type: "unblocked" }
  /** An answer did not fit: a short error took its place, or not even that did fit. */
  | { type: "backpressure"; requestId: string; action: "replaced" | "dropped"; overflow: Overflow }
  | { type: "log" } & LogLine;

export interface ConnectionOptions {
  /** The server's name, for messages. */
  name: string;
  url: string;
  hello: Hello;
  expectedVersion: string | null;
  versionMatches: VersionMatches;
  newSessionId(): string;
  /** Whether so many commands wait already that none may be read. */
  backlogFull(): boolean;
  onCommand(command: Command): void;
  onEvent(event: LinkEvent): void;
  /** Something happened that a tick should look at. */
  wake(): void;
}

/** What may be another one when a blocked connection goes on. */
export interface ConnectionChanges extends Partial<Pick<ConnectionOptions, "url" | "expectedVersion">> {
  hello?: Partial<Pick<Hello, "clientVersion" | "launchMode">>;
}

type Phase =
  | { kind: "waiting" }
  | { kind: "opening"; socket: Socket; deadlineMs: number }
  | OpenPhase
  | { kind: "blocked"; reason: string }
  | { kind: "closed" };

/** What is known of the server at the other end: all of it ends with the connection. */
interface OpenPhase extends Acknowledgement {
  kind: "open";
  socket: Socket;
  verdict: VersionVerdict | null;
  /** Packets that had to wait for a later tick, added up over the ticks. */
  spilled: number;
}

export class Connection {
  readonly #host: Pick<Host, "clock" | "net">;
  #options: ConnectionOptions;
  readonly #backoff = new Backoff();
  /** The latest state events; `sent` is what the open connection's server has, as JSON. */
  readonly #states = new Map<string, { data: JsonObject; json: string; sent: string | null }>();
  #phase: Phase = { kind: "waiting" };
  /** Why the last connection ended or could not be made; empty where nothing is known. */
  #lastWhy = "";
  #sessionId: string;
  #readiness: string;
  #pauseDepth = 0;
  #closing: Promise<void> = Promise.resolve();

  constructor(host: Pick<Host, "clock" | "net">, options: ConnectionOptions) {
    this.#host = host;
    this.#options = options;
    this.#sessionId = options.hello.sessionId;
    this.#readiness = options.hello.readiness;
  }

  get connected(): boolean {
    return this.#phase.kind === "open";
  }

  /** Whether commands are run: the open connection's version was found good, and there is no pause. */
  get running(): boolean {
    return this.#phase.kind === "open" && this.#phase.verdict?.kind === "ready" && !this.paused;
  }

  /** Why nothing is opened; null where it is not blocked. */
  get blocked(): string | null {
    return this.#phase.kind === "blocked" ? this.#phase.reason : null;
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /** What handshakes and answers say. */
  get readiness(): string {
    return this.#readiness;
  }

  /** As acknowledged on the open connection; empty otherwise. */
  get serverVersion(): string {
    return this.#phase.kind === "open" ? this.#phase.serverVersion : "";
  }

  /** Packets of this connection that had to wait for a later tick, added up over the ticks. */
  get spilled(): number {
    return this.#phase.kind === "open" ? this.#phase.spilled : 0;
  }

  get bufferedBytes(): number {
    return this.#phase.kind === "open" ? this.#phase.socket.bufferedBytes : 0;
  }

  /** Resolves when the last socket that was left is closed. */
  get closing(): Promise<void> {
    return this.#closing;
  }

  get paused(): boolean {
    return this.#pauseDepth > 0;
  }

  /** Setting it moves the depth by one, so that two holders do not undo each other. */
  set paused(on: boolean) {
    this.#pauseDepth = Math.max(this.#pauseDepth + (on ? 1 : -1), 0);
    if (!this.paused) this.#options.wake();
  }

  /** Whether packets lie here that the next tick reads. */
  get hasPackets(): boolean {
    const phase = this.#phase;
    return phase.kind === "open" && !this.paused && phase.socket.unread > 0 && !this.#options.backlogFull();
  }

  /** Whether a state waits to be sent for which there was no room. */
  get hasUnsent(): boolean {
    return this.connected && !this.paused &&
      [...this.#states.values()].some(({ json, sent }) => json !== sent);
  }

  /** Monotonic milliseconds of the next tick that is needed if nothing happens before; null for none. */
  nextTickMs(): number | null {
    if (this.paused) return null;
    const phase = this.#phase;
    switch (phase.kind) {
      case "waiting":
        return this.#backoff.notBeforeMs;
      case "opening":
        return phase.deadlineMs;
      case "open":
        return phase.verdict === null ? phase.deadlineMs : null;
      case "blocked":
      case "closed":
        return null;
    }
  }

  /** Looks at what happened since the last tick and acts on it. */
  tick(): void {
    if (this.paused) return;
    const nowMs = this.#host.clock.monotonic();
    if (this.#phase.kind === "waiting" && nowMs >= this.#backoff.notBeforeMs) this.#attempt(nowMs);
    else if (this.#phase.kind === "opening") this.#awaitOpen(this.#phase, nowMs);
    if (this.#phase.kind === "open") this.#serve(this.#phase, nowMs);
  }

  /**
   * Sends, or for an answer over the limit sends a short error in its place. False where nothing was sent: not
   * connected, paused, or no room.
   */
  send(message: Outgoing): boolean {
    if (this.#phase.kind !== "open" || this.paused) return false;
    const result = this.#phase.socket.send(message, this.#readiness);
    switch (result.kind) {
      case "sent":
        return true;
      case "refused":
        return false;
      case "dropped":
        this.#log(
          "error",
          `dropped an answer of ${result.overflow.messageBytes} bytes: no room even for an error`,
        );
    }
    const { kind: action, overflow } = result;
    this.#tell({ type: "backpressure", requestId: message.requestId ?? "", action, overflow });
    return action === "replaced";
  }

  /**
   * Notes a present state, which is sent now or as soon as that is possible, and again on every new connection. With
   * `again` it is sent even where the server has it already.
   */
  setState(event: string, data: JsonObject, { again }: { again: boolean }): void {
    if (event === READINESS_EVENT && typeof data.readiness === "string") this.#readiness = data.readiness;
    const sent = again ? null : this.#states.get(event)?.sent ?? null;
    this.#states.set(event, { data, json: JSON.stringify(data), sent });
    this.#sendStates();
    this.#options.wake();
  }

  setReadiness(readiness: string): void {
    this.setState(READINESS_EVENT, { readiness }, { again: false });
  }

  /** Opens nothing until it is unblocked; says why once. */
  block(reason: string): void {
    if (this.#phase.kind === "blocked" || this.#phase.kind === "closed") return;
    this.#log("error", reason);
    this.#leave();
    this.#phase = { kind: "blocked", reason };
    this.#tell({ type: "blocked", reason });
  }

  /** Connects again, from now on with `changes`; without effect where it is not blocked. */
  unblock({ hello, ...changes }: ConnectionChanges): void {
    if (this.#phase.kind !== "blocked") return;
    this.#options = { ...this.#options, ...changes, hello: { ...this.#options.hello, ...hello } };
    this.#phase = { kind: "waiting" };
    this.#lastWhy = "";
    this.#backoff.restart();
    this.#log("info", "connects again");
    this.#tell({ type: "unblocked" });
    this.#options.wake();
  }

  /** Leaves for good. */
  close(): void {
    this.#leave();
    this.#phase = { kind: "closed" };
  }

  #leave(): void {
    const phase = this.#phase;
    if (phase.kind !== "opening" && phase.kind !== "open") return;
    this.#phase = { kind: "waiting" };
    this.#closing = phase.socket.leave(GOODBYE);
    if (phase.kind === "open") this.#tell({ type: "closed", ...GOODBYE });
  }

  #attempt(nowMs: number): void {
    const attempt = this.#backoff.begin(nowMs);
    if (attempt !== null) {
      const because = this.#lastWhy === "" ? "" : ` (${this.#lastWhy})`;
      if (isLogged(attempt)) {
        this.#log("info", `attempt ${attempt.attempt}; next retry in ${attempt.nextRetryS}s${because}`);
      }
      this.#tell({ type: "reconnecting", ...attempt });
    }
    try {
      const socket = new Socket(this.#host.net.webSocket(this.#options.url), this.#options.wake);
      this.#phase = { kind: "opening", socket, deadlineMs: nowMs + CONNECT_TIMEOUT_MS };
    } catch (cause) {
      this.#lastWhy = cause instanceof Error ? cause.message : String(cause);
    }
  }

  #awaitOpen({ socket, deadlineMs }: Extract<Phase, { kind: "opening" }>, nowMs: number): void {
    if (socket.opened) return this.#open(socket, nowMs);
    if (socket.end !== null) {
      this.#phase = { kind: "waiting" };
      this.#lastWhy = socket.end.why;
    } else if (nowMs >= deadlineMs) {
      this.#leave();
      this.#lastWhy = `no WebSocket handshake within ${CONNECT_TIMEOUT_MS} ms`;
    }
  }

  #open(socket: Socket, nowMs: number): void {
    this.#phase = {
      kind: "open",
      socket,
      serverVersion: "",
      deadlineMs: nowMs + ACK_TIMEOUT_MS,
      verdict: null,
      spilled: 0,
    };
    this.#backoff.opened();
    this.#lastWhy = "";
    const [sessionId, readiness] = [this.#sessionId, this.#readiness];
    this.send({ text: encodeHandshake({ ...this.#options.hello, sessionId, readiness }), requestId: null });
    for (const state of this.#states.values()) state.sent = null;
    // The handshake's readiness counts as sent.
    const sent = JSON.stringify({ readiness });
    this.#states.set(READINESS_EVENT, {
      ...this.#states.get(READINESS_EVENT) ?? { data: { readiness }, json: sent },
      sent,
    });
    this.#tell({ type: "open", sessionId });
  }

  #serve(phase: OpenPhase, nowMs: number): void {
    const { socket } = phase;
    this.#drain(phase);
    if (!socket.left && phase.verdict === null) this.#judge(phase, nowMs);
    if (socket.left) return;
    if (socket.end === null) this.#sendStates();
    else this.#dropped(phase, socket.end);
  }

  #drain(phase: OpenPhase): void {
    const { socket } = phase;
    let drained = 0;
    while (drained < DRAIN_LIMIT && !this.#options.backlogFull()) {
      const packet = socket.take();
      if (packet === undefined) break;
      drained += 1;
      this.#receive(phase, packet);
      if (socket.left) return;
    }
    const spill = drained === DRAIN_LIMIT ? socket.unread : 0;
    phase.spilled += spill;
    if (spill === 0) return;
    const sizes = `${DRAIN_LIMIT} are read in one; ${phase.spilled} waited so far`;
    this.#log("warn", `${spill} packets wait for a later tick (${sizes})`);
  }

  #receive(phase: OpenPhase, packet: Packet): void {
    const message = decodeInbound(packet);
    switch (message.kind) {
      case "ignored":
        return;
      case "unreadable":
        return this.#log("warn", `ignored ${message.why}`);
      case "command":
        return this.#options.onCommand(message.command);
      case "ack":
        if (message.note !== null) this.#log("warn", `the server ${message.note}`);
        if (phase.serverVersion !== "") return this.#log("warn", "ignored a second acknowledgement");
        phase.serverVersion = message.serverVersion;
        if (message.serverVersion !== "") this.#backoff.restart();
        this.#tell({ type: "ack", serverVersion: message.serverVersion });
    }
  }

  #judge(phase: OpenPhase, nowMs: number): void {
    const { name, expectedVersion: expected, versionMatches: matches } = this.#options;
    phase.verdict = judgeVersion(phase, { expected, matches, nowMs });
    if (phase.verdict === null) return;
    this.#tell({ type: "verdict", verdict: phase.verdict });
    const reason = blockReason(name, phase.verdict);
    if (reason !== null) this.block(reason);
  }

  #sendStates(): void {
    for (const [event, state] of this.#states) {
      if (state.json === state.sent) continue;
      if (!this.send({ text: encodeEvent(event, state.data), requestId: null })) return;
      state.sent = state.json;
    }
  }

  #dropped(phase: OpenPhase, { code, reason, why }: SocketEnd): void {
    this.#phase = { kind: "waiting" };
    this.#lastWhy = why === "" ? `${code} ${reason}`.trim() : why;
    if (phase.serverVersion === "") this.#backoff.droppedUnacknowledged();
    const { unread } = phase.socket;
    if (unread > 0) this.#log("warn", `${unread} packets were lost with the connection`);
    this.#tell({ type: "closed", code, reason });
    if (code !== DUPLICATE_SESSION) return;
    const taken = this.#sessionId;
    this.#sessionId = this.#options.newSessionId();
    this.#log("warn", `session id ${taken} is taken; going on as ${this.#sessionId}`);
    this.#tell({ type: "session", sessionId: this.#sessionId });
  }

  #tell(event: LinkEvent): void {
    this.#options.onEvent(event);
  }

  #log(level: LogLevel, message: string): void {
    this.#tell({ type: "log", level, message: `server "${this.#options.name}": ${message}` });
  }
}
