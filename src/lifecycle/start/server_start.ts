/**
 * One start under one hold of the lock: what was asked, what was found out so far, and the row that comes of it.
 *
 * @module
 */
import type { DetachedChild, ExitStatus } from "../../host/host.ts";
import type { StatusSnapshot } from "../../mcp/snapshot.ts";
import type { ServerRecord, StartedBy } from "../../registry/record.ts";
import type { StateLabel } from "../../registry/state_label.ts";
import type { LaunchOverrides, ServerFolder } from "../../registry/store.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { specHash, type SpecParts, specParts } from "../../definitions/hash.ts";
import type { Compatibility } from "../observe/compatibility.ts";
import type { ReadyAttempt } from "../observe/live.ts";
import type { Observation, RecentObservation } from "../observe/observe.ts";
import { observeDefined } from "../observe/observe_defined.ts";
import { endpointOf, type Ports } from "../observe/ports.ts";
import type { Overrides } from "../messages.ts";
import {
  emptyRow,
  type Explanation,
  type Outcome,
  type OutcomeKind,
  OUTCOMES,
  type Recovered,
  type StartupPath,
} from "../row.ts";
import { PORT_WAIT_MS } from "../stop/end_server.ts";
import type { World } from "../world.ts";
import type { ResolvedCommand } from "./command.ts";

export interface StartOptions {
  startedBy: StartedBy;
  /** Null for the definition's own. */
  timeoutMs: number | null;
  ownerPid: number | null;
  /** Kept until `down`, `auto` chooses anew and for good; null leaves what was kept before. */
  port: number | "auto" | null;
  version: string | null;
  /** The user asked for a recovery: the server's own word is proof enough to replace it. */
  recover: boolean;
  /** What runs is ended first, however well it is; `force` only where a listener is ours. */
  restart: "no" | "yes" | "force";
  /** Start it although a variable is not set that the server that ran last had. */
  allowUnset: boolean;
  /** False returns once the spawn is recorded, and at once where another foster holds the start. */
  waitForReady: boolean;
}

export const PLAIN_START: StartOptions = {
  startedBy: "up",
  timeoutMs: null,
  ownerPid: null,
  port: null,
  version: null,
  recover: false,
  restart: "no",
  allowUnset: false,
  waitForReady: true,
};

export type Ready = Extract<ReadyAttempt, { kind: "ready" }>;

/** What the holder of the port answered. `ready` is there when it also passed the definition's ready check. */
export interface HolderAnswer {
  answered: boolean;
  snapshot: StatusSnapshot;
  compatibility: Compatibility;
  ready: Ready | null;
  reason: string;
}

/** A port that is taken within so long is found by the bind, as one that is taken after a look of the start's own. */
const RECENT_MS = 250;

/** Whether nothing was there, and the record is still about the same process: a start in between has another token. */
export function isStillGone(
  { observed, at }: RecentObservation,
  { record, port, now }: { record: ServerRecord | null; port: number; now: number },
): boolean {
  const { record: before, liveness, owned, pending, port: seen, listenerPids } = observed;
  if (record === null || before === null || now - at > RECENT_MS) return false;
  return record.token === before.token && record.pid === before.pid && record.port === before.port &&
    before.port === port && liveness.kind === "dead" && seen.kind === "free" &&
    owned.length + pending.length + listenerPids.size === 0;
}

export class ServerStart {
  readonly options: StartOptions;
  /** With `--port` and `--version` worked in. */
  readonly definition: ServerDefinition;
  readonly ports: Ports;
  /** What holds from now on until `down`. */
  readonly overrides: Overrides;
  /** What an earlier `up` said of them and this one did not say otherwise. */
  readonly remembered: Overrides;
  readonly timeoutMs: number;
  readonly hash: { whole: string; parts: SpecParts };
  readonly startedAt: number;
  /** What the server's launch.json says now. */
  stored: LaunchOverrides;
  record: ServerRecord | null;
  /** What the caller has just seen of the server: the first decision needs no second look. Null once it was used. */
  #recent: RecentObservation | null;
  /** The record of the server that this start replaced. */
  previous: ServerRecord | null = null;
  /** One answer for the whole decision; dropped when something was ended. */
  holder: HolderAnswer | null = null;
  /** The other server of foster's own that was last seen on the port. */
  otherServer: ServerRecord | null = null;
  /** The command line of the start, or why there is none; null until it was looked for. */
  command: ResolvedCommand | Explanation | null = null;
  /** Set once this start spawned: an interrupt then ends it again. */
  child: DetachedChild | null = null;
  spawnedAt = 0;
  /** How the spawned child ended, null while it has not. */
  exit: ExitStatus | null = null;
  /** When the server was first found dead but for what may be its successor. */
  deadSince: number | null = null;
  /** This start has done its one spawn or adoption. */
  hasActed = false;
  refreshed = false;
  /** An answer that could not be traced to a process of ours was doubted once: the next one is believed. */
  doubted = false;
  recovered: Recovered | null = null;
  adoption: "managed" | "external" | null = null;
  path: StartupPath = "";
  ready: Ready | null = null;
  /** Why an earlier process was ended, for the answer's message. */
  note = "";

