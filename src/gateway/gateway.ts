/**
 * Every enrolled server behind one address: which one a request is for, and the limits that hold over all of them.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { fileHash } from "./file_hash.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import type { Outcome } from "../lifecycle/row.ts";
import type { World } from "../lifecycle/world.ts";
import type { StartedBy } from "../registry/record.ts";
import { parseLine } from "../relay/message.ts";
import { AllServers } from "./all_servers.ts";
import type { RequestCounts } from "./counts.ts";
import { BODY_LIMIT_BYTES, readBody } from "./body.ts";
import { type EndpointServer, refusal, serveEndpoint } from "./endpoint.ts";
import { metricsText } from "./metrics.ts";
import { GatewayServer } from "./server.ts";
import { sweepSessions } from "./sessions.ts";

export interface GatewayOptions {
  /** Keys the hashes in discovery files: unguessable, and the same in the next life. */
  secret: string;
  timeoutMs: number;
  /** Environment for a server's processes; null for foster's own. */
  environment(key: string): Record<string, string> | null;
  /** That of a `connect` by the name that its requests carry; null where it is not known. */
  ownerEnvironment(owner: string): Record<string, string> | null;
  /** How long the requests of a `connect` wait for a server; null where it is not known. */
  ownerTimeoutMs(owner: string): number | null;
  /** Whether foster may translate between a `connect` and its servers. */
  ownerMayTranslate(owner: string): boolean;
  /** Starts or adopts a server that listens, under the supervisor. */
  bringUp(definition: ServerDefinition, startedBy: StartedBy): Promise<Outcome>;
  /** Whether a server that listens is there. */
  isUp(key: string): boolean;
  /** How long it may be unused, as whoever enrolled it said; null leaves that to its definition. */
  idleMs(key: string): number | null;
  /** Whether `up` asked for a process that stays. */
  isPinned(key: string): boolean;
  /** A server that listens was not used for as long as it may be unused. Resolves once it is ended, or stays. */
  onIdle(key: string): Promise<void>;
  /** Why no request may reach the server now, null where it may. */
  refuse(key: string): string | null;
  onFault(error: unknown): void;
}

const SESSION_LIMIT = 1000;
const TICK_MS = 500;
const TICKS_A_COMMENT = 30;
const TICKS_A_SWEEP = 7200;
const EPOCH_BYTES = 4;
const NOT_FOUND = -32601;
const UNAVAILABLE = -32603;
const ALL = "all";

export class Gateway {
  readonly #world: World;
  readonly #options: GatewayOptions;
  readonly #servers = new Map<string, GatewayServer>();
  /** All servers as one, and those of each definition file, by the first eight digits of its path's hash. */
  readonly #all = new Map<string, AllServers>();
  readonly #epoch: string;
  readonly #stopTicking: () => void;
  #ticks = 0;

  constructor(world: World, options: GatewayOptions) {
    this.#world = world;
    this.#options = options;
    this.#epoch = world.host.random.hex(EPOCH_BYTES);
    this.#stopTicking = world.host.clock.every(TICK_MS, () => this.#tick());
  }

  servers(): GatewayServer[] {
    return [...this.#servers.values()];
  }

  find(key: string): GatewayServer | null {
    return this.#servers.get(key) ?? null;
  }

  /** Adds a server, or takes over its changed definition. */
  async enrol(definition: ServerDefinition): Promise<GatewayServer> {
    const known = this.#servers.get(definition.key);
    if (known !== undefined) {
      await known.redefine(definition);
      return known;
    }
    const { key } = definition;
    const { secret, timeoutMs, environment, bringUp, isUp, isPinned, onIdle, onFault } = this.#options;
    const server = await GatewayServer.open(this.#world, {
      definition,
      timeoutMs,
      epoch: this.#epoch,
      secret,
      environment: () => environment(key),
      ownerEnvironment: (owner) => this.#options.ownerEnvironment(owner),
      ownerTimeoutMs: (owner) => this.#options.ownerTimeoutMs(owner),
      ownerMayTranslate: (owner) => this.#options.ownerMayTranslate(owner),
      bringUp: (startedBy) => bringUp(server.definition, startedBy),
      isUp: () => isUp(key),
      idleMs: () => this.#options.idleMs(key),
      isPinned: () => isPinned(key),
      onIdle: () => onIdle(key),
      admit: () => this.#admit(),
      onFault,
    });
    // Another caller may have been faster.
    const meanwhile = this.#servers.get(key);
    if (meanwhile !== undefined) return meanwhile;
    this.#servers.set(key, server);
    this.#noteServers();
    return server;
  }

  /** Takes a server away: its sessions end, and its processes. */
  async remove(key: string): Promise<void> {
    const server = this.#servers.get(key);
    this.#servers.delete(key);
    if (server !== undefined) this.#noteServers();
    await server?.close();
  }

