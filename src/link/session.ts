import type { Host, Processes } from "../host/host.ts";
import { Alarm } from "./alarm.ts";
import { Connection, ROOM_POLL_MS } from "./connection.ts";
import { Dispatcher, type Handler } from "./dispatcher.ts";
import type { LinkEvent } from "./events.ts";
import { type LogLevel, type LogLine, LogRing } from "./log_ring.ts";
import { RoomWaiters } from "./room_waiters.ts";
import { newSessionId } from "./session_id.ts";
import { isStateEvent, READINESS_EVENT } from "./state_events.ts";
import { Turns } from "./turns.ts";
import type { VersionMatches, VersionVerdict } from "./version_check.ts";
import {
  encodeEvent,
  encodeResponse,
  type JsonObject,
  MESSAGE_LIMIT_BYTES,
  type Reply,
  utf8Bytes,
} from "./wire.ts";

/** Commands are run only while less than this waits in the socket. Bytes. */
const ROOM_BYTES = MESSAGE_LIMIT_BYTES / 2;

/** How many characters of commands may wait to be run before no more are read. */
const BACKLOG_LIMIT = 4 * MESSAGE_LIMIT_BYTES;

/** How long the server gets to answer a goodbye. Milliseconds. */
const GOODBYE_MS = 1_000;

/** What a link needs of the machine. */
export interface LinkHost extends Pick<Host, "clock" | "net" | "random"> {
  readonly processes: Pick<Processes, "selfPid">;
}

export interface LinkOptions {
  /** The server's name, for messages. */
  name: string;
  /** The server's WebSocket port on this machine. */
  port: number;
  /** Loopback address; `127.0.0.1` where it is left out. */
  hostname?: string;
  /** The folder of the project that the session belongs to. */
  projectPath: string;
  /** Made from the project's folder where it is left out. */
  sessionId?: string;
  clientVersion: string;
  runtimeVersion: string;
  launchMode: string;
  /** Pid of the program that owns the session; this process's own where it is left out. */
  ownerPid?: number;
  /** `ready` where it is left out; also `no_scene`, `importing`, `playing`. */
  readiness?: string;
  /** The version asked for; null or left out accepts every one. */
  expectedVersion?: string | null;
  /** Whether a version is the one asked for; equality where it is left out. */
  versionMatches?: VersionMatches;
  /** What answers the server's commands, by name. */
  handlers?: Readonly<Record<string, Handler>>;
  /** What answers the others; without it they are answered as unknown. */
  fallback?: Handler;
  /** Milliseconds that a later answer may take, by command name. */
  timeoutsMs?: Readonly<Record<string, number>>;
  /** Why nothing may be opened at all: known to be the wrong server already. */
  blockedReason?: string | null;
  onEvent?(event: LinkEvent): void;
}

export type LinkEnd = { kind: "closed" } | {
  kind: "blocked";
  reason: string;
  verdict: VersionVerdict | null;
};

/** Opens a session and keeps it, reconnecting for ever, until it is closed or the server proves to be a wrong one. */
export function openLink(host: LinkHost, options: LinkOptions): Link {
  return new Link(host, options);
}

export class Link {
  readonly #host: LinkHost;
  readonly #options: LinkOptions;
  readonly #connection: Connection;
  readonly #dispatcher: Dispatcher;
  readonly #turns = new Turns(() => this.#tick());
  readonly #alarm: Alarm;
  readonly #log = new LogRing();
  readonly #ended = Promise.withResolvers<LinkEnd>();
  readonly #judged = Promise.withResolvers<VersionVerdict | null>();
  readonly #roomWaiters = new RoomWaiters();
  #lastVerdict: VersionVerdict | null = null;
  #over = false;

