/**
 * A server that listens, as a relay finds it: by its record, and started through a supervisor.
 *
 * @module
 */
import { describeExit } from "../lifecycle/messages.ts";
import { hostnameOf } from "../lifecycle/observe/ports.ts";
import type { Outcome } from "../lifecycle/row.ts";
import type { World } from "../lifecycle/world.ts";
import { isOver, verdict, verdictNow } from "../registry/identity.ts";
import type { ServerRecord, StartedBy } from "../registry/record.ts";
import { recordIn, type ServerFolder } from "../registry/store.ts";
import { type ServerDefinition, withOverrides } from "../definitions/definition.ts";
import { specHash } from "../definitions/hash.ts";
import type { ProcessFate } from "../relay/retry.ts";
import type {
  AcquiredServer,
  AcquireRequest,
  AcquireResult,
  ServerIdentity,
  ServerSource,
} from "../relay/server_source.ts";
import { HttpUpstream } from "../relay/upstream/http.ts";
import type { Upstream, UpstreamOptions } from "../relay/upstream/upstream.ts";

export interface ManagedSourceOptions {
  definition: ServerDefinition;
  /** Starts it, or adopts it, under a supervisor. */
  bringUp(startedBy: StartedBy): Promise<Outcome>;
}

const DIAL_TIMEOUT_MS = 1000;

type FoundEndpoint = { kind: "at"; endpoint: URL } | Exclude<AcquireResult, { kind: "there" }>;

export class ManagedSource implements ServerSource {
  readonly #world: World;
  readonly #options: ManagedSourceOptions;
  readonly #folder: ServerFolder;
  /** Where a server is that foster did not start. */
  #external: URL | null = null;
  /** Starts in a row that failed since it was there last; null before it ever was. */
  #failedStarts: number | null = null;

  constructor(world: World, options: ManagedSourceOptions) {
    this.#world = world;
    this.#options = options;
    this.#folder = world.state.server(options.definition.key);
  }

  async acquire({ demand }: AcquireRequest): Promise<AcquireResult> {
    const found = await this.#find(demand);
    if (found.kind !== "at") return found;
    this.#failedStarts = 0;
    const { endpoint } = found;
    const record = this.#external === null ? await this.#record() : null;
    const identity: ServerIdentity = {
      pid: record?.pid ?? null,
      startTime: record?.start_token ?? null,
      endpoint: endpoint.href,
    };
    const server: AcquiredServer = {
      identity,
      connect: (options, signal) => this.#connect(endpoint, options, signal),
    };
    return { kind: "there", server };
  }

  async fate({ pid, startTime }: ServerIdentity): Promise<ProcessFate> {
    if (pid === null || startTime === null) return "unknown";
    try {
      const process = await verdictNow(this.#world.host, { pid, start_token: startTime });
      if (process.kind === "unknown") return "unknown";
      const record = await this.#record();
      const isWanted = record?.want === "up" && !await this.#folder.isAskedToStop();
      if (isOver(process)) return isWanted ? "replaced" : "stopped";
      if (record?.pid !== pid) return record === null ? "same" : "replaced";
      if (record.state === "ready") return isWanted ? "same" : "stopped";
      // Another foster is about to end it, for a new one or for good.
      return isWanted ? "replaced" : "stopped";
    } catch {
      return "unknown";
    }
  }

  async reason(): Promise<string | null> {
    const record = await this.#record();
    if (record === null || record.last_exit === null || record.state === "ready") return null;
    const { name } = this.#options.definition;
    return `it ended with ${
      describeExit(record.last_exit)
    }; foster logs "${name}" --crash shows its last words`;
  }

  async #connect(endpoint: URL, options: UpstreamOptions, signal: AbortSignal): Promise<Upstream> {
    const { host } = this.#world;
    const { definition } = this.#options;
    const headers = Object.keys(definition.headers).length === 0
      ? {}
      : await (await import("../lifecycle/observe/live.ts")).requestHeaders(host, definition, endpoint.href);
    if (definition.transport !== "sse") return new HttpUpstream(host, { ...options, endpoint, headers });
    const { openSse } = await import("../relay/upstream/sse.ts");
    return await openSse(host, { ...options, endpoint, headers }, signal);
  }

  async #find(demand: boolean): Promise<FoundEndpoint> {
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

  /** Whether the record's server is as defined, alive, and watched by a supervisor where it needs one. */
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

  async #bringUp(record: ServerRecord | null): Promise<FoundEndpoint> {
    const startedBy: StartedBy = record?.want === "up" ? record.started_by : "connect";
    return this.#foundBy(await this.#options.bringUp(startedBy));
  }

  #foundBy({ kind, row }: Outcome): FoundEndpoint {
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
      case "guarded":
      case "interrupted":
        return { kind: "later", reason: row.message };
      case "crashed":
      case "not_ready":
      case "incompatible":
      case "foreign_port":
      case "refused":
        // One bad start of a server that was there may be bad luck, and its supervisor starts it again all the same.
        if (this.#failedStarts !== null && this.#failedStarts++ === 0) {
          return { kind: "later", reason: row.message };
        }
        return { kind: "refused", message: row.message, hint: row.hint };
      case "usage":
      case "no_command":
      case "port_excluded":
      case "exhausted":
        // Whoever waits is told at once.
        return { kind: "refused", message: row.message, hint: row.hint };
    }
  }
}
