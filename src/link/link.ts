import { bracketed } from "../base/local_url.ts";
import type { Host, Processes, Random } from "../host/host.ts";
import { Commands, type Handler } from "./commands.ts";
import { Connection, isStateEvent, type LinkEvent, type LogLevel, type LogLine } from "./connection.ts";
import { Turns } from "./turns.ts";
import type { VersionMatches, VersionVerdict } from "./version.ts";
import {
  encodeEvent,
  encodeResponse,
  type JsonObject,
  MESSAGE_LIMIT_BYTES,
  type Reply,
  utf8Bytes,
} from "./wire.ts";

/** Commands are run only while no more than this waits in the socket. Bytes. */
const ROOM_BYTES = MESSAGE_LIMIT_BYTES / 2;

/** How often to look whether the socket has room again, as it does not tell. Milliseconds. */
const ROOM_POLL_MS = 5;

/** How long the server gets to answer a goodbye. Milliseconds. */
const GOODBYE_MS = 1_000;

/** How many lines of its log a link keeps. */
const LOG_LINES = 500;

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
  /** What the client program calls itself; not sent where it is left out. */
  clientName?: string | null;
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
  /** Milliseconds for all others; 4,500 for most of them where it is left out. */
  defaultTimeoutMs?: number;
  /** Why nothing may be opened until {@link Link.unblock}: known to be the wrong server already. */
  blockedReason?: string | null;
  onEvent?(event: LinkEvent): void;
}

/** What may be another one when a blocked link goes on; what is left out stays. */
export interface LinkChanges {
  port?: number;
  expectedVersion?: string | null;
  clientVersion?: string;
  launchMode?: string;
}

/**
 * Opens a session and keeps it, reconnecting for ever, until it is closed. A server that proves to be a wrong one blocks
 * it: nothing is opened then until {@link Link.unblock}.
 */
export function openLink(host: LinkHost, options: LinkOptions): Link {
  return new Link(host, options);
}

export class Link {
  readonly #host: LinkHost;
  readonly #options: LinkOptions;
  readonly #connection: Connection;
  readonly #commands: Commands;
  readonly #turns: Turns;
  readonly #log: LogLine[] = [];
  readonly #ended = Promise.withResolvers<void>();
  readonly #judged = Promise.withResolvers<VersionVerdict | null>();
  /** Lines ever logged. */
  #logged = 0;
  /** To be blocked with in the first turn. */
  #blockedReason: string | null;
  #over = false;