  constructor(host: LinkHost, options: LinkOptions) {
    this.#host = host;
    this.#options = options;
    this.#alarm = new Alarm(host.clock, () => this.#turns.request());
    this.#dispatcher = new Dispatcher(host.clock, {
      handlers: new Map(Object.entries(options.handlers ?? {})),
      fallback: options.fallback ?? null,
      timeoutsMs: new Map(Object.entries(options.timeoutsMs ?? {})),
      reply: (requestId, reply) => this.#reply(requestId, reply),
      room: () => this.#connection.bufferedBytes <= ROOM_BYTES,
      log: (level, message) => this.#note(level, `server "${options.name}": ${message}`),
      wake: () => this.#turns.request(),
    });
    const newId = () => newSessionId(options.projectPath, host.random);
    this.#connection = new Connection(host, {
      name: options.name,
      url: linkUrl(options.hostname ?? "127.0.0.1", options.port),
      hello: {
        sessionId: options.sessionId ?? newId(),
        projectPath: options.projectPath,
        clientVersion: options.clientVersion,
        runtimeVersion: options.runtimeVersion,
        launchMode: options.launchMode,
        editorPid: options.ownerPid ?? host.processes.selfPid,
        readiness: options.readiness ?? "ready",
      },
      expectedVersion: options.expectedVersion ?? null,
      versionMatches: options.versionMatches ?? ((expected, actual) => expected === actual),
      newSessionId: newId,
      backlogFull: () => this.#dispatcher.backlog > BACKLOG_LIMIT,
      onCommand: (command) => this.#dispatcher.enqueue(command),
      onEvent: (event) => this.#happened(event),
      wake: () => this.#turns.request(),
    });
    this.#turns.request();
  }

  /** Resolves with the first connection's verdict, or with null where the link ends before there is one. */
  get firstVerdict(): Promise<VersionVerdict | null> {
    return this.#judged.promise;
  }

  /** Resolves when the link is over for good. */
  get ended(): Promise<LinkEnd> {
    return this.#ended.promise;
  }

  get connected(): boolean {
    return this.#connection.connected;
  }

  /** Another one than asked for where the server had that already. */
  get sessionId(): string {
    return this.#connection.sessionId;
  }

  /** As the open connection's server acknowledged; empty before that and while there is none. */
  get serverVersion(): string {
    return this.#connection.serverVersion;
  }

  /** The newest 500 log lines. */
  get log(): Pick<LogRing, "lines" | "size" | "total"> {
    return this.#log;
  }

  /** Packets of this connection that had to wait for a later turn. */
  get spilled(): number {
    return this.#connection.spilled;
  }

  /** What waits in the socket, in bytes. */
  get bufferedBytes(): number {
    return this.#connection.bufferedBytes;
  }

  /** Ids of the requests that wait for {@link respond}. */
  get pending(): string[] {
    return this.#dispatcher.pending;
  }

  get paused(): boolean {
    return this.#connection.paused;
  }

  /** One more reason to be silent: nothing is read, sent or reconnected until each has been taken back. */
  pause(): void {
    this.#connection.paused = true;
  }

  resume(): void {
    this.#connection.paused = false;
  }

  /** Tells the server, where it does not know it already; kept and repeated for as long as it takes. */
  setReadiness(readiness: string): void {
    this.#connection.readiness = readiness;
    this.#connection.state(READINESS_EVENT, { readiness }, { again: false });
  }

  /**
   * Sends an event. Those that tell a state (scene, play state, readiness) are kept until they could be sent and are
   * repeated on every new connection; of the others, false means that it was not sent.
   */
  sendEvent(event: string, data: JsonObject): boolean {
    const text = encodeEvent(event, data);
    const bytes = utf8Bytes(text);
    if (bytes > MESSAGE_LIMIT_BYTES) {
      this.#note("warn", `event "${event}" of ${bytes} bytes is over the limit of ${MESSAGE_LIMIT_BYTES}`);
      return false;
    }
    if (!isStateEvent(event)) return this.#connection.send({ text, requestId: null });
    if (event === READINESS_EVENT && typeof data.readiness === "string") {
      this.#connection.readiness = data.readiness;
    }
    this.#connection.state(event, data, { again: true });
    return true;
  }

  /**
   * Answers a command whose handler returned `DEFERRED`. False where nobody waits for it any more, and where it could
   * not be sent: then it may be tried again.
   */
  respond(requestId: string, reply: Reply): boolean {
    return this.#dispatcher.respond(requestId, reply);
  }

  /** Resolves when no more than `maxBytes` wait in the socket, or the link is over. */
  room(maxBytes: number): Promise<void> {
    if (this.#over || this.bufferedBytes <= maxBytes) return Promise.resolve();
    this.#turns.request();
    return this.#roomWaiters.wait(maxBytes);
  }

  /** Says goodbye and ends the link; resolves when the socket is closed, after a second at the latest. */
  async close(): Promise<void> {
    this.#connection.close();
    await this.#end({ kind: "closed" });
  }

  #reply(requestId: string, reply: Reply): boolean {
    return this.#connection.send({
      text: encodeResponse(requestId, reply, this.#connection.readiness),
      requestId,
    });
  }

  #tick(): void {
    if (this.#over) return;
    if (typeof this.#options.blockedReason === "string") this.#connection.block(this.#options.blockedReason);
    this.#connection.tick();
    if (this.#connection.verified && !this.paused) this.#dispatcher.tick();
    this.#roomWaiters.look(this.bufferedBytes);
    this.#plan();
  }

  /** Asks for the next tick: at once where work is left, else when something is due. */
  #plan(): void {
    if (this.#over) return;
    const running = this.#connection.verified && !this.paused;
    const room = this.bufferedBytes <= ROOM_BYTES;
    if (this.#connection.busy || (running && room && this.#dispatcher.queued > 0)) {
      return this.#turns.request();
    }
    const nowMs = this.#host.clock.monotonic();
    const polls = this.#roomWaiters.size > 0 ||
      (running && (this.#dispatcher.queued > 0 || this.#dispatcher.hasUnsent));
    const wakes = [
      this.#connection.nextWakeMs,
      running ? this.#dispatcher.nextDeadlineMs : null,
      polls ? nowMs + ROOM_POLL_MS : null,
    ].filter((wake) => wake !== null);
    if (wakes.length === 0) return;
    const next = Math.min(...wakes);
    if (next <= nowMs) this.#turns.request();
    else this.#alarm.set(next);
  }

  #happened(event: LinkEvent): void {
    if (event.type === "log") this.#log.add({ level: event.level, message: event.message });
    if (event.type === "closed") this.#dispatcher.reset();
    if (event.type === "verdict") {
      this.#lastVerdict = event.verdict;
      this.#judged.resolve(event.verdict);
    }
    this.#options.onEvent?.(event);
    if (event.type === "blocked") {
      void this.#end({ kind: "blocked", reason: event.reason, verdict: this.#lastVerdict });
    }
  }

  async #end(end: LinkEnd): Promise<void> {
    if (!this.#over) {
      this.#over = true;
      this.#turns.close();
      this.#alarm.stop();
      this.#judged.resolve(null);
      this.#roomWaiters.release();
      const enough = new AbortController();
      const tooLong = this.#host.clock.sleep(GOODBYE_MS, enough.signal).catch(() => undefined);
      await Promise.race([this.#connection.closing, tooLong]);
      enough.abort();
      this.#ended.resolve(end);
    }
    await this.#ended.promise;
  }

  #note(level: LogLevel, message: string): void {
    const line: LogLine = { level, message };
    this.#happened({ type: "log", ...line });
  }
}

/** Where a server's WebSocket side is. */
export function linkUrl(hostname: string, port: number): string {
  return `ws://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}
