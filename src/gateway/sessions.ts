/**
 * The sessions of older clients at one endpoint: in memory while they are used, and in the state folder for a day.
 *
 * @module
 */
import { OWNER_HEADER } from "./owner_header.ts";
import type { World } from "../lifecycle/world.ts";
import {
  readSessionFile,
  removeSessionFile,
  type SessionFile,
  sessionIds,
  writeSessionFile,
} from "../registry/supervisor_files.ts";
import { fieldsAt } from "../mcp/revisions/messages.ts";
import type { ClientSide } from "../relay/client_side.ts";
import type { Conversation } from "./conversation.ts";
import type { Outcome } from "./exchange.ts";
import { OlderSession } from "./older_session.ts";
import { OpenTasks } from "./tasks.ts";
import { NEW_MEMORY, Remembering, type ServerMemory, type SessionMemory } from "./remembering.ts";

export interface SessionsOptions {
  /** Of the endpoint: a session of another one is unknown here. */
  key: string;
  epoch: string;
  /** What is remembered of the server for the clients of a `connect`. */
  memoryFor(owner: string | null): ServerMemory;
  /** How long a session rests before its process is let go; asked each time. */
  restMs(): number;
  /** Whether a process goes even while a stream of its session is open. */
  endsWithStream(): boolean;
  /** Whether a process that the session may use is there, beside its own. */
  isThere(): boolean;
  /** `onCopy` is told of each process of the session's own that comes (1) or goes (-1). */
  open(client: ClientSide, facts: SessionFacts): Conversation;
  /** How long a client waits for the answer to its initialize. */
  handshakeMs?(owner: string | null): number;
  /** Room for one more, or why there is none. */
  admit(): string | null;
  onRequest(outcome: Outcome, ms: number): void;
  onFault(error: unknown): void;
}

/** Whose a session is. */
export interface SessionFacts {
  /** What the client calls itself. */
  client: string | null;
  /** The `connect` that it came through: it ends with that. */
  owner: string | null;
  /** What the server works on for it beyond its requests. */
  tasks: OpenTasks;
  onCopy(change: number): void;
  /** The server that came back does not take the session: it has to be begun anew there. */
  onStale(): void;
}

/** `refused`: it is known, and there is no room for it now. */
type FoundSession = OlderSession | { refused: string } | null;

interface OpenSession {
  owner: string | null;
  session: OlderSession;
  remembering: Remembering;
  tasks: OpenTasks;
  file: SessionFile;
  writtenMs: number;
  /** Processes that are its own. */
  copies: number;
  /** For good: its file goes, also the one that is being written. */
  isEnded: boolean;
}

const SESSION_ID_BYTES = 16;
const KEPT_MS = 24 * 3_600_000;
const WRITE_PAUSE_MS = 60_000;
const CLIENT_LIMIT = 128;

/** Removes the files of sessions that are too old to be taken up. */
export async function sweepSessions({ host, state, signal }: World): Promise<void> {
  for (const id of await sessionIds(host, state.path)) {
    if (signal.aborted) return;
    const read = await readSessionFile(host, state.path, id);
    const isOld = read.kind === "file" && host.clock.now() - Date.parse(read.value.used_at) > KEPT_MS;
    if (isOld) await removeSessionFile(host, state.path, id);
  }
}

export class Sessions {
  readonly #world: World;
  readonly #options: SessionsOptions;
  readonly #open = new Map<string, OpenSession>();
  readonly #restoring = new Map<string, Promise<FoundSession>>();
  /** Ended for good, while their files may still be there. */
  readonly #ending = new Set<string>();

