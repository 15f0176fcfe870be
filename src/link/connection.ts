/**
 * The client's side of the session, driven from outside: nothing happens but in {@link Connection.tick}, save for what
 * its owner asks for. A tick is one turn of the event loop.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import { Channel, type Ended } from "./channel.ts";
import type { LinkEvent } from "./events.ts";
import type { LogLevel } from "./log_ring.ts";
import { type Outgoing, planOutbound } from "./outbound.ts";
import { afterAttempt, afterOpen, AT_ONCE, logsAttempt, reconnectDelayS, type Schedule } from "./schedule.ts";
import { StateEvents } from "./state_events.ts";
import { blockReason, VersionCheck, type VersionMatches, type VersionVerdict } from "./version_check.ts";
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
export const DRAIN_LIMIT = 32;

/** How long a socket may take to open, half-open ones included. Milliseconds. */
export const CONNECT_TIMEOUT_MS = 5_000;

/** How often to look whether the socket has room again, as it does not tell. Milliseconds. */
export const ROOM_POLL_MS = 5;

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

export class Connection {
  readonly #host: Pick<Host, "clock" | "net">;
  readonly #options: ConnectionOptions;
  readonly #check: VersionCheck;
  readonly #states = new StateEvents();
  #channel: Channel | null = null;
  #connected = false;
  #verified = false;
  #number = 0;
  #schedule: Schedule | null = null;
  #connectDeadlineMs = 0;
  #lastWhy = "";
  #barren = 0;
  #sessionId: string;
  #serverVersion = "";
  #readiness: string;
  #pauseDepth = 0;
  #spilled = 0;
  #spilling = false;
  #blocked = false;
  #ended = false;
  #closing: Promise<void> = Promise.resolve();

