/**
 * The gateway within its supervisor: which servers it has, whose environment their processes get, and what the supervisor
 * does for those that listen.
 *
 * @module
 */
import { dirname } from "node:path";
import type { ServerDefinition } from "../definitions/definition.ts";
import { DefinitionError } from "../definitions/definition_error.ts";
import { loadDefinitions } from "../definitions/load.ts";
import { HostError } from "../host/host.ts";
import { emptyRow, type Outcome, plainOutcome } from "../lifecycle/row.ts";
import type { World } from "../lifecycle/world.ts";
import { environmentNamesOf, unsetVariables } from "../definitions/variables.ts";
import { compareWithDefinition } from "../lifecycle/observe/compatibility.ts";
import { describeMismatch, versionHint } from "../lifecycle/messages.ts";
import { UNREACHED } from "../mcp/snapshot.ts";
import { isOver, verdictNow } from "../registry/identity.ts";
import { recordIn } from "../registry/store.ts";
import type { SupervisedServer } from "../supervisor/enrolment.ts";
import type {
  ClientMessage,
  PinAnswer,
  PinMessage,
  RestOptions,
  StaysDownMessage,
} from "../supervisor/control_wire.ts";
import { definitionOf, type Supervisor } from "../supervisor/supervisor.ts";
import { Gateway } from "./gateway.ts";
import type { GatewayServer } from "./server.ts";

export interface HostingOptions {
  supervisor: Supervisor;
  /** Keys the hashes of what servers said: the same in the next life. */
  secret: string;
  onFault(error: unknown): void;
}

interface Hosted {
  server: SupervisedServer;
  /** Kept in memory alone. */
  environment: Record<string, string> | null;
  /** Why it can't be used, null where it can. */
  trouble: string | null;
  /** When its definition file was last changed, in ms since the epoch. */
  changedAt: number | null;
  /** `up` asked for a process that stays. */
  isPinned: boolean;
  /** `down --stay`: requests are refused until `up`. */
  staysDown: boolean;
}

/** How long a request waits for a server that is not there. */
const REQUEST_WAIT_MS = 60_000;
const PIN_LIMIT_MS = 60_000;
const CLIENT_NAME_BYTES = 16;

export class Hosting {
  readonly gateway: Gateway;
  readonly #world: World;
  readonly #options: HostingOptions;
  readonly #hosted = new Map<string, Hosted>();
  /** The `connect`s that live, by the name that their requests carry. */
  readonly #clients = new Map<string, ClientMessage>();
  /** What each definition file defined when it was read last. */
  readonly #namesIn = new Map<string, ReadonlySet<string>>();
  /** The address of the gateway, without a path. */
  endpoint = "";