  constructor(world: World, options: SessionsOptions) {
    this.#world = world;
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Requests that wait for a process that wakes. */
  get waiting(): number {
    return [...this.#open.values()].reduce((sum, { remembering }) => sum + remembering.waiting, 0);
  }

  get openCalls(): number {
    return [...this.#open.values()].reduce((sum, { session }) => sum + session.openCalls, 0);
  }

  /** What the clients of the open sessions call themselves, and the revision that each speaks. */
  clients(): { name: string | null; revision: string }[] {
    return [...this.#open.values()].flatMap(({ session: { version }, file: { initialize } }) => {
      const { name } = fieldsAt(initialize, "clientInfo");
      return version === null ? [] : [{
        name: typeof name === "string" ? name.slice(0, CLIENT_LIMIT) : null,
        revision: version,
      }];
    });
  }

  begin({ headers }: Pick<Request, "headers">): OlderSession | { refused: string } {
    const refused = this.#options.admit();
    if (refused !== null) return { refused };
    const id = this.#world.host.random.hex(SESSION_ID_BYTES);
    const client = headers.get("user-agent")?.slice(0, CLIENT_LIMIT) ?? null;
    return this.#make(id, { memory: NEW_MEMORY, client, owner: headers.get(OWNER_HEADER) }).session;
  }

  /** From memory, else from the state folder; null where it is unknown or too old. */
  async find(id: string, { headers }: Pick<Request, "headers">): Promise<FoundSession> {
    const open = this.#open.get(id);
    if (open !== undefined) return open.session;
    if (this.#ending.has(id)) return null;
    const restoring = this.#restoring.get(id) ??
      this.#restore(id, headers.get(OWNER_HEADER)).finally(() => this.#restoring.delete(id));
    this.#restoring.set(id, restoring);
    return await restoring;
  }

  async end({ id }: Pick<OlderSession, "id">): Promise<void> {
    const open = this.#open.get(id);
    this.#open.delete(id);
    if (open !== undefined) open.isEnded = true;
    this.#ending.add(id);
    await removeSessionFile(this.#world.host, this.#world.state.path, id).catch(() => false);
    this.#ending.delete(id);
    await open?.session.close();
  }

  async noteHandshake(session: OlderSession, isAccepted: boolean): Promise<void> {
    const open = this.#open.get(session.id);
    if (open === undefined) return;
    if (!isAccepted) {
      this.#open.delete(session.id);
      return;
    }
    open.file = { ...open.file, revision: session.version ?? "" };
    // A session that can't be kept is one all the same, for as long as this supervisor lives.
    await this.#write(open).catch((error: unknown) => this.#options.onFault(error));
  }

  /** A `connect` is gone: so are its sessions, for good. */
  async endOwned(owner: string): Promise<void> {
    await Promise.all(
      [...this.#open.values()].filter((open) => open.owner === owner).map(({ session }) => this.end(session)),
    );
  }

  /** The least recently used one without a stream or a call. */
  leastUsed(): { usedMs: number; drop(): Promise<void> } | null {
    const idle = [...this.#open.values()].filter(({ session }) => !session.isOpen);
    const [oldest] = idle.sort((a, b) => a.session.usedMs - b.session.usedMs);
    if (oldest === undefined) return null;
    return { usedMs: oldest.session.usedMs, drop: () => this.#forget(oldest) };
  }

  tick({ withComments }: { withComments: boolean }): void {
    const now = this.#world.host.clock.monotonic();
    for (const open of this.#open.values()) {
      const { session, remembering, tasks } = open;
      session.tick({ withComments });
      if (session.usedMs - open.writtenMs > WRITE_PAUSE_MS && session.version !== null) {
        this.#float(this.#write(open));
      }
      if (session.isAbandoned) {
        this.#float(this.end(session));
        continue;
      }
      const isResting = now - session.usedMs >= this.#options.restMs() && session.openCalls === 0 &&
        tasks.count(now) === 0;
      if (!isResting || (session.isOpen && !this.#options.endsWithStream())) continue;
      this.#float(session.isOpen ? remembering.sleep() : this.#forget(open));
    }
  }

  /** Lets the processes of all sessions go; the next request of each brings one back. */
  async rest(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ session, remembering }) =>
      // Its handshake would be sent to another process.
      session.isUnawaited ? this.end(session) : remembering.sleep()
    ));
  }

  /** Ends what is in memory: the files stay for the next supervisor. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((open) => this.#forget(open)));
  }

  /** Takes it out of memory; its file stays, so that a later request finds it again. */
  async #forget(open: OpenSession): Promise<void> {
    this.#open.delete(open.session.id);
    if (open.session.version !== null) await this.#write(open).catch(() => {});
    await open.session.close();
  }

  #make(id: string, { memory, client, owner, version = null }: {
    memory: SessionMemory;
    client: string | null;
    owner: string | null;
    version?: string | null;
  }): OpenSession {
    const { host } = this.#world;
    const { key, epoch, isThere, onFault } = this.#options;
    const now = new Date(host.clock.now()).toISOString();
    let open: OpenSession | null = null;
    let remembering: Remembering | null = null;
    const onCopy = (change: number) => {
      if (open !== null) open.copies += change;
    };
    const tasks = new OpenTasks();
    const onStale = () => {
      if (remembering !== null) this.#float(remembering.startOver());
    };
    const session = new OlderSession({
      id,
      epoch,
      now: () => host.clock.monotonic(),
      handshakeMs: this.#options.handshakeMs?.(owner),
      onRequest: (outcome, ms) => this.#options.onRequest(outcome, ms),
      open: (side) =>
        remembering = new Remembering({
          client: side,
          server: this.#options.memoryFor(owner),
          memory,
          isThere: () => (open?.copies ?? 0) > 0 || isThere(),
          open: (inner) => this.#options.open(inner, { client, owner, tasks, onCopy, onStale }),
          onMemory: (changed) => this.#noteMemory(open, changed),
          onMismatch: () => this.#float(this.end({ id })),
          clock: host.clock,
          onFault,
        }),
    });
    session.version = version;
    if (remembering === null) throw new Error("a session opens its conversation at once");
    const file: SessionFile = {
      schema: 1,
      id,
      key,
      revision: version ?? "",
      initialize: memory.initialize ?? {},
      level: memory.logLevel,
      subscriptions: memory.subscriptions,
      server_session: null,
      since: now,
      used_at: now,
    };
    open = {
      owner,
      session,
      remembering,
      tasks,
      file,
      writtenMs: host.clock.monotonic(),
      copies: 0,
      isEnded: false,
    };
    this.#open.set(id, open);
    return open;
  }

  async #restore(id: string, owner: string | null): Promise<FoundSession> {
    if (!/^[0-9a-f]{32}$/.test(id)) return null;
    const { host, state } = this.#world;
    const read = await readSessionFile(host, state.path, id);
    if (read.kind !== "file" || read.value.key !== this.#options.key) return null;
    const { value } = read;
    if (host.clock.now() - Date.parse(value.used_at) > KEPT_MS) return null;
    const refused = this.#options.admit();
    if (refused !== null) return { refused };
    const open = this.#make(id, {
      memory: {
        initialize: value.initialize,
        answer: null,
        isInitialized: true,
        logLevel: value.level,
        subscriptions: value.subscriptions,
      },
      client: null,
      owner,
      version: value.revision,
    });
    open.file = value;
    return open.session;
  }

  #noteMemory(open: OpenSession | null, memory: SessionMemory): void {
    if (open === null) return;
    open.file = {
      ...open.file,
      initialize: memory.initialize ?? {},
      level: memory.logLevel,
      subscriptions: memory.subscriptions,
    };
    // Before the handshake is answered the client knows no session that could be taken up.
    if (open.session.version !== null) this.#float(this.#write(open));
  }

  async #write(open: OpenSession): Promise<void> {
    const { host, state } = this.#world;
    open.file = { ...open.file, used_at: new Date(host.clock.now()).toISOString() };
    open.writtenMs = host.clock.monotonic();
    await writeSessionFile(host, state.path, open.file);
    if (open.isEnded) await removeSessionFile(host, state.path, open.file.id);
  }

  #float(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#options.onFault(error));
  }
}