  constructor(readonly world: World, readonly folder: ServerFolder, given: {
    definition: ServerDefinition;
    options: StartOptions;
    timeoutMs: number;
    overrides: Overrides;
    stored: LaunchOverrides;
    ports: Ports;
    record: ServerRecord | null;
    recent: RecentObservation | null;
  }) {
    this.definition = given.definition;
    this.options = given.options;
    this.timeoutMs = given.timeoutMs;
    const { overrides, stored } = given;
    this.overrides = overrides;
    this.stored = stored;
    this.remembered = {
      port: overrides.port === stored.port ? stored.port : null,
      version: overrides.version === stored.version ? stored.version : null,
    };
    this.ports = given.ports;
    this.record = given.record;
    this.#recent = given.recent;
    this.hash = { whole: specHash(given.definition), parts: specParts(given.definition) };
    this.startedAt = world.host.clock.monotonic();
  }

  get name(): string {
    return this.definition.name;
  }

  get endpoint(): string {
    return endpointOf(this.definition, this.ports.port);
  }

  /** How long the port may take to come free after its holder was ended. */
  get portWaitMs(): number {
    const isAsked = this.options.recover || this.options.restart === "force";
    return isAsked ? PORT_WAIT_MS.asked : PORT_WAIT_MS.drift;
  }

  /** What the next decision is made from: what was seen a moment ago, where that still holds. */
  async observeForDecision(): Promise<Observation> {
    const { record, ports: { port }, world: { host } } = this;
    const recent = this.#recent;
    this.#recent = null;
    if (recent !== null && isStillGone(recent, { record, port, now: host.clock.monotonic() })) {
      return { ...recent.observed, record };
    }
    return await this.observe({ thorough: false });
  }

  /** What is there now; thorough also finds processes beyond those that explain the port. */
  async observe({ thorough }: { thorough: boolean }): Promise<Observation> {
    const { world: { host }, definition, folder, record, ports: { port } } = this;
    return await observeDefined(host, definition, { folder, record, port, thorough });
  }

  /** Processes that carry the instance token of this start, also those that left its group. */
  async carriers(): Promise<number[]> {
    const { record, world } = this;
    return record === null ? [] : await world.host.processes.carrying(`FOSTER_TOKEN=${record.token}`);
  }

  /** Changes launch.json. */
  async store(changes: Partial<LaunchOverrides>): Promise<void> {
    const before = JSON.stringify(this.stored);
    this.stored = { ...this.stored, ...changes };
    if (JSON.stringify(this.stored) !== before) await this.folder.writeOverrides(this.stored);
  }

  /** The end of this start, in the state that goes with its outcome unless another one is given. */
  finish(
    kind: OutcomeKind,
    { message = "", hint = "", state = OUTCOMES[kind].state, canRecover = false }: Partial<Explanation> & {
      state?: StateLabel;
      canRecover?: boolean;
    } = {},
  ): Outcome {
    const { ready, ports, folder } = this;
    const record = this.adoption === "external" ? null : this.record;
    return {
      kind,
      row: {
        ...emptyRow(this.name, folder.key),
        state,
        startup_path: this.path,
        adoption: this.adoption,
        endpoint: this.endpoint,
        port: ports.port,
        ws_port: ports.wsPort,
        pid: record?.pid ?? null,
        server: {
          name: (ready?.live.name || record?.server_name) ?? null,
          version: (ready?.live.version || record?.version) ?? null,
          protocol: ready?.protocol ?? record?.protocol ?? null,
        },
        expected_version: this.definition.version,
        recovered: this.recovered,
        elapsed_ms: Math.round(this.world.host.clock.monotonic() - this.startedAt),
        message,
        hint,
        can_recover_incompatible: canRecover,
        connection_blocked: kind === "incompatible",
        log: folder.paths.log,
      },
    };
  }
}