  constructor(host: Pick<Host, "clock" | "net">, options: ConnectionOptions) {
    this.#host = host;
    this.#options = options;
    this.#check = new VersionCheck(options.versionMatches);
    this.#sessionId = options.hello.sessionId;
    this.#readiness = options.hello.readiness;
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Whether the open connection's version was found good: only then are its commands run. */
  get verified(): boolean {
    return this.#verified;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /** As acknowledged on the open connection; empty otherwise. */
  get serverVersion(): string {
    return this.#serverVersion;
  }

  get readiness(): string {
    return this.#readiness;
  }

  /** What handshakes and answers say from here on. */
  set readiness(readiness: string) {
    this.#readiness = readiness;
  }

  /** Packets of this connection that had to wait for a later tick, added up over the ticks. */
  get spilled(): number {
    return this.#spilled;
  }

  /** Packets that came in and were not read yet. */
  get unread(): number {
    return this.#channel?.waiting ?? 0;
  }

  get bufferedBytes(): number {
    return this.#connected ? this.#channel?.bufferedBytes ?? 0 : 0;
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

  /** Whether the next turn has something to do already. */
  get busy(): boolean {
    return this.#connected && !this.paused && this.unread > 0 && !this.#options.backlogFull();
  }

  /** Monotonic milliseconds of the next tick that is needed if nothing happens before; null for none. */
  get nextWakeMs(): number | null {
    if (this.paused || this.#blocked || this.#ended) return null;
    if (this.#channel === null) return this.#schedule?.notBeforeMs ?? Number.NEGATIVE_INFINITY;
    if (!this.#connected) return this.#connectDeadlineMs;
    const roomMs = this.#states.untold().length > 0 ? this.#host.clock.monotonic() + ROOM_POLL_MS : null;
    return roomMs ?? this.#check.deadlineMs;
  }

  /** Looks at what happened since the last tick and acts on it. */
  tick(): void {
    if (this.paused || this.#blocked || this.#ended) return;
    const nowMs = this.#host.clock.monotonic();
    if (this.#channel === null) {
      if (this.#schedule === null || nowMs >= this.#schedule.notBeforeMs) this.#attempt(nowMs);
      return;
    }
    const channel = this.#channel;
    if (!this.#connected) this.#awaitOpen(channel, nowMs);
    if (this.#connected) this.#serve(channel, nowMs);
  }

  /**
   * Sends, or for an answer over the limit sends a short error in its place. False where nothing was sent: not
   * connected, paused, or no room.
   */
  send(message: Outgoing): boolean {
    const channel = this.#channel;
    if (channel === null || !this.#connected || this.paused) return false;
    const socket = { bufferedBytes: channel.bufferedBytes, readiness: this.#readiness };
    const plan = planOutbound(message, socket);
    const requestId = message.requestId ?? "";
    switch (plan.kind) {
      case "send":
        return channel.send(message.text);
      case "refuse":
        return false;
      case "replace":
        this.#tell({ type: "backpressure", requestId, action: "replaced", overflow: plan.overflow });
        return channel.send(plan.text);
      case "drop":
        this.#log(
          "error",
          `dropped an answer of ${plan.overflow.messageBytes} bytes: no room even for an error`,
        );
        this.#tell({ type: "backpressure", requestId, action: "dropped", overflow: plan.overflow });
        return false;
    }
  }

  /** Notes a present state, which is sent now or as soon as that is possible, and again on every new connection. */
  state(event: string, data: JsonObject, options: { again: boolean }): void {
    this.#states.want(event, data, options);
    this.#sendStates();
    this.#options.wake();
  }

  /** Opens nothing any more; says why once. */
  block(reason: string): void {
    if (this.#blocked || this.#ended) return;
    this.#blocked = true;
    this.#log("error", reason);
    this.disconnect();
    this.#tell({ type: "blocked", reason });
  }

  /** Leaves the open connection, or the one being opened; nothing where there is neither. */
  disconnect(): void {
    const channel = this.#channel;
    if (channel === null) return;
    this.#channel = null;
    this.#closing = channel.leave(GOODBYE);
    if (this.#connected) this.#reset(GOODBYE.code, GOODBYE.reason);
  }

  /** Leaves for good. */
  close(): void {
    this.disconnect();
    this.#ended = true;
  }

  #attempt(nowMs: number): void {
    if (this.#schedule === null) this.#schedule = AT_ONCE;
    else {
      this.#schedule = afterAttempt(this.#schedule, nowMs);
      const attempt = this.#schedule.attempts;
      const nextRetryS = reconnectDelayS(attempt);
      const why = this.#lastWhy === "" ? "" : ` (${this.#lastWhy})`;
      if (logsAttempt(attempt)) this.#log("info", `attempt ${attempt}; next retry in ${nextRetryS}s${why}`);
      this.#tell({ type: "reconnecting", attempt, nextRetryS });
    }
    this.#connectDeadlineMs = nowMs + CONNECT_TIMEOUT_MS;
    try {
      this.#channel = new Channel(this.#host.net.webSocket(this.#options.url), this.#options.wake);
    } catch (cause) {
      this.#lastWhy = cause instanceof Error ? cause.message : String(cause);
    }
  }

  #awaitOpen(channel: Channel, nowMs: number): void {
    if (channel.opened) return this.#open(channel);
    if (channel.ended !== null) {
      this.#channel = null;
      this.#lastWhy = channel.ended.why;
    } else if (nowMs >= this.#connectDeadlineMs) {
      this.disconnect();
      this.#lastWhy = `no WebSocket handshake within ${CONNECT_TIMEOUT_MS} ms`;
    }
  }

  #open(channel: Channel): void {
    this.#connected = true;
    this.#number += 1;
    this.#schedule = afterOpen(this.#schedule ?? AT_ONCE, this.#barren);
    this.#lastWhy = "";
    channel.send(
      encodeHandshake({ ...this.#options.hello, sessionId: this.#sessionId, readiness: this.#readiness }),
    );
    this.#states.begin(this.#readiness);
    this.#check.arm(this.#options.expectedVersion);
    this.#tell({ type: "open", sessionId: this.#sessionId });
  }

  #serve(channel: Channel, nowMs: number): void {
    this.#drain(channel);
    if (this.#channel !== channel) return;
    const verdict = this.#check.tick({ connection: this.#number, serverVersion: this.#serverVersion, nowMs });
    if (verdict !== null) this.#announce(verdict);
    if (this.#channel !== channel) return;
    if (channel.ended === null) this.#sendStates();
    else this.#dropped(channel, channel.ended);
  }

  #drain(channel: Channel): void {
    let drained = 0;
    while (drained < DRAIN_LIMIT && !this.#options.backlogFull()) {
      const packet = channel.take();
      if (packet === undefined) break;
      drained += 1;
      this.#receive(packet);
      if (this.#channel !== channel) return;
    }
    const spill = drained === DRAIN_LIMIT ? channel.waiting : 0;
    this.#spilled += spill;
    if (spill > 0 && !this.#spilling) this.#log("warn", `${spill} packets wait for a later tick`);
    this.#spilling = spill > 0;
  }

  #receive(packet: Packet): void {
    const message = decodeInbound(packet);
    switch (message.kind) {
      case "ignored":
        return;
      case "unreadable":
        return this.#log("warn", `ignored ${message.why}`);
      case "command":
        return this.#options.onCommand(message.command);
      case "ack":
        return this.#acknowledged(message.serverVersion, message.note);
    }
  }

  #acknowledged(version: string, note: string | null): void {
    if (note !== null) this.#log("warn", `the server ${note}`);
    if (this.#serverVersion !== "") return this.#log("warn", "ignored a second acknowledgement");
    this.#serverVersion = version;
    if (version !== "") {
      this.#barren = 0;
      this.#schedule = AT_ONCE;
    }
    this.#tell({ type: "ack", serverVersion: version });
  }

  #announce(verdict: VersionVerdict): void {
    this.#verified = verdict.kind === "ready";
    this.#tell({ type: "verdict", verdict });
    const reason = blockReason(this.#options.name, verdict);
    if (reason !== null) this.block(reason);
  }

  #sendStates(): void {
    for (const { event, data } of this.#states.untold()) {
      if (!this.send({ text: encodeEvent(event, data), requestId: null })) return;
      this.#states.markTold(event);
    }
  }

  #dropped(channel: Channel, ended: Ended): void {
    this.#channel = null;
    this.#lastWhy = ended.why === "" ? `${ended.code} ${ended.reason}`.trim() : ended.why;
    if (this.#serverVersion === "") this.#barren += 1;
    if (channel.waiting > 0) this.#log("warn", `${channel.waiting} packets were lost with the connection`);
    this.#reset(ended.code, ended.reason);
    if (ended.code !== DUPLICATE_SESSION) return;
    const taken = this.#sessionId;
    this.#sessionId = this.#options.newSessionId();
    this.#log("warn", `session id ${taken} is taken; going on as ${this.#sessionId}`);
    this.#tell({ type: "session", sessionId: this.#sessionId });
  }

  /** What belongs to one connection ends with it; the pause depth belongs to its holders. */
  #reset(code: number, reason: string): void {
    this.#connected = false;
    this.#verified = false;
    this.#serverVersion = "";
    this.#spilled = 0;
    this.#spilling = false;
    this.#check.disarm();
    this.#tell({ type: "closed", code, reason });
  }

  #tell(event: LinkEvent): void {
    this.#options.onEvent(event);
  }

  #log(level: LogLevel, message: string): void {
    this.#tell({ type: "log", level, message: `server "${this.#options.name}": ${message}` });
  }
}
