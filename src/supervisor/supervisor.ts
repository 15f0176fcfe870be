/**
 * The servers that one process supervises, each with a loop of its own. What goes wrong in one never reaches another.
 *
 * @module
 */
import type { Environment, Host } from "../host/host.ts";
import { loadDefinitions } from "../definitions/load.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { DefinitionError } from "../definitions/definition_error.ts";
import { requireBroughtIn } from "../definitions/trust.ts";
import { PLAIN_START, startServer } from "../lifecycle/start/start.ts";
import { emptyRow, type Outcome, plainOutcome, rowOfRecord } from "../lifecycle/row.ts";
import type { World } from "../lifecycle/world.ts";
import { TOKEN_VARIABLE } from "../definitions/launch/environment.ts";
import { verdictNow } from "../registry/identity.ts";
import type { StartedBy } from "../registry/record.ts";
import { recordIn } from "../registry/store.ts";
import { readEnrolled } from "../registry/supervisor_files.ts";
import type { SupervisedServer } from "./enrolment.ts";
import { EndWatcher } from "./end_watcher.ts";
import type { LoopEnd, LoopEvent } from "./loop_events.ts";
import { supervisedAlready } from "./server_actions.ts";
import { LetGo, ServerLoop } from "./server_loop.ts";

export interface EnrolRequest {
  server: SupervisedServer;
  /** Only keeps what runs already. */
  adoptOnly: boolean;
  /** Null leaves the one that it has, else the supervisor's own. */
  environment: Record<string, string> | null;
  /** The run that has it comes again, since the supervisor before was killed. */
  resumes?: boolean;
}

export type ServerNews =
  | LoopEvent
  | { type: "progress"; text: string }
  | { type: "warning"; message: string };

export interface Enrolment {
  /** Whether it was supervised before: its start is then nobody's to wait for. */
  kept: boolean;
  /** The first time that it is ready, or why it is not. */
  outcome: Promise<Outcome>;
  /** How the loop ends. Never rejects. */
  end: Promise<LoopEnd>;
  /** Calls back with what happens from now on. Returns the function that ends this. */
  follow(listener: (news: ServerNews) => void): () => void;
}

interface Supervised {
  server: SupervisedServer;
  environment: Record<string, string>;
  abort: AbortController;
  listeners: Set<(news: ServerNews) => void>;
  outcome: Promise<Outcome>;
  end: Promise<LoopEnd>;
  /** Came while it was supervised: tried once more where the loop was about to end. */
  again: EnrolRequest | null;
  readyAt: number | null;
}

export interface SupervisorOptions {
  onNews(server: SupervisedServer, news: ServerNews): void;
  /** A server came or went. */
  onChange(): void;
  /** A thrown error of one server's loop, with its stack. */
  onError(server: SupervisedServer, error: unknown): void;
}

/** After the last of several starts: one collection for all of them, and none while servers restart all the time. */
const QUIET_MS = 1000;

export class Supervisor {
  readonly #world: World;
  readonly #options: SupervisorOptions;
  readonly #servers = new Map<string, Supervised>();
  readonly #ends: EndWatcher;
  /** Takes back what is to be done once no server has started for a while. */
  #cancelRelease = () => {};
  /** Set by the gateway of this process: since when a server's oldest call runs, monotonic; null while none does. */
  oldestCallMs: (key: string) => number | null = () => null;

  constructor(world: World, options: SupervisorOptions) {
    this.#world = world;
    this.#options = options;
    this.#ends = new EndWatcher(world.host);
  }

  get size(): number {
    return this.#servers.size;
  }

