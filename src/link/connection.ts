/**
 * The client's side of the session, driven from outside: nothing happens but in {@link Connection.tick}, save for what
 * its owner asks for. A tick is one turn of the event loop.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import { Attempts, CONNECT_TIMEOUT_MS } from "./attempts.ts";
import { Channel, type Ended } from "./channel.ts";
import { Conversation } from "./conversation.ts";
import type { LinkEvent } from "./events.ts";
import type { LogLevel } from "./log_ring.ts";
import type { Outgoing } from "./outbound.ts";
import { logsAttempt } from "./schedule.ts";
import { StateEvents } from "./state_events.ts";
import { blockReason, VersionCheck, type VersionMatches } from "./version_check.ts";
import {
  type Command,
  DUPLICATE_SESSION,
  encodeEvent,
  encodeHandshake,
  GOODBYE,
  type Hello,
  type JsonObject,
} from "./wire.ts";

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
  readonly #attempts = new Attempts();
  /** Open, or being opened. */
  #channel: Channel | null = null;
  /** Over the open channel. */
  #conversation: Conversation | null = null;
  #number = 0;
  #sessionId: string;
  #readiness: string;
  #pauseDepth = 0;
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
    return this.#conversation !== null;
  }

  /** Whether the open connection's version was found good: only then are its commands run. */
  get verified(): boolean {
    return this.#conversation?.verified ?? false;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /** As acknowledged on the open connection; empty otherwise. */
  get serverVersion(): string {
    return this.#conversation?.serverVersion ?? "";
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
    return this.#conversation?.spilled ?? 0;
  }

  /** Packets that came in and were not read yet. */
  get unread(): number {
    return this.#channel?.waiting ?? 0;
  }

  get bufferedBytes(): number {
    return this.#conversation?.channel.bufferedBytes ?? 0;
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
    return this.connected && !this.paused && this.unread > 0 && !this.#options.backlogFull();
  }

  /** Monotonic milliseconds of the next tick that is needed if nothing happens before; null for none. */
  get nextWakeMs(): number | null {
    if (this.paused || this.#blocked || this.#ended) return null;
    if (this.#channel === null) return this.#attempts.notBeforeMs;
    if (!this.connected) return this.#attempts.deadlineMs;
    const roomMs = this.#states.untold().length > 0 ? this.#host.clock.monotonic() + ROOM_POLL_MS : null;
    return roomMs ?? this.#check.deadlineMs;
  }

  /** Looks at what happened since the last tick and acts on it. */
  tick(): void {
    if (this.paused || this.#blocked || this.#ended) return;
    const nowMs = this.#host.clock.monotonic();
    const channel = this.#channel;
    if (channel === null) {
      if (nowMs >= this.#attempts.notBeforeMs) this.#attempt(nowMs);
      return;
    }
    if (this.#conversation === null) this.#awaitOpen(channel, nowMs);
    if (this.#conversation !== null) this.#serve(this.#conversation, nowMs);
  }

  /**
   * Sends, or for an answer over the limit sends a short error in its place. False where nothing was sent: not
   * connected, paused, or no room.
   */
  send(message: Outgoing): boolean {
    if (this.#conversation === null || this.paused) return false;
    return this.#conversation.send(message, this.#readiness);
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
    if (this.connected) this.#reset(GOODBYE.code, GOODBYE.reason);
  }

  /** Leaves for good. */
  close(): void {
    this.disconnect();
    this.#ended = true;
  }

  #attempt(nowMs: number): void {
    const begun = this.#attempts.begin(nowMs);
    if (begun !== null) {
      const { attempt, nextRetryS, why } = begun;
      const because = why === "" ? "" : ` (${why})`;
      if (logsAttempt(attempt)) {
        this.#log("info", `attempt ${attempt}; next retry in ${nextRetryS}s${because}`);
      }
      this.#tell({ type: "reconnecting", attempt, nextRetryS });
    }
    try {
      this.#channel = new Channel(this.#host.net.webSocket(this.#options.url), this.#options.wake);
    } catch (cause) {
      this.#attempts.failed(cause instanceof Error ? cause.message : String(cause));
    }
  }

  #awaitOpen(channel: Channel, nowMs: number): void {
    if (channel.opened) return this.#open(channel);
    if (channel.ended !== null) {
      this.#channel = null;
      this.#attempts.failed(channel.ended.why);
    } else if (nowMs >= this.#attempts.deadlineMs) {
      this.disconnect();
      this.#attempts.failed(`no WebSocket handshake within ${CONNECT_TIMEOUT_MS} ms`);
    }
  }

  #open(channel: Channel): void {
    const { name, hello, expectedVersion, backlogFull, onCommand } = this.#options;
    this.#number += 1;
    this.#conversation = new Conversation({
      channel,
      check: this.#check,
      number: this.#number,
      backlogFull,
      onCommand,
      onAcknowledged: () => this.#attempts.acknowledged(),
      onVerdict: (verdict) => {
        const reason = blockReason(name, verdict);
        if (reason !== null) this.block(reason);
      },
      tell: (event) => this.#tell(event),
      log: (level, message) => this.#log(level, message),
    });
    this.#attempts.opened();
    channel.send(encodeHandshake({ ...hello, sessionId: this.#sessionId, readiness: this.#readiness }));
    this.#states.begin(this.#readiness);
    this.#check.arm(expectedVersion);
    this.#tell({ type: "open", sessionId: this.#sessionId });
  }

  #serve(conversation: Conversation, nowMs: number): void {
    const { channel } = conversation;
    conversation.tick(nowMs);
    if (channel.left) return;
    if (channel.ended === null) this.#sendStates();
    else this.#dropped(channel, channel.ended);
  }

  #sendStates(): void {
    for (const { event, data } of this.#states.untold()) {
      if (!this.send({ text: encodeEvent(event, data), requestId: null })) return;
      this.#states.markTold(event);
    }
  }

  #dropped(channel: Channel, ended: Ended): void {
    this.#channel = null;
    const why = ended.why === "" ? `${ended.code} ${ended.reason}`.trim() : ended.why;
    this.#attempts.dropped({ acknowledged: this.serverVersion !== "", why });
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
    this.#conversation = null;
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
