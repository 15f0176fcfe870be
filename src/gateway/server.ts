/**
 * One enrolled server at the gateway: the sessions of older clients, the requests of newer ones, and the processes that
 * answer them.
 *
 * An older client's message passes OlderSession, Remembering, AdaptiveOlder and Relay to CopySource (stdio) or
 * ManagedSource (HTTP, SSE); a newer client's passes NewerClients, RememberingNewer, ByCapabilities,
 * SharedConversation and AdaptiveNewer on the same way.
 *
 * @module
 */
import { OWNER_HEADER } from "./owner_header.ts";
import { canonicalJson } from "../base/hash.ts";
import { specHash } from "../definitions/hash.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import type { World } from "../lifecycle/world.ts";
import type { Outcome } from "../lifecycle/row.ts";
import { type Fields, NEWER_REVISION } from "../mcp/revisions/messages.ts";
import type { StartedBy } from "../registry/record.ts";
import type { ServerFolder } from "../registry/store.ts";
import type { ClientSide } from "../relay/client_side.ts";
import { errorLine } from "../relay/message.ts";
import { Relay, type RelayOptions } from "../relay/relay.ts";
import { type ProcessFate, whatHappened } from "../relay/retry.ts";
import type { ServerSource } from "../relay/server_source.ts";
import type { ServerUse } from "../supervisor/control_wire.ts";
import { VERSION } from "../version.ts";
import { AdaptiveNewer } from "./adaptive_newer.ts";
import { AdaptiveOlder } from "./adaptive_older.ts";
import type { CheckResult } from "./check.ts";
import type { Conversation } from "./conversation.ts";
import { Copies } from "./copies.ts";
import { countedConversation } from "./counted_conversation.ts";
import { CopySource } from "./copy_source.ts";
import { RequestCounts } from "./counts.ts";
import type { Discovery } from "./discovery.ts";
import { DiscoveryFile, readDiscovery } from "./discovery_file.ts";
import type { EndpointServer } from "./endpoint.ts";
import { requestIds } from "./lost.ts";
import { ManagedSource } from "./managed_source.ts";
import { NewerClients } from "./newer_clients.ts";
import { OwnChecks } from "./own_checks.ts";
import { RememberingNewer } from "./remembering_newer.ts";
import { type SessionFacts, Sessions } from "./sessions.ts";
import { StartWatch } from "./start_watch.ts";
import { ByCapabilities, SETS_LIMIT, SharedConversation } from "./shared.ts";
import { OpenTasks } from "./tasks.ts";
import { TranslatedNewer, TranslatedOlder } from "./translated.ts";

export interface GatewayServerOptions {
  definition: ServerDefinition;
  /** How long a request waits for a server that is not there, in ms. */
  timeoutMs: number;
  /** Names this life of the gateway in event ids: eight hexadecimal digits. */
  epoch: string;
  /** Keys the hash of what a server's answer depends on. */
  secret: string;
  /** Environment for processes that no session brings its own for; null for foster's own. */
  environment(): Record<string, string> | null;
  /** That of a `connect`, for the processes of its sessions; null where it is not known. */
  ownerEnvironment(owner: string): Record<string, string> | null;
  /** How long the requests of a `connect` wait for a server; null where it is not known. */
  ownerTimeoutMs(owner: string): number | null;
  /** Whether foster may translate between a `connect` and the server. */
  ownerMayTranslate(owner: string): boolean;
  /** Starts or adopts a server that listens, under the supervisor. */
  bringUp(startedBy: StartedBy): Promise<Outcome>;
  /** Whether a server that listens is there, as the supervisor last saw it. */
  isUp(): boolean;
  /** How long it may be unused, as whoever enrolled it said; null leaves that to its definition. */
  idleMs(): number | null;
  /** Whether `up` asked for a process that stays. */
  isPinned(): boolean;
  /** It listens, and was not used for as long as it may be unused. Resolves once it is ended, or stays. */
  onIdle(): Promise<void>;
  /** Sessions of all servers together: room for one more, or why there is none. */
  admit(): string | null;
  onFault(error: unknown): void;
}