  constructor(world: World, options: HostingOptions) {
    this.#world = world;
    this.#options = options;
    const { supervisor } = options;
    supervisor.oldestCallMs = (key) => this.gateway.find(key)?.oldestCallMs ?? null;
    this.gateway = new Gateway(world, {
      secret: options.secret,
      timeoutMs: REQUEST_WAIT_MS,
      environment: (key) => this.#hosted.get(key)?.environment ?? null,
      ownerEnvironment: (owner) => this.#clients.get(owner)?.environment ?? null,
      ownerTimeoutMs: (owner) => this.#clients.get(owner)?.timeoutMs ?? null,
      ownerMayTranslate: (owner) => this.#clients.get(owner)?.mayTranslate ?? true,
      bringUp: async (definition, startedBy) => {
        const hosted = this.#hosted.get(definition.key);
        if (hosted === undefined) throw new Error(`"${definition.name}" is not enrolled any more`);
        // The gateway itself knows when it was used last, and ends it.
        const server: SupervisedServer = {
          ...hosted.server,
          idle_ms: null,
          ...(startedBy === "up" ? { by: "up" } : {}),
        };
        return await supervisor.enrol({ server, adoptOnly: false, environment: hosted.environment }).outcome;
      },
      isUp: (key) => supervisor.has(key),
      onIdle: async (key) => {
        if (this.#hosted.get(key)?.isPinned === false) await this.#endUnused(key);
      },
      // What a `connect` says of it counts from that client's end on.
      idleMs: (key) => this.#hasClient(key) ? null : this.#hosted.get(key)?.server.idle_ms ?? null,
      isPinned: (key) => this.#hosted.get(key)?.isPinned ?? false,
      refuse: (key) => this.#refusal(key),
      onFault: options.onFault,
    });
  }

  servers(): SupervisedServer[] {
    return [...this.#hosted.values()].map(({ server }) => server);
  }

  /** A server that is enrolled with the gateway, and whether it is kept down; null for any other. */
  find(key: string): { server: SupervisedServer; staysDown: boolean } | null {
    const hosted = this.#hosted.get(key);
    return hosted === undefined ? null : { server: hosted.server, staysDown: hosted.staysDown };
  }

  /** Starts a server that listens, or adopts it, and keeps it from then on, as `up --supervise` does. */
  async bringUp(server: SupervisedServer): Promise<Outcome> {
    const { supervisor } = this.#options;
    const environment = this.#hosted.get(server.key)?.environment ?? null;
    const { outcome } = supervisor.enrol({ server: { ...server, by: "up" }, adoptOnly: false, environment });
    return await outcome;
  }

  has(key: string): boolean {
    return this.#hosted.has(key);
  }

  #hasClient(key: string): boolean {
    return [...this.#clients.values()].some(({ servers }) => servers.some((server) => server.key === key));
  }

  isPinned(key: string): boolean {
    return this.#hosted.get(key)?.isPinned ?? false;
  }

  /** Those that `up` pinned: they are kept without a client. */
  get pinned(): number {
    return [...this.#hosted.values()].filter(({ isPinned }) => isPinned).length;
  }

  /** Of the servers that `up` pinned, by key: what their processes were started with. */
  environments(): Record<string, Record<string, string>> {
    return Object.fromEntries(
      [...this.#hosted].flatMap(([key, { environment, isPinned }]) =>
        isPinned && environment !== null ? [[key, environment]] : []
      ),
    );
  }

  /** The next process of the server has this environment. False of one that is not here. */
  setEnvironment(key: string, environment: Record<string, string>): boolean {
    const hosted = this.#hosted.get(key);
    if (hosted !== undefined) hosted.environment = environment;
    return hosted !== undefined;
  }

  /** Adds servers, or takes over what is new of them. A definition that can't be read is its own server's trouble. */
  async add(servers: readonly SupervisedServer[], environment: Record<string, string> | null): Promise<void> {
    await Promise.all(servers.map(async (server) => {
      const known = this.#hosted.get(server.key);
      const hosted: Hosted = known ??
        { server, environment, trouble: null, changedAt: null, isPinned: false, staysDown: false };
      // What a connect or serve has counts only where no up said otherwise.
      const isChosen = hosted.environment !== null && hosted.server.by === "up" && server.by !== "up";
      hosted.server = known?.isPinned ? { ...server, by: "up" } : server;
      if (environment !== null && !isChosen) hosted.environment = environment;
      this.#hosted.set(server.key, hosted);
      await this.#define(hosted);
    }));
    for (const { config } of servers) {
      if (config === null || this.#namesIn.has(config)) continue;
      const defined = await this.#definedIn(config);
      if (defined !== null) this.#namesIn.set(config, new Set(defined.map(({ name }) => name)));
    }
  }

  /**
   * A server that does not run and has no client is enrolled anew by the next `connect`, where that one has a variable that
   * the environment kept for it lacks: no start could do with the old one.
   */
  completeEnvironments({ servers, environment }: ClientMessage): void {
    for (const { key } of servers) {
      const hosted = this.#hosted.get(key);
      const found = this.gateway.find(key);
      if (hosted === undefined || found === null || hosted.isPinned || hosted.server.by === "up") continue;
      const runs = this.#options.supervisor.has(key) || found.copies.records().length > 0;
      if (runs || this.#hasClient(key)) continue;
      const { definition } = found;
      const kept = (name: string) =>
        hosted.environment === null ? this.#world.host.env.get(name) : hosted.environment[name];
      const unset = unsetVariables(definition, { tier: definition.launch[0]?.tier ?? "", env: kept });
      if (unset.some((name) => environment[name] !== undefined)) hosted.environment = environment;
    }
  }

  /** What the environment of a `connect` means for its servers: by the names of variables alone. */
  notesOn({ servers, environment }: ClientMessage): string[] {
    const kept = this.#options.supervisor.environments();
    return servers.flatMap(({ key }) => {
      const definition = this.gateway.find(key)?.definition;
      if (definition === undefined) return [];
      const { name } = definition;
      const running = definition.transport === "stdio" ? undefined : kept[key];
      if (running !== undefined) {
        const others = environmentNamesOf(definition).filter((variable) =>
          environment[variable] !== undefined && environment[variable] !== running[variable]
        );
        const what = others.map((variable) => `\${env:${variable}}`).join(", ");
        const quoted = JSON.stringify(name);
        return what === "" ? [] : [
          `${quoted} runs with another ${what} than is set here: foster restart ${quoted} gives it that of its terminal`,
        ];
      }
      const tier = definition.launch[0]?.tier ?? "";
      const unset = unsetVariables(definition, { tier, env: (variable) => environment[variable] });
      return unset.map((variable) => `${JSON.stringify(name)}: \${env:${variable}} is not set here`);
    });
  }

  /** A `connect` begins. Returns its name, and the function that ends it with its sessions. */
  begin(message: ClientMessage): { name: string; end(): Promise<void> } {
    const name = this.#world.host.random.hex(CLIENT_NAME_BYTES);
    this.#clients.set(name, message);
    return {
      name,
      end: async () => {
        this.#clients.delete(name);
        await this.gateway.endOwned(name);
        for (const { key } of message.servers) this.gateway.find(key)?.noteUse();
      },
    };
  }

  async remove(keys: readonly string[]): Promise<void> {
    await Promise.all(keys.map(async (key) => {
      this.#hosted.delete(key);
      await this.gateway.remove(key);
    }));
  }

  /**
   * Reads definition files that changed again: a changed server is taken over, one that vanished goes, and a new one comes
   * where all of the file was enrolled. True where servers came or went.
   */
  async reread(): Promise<boolean> {
    const before = [...this.#hosted.keys()];
    const changed = new Set<string>();
    // Many servers stand in one file.
    const seen = new Map<string, number | null>();
    for (const hosted of this.#hosted.values()) {
      const { config } = hosted.server;
      if (config === null) continue;
      const changedAt = seen.has(config)
        ? seen.get(config) ?? null
        : (await this.#world.host.files.stat(config).catch(() => null))?.modifiedAt ?? null;
      seen.set(config, changedAt);
      if (changedAt === hosted.changedAt) continue;
      changed.add(config);
      await this.#define(hosted);
    }
    for (const config of changed) await this.#takeUpNew(config);
    const now = [...this.#hosted.keys()];
    return now.length !== before.length || now.some((key) => !before.includes(key));
  }

  async #takeUpNew(config: string): Promise<void> {
    const defined = await this.#definedIn(config);
    if (defined === null) return;
    const before = this.#namesIn.get(config);
    this.#namesIn.set(config, new Set(defined.map(({ name }) => name)));
    const enrolled = [...this.#hosted.values()].filter(({ server }) => server.config === config);
    const names = new Set(enrolled.map(({ server }) => server.name));
    const isWhole = before !== undefined &&
      defined.every(({ name }) => names.has(name) || !before.has(name));
    // Of a file with one server nobody can tell whether a client asked for that one or for all.
    const like = enrolled.find(({ server: { by } }) =>
      by === "serve" || by === "attach" || (by === "connect" && names.size > 1)
    );
    if (!isWhole || like === undefined) return;
    const news = defined.filter(({ name, key }) => !before.has(name) && !this.#hosted.has(key));
    await this.add(news.map(({ key, name }) => ({ ...like.server, key, name })), like.environment);
  }

  /** The servers of a definition file; null where it can't be read, and for files that have to be brought in. */
  async #definedIn(config: string): Promise<readonly ServerDefinition[] | null> {
    const options = { configFlag: config, callerFolder: dirname(config) };
    try {
      const { inFile, isMcpJson } = await loadDefinitions(this.#world.host, options);
      return isMcpJson ? null : inFile;
    } catch (error) {
      if (!(error instanceof DefinitionError || error instanceof HostError)) throw error;
      return null;
    }
  }

  /** Starts a process of a stdio server, and tells how its handshake went. */
  async pin({ server, environment, timeoutMs, stays }: PinMessage): Promise<PinAnswer> {
    const { clock } = this.#world.host;
    const startedAt = clock.monotonic();
    const isKnown = this.#hosted.has(server.key);
    await this.add([stays ? { ...server, by: "up" } : server], stays || !isKnown ? environment : null);
    const hosted = this.#hosted.get(server.key);
    const found = this.gateway.find(server.key);
    if (hosted === undefined || found === null) {
      const message = hosted?.trouble ?? `"${server.name}" has no definition any more`;
      return {
        ...plainOutcome(server, this.#world.state.server(server.key), { kind: "no_command", message }),
        tools: [],
      };
    }
    if (!stays && hosted.staysDown) {
      const message = this.#refusal(server.key) ?? "";
      const folder = this.#world.state.server(server.key);
      const { kind, row } = plainOutcome(server, folder, { kind: "no", message });
      return { kind, row: { ...row, endpoint: this.endpointOf(server.key) }, tools: [] };
    }
    const wasThere = found.copies.records().length > 0;
    const wasPinned = hosted.isPinned;
    if (stays) {
      hosted.staysDown = false;
      hosted.isPinned = true;
    }
    const result = await this.#handshake(found, timeoutMs ?? found.definition.ready.timeoutMs);
    const answer = stays ? wanted(found.definition, result) : result;
    // What was there before a check that got no answer in time stays.
    if (answer.kind !== "done") {
      hosted.isPinned = wasPinned && answer.kind === "not_ready" && found.copies.records().length > 0;
    }
    // What was only looked at, or is not what it should be; somebody else may have begun to use it.
    const isUnwanted = !stays || (answer.kind !== "done" && !hosted.isPinned);
    if (isUnwanted && !wasThere && !found.isUsed) await found.rest();
    const isOwn = !isKnown && hosted.server === server && !this.#hasClient(server.key);
    if (!stays && isOwn && !found.isUsed) await this.remove([server.key]);
    const isStopped = answer.kind !== "done" && found.copies.records().length === 0;
    const startup_path = answer.kind === "done" ? wasThere ? "adopted" : "spawned" : answer.row.startup_path;
    const elapsed_ms = Math.round(clock.monotonic() - startedAt);
    const row = { ...answer.row, startup_path, elapsed_ms };
    return { ...answer, row: isStopped ? { ...row, pid: null } : row };
  }

  /** Lets all processes of servers go. */
  async rest(keys: readonly string[], { stays, restarts }: RestOptions): Promise<void> {
    await Promise.all(keys.map(async (key) => {
      const hosted = this.#hosted.get(key);
      if (hosted !== undefined) {
        hosted.isPinned = false;
        hosted.staysDown ||= stays;
        if (hosted.server.by === "up") hosted.server = { ...hosted.server, by: "connect" };
      }
      await this.gateway.find(key)?.rest({ restarts });
    }));
  }

  /** Whether requests to servers are refused until the next `up`. */
  setStaysDown({ keys, staysDown }: StaysDownMessage): void {
    for (const key of keys) {
      const hosted = this.#hosted.get(key);
      if (hosted !== undefined) hosted.staysDown = staysDown;
    }
  }

  /** Of all its servers, by key: whether they stay down. */
  staysDown(): ReadonlyMap<string, boolean> {
    return new Map([...this.#hosted].map(([key, { staysDown }]) => [key, staysDown]));
  }

  /** Ends a server that listens and that a request started. One that `up` or `run` wants stays. */
  async #endUnused(key: string): Promise<void> {
    const record = recordIn(await this.#world.state.server(key).read());
    if (record?.started_by !== "connect") return;
    // Whoever talks to the server at its own address uses it as well.
    const foreign = await this.#world.host.processes.foreignConnections(record.port);
    if (foreign === null || foreign === 0) await this.#options.supervisor.stop(key);
  }

  /** A pinned server whose process is gone gets another, and one whose owner is gone ends; called every few seconds. */
  async keepPinned(): Promise<void> {
    for (const { server, isPinned } of this.#hosted.values()) {
      if (isPinned && server.by === "up" && server.owner !== null) {
        if (isOver(await verdictNow(this.#world.host, server.owner))) {
          await this.rest([server.key], { stays: false });
          continue;
        }
      }
      const found = isPinned ? this.gateway.find(server.key) : null;
      if (found === null || found.definition.transport !== "stdio" || found.copies.records().length > 0) {
        continue;
      }
      await this.#handshake(found, PIN_LIMIT_MS);
    }
  }

  /** Logs of stdio servers; those of servers that listen are their loops'. */
  async rotateLogs(): Promise<void> {
    await Promise.all(this.gateway.servers().map((server) => server.copies.rotateLog()));
  }

  async #handshake(found: GatewayServer, timeoutMs: number): Promise<PinAnswer> {
    const { definition, key } = found;
    const folder = this.#world.state.server(key);
    const result = await found.check(timeoutMs);
    const endpoint = this.endpointOf(key);
    if (result.kind === "failed") {
      const { outcome: kind, message, hint } = result;
      const [left] = kind === "not_ready" ? found.copies.records() : [];
      const { row } = plainOutcome(definition, folder, {
        kind,
        ...(kind === "not_ready" && left === undefined ? { state: "stopped" } : {}),
        message,
        hint,
      });
      return { kind, row: { ...row, endpoint, pid: left?.pid ?? null }, tools: [] };
    }
    const missing = definition.requiredTools.filter((tool) => !result.tools.includes(tool));
    if (missing.length > 0) {
      const message = `"${definition.name}" lacks the tools ${missing.join(", ")}`;
      return { ...plainOutcome(definition, folder, { kind: "not_ready", message }), tools: result.tools };
    }
    const [record] = found.copies.records();
    return {
      kind: "done",
      row: {
        ...emptyRow(definition.name, key),
        state: "ready",
        adoption: "managed",
        endpoint,
        pid: record?.pid ?? null,
        expected_version: definition.version,
        server: result.server,
        log: folder.paths.log,
      },
      tools: result.tools,
    };
  }

  endpointOf(key: string): string {
    return `${this.endpoint}/mcp/${key}`;
  }

  async #define(hosted: Hosted): Promise<void> {
    const { server } = hosted;
    const { config } = server;
    const { host } = this.#world;
    hosted.changedAt = config === null
      ? null
      : (await host.files.stat(config).catch(() => null))?.modifiedAt ?? null;
    try {
      const definition: ServerDefinition = await definitionOf(this.#world, server);
      hosted.trouble = null;
      await this.gateway.enrol(definition);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const isGone = error instanceof DefinitionError && /has no definition any more/.test(message);
      const isKept = error instanceof DefinitionError && error.file !== null && !isGone &&
        this.gateway.find(server.key) !== null;
      // What is wrong in the file now stands in nobody's way: the definition that was read last counts.
      hosted.trouble = isKept ? null : message;
      if (isKept) this.#world.warn(`${message}; "${server.name}" goes on as it was defined before`);
      // The user may bring a file in that stays as it is.
      if (!isKept) hosted.changedAt = null;
      // A file that is broken for a moment ends nobody's session; a server that is not in it any more is gone.
      if (isGone) {
        this.#hosted.delete(server.key);
        await this.gateway.remove(server.key);
      }
    }
  }

  #refusal(key: string): string | null {
    const hosted = this.#hosted.get(key);
    if (hosted === undefined) return null;
    const { server: { name }, staysDown, trouble } = hosted;
    if (staysDown) {
      return `"${name}" was taken down to stay: foster up ${JSON.stringify(name)} brings it back`;
    }
    return trouble;
  }
}

/** A server that answers and is not the one that its definition wants. */
function wanted(definition: ServerDefinition, answer: PinAnswer): PinAnswer {
  if (answer.kind !== "done") return answer;
  const { name, version } = answer.row.server;
  const live = { ...UNREACHED, reachable: true, name: name ?? "", version: version ?? "" };
  const compatibility = compareWithDefinition(live, { definition, record: null, wsPort: null });
  if (compatibility.kind === "compatible") return answer;
  const message = describeMismatch(definition, { live, reason: compatibility.reason });
  const hint = compatibility.reason === "name_mismatch"
    ? `correct "identity" in its definition`
    : versionHint(definition.name, { remembered: null, asked: null });
  const row = { ...answer.row, state: "incompatible" as const, message, hint, connection_blocked: true };
  return { ...answer, kind: "incompatible", row };
}