  servers(): SupervisedServer[] {
    return [...this.#servers.values()].map(({ server }) => server);
  }

  has(key: string): boolean {
    return this.#servers.has(key);
  }

  environments(): Record<string, Record<string, string>> {
    return Object.fromEntries([...this.#servers].map(([key, { environment }]) => [key, environment]));
  }

  /** The next start of the server has this environment. */
  setEnvironment(key: string, environment: Record<string, string>): boolean {
    const known = this.#servers.get(key);
    if (known !== undefined) known.environment = environment;
    return known !== undefined;
  }

  enrol(request: EnrolRequest): Enrolment {
    const known = this.#servers.get(request.server.key);
    if (known !== undefined && request.server.by === "run" && known.server.by === "run") {
      if (request.resumes !== true || !isSameOwner(known.server, request.server)) return this.#refuse(known);
    }
    if (known !== undefined) {
      // A client's own environment is that of the start only where nobody chose one before.
      const chosen = request.server.by === "up" || request.server.by === "run";
      if (request.environment !== null && chosen) known.environment = request.environment;
      known.again = request;
      const outcome = request.adoptOnly ? this.#asRecorded(known.server) : this.#bringUp(known, request);
      return { ...this.#enrolmentOf(known, true), outcome };
    }
    const supervised = this.#make(request.server, request.environment ?? this.#world.host.env.all());
    this.#servers.set(request.server.key, supervised);
    this.#begin(supervised, request);
    this.#options.onChange();
    return this.#enrolmentOf(supervised, false);
  }

  /**
   * Ends a server and starts it again, as `restart` does: beside its loop, which takes over what comes. One that is not
   * supervised has the environment of the process that runs.
   */
  async restart(server: SupervisedServer): Promise<Outcome> {
    const known = this.#servers.get(server.key);
    const supervised = known ?? this.#make(server, this.#world.host.env.all());
    try {
      const definition = await definitionOf(this.#world, server);
      if (known === undefined) await this.#readEnvironment(supervised, definition);
      const record = recordIn(await this.#world.state.server(server.key).read());
      return await startServer(this.#worldOf(supervised), definition, {
        ...PLAIN_START,
        // Only `up` pins a server that clients started.
        startedBy: record?.started_by ?? "up",
        restart: "yes",
      });
    } catch (error) {
      this.#options.onError(server, error);
      return this.#failed(server, error);
    }
  }

  /** Stops watching; the server is left as it is. Resolves once nothing of it is touched any more. */
  async release(key: string): Promise<boolean> {
    return await this.#abort(key, new LetGo());
  }

  /** Ends the watch and the server. */
  async stop(key: string): Promise<boolean> {
    return await this.#abort(key, new Error("interrupted"));
  }

  /** Ends all loops: those of servers that nobody would miss with their server, the others without. */
  async close(isToStop: (server: SupervisedServer, startedBy: StartedBy | null) => boolean): Promise<void> {
    this.#cancelRelease();
    await Promise.all([...this.#servers.values()].map(async ({ server }) => {
      const record = recordIn(
        await this.#world.state.server(server.key).read().catch(() => ({ kind: "none" })),
      );
      await (isToStop(server, record?.started_by ?? null) ? this.stop(server.key) : this.release(server.key));
    }));
  }

  async #abort(key: string, reason: Error): Promise<boolean> {
    const known = this.#servers.get(key);
    if (known === undefined) return false;
    known.again = null;
    known.abort.abort(reason);
    await known.end;
    return true;
  }

  #make(server: SupervisedServer, environment: Record<string, string>): Supervised {
    return {
      server,
      environment,
      abort: new AbortController(),
      listeners: new Set(),
      outcome: Promise.resolve(null as never),
      end: Promise.resolve({ kind: "stopped" }),
      again: null,
      readyAt: null,
    };
  }

  #enrolmentOf(supervised: Supervised, kept: boolean): Enrolment {
    return {
      kept,
      outcome: supervised.outcome,
      end: supervised.end,
      follow: (listener) => {
        supervised.listeners.add(listener);
        return () => void supervised.listeners.delete(listener);
      },
    };
  }

  #begin(supervised: Supervised, request: EnrolRequest): void {
    const { server } = supervised;
    const outcome = Promise.withResolvers<Outcome>();
    supervised.outcome = outcome.promise;
    supervised.end = this.#run(supervised, { request, onOutcome: outcome.resolve }).then((end) => {
      if (end.kind === "failed") outcome.resolve(end.outcome);
      else outcome.resolve(this.#stoppedBefore(server));
      this.#ended(supervised, end);
      return end;
    });
  }

  #ended(supervised: Supervised, end: LoopEnd): void {
    const { server, again } = supervised;
    this.#servers.delete(server.key);
    // Somebody brought it up again while the loop was about to end over its earlier life.
    if (again !== null && end.kind === "stopped") {
      this.enrol({ ...again, adoptOnly: true, environment: again.environment ?? supervised.environment });
    }
    this.#options.onChange();
  }

  /** Two of them would end it for each other. */
  #refuse({ server: { name, key, owner } }: Supervised): Enrolment {
    const pid = owner?.pid ?? this.#world.host.processes.selfPid;
    const outcome = supervisedAlready(this.#world.state.server(key), { name, pid });
    return {
      kept: true,
      outcome: Promise.resolve(outcome),
      end: Promise.resolve({ kind: "failed", outcome }),
      follow: (listener) => {
        listener({ type: "refused", message: outcome.row.message });
        return () => {};
      },
    };
  }

  async #asRecorded({ name, key }: SupervisedServer): Promise<Outcome> {
    const record = recordIn(await this.#world.state.server(key).read());
    return { kind: "done", row: record === null ? emptyRow(name, key) : rowOfRecord(record) };
  }

  /** Beside the loop, which takes over what this starts. */
  async #bringUp(known: Supervised, { server }: EnrolRequest): Promise<Outcome> {
    const world = this.#worldOf(known);
    try {
      return await startServer(world, await definitionOf(world, known.server), {
        ...PLAIN_START,
        startedBy: startedByOf(server),
        timeoutMs: server.timeout_ms,
      });
    } catch (error) {
      this.#options.onError(known.server, error);
      return this.#failed(known.server, error);
    }
  }

  #stoppedBefore({ name, key }: SupervisedServer): Outcome {
    const message = `"${name}": stopped before it was ready`;
    return plainOutcome({ name }, this.#world.state.server(key), {
      kind: "no",
      state: "stopped",
      message,
      hint: "",
    });
  }

  /** Never rejects: a loop that can't even begin is a server that did not start. */
  async #run(
    supervised: Supervised,
    { request, onOutcome }: { request: EnrolRequest; onOutcome(outcome: Outcome): void },
  ): Promise<LoopEnd> {
    const { server, abort } = supervised;
    const world = this.#worldOf(supervised);
    try {
      const definition = await definitionOf(world, server);
      if (request.environment === null) await this.#readEnvironment(supervised, definition);
      const loop = new ServerLoop(world, {
        definition,
        startedBy: startedByOf(server),
        timeoutMs: server.timeout_ms,
        owner: server.owner,
        ends: this.#ends,
        oldestCallMs: () => this.oldestCallMs(server.key),
        idleMs: server.idle_ms,
        adoptOnly: request.adoptOnly,
        reload: () => definitionOf(world, server),
        onEvent: (event) => {
          if (event.type === "ready") {
            onOutcome({ kind: "done", row: event.row });
            this.#releaseWhenQuiet();
          }
          if (event.type === "start_failed") onOutcome(event.outcome);
          this.#tell(supervised, event);
        },
      });
      return await loop.run();
    } catch (error) {
      if (abort.signal.aborted) return { kind: "stopped" };
      this.#options.onError(server, error);
      const message = error instanceof Error ? error.message : String(error);
      this.#tell(supervised, { type: "problem", message });
      return { kind: "failed", outcome: this.#failed(server, error) };
    }
  }

  /** Each start leaves megabytes that nothing uses any more, and an idle engine never looks for them. */
  #releaseWhenQuiet(): void {
    const { clock, program } = this.#world.host;
    this.#cancelRelease();
    this.#cancelRelease = clock.every(QUIET_MS, () => {
      this.#cancelRelease();
      program.releaseMemory();
    });
  }

  /** After a sudden end of the supervisor before, the server that runs still has its own. */
  async #readEnvironment(supervised: Supervised, { ownerEnv, session }: ServerDefinition): Promise<void> {
    const { host, state } = this.#world;
    const record = recordIn(await state.server(supervised.server.key).read());
    if (record === null || record.pid === null || record.start_token === null) return;
    const { pid, start_token } = record;
    const entries = await host.processes.carryingPrefix("", [pid]);
    // Read first: what is verified after it can't have been another process's.
    if (entries.length === 0 || (await verdictNow(host, { pid, start_token })).kind !== "ours") return;
    const own = new Set([TOKEN_VARIABLE, ownerEnv, session?.env]);
    supervised.environment = Object.fromEntries(
      entries.flatMap(({ entry }) => {
        const at = entry.indexOf("=");
        const name = entry.slice(0, at);
        return at > 0 && !own.has(name) ? [[name, entry.slice(at + 1)]] : [];
      }),
    );
  }

  #failed({ name, key }: SupervisedServer, error: unknown): Outcome {
    const message = error instanceof Error ? error.message : String(error);
    const hint = error instanceof DefinitionError ? error.hint ?? "" : "";
    return plainOutcome({ name }, this.#world.state.server(key), {
      kind: "no",
      state: "crashed",
      message,
      hint,
    });
  }

  #worldOf(supervised: Supervised): World {
    const { server } = supervised;
    return {
      ...this.#world,
      host: withEnvironment(this.#world.host, () => supervised.environment),
      signal: supervised.abort.signal,
      callerFolder: server.folder,
      progress: (_name, text) => this.#tell(supervised, { type: "progress", text }),
      warn: (message) => this.#tell(supervised, { type: "warning", message }),
    };
  }

  #tell(supervised: Supervised, news: ServerNews): void {
    for (const listener of supervised.listeners) listener(news);
    this.#options.onNews(supervised.server, news);
  }
}

