/**
 * Every enrolled server behind one address: which one a request is for, and the limits that hold over all of them.
 *
 * @module
 */
import type { ServerDefinition } from "../definitions/definition.ts";
import type { Outcome } from "../lifecycle/row.ts";
import type { World } from "../lifecycle/world.ts";
import type { StartedBy } from "../registry/record.ts";
import { refusal, serveEndpoint } from "./endpoint.ts";
import { GatewayServer } from "./server.ts";

export interface GatewayOptions {
  /** Keys the hashes in discovery files: unguessable, and the same in the next life. */
  secret: string;
  timeoutMs: number;
  /** Environment for a server's processes; null for foster's own. */
  environment(key: string): Record<string, string> | null;
  /** Starts or adopts a server that listens, under the supervisor. */
  bringUp(definition: ServerDefinition, startedBy: StartedBy): Promise<Outcome>;
  /** Whether a server that listens is there. */
  isUp(key: string): boolean;
  onFault(error: unknown): void;
}

const SESSION_LIMIT = 1000;
const TICK_MS = 500;
const TICKS_A_COMMENT = 30;
const EPOCH_BYTES = 4;
const NOT_FOUND = -32601;

export class Gateway {
  readonly #world: World;
  readonly #options: GatewayOptions;
  readonly #servers = new Map<string, GatewayServer>();
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
    const { secret, timeoutMs, environment, bringUp, isUp, onFault } = this.#options;
    const server = await GatewayServer.open(this.#world, {
      definition,
      timeoutMs,
      epoch: this.#epoch,
      secret,
      environment: () => environment(key),
      bringUp: (startedBy) => bringUp(server.definition, startedBy),
      isUp: () => isUp(key),
      admit: () => this.#admit(),
      onFault,
    });
    // Another caller may have been faster.
    const meanwhile = this.#servers.get(key);
    if (meanwhile !== undefined) return meanwhile;
    this.#servers.set(key, server);
    return server;
  }

  /** Takes a server away: its sessions end, and its processes. */
  async remove(key: string): Promise<void> {
    const server = this.#servers.get(key);
    this.#servers.delete(key);
    await server?.close();
  }

  /** Answers a request that passed the guard. `path` is what stands after `/mcp`. */
  async handle(request: Request, path: string): Promise<Response> {
    const name = named(path);
    if (name === null) return refusal(404, { code: NOT_FOUND, message: `There is nothing at /mcp${path}` });
    const found = this.#resolve(name);
    return found instanceof GatewayServer ? await serveEndpoint(found, request) : found;
  }

  async close(): Promise<void> {
    this.#stopTicking();
    await Promise.all(this.servers().map((server) => server.close()));
    this.#servers.clear();
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
    const open = this.servers().reduce((sum, { sessions }) => sum + sessions, 0);
    if (open < SESSION_LIMIT) return null;
    const [oldest] = this.servers().flatMap((server) => server.leastUsed() ?? []).sort((a, b) =>
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
    for (const server of this.#servers.values()) server.tick({ withComments });
  }
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