const OLDEST_KNOWN = "2025-11-25 or older";
const UNAVAILABLE = -32603;
const SESSION_ID_BYTES = 16;
/** A session without a request for so long, and without a stream, lets its process go. */
const SESSION_REST_MS = 5 * 60_000;
const NEWER_REST_MS = 5 * 60_000;
/** How long a server that listens and held sessions stays after the last of them. */
const AFTER_SESSIONS_MS = 30_000;
/** A server that is silent to a question in the newer revision for so long speaks the older one, */
const PROBE_LIMIT_MS = 5000;
/** and one that starts for so long is silent. */
const START_LIMIT_MS = 60_000;

export class GatewayServer implements EndpointServer {
  readonly key: string;
  readonly counts = new RequestCounts();
  /** Of clients that have it as one of several: what is all of them together counts theirs, too. */
  readonly joinedCounts = new RequestCounts();
  readonly #world: World;
  readonly #options: GatewayServerOptions;
  readonly #copies: Copies;
  readonly sessions: Sessions;
  readonly #checks: OwnChecks;
  readonly #sides = new Map<string, SharedConversation>();
  readonly #relays = new Set<Relay>();
  readonly #tasks = new Set<OpenTasks>();
  /** It was said that tasks keep the server from its idle end. */
  #isTold = false;
  /** Ways whose server may not have said yet which revision it speaks. */
  readonly #asking = new Set<AdaptiveNewer>();
  readonly #translated = new Set<TranslatedOlder | TranslatedNewer>();
  /** Of clients that have other servers beside this one. */
  readonly #memories = new Set<RememberingNewer>();
  readonly #discovery: DiscoveryFile;
  #definition: ServerDefinition;
  /** Clients of the newer revision, by whether foster may translate for them. */
  readonly #newer = new Map<boolean, { clients: NewerClients; memory: RememberingNewer }>();
  #shared: SharedConversation | null = null;
  #sharedCopies = 0;
  /** What foster does to the server while it lets its processes go. */
  #fate: ProcessFate | null = null;
  /** The server is being ended for want of use: what comes now is not sent to one that closes. */
  #resting: Promise<void> | null = null;
  /** While a process that all share was asked something that it has not answered. */
  #starting: StartWatch | null = null;
  /** Monotonic ms of the last time that a request was open. */
  #usedMs: number;
  /** The definition changed while a call was open: processes of the one before go once none is. */
  #isOutdated = false;
  /** Whether clients of older revisions have used it. */
  #hadSessions = false;

  /** Reads what the server last said of itself. */
  static async open(world: World, options: GatewayServerOptions): Promise<GatewayServer> {
    const folder = world.state.server(options.definition.key);
    const discovery = await readDiscovery(world, folder);
    const server = new GatewayServer(world, folder, options, discovery);
    server.#float(server.#copies.endOrphans());
    return server;
  }