function isSameOwner({ owner: one }: SupervisedServer, { owner: other }: SupervisedServer): boolean {
  return one !== null && other !== null && one.pid === other.pid && one.start_token === other.start_token;
}

/** In the words that records have had since 0.1. */
function startedByOf({ by }: SupervisedServer): StartedBy {
  return by === "serve" || by === "attach" ? "connect" : by;
}

/**
 * The definition as its file has it now. @throws DefinitionError where it is there no more, or in a `.mcp.json` that
 * changed since the user brought it in
 */
export async function definitionOf(
  { host, state }: Pick<World, "host" | "state">,
  server: SupervisedServer,
): Promise<ServerDefinition> {
  const { name, config, folder } = server;
  const definitions = await loadDefinitions(host, {
    configFlag: config,
    callerFolder: folder,
    presetsOnly: config === null,
  });
  const found = definitions.find(name);
  if (found === null) throw new DefinitionError(`"${name}" has no definition any more`, { file: config });
  if (definitions.isMcpJson) {
    const enrolled = await readEnrolled(host, state.path);
    requireBroughtIn(definitions, name, enrolled.kind === "file" ? enrolled.value.files : []);
  }
  return found;
}

/** The same machine, with another environment for what is started on it. */
export function withEnvironment(host: Host, environment: () => Record<string, string>): Host {
  const { system, engine, program, clock, random, files, processes, net, terminal } = host;
  const env: Environment = { get: (name) => environment()[name], all: () => ({ ...environment() }) };
  return { system, engine, program, clock, random, files, processes, net, terminal, env };
}