  /** A `connect` is gone: its sessions end, and their processes. */
  async endOwned(owner: string): Promise<void> {
    await Promise.all(
      [...this.servers(), ...this.#all.values()].map(({ sessions }) => sessions.endOwned(owner)),
    );
  }

  /** Answers a request that passed the guard. `path` is what stands after `/mcp`. */
  async handle(request: Request, path: string): Promise<Response> {
    if (path === "" || path === "/") return await counted(this.#together(ALL), request);
    const name = named(path);
    const file = name === null ? undefined : /^@([0-9a-f]{8})$/.exec(name)?.[1];
    if (file !== undefined) {
      if (this.#ofFile(file).length > 0) return await counted(this.#together(file), request);
      return refusal(404, {
        code: NOT_FOUND,
        message: `No server of a definition file @${file} is enrolled`,
      });
    }
    if (name === null) return refusal(404, { code: NOT_FOUND, message: `There is nothing at /mcp${path}` });
    const found = this.#resolve(name);
    if (!(found instanceof GatewayServer)) return found;
    const refused = this.#options.refuse(found.key);
    if (refused !== null) {
      found.counts.outcomes.refused++;
      return refusal(503, { code: UNAVAILABLE, message: refused }, await requestIdOf(request));
    }
    return await counted(found, request);
  }

  /** Counters of all servers, in Prometheus' text format. */
  async metrics(): Promise<string> {
    const together = [...this.#all].map(([which, { counts, sessions }]) => ({
      name: which === ALL ? "/mcp" : `/mcp/@${which}`,
      counts,
      sessions: sessions.size,
    }));
    return await metricsText(this.#world, this.servers(), together);
  }

  /** Sessions that have several servers as one. */
  get sessionsTogether(): number {
    return [...this.#all.values()].reduce((sum, { sessions }) => sum + sessions.size, 0);
  }

  async close(): Promise<void> {
    this.#stopTicking();
    await Promise.all([...this.#all.values()].map((all) => all.close()));
    await Promise.all(this.servers().map((server) => server.close()));
    this.#servers.clear();
  }

  #ofFile(hash: string): GatewayServer[] {
    return this.servers().filter(({ definition }) => fileHash(definition) === hash);
  }

  #together(which: string): AllServers {
    const known = this.#all.get(which);
    if (known !== undefined) return known;
    const all = new AllServers(this.#world, {
      key: `.all-${which}`,
      servers: () => which === ALL ? this.servers() : this.#ofFile(which),
      epoch: this.#epoch,
      admit: () => this.#admit(),
      onFault: this.#options.onFault,
    });
    this.#all.set(which, all);
    return all;
  }

  #noteServers(): void {
    for (const all of this.#all.values()) all.noteServers();
  }

  #resolve(name: string): GatewayServer | Response {
    const byKey = this.#servers.get(name);
    if (byKey !== undefined) return byKey;
    const named = this.servers().filter(({ definition }) => definition.name === name);
    const [only] = named;
    if (named.length === 1 && only !== undefined) return only;
    const message = named.length > 1
      ? `Several servers are called ${JSON.stringify(name)}: use one of the keys ${
        named.map(({ key }) => key).join(", ")
      }`
      : `No server is called ${JSON.stringify(name)} here: foster serve NAME enrols it`;
    return refusal(404, { code: NOT_FOUND, message });
  }

  /** Room for one more session: where there is none, the least recently used one makes it. */
  #admit(): string | null {
    const keepers = [...this.servers(), ...this.#all.values()];
    const open = keepers.reduce((sum, { sessions }) => sum + sessions.size, 0);
    if (open < SESSION_LIMIT) return null;
    const [oldest] = keepers.flatMap(({ sessions }) => sessions.leastUsed() ?? []).sort((a, b) =>
      a.usedMs - b.usedMs
    );
    if (oldest === undefined) {
      return `${SESSION_LIMIT} sessions are open and all are in use: end some of them, or try again`;
    }
    oldest.drop().catch(this.#options.onFault);
    return null;
  }

  #tick(): void {
    this.#ticks += 1;
    const withComments = this.#ticks % TICKS_A_COMMENT === 0;
    if (this.#ticks % TICKS_A_SWEEP === 1) sweepSessions(this.#world).catch(this.#options.onFault);
    for (const keeper of [...this.#servers.values(), ...this.#all.values()]) keeper.tick({ withComments });
  }
}

async function counted(
  server: EndpointServer & { counts: RequestCounts },
  request: Request,
): Promise<Response> {
  const response = await serveEndpoint(server, request);
  if (response.status >= 400) server.counts.outcomes.refused++;
  return response;
}

/** The id of the request in a body, for the error that answers it; null where there is none. */
async function requestIdOf(request: Request): Promise<unknown> {
  if (request.method !== "POST") return null;
  const body = await readBody(request, BODY_LIMIT_BYTES).catch(() => null);
  const value = body === null ? null : parseLine(body);
  return isObject(value) && (typeof value.id === "string" || typeof value.id === "number") ? value.id : null;
}

/** The one segment of a path, decoded; null where there is none, or more. */
function named(path: string): string | null {
  const segment = /^\/([^/]+)\/?$/.exec(path)?.[1];
  if (segment === undefined) return null;
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}