  private constructor(
    world: World,
    folder: ServerFolder,
    options: GatewayServerOptions,
    discovery: Discovery,
  ) {
    this.key = options.definition.key;
    this.#world = world;
    this.#usedMs = world.host.clock.monotonic();
    this.#options = options;
    this.#definition = options.definition;
    const { environment, secret } = options;
    this.#discovery = new DiscoveryFile(world, folder, {
      discovery,
      definition: () => this.#definition,
      environment,
      secret,
    });
    this.#copies = new Copies(world, folder, { definition: () => this.#definition });
    this.#checks = new OwnChecks({
      clock: world.host.clock,
      name: options.definition.name,
      open: (client) => {
        const facts = { client: "foster", owner: null, tasks: new OpenTasks() };
        return this.#older(client, { ...facts, onCopy: () => {}, onStale: () => {} });
      },
      lastFailure: () => this.#copies.lastFailure,
      isPinned: options.isPinned,
    });
    this.sessions = new Sessions(world, {
      key: this.key,
      epoch: options.epoch,
      memoryFor: (owner) => this.#discovery.memoryFor("older", this.#mayTranslate(owner)),
      restMs: () => this.#restMs(SESSION_REST_MS),
      endsWithStream: () => typeof this.#definition.idleMs === "number",
      isThere: () => this.#isThere(),
      open: (client, facts) => this.#older(client, facts),
      handshakeMs: (owner) =>
        (owner === null ? null : options.ownerTimeoutMs(owner)) ??
          Math.max(options.timeoutMs, this.#definition.ready.timeoutMs),
      admit: options.admit,
      onRequest: (outcome, ms) => this.counts.note(outcome, ms),
      onFault: options.onFault,
    });
  }

  get definition(): ServerDefinition {
    return this.#definition;
  }

  get copies(): Copies {
    return this.#copies;
  }

  /** Monotonic ms since when the oldest call runs; null where none does. */
  get oldestCallMs(): number | null {
    const oldest = [...this.#relays].flatMap(({ oldestCallMs }) =>
      oldestCallMs === null ? [] : [oldestCallMs]
    );
    return oldest.length === 0 ? null : Math.min(...oldest);
  }

  /** Requests that wait for a server that is not there. */
  get waiting(): number {
    return [...this.#relays].reduce((sum, { waiting }) => sum + waiting, this.sessions.waiting);
  }

  get isRunning(): boolean {
    return this.#definition.transport === "stdio" ? this.#copies.records().length > 0 : this.#options.isUp();
  }

  get openCalls(): number {
    return [...this.#newer.values()].reduce(
      (sum, { clients }) => sum + clients.open,
      this.sessions.openCalls,
    );
  }

  #mayTranslate(owner: string | null): boolean {
    return owner === null || this.#options.ownerMayTranslate(owner);
  }

  // Requests of newer clients

  newerClients({ headers }: Pick<Request, "headers">): NewerClients {
    const mayTranslate = this.#mayTranslate(headers.get(OWNER_HEADER));
    const known = this.#newer.get(mayTranslate);
    if (known !== undefined) return known.clients;
    const { clock } = this.#world.host;
    let memory: RememberingNewer | null = null;
    const clients = new NewerClients({
      now: () => clock.monotonic(),
      onRequest: (outcome, ms) => this.counts.note(outcome, ms),
      open: (client) =>
        memory = new RememberingNewer({
          client,
          server: this.#discovery.memoryFor("newer", mayTranslate),
          isThere: () => this.#isThere(),
          open: (inner) => this.#newerSide(inner, mayTranslate),
          onFault: this.#options.onFault,
        }),
    });
    if (memory === null) throw new Error("a front opens its conversation at once");
    this.#newer.set(mayTranslate, { clients, memory });
    return clients;
  }

  /**
   * A conversation in the newer revision for a client that has other servers beside this one. `isOwn`: an older server gives
   * it a session of its own, not the one of all clients with equal capabilities.
   */
  join(client: ClientSide, { isOwn, name }: { isOwn: boolean; name: string | null }): Conversation {
    const open = (counted: ClientSide): Conversation => {
      const memory = new RememberingNewer({
        client: counted,
        server: this.#discovery.memoryFor("newer", true),
        isThere: () => this.#isThere(),
        open: (inner) =>
          isOwn && this.#definition.sharing !== "shared"
            ? this.#ownSide(inner, name)
            : this.#newerSide(inner),
        onFault: this.#options.onFault,
      });
      this.#memories.add(memory);
      return {
        receive: (exchange, line, messages) => memory.receive(exchange, line, messages),
        cancel: (exchange) => memory.cancel(exchange),
        finish: (limitMs) => memory.finish(limitMs),
        close: () => {
          this.#memories.delete(memory);
          return memory.close();
        },
      };
    };
    return countedConversation({
      client,
      now: () => this.#world.host.clock.monotonic(),
      onRequest: (outcome, ms) => this.joinedCounts.note(outcome, ms),
      open,
    });
  }

  /** The handshake and the tools, by a client of foster's own: brings the server up where it is not there. */
  check(timeoutMs: number): Promise<CheckResult> {
    return this.#checks.check(timeoutMs);
  }

  /** Its tools as it listed them last, to a client or to a check; null where it never did. */
  get lastTools(): { at: number; items: unknown[] } | null {
    const known = this.#discovery.lastList("tools/list");
    const checked = this.#checks.lastTools;
    return checked !== null && checked.at >= (known?.at ?? 0) ? checked : known;
  }

  // Ways to the server's processes

  /** A conversation in an older revision. */
  #older(
    client: ClientSide,
    { client: name, owner, tasks, onCopy, onStale }: SessionFacts,
  ): Conversation {
    const { clock } = this.#world.host;
    const now = () => clock.monotonic();
    const translated = (side: ClientSide) => {
      const conversation = new TranslatedOlder(side, {
        now,
        onFault: this.#options.onFault,
        open: (inner) => this.#newerSide(inner),
      });
      this.#noteTranslated(conversation);
      return conversation;
    };
    const mayTranslate = this.#mayTranslate(owner);
    // All share one process: it knows no client's session, and the translation keeps them apart.
    if (this.#definition.transport === "stdio" && this.#definition.sharing === "shared") {
      return mayTranslate ? translated(client) : this.#refusing(client);
    }
    return new AdaptiveOlder({
      client,
      spoken: this.#discovery.spoken,
      mayTranslate,
      name: this.#definition.name,
      onSpoken: () => this.#discovery.save(),
      direct: (side) => {
        const source = this.#source({ client: name, shared: false, owner, onCopy });
        return this.#relay(side, source, { owner, tasks, onSessionRefused: onStale });
      },
      translated,
    });
  }

  /** All that share the process do so by translation, whichever revision it speaks. */
  #refusing(client: ClientSide): Conversation {
    const message =
      `"${this.#definition.name}" is one process for all clients ("sharing": "shared"), which foster ` +
      "keeps apart by translation, and --no-translate forbids that: leave one of the two out";
    return {
      receive: async (exchange, _line, messages) => {
        const ids = requestIds(messages);
        for (const [index, id] of ids.entries()) {
          const isLast = index === ids.length - 1;
          await client.write(errorLine(id, { code: UNAVAILABLE, message }), {
            kind: "answer",
            exchange,
            isLast,
          });
        }
      },
      cancel: () => {},
      finish: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }

  /** A conversation in the newer revision, with one process for all. */
  #newerSide(client: ClientSide, mayTranslate = true): Conversation {
    return new ByCapabilities(
      client,
      (side, capabilities) => this.#sideFor(capabilities, mayTranslate).join(side),
    );
  }

  #sideFor(capabilities: Fields, mayTranslate: boolean): SharedConversation {
    const isShared = this.#definition.sharing === "shared";
    // A process that all share is told of no capabilities: whatever one client declares another may not have.
    const told = isShared ? {} : capabilities;
    const key = `${mayTranslate ? "" : "direct "}${canonicalJson(told)}`;
    const known = this.#sides.get(key);
    if (known !== undefined) return known;
    if (this.#sides.size > SETS_LIMIT && Object.keys(told).length > 0) return this.#sideFor({}, mayTranslate);
    const { clock } = this.#world.host;
    const now = () => clock.monotonic();
    const side = new SharedConversation({
      now,
      how: () => this.#how(),
      open: (client) =>
        this.#adaptiveNewer(client, { told, copyOf: null, mayTranslate, onCopy: this.#countShared }),
    });
    this.#sides.set(key, side);
    return side;
  }

  /** A side for one client alone, in the capabilities that it declares. */
  #ownSide(client: ClientSide, name: string | null): Conversation {
    return new ByCapabilities(
      client,
      (side, told) =>
        this.#adaptiveNewer(side, { told, copyOf: name ?? "", mayTranslate: true, onCopy: () => {} }),
    );
  }

  /** `copyOf`: what the client calls itself that has the process for itself, null for one of all. */
  #adaptiveNewer(
    client: ClientSide,
    { told, copyOf, mayTranslate, onCopy }: {
      told: Fields;
      copyOf: string | null;
      mayTranslate: boolean;
      onCopy(change: number): void;
    },
  ): AdaptiveNewer {
    const { clock, random } = this.#world.host;
    const now = () => clock.monotonic();
    const adaptive = new AdaptiveNewer({
      client,
      spoken: this.#discovery.spoken,
      mayTranslate,
      name: this.#definition.name,
      now,
      onSpoken: () => this.#discovery.save(),
      onFault: this.#options.onFault,
      onClosed: () => void this.#asking.delete(adaptive),
      onOther: () => {
        if (this.#shared?.open === 0) this.#float(this.#shared.close());
      },
      direct: (each) => this.#sharedNewer().join(each),
      translated: (each, onSession) => {
        const conversation = new TranslatedNewer(each, {
          now,
          onSession,
          onFault: this.#options.onFault,
          clientInfo: { name: "foster", version: VERSION },
          clientCapabilities: told,
          newHandle: () => random.hex(SESSION_ID_BYTES),
          open: (inner) =>
            this.#relay(
              inner,
              this.#source({ client: copyOf, shared: copyOf === null, onCopy }),
              { onSessionRefused: () => adaptive.noteSessionRefused() },
            ),
        });
        this.#noteTranslated(conversation);
        return conversation;
      },
    });
    this.#asking.add(adaptive);
    return adaptive;
  }

  #noteTranslated(conversation: TranslatedOlder | TranslatedNewer): void {
    this.#translated.add(conversation);
    conversation.onClosed = () => this.#translated.delete(conversation);
  }

  #sharedNewer(): SharedConversation {
    const { clock } = this.#world.host;
    return this.#shared ??= new SharedConversation({
      now: () => clock.monotonic(),
      how: () => this.#how(),
      open: (client) => {
        let servers = 0;
        return this.#relay(client, this.#source({ client: null, shared: true, onCopy: this.#countShared }), {
          mintsIds: true,
          // The first one is asked by whoever opens this.
          onServer: () => {
            if (++servers > 1) { for (const adaptive of this.#asking) adaptive.noteRestart(); }
          },
        });
      },
    });
  }

  readonly #countShared = (change: number): void => {
    this.#sharedCopies += change;
    if (change > 0) return;
    // A process that ends when it is asked in the newer revision is asked the old way.
    this.#noteNoAnswer(() => true);
    for (const adaptive of this.#asking) adaptive.noteRestart();
  };

  /** A process that is there and silent to a handshake, or starts for very long, keeps nobody waiting for ever. */
  #watchSessions(now: number): void {
    const limitMs = Math.max(this.#options.timeoutMs, this.#definition.ready.timeoutMs);
    for (const adaptive of this.#asking) {
      if (adaptive.sessionMs !== null && now - adaptive.sessionMs >= limitMs) {
        this.#float(adaptive.noteNoSession());
      }
    }
  }

  /** A server that is not there yet is not silent: a second process beside a cold npx would install it twice. */
  #watchSilence(now: number): void {
    const isAsked = [...this.#asking].some(({ askedMs }) => askedMs !== null);
    if (this.#sharedCopies === 0 || !isAsked) {
      this.#starting = null;
      return;
    }
    this.#starting ??= new StartWatch(() => this.#copies.sharedWork());
    this.#float(this.#starting.look(now));
    const limitMs = this.#starting.isStarting ? START_LIMIT_MS : PROBE_LIMIT_MS;
    this.#noteNoAnswer((sinceMs) => now - sinceMs > limitMs);
  }

  #noteNoAnswer(isLate: (sinceMs: number) => boolean): void {
    for (const adaptive of this.#asking) {
      if (adaptive.askedMs !== null && isLate(adaptive.askedMs)) this.#float(adaptive.noteNoAnswer());
    }
  }

  #source({ client, shared, owner = null, onCopy }: {
    client: string | null;
    shared: boolean;
    owner?: string | null;
    onCopy(change: number): void;
  }): ServerSource {
    const { bringUp, environment, ownerEnvironment } = this.#options;
    if (this.#definition.transport !== "stdio") {
      return new ManagedSource(this.#world, { definition: this.#definition, bringUp });
    }
    return new CopySource(this.#world, this.#copies, {
      definition: () => this.#definition,
      client,
      shared,
      onDemand: !this.#options.isPinned(),
      environment: () => (owner === null ? null : ownerEnvironment(owner)) ?? environment(),
      wasEverReady: () => this.#discovery.wasEverReady,
      fate: () => this.#fate,
      onChange: (copy) => {
        if (copy !== null) this.counts.starts++;
        onCopy(copy === null ? -1 : 1);
      },
      onRestart: () => void this.counts.restarts++,
    });
  }

  #relay(
    client: ClientSide,
    source: ServerSource,
    { owner = null, tasks = new OpenTasks(), onServer, ...hooks }:
      & Pick<RelayOptions, "mintsIds" | "onServer" | "onSessionRefused">
      & {
        owner?: string | null;
        tasks?: OpenTasks;
      },
  ): Conversation {
    const now = () => this.#world.host.clock.monotonic();
    let servers = 0;
    const relay = new Relay(this.#world.host, {
      name: this.#definition.name,
      source,
      timeoutMs: (owner === null ? null : this.#options.ownerTimeoutMs(owner)) ?? this.#options.timeoutMs,
      client: {
        write: (line, to) => {
          if (to.kind === "answer") tasks.answered(to.exchange, line, now());
          else tasks.heard(line, now());
          return client.write(line, to);
        },
        cancelled: (exchange) => {
          tasks.forget(exchange);
          client.cancelled?.(exchange);
        },
      },
      onServer: () => {
        if (++servers > 1 && this.#definition.transport === "stdio") tasks.clear();
        onServer?.();
      },
      ...hooks,
      onHeld: () => void this.counts.held++,
      warn: (text) => this.#world.warn(text),
    });
    relay.start();
    this.#relays.add(relay);
    this.#tasks.add(tasks);
    return {
      receive: (exchange, line, messages) => {
        this.noteUse();
        tasks.sent(exchange, messages);
        const send = () => relay.receive(exchange, line);
        return this.#resting === null ? send() : this.#resting.then(send);
      },
      cancel: (exchange) => {
        tasks.forget(exchange);
        relay.cancel(exchange);
      },
      finish: (limitMs) => relay.finish(limitMs),
      close: async () => {
        this.#relays.delete(relay);
        this.#tasks.delete(tasks);
        if (this.#definition.transport === "stdio") tasks.clear();
        // Whoever waits is answered, with an error, before the connection goes.
        await relay.finish(0, this.#fate);
        await relay.close();
      },
    };
  }

  #how(): string | undefined {
    return this.#fate === null ? undefined : whatHappened(this.#definition.name, this.#fate);
  }

  #isThere(): boolean {
    return this.#definition.transport === "stdio" ? this.#sharedCopies > 0 : this.#options.isUp();
  }

  // Time

  /** The time until it is idle begins anew. */
  noteUse(): void {
    this.#usedMs = this.#world.host.clock.monotonic();
  }

  /** Called about twice a second. */
  tick({ withComments }: { withComments: boolean }): void {
    const now = this.#world.host.clock.monotonic();
    this.sessions.tick({ withComments });
    for (const { clients } of this.#newer.values()) clients.tick({ withComments });
    this.#watchSilence(now);
    this.#watchSessions(now);
    for (const conversation of this.#translated) conversation.tick();
    // The memory of a server that holds sessions would be lost with it, unless its definition says otherwise.
    const hasSessions = this.sessions.size > 0 && this.#definition.idleMs === null;
    if (this.#isBusy || hasSessions) this.#usedMs = now;
    if (this.#isOutdated && !this.#isBusy) this.#float(this.rest());
    this.#hadSessions ||= hasSessions;
    if (this.#isUnused(now)) {
      this.#usedMs = now;
      const resting = this.#options.onIdle().catch(this.#options.onFault).finally(() => {
        if (this.#resting === resting) this.#resting = null;
      });
      this.#resting = resting;
    }
    const idle = this.#conversations().filter((each) =>
      each.isBegun && each.open === 0 && now - each.usedMs >= this.#restMs(NEWER_REST_MS)
    );
    if (idle.length === 0 || this.#options.isPinned()) return;
    const tasks = this.openTasks;
    if (tasks === 0) this.#float(this.#letGo(idle));
    else if (!this.#isTold) {
      this.#world.warn(`"${this.#definition.name}" is idle, but works on ${tasks} tasks: it ends after them`);
    }
    this.#isTold = tasks > 0;
  }

  /** Whether clients have a session or a call at it. */
  get isUsed(): boolean {
    return this.#isBusy || this.sessions.size > 0;
  }

  /** Tasks that the server works on beyond the requests that began them. */
  get openTasks(): number {
    const now = this.#world.host.clock.monotonic();
    return [...this.#tasks].reduce((sum, tasks) => sum + tasks.count(now), 0);
  }

  /** Who speaks which revision with it, and what goes on there. */
  get use(): ServerUse {
    const { older, newer, version } = this.#discovery.spoken;
    const speaks = [
      ...(newer === true ? [NEWER_REVISION] : []),
      ...(older === true ? [version ?? OLDEST_KNOWN] : []),
    ];
    const isShared = this.#definition.transport === "stdio" && this.#definition.sharing === "shared";
    const sessions = this.sessions.clients().map((each) => ({
      ...each,
      translated: isShared || older === false,
      sessions: 1,
    }));
    // In that revision no client is known: those with equal capabilities share a session of a server that has sessions.
    const begun = this.#conversations().filter((each) => each !== this.#shared && each.isBegun).length;
    const isNewerUsed = [...this.#newer.values()].some(({ clients }) => clients.hasBeenUsed);
    const others = isNewerUsed
      ? [{
        name: null,
        revision: NEWER_REVISION,
        translated: newer === false,
        sessions: newer === false ? begun : 0,
      }]
      : [];
    return {
      key: this.key,
      speaks,
      clients: [...sessions, ...others],
      open_requests: this.openCalls,
      waiting_requests: this.waiting,
      open_tasks: this.openTasks,
    };
  }

  /** Also where the request came to all servers as one. */
  get #isBusy(): boolean {
    return this.openCalls > 0 || this.oldestCallMs !== null || this.openTasks > 0;
  }

  /** Whether a server that listens was used in time. */
  #isUnused(now: number): boolean {
    if (this.#definition.transport === "stdio" || !this.#options.isUp() || this.#isBusy) return false;
    return now - this.#usedMs >= this.#restMs(this.#hadSessions ? AFTER_SESSIONS_MS : NEWER_REST_MS);
  }

  /** Conversations that several clients have with one process. */
  #conversations(): SharedConversation[] {
    return [...this.#sides.values(), ...(this.#shared === null ? [] : [this.#shared])];
  }

  /** Ends conversations: their clients stay, and the next request begins new ones. */
  async #letGo(conversations: readonly SharedConversation[]): Promise<void> {
    for (const { memory } of this.#newer.values()) memory.noteGone();
    for (const memory of this.#memories) memory.noteGone();
    for (const conversation of this.#translated) {
      if (conversation instanceof TranslatedOlder) conversation.noteGone();
    }
    await Promise.all(conversations.map((each) => each.close()));
  }

  #restMs(usualMs: number): number {
    const { idleMs } = this.#definition;
    return idleMs === "never" ? Infinity : idleMs ?? this.#options.idleMs() ?? usualMs;
  }

  /** A changed definition counts from the next start on: its processes are let go as soon as nobody has a call at them. */
  async redefine(definition: ServerDefinition): Promise<void> {
    const isSame = specHash(definition) === specHash(this.#definition);
    this.#definition = definition;
    this.#isOutdated ||= !isSame;
    if (this.#isOutdated && !this.#isBusy) await this.rest();
  }

  /** Lets all processes go; sessions stay, and wake with the next request. `restarts`: another one is started at once. */
  async rest({ restarts = false } = {}): Promise<void> {
    this.#isOutdated = false;
    this.#fate = restarts ? "replaced" : "stopped";
    try {
      await this.#rest();
    } finally {
      this.#fate = null;
    }
  }

  async #rest(): Promise<void> {
    const checking = this.#checks.letGo();
    await this.sessions.rest();
    await checking?.close();
    await this.#letGo(this.#conversations());
    await this.#copies.endAll();
  }

  /** Ends everything in memory: files of sessions stay for the next supervisor. */
  async close(): Promise<void> {
    await this.sessions.close();
    await Promise.all([...this.#newer.values()].map(({ clients }) => clients.close()));
    await this.rest();
    await this.#discovery.saved;
  }

  #float(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#options.onFault(error));
  }
}