  constructor(host: LinkHost, options: LinkOptions) {
    this.#host = host;
    this.#options = options;
    const wake = () => this.#turns.request();
    const newId = () => newSessionId(options.projectPath, host.random);
    this.#turns = new Turns(host.clock, () => this.#tick());
    this.#commands = new Commands(host.clock, {
      handlers: new Map(Object.entries(options.handlers ?? {})),
      fallback: options.fallback ?? null,
      timeoutsMs: new Map(Object.entries(options.timeoutsMs ?? {})),
      defaultTimeoutMs: options.defaultTimeoutMs ?? null,
      reply: (requestId, reply) => {
        const text = encodeResponse(requestId, reply, this.#connection.readiness);
        return this.#connection.send({ text, requestId });
      },
      hasRoom: () => this.bufferedBytes <= ROOM_BYTES,
      log: (level, message) => this.#note(level, `server "${options.name}": ${message}`),
      wake,
    });
    this.#connection = new Connection(host, {
      name: options.name,
      url: linkUrl(options.hostname ?? "127.0.0.1", options.port),
      hello: {
        sessionId: options.sessionId ?? newId(),
        clientName: options.clientName ?? null,
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
      backlogFull: () => this.#commands.full,
      onCommand: (command) => this.#commands.enqueue(command),
      onEvent: (event) => this.#happened(event),
      wake,
    });
    this.#blockedReason = options.blockedReason ?? null;
    wake();
  }

  /** Resolves with the first connection's verdict, or with null where the link ends before there is one. */
  get firstVerdict(): Promise<VersionVerdict | null> {
    return this.#judged.promise;
  }

  /** Resolves when the link was closed. */
  get ended(): Promise<void> {
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

  /** The newest 500 log lines, oldest first, and how many there ever were. */
  get log(): { lines: readonly LogLine[]; total: number } {
    return { lines: this.#log, total: this.#logged };
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
    return this.#commands.pending;
  }

  /** Why nothing is opened; null where it is not blocked. */
  get blocked(): string | null {
    return this.#blockedReason ?? this.#connection.blocked;
  }

  /** Goes on after a wrong server was replaced, from now on with `changes`; without effect where it is not blocked. */
  unblock({ port, expectedVersion, clientVersion, launchMode }: LinkChanges = {}): void {
    this.#blockAtStart();
    this.#connection.unblock({
      ...port === undefined ? {} : { url: linkUrl(this.#options.hostname ?? "127.0.0.1", port) },
      ...expectedVersion === undefined ? {} : { expectedVersion },
      hello: {
        ...clientVersion === undefined ? {} : { clientVersion },
        ...launchMode === undefined ? {} : { launchMode },
      },
    });
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

  /** Reports it to the server, where that does not know it already; kept and repeated for as long as it takes. */
  setReadiness(readiness: string): void {
    this.#connection.setReadiness(readiness);
  }

  /**
   * Sends an event. Those that give a state (scene, play state, readiness) are kept until they could be sent and are
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
    this.#connection.setState(event, data, { again: true });
    return true;
  }

  /**
   * Answers a command whose handler returned `DEFERRED`. False where nobody waits for it any more, and where it could
   * not be sent: then it may be tried again.
   */
  respond(requestId: string, reply: Reply): boolean {
    return this.#commands.respond(requestId, reply);
  }

  /** Resolves when no more than `maxBytes` wait in the socket, or the link is over. */
  async room(maxBytes: number): Promise<void> {
    while (!this.#over && this.bufferedBytes > maxBytes) await this.#host.clock.sleep(ROOM_POLL_MS);
  }

  /** Says goodbye and ends the link; resolves when the socket is closed, after a second at the latest. */
  async close(): Promise<void> {
    this.#connection.close();
    if (!this.#over) {
      this.#over = true;
      this.#turns.close();
      this.#judged.resolve(null);
      const enough = new AbortController();
      const tooLong = this.#host.clock.sleep(GOODBYE_MS, enough.signal).catch(() => undefined);
      await Promise.race([this.#connection.closing, tooLong]);
      enough.abort();
      this.#ended.resolve();
    }
    await this.#ended.promise;
  }

  #blockAtStart(): void {
    const reason = this.#blockedReason;
    this.#blockedReason = null;
    if (reason !== null) this.#connection.block(reason);
  }

  #tick(): void {
    if (this.#over) return;
    this.#blockAtStart();
    this.#connection.tick();
    if (this.#connection.running) this.#commands.tick();
    if (!this.#over) this.#planTurn();
  }

  /** Requests the next turn: at once where work is left, else when something is due. */
  #planTurn(): void {
    const commands = this.#commands;
    const { running } = this.#connection;
    const hasRoom = this.bufferedBytes <= ROOM_BYTES;
    if (this.#connection.hasPackets || (running && hasRoom && commands.queued > 0)) {
      return this.#turns.request();
    }
    const waitsForRoom = this.#connection.hasUnsent ||
      (running && (commands.queued > 0 || commands.hasUnsent));
    const due = [
      this.#connection.nextTickMs(),
      running ? commands.nextDeadlineMs : null,
      waitsForRoom ? this.#host.clock.monotonic() + ROOM_POLL_MS : null,
    ].filter((atMs) => atMs !== null);
    if (due.length > 0) this.#turns.requestAt(Math.min(...due));
  }

  #happened(event: LinkEvent): void {
    if (event.type === "log") this.#keepLine({ level: event.level, message: event.message });
    if (event.type === "closed") this.#commands.reset();
    if (event.type === "verdict") this.#judged.resolve(event.verdict);
    this.#options.onEvent?.(event);
  }

  #keepLine(line: LogLine): void {
    this.#logged += 1;
    this.#log.push(line);
    if (this.#log.length > LOG_LINES) this.#log.shift();
  }

  #note(level: LogLevel, message: string): void {
    this.#happened({ type: "log", level, message });
  }
}

/** A new session id: the project's folder as `[a-z0-9]` and single dashes, `@`, and four random hex digits. */
function newSessionId(projectPath: string, random: Pick<Random, "hex">): string {
  const folder = projectPath.split(/[/\\]/).findLast((part) => part !== "") ?? "";
  const slug = folder.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return `${slug === "" ? "project" : slug}@${random.hex(2)}`;
}

/** Where a server's WebSocket side is. */
export function linkUrl(hostname: string, port: number): string {
  return `ws://${bracketed(hostname)}:${port}`;
}
