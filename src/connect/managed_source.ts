/**
 * The one server that all clients share: found by its record, started through a detached supervisor.
 *
 * @module
 */
import { describeExit } from "../lifecycle/messages.ts";
import { hostnameOf } from "../lifecycle/observe/ports.ts";
import type { Outcome } from "../lifecycle/row.ts";
import type { World } from "../lifecycle/world.ts";
import { verdict } from "../registry/identity.ts";
import type { ServerRecord, StartedBy } from "../registry/record.ts";
import { recordIn, type ServerFolder } from "../registry/store.ts";
import { type ServerDefinition, withOverrides } from "../definitions/definition.ts";
import { specHash } from "../definitions/hash.ts";
import type { ToolHeaders } from "../relay/upstream/headers.ts";
import { HttpUpstream } from "../relay/upstream/http.ts";
import type { Opened, OpenRequest, Source } from "../relay/upstream/upstream.ts";

export interface ManagedSourceOptions {
  definition: ServerDefinition;
  idleMs: number | null;
  timeoutMs: number;
  toolHeaders(): ToolHeaders;
}

const DIAL_TIMEOUT_MS = 1000;

type Found = { kind: "at"; endpoint: URL } | Exclude<Opened, { kind: "open" }>;

export class ManagedSource implements Source {
  readonly #world: World;
  readonly #options: ManagedSourceOptions;
  readonly #folder: ServerFolder;
  /** Where a server is that foster did not start. */
  #external: URL | null = null;

  constructor(world: World, options: ManagedSourceOptions) {
    this.#world = world;
    this.#options = options;
    this.#folder = world.state.server(options.definition.key);
  }

  async open({ events, demand, signal }: OpenRequest): Promise<Opened> {
    const found = await this.#find(demand);
    if (found.kind !== "at") return found;
    const { endpoint } = found;
    const { host } = this.#world;
    if (this.#options.definition.transport === "sse") {
      const { openSse } = await import("../relay/upstream/sse.ts");
      return await openSse(host, { endpoint, events, signal });
    }
    const { toolHeaders } = this.#options;
    return { kind: "open", upstream: new HttpUpstream(host, { endpoint, events, toolHeaders }) };
  }

  async reason(): Promise<string | null> {
    const record = await this.#record();
    if (record === null || record.last_exit === null || record.state === "ready") return null;
    const { name } = this.#options.definition;
    return `it ended with ${
      describeExit(record.last_exit)
    }; foster logs "${name}" --crash shows its last words`;
  }

  async #find(demand: boolean): Promise<Found> {
    const record = await this.#record();
    const known = this.#external ??
      (record !== null && await this.#isGood(record) ? new URL(record.endpoint) : null);
    if (known !== null && await this.#answers(known)) return { kind: "at", endpoint: known };
    if (!demand) return { kind: "later", reason: "it is not running" };
    this.#external = null;
    return await this.#bringUp(record);
  }

  async #record(): Promise<ServerRecord | null> {
    return recordIn(await this.#folder.read());
  }

  /** Whether the record's server is the wanted one, alive, and watched by whoever is to watch it. */
  async #isGood(record: ServerRecord): Promise<boolean> {
    if (record.want !== "up" || record.state !== "ready" || record.pid === null) return false;
    const { supervisor } = record;
    const pids = supervisor === null ? [record.pid] : [record.pid, supervisor.pid];
    const seen = await this.#world.host.processes.inspect(pids);
    if (verdict(seen.get(record.pid), record.start_token).kind !== "ours") return false;
    const isWatched = supervisor !== null &&
      verdict(seen.get(supervisor.pid), supervisor.start_token).kind === "ours";
    if (!isWatched && record.started_by === "connect") return false;
    const effective = withOverrides(this.#options.definition, await this.#folder.overrides());
    return record.spec_hash === specHash(effective);
  }

  async #answers({ href, port }: URL): Promise<boolean> {
    return await this.#world.host.net.dial(hostnameOf(href), Number(port), DIAL_TIMEOUT_MS) === "open";
  }

  async #bringUp(record: ServerRecord | null): Promise<Found> {
    // Not needed where the server is there already, and dear to load.
    const { ensureSupervised } = await import("../supervisor/supervise.ts");
    const { definition, idleMs, timeoutMs } = this.#options;
    const startedBy: StartedBy = record?.want === "up" ? record.started_by : "connect";
    return this.#foundBy(await ensureSupervised(this.#world, definition, { startedBy, idleMs, timeoutMs }));
  }

  #foundBy({ kind, row }: Outcome): Found {
    const endpoint = row.endpoint === null ? null : new URL(row.endpoint);
    if (endpoint !== null && row.adoption === "external") {
      this.#external = endpoint;
      return { kind: "at", endpoint };
    }
    switch (kind) {
      case "done":
        return endpoint === null
          ? { kind: "later", reason: "it has no endpoint yet" }
          : { kind: "at", endpoint };
      case "no":
      case "failed":
      case "crashed":
      case "not_ready":
      case "guarded":
      case "interrupted":
        return { kind: "later", reason: row.message };
      case "usage":
      case "no_command":
      case "port_excluded":
      case "incompatible":
      case "foreign_port":
      case "refused":
      case "exhausted":
        return { kind: "refused", message: row.message, hint: row.hint };
    }
  }
}
