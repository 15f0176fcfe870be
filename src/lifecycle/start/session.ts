/**
 * One start under one hold of the lock: what was found out so far, and the row that comes of it.
 *
 * @module
 */
import type { DetachedChild, ExitStatus } from "../../host/host.ts";
import type { StatusSnapshot } from "../../mcp/snapshot.ts";
import type { ServerRecord, StartedBy } from "../../registry/record.ts";
import { STATE_CODES } from "../../registry/state_label.ts";
import type { LaunchOverrides, ServerFolder } from "../../registry/store.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import type { SpecParts } from "../../definitions/hash.ts";
import type { Compatibility } from "../observe/compatibility.ts";
import type { ResolvedLaunch } from "./launch.ts";
import { type Look, look } from "../observe/observe.ts";
import type { Said } from "../messages.ts";
import type { Kept } from "../messages_kept.ts";
import { endpointOf, type Ports } from "../observe/ports.ts";
import type { Ready } from "./ready.ts";
import { emptyRow, type Outcome, type OutcomeKind, type Recovered, type StartupPath } from "../row.ts";
import { StateMachine } from "../state.ts";
import type { World } from "../world.ts";

export interface StartRequest {
  /** With `--port` and `--version` worked in. */
  definition: ServerDefinition;
  /** What was said on the command line, kept until `down`. */
  overrides: Pick<LaunchOverrides, "port" | "version">;
  startedBy: StartedBy;
  timeoutMs: number;
  /** The user asked for a recovery: the server's own word is proof enough. */
  userAsked: boolean;
  ownerPid: number | null;
  /** What runs is ended first, however well it is. */
  restart: boolean;
  /** False returns as soon as the spawn is recorded. */
  waitForReady: boolean;
  /** How long the port may take to come free after its holder was ended. */
  portWaitMs: number;
}

/** What the holder of the port answered. `ready` is there when it also passed the definition's ready check. */
export interface Asked {
  answered: boolean;
  snapshot: StatusSnapshot;
  compatibility: Compatibility;
  ready: Ready | null;
  reason: string;
}

export class Session {
  readonly machine: StateMachine;
  readonly startedAt: number;
  record: ServerRecord | null = null;
  /** The record of the server that this start replaced. */
  previous: ServerRecord | null = null;
  /** One answer for the whole decision; thrown away when something was ended. */
  asked: Asked | null = null;
  launch: ResolvedLaunch | Said | null = null;
  /** Set once this session spawned: an interrupt then ends it again. */
  child: DetachedChild | null = null;
  spawnedAt = 0;
  /** How the spawned child ended, null while it has not. */
  exit: ExitStatus | null = null;
  /** When the server was first found dead but for what may be its successor. */
  deadSince: number | null = null;
  guarded = false;
  refreshed = false;
  /** Whether an answer was not believed already: the next one is. */
  doubted = false;
  recovered: Recovered | null = null;
  adoption: "managed" | "external" | null = null;
  path: StartupPath = "";
  ready: Ready | null = null;
  /** What was done on the way, for the answer's message. */
  said = "";

  constructor(
    readonly world: World,
    readonly folder: ServerFolder,
    readonly request: StartRequest,
    readonly ports: Ports,
    readonly hash: { whole: string; parts: SpecParts },
    readonly overrides: LaunchOverrides,
  ) {
    this.startedAt = world.host.clock.monotonic();
    this.machine = new StateMachine({
      expectedVersion: request.definition.version ?? "",
      warn: (message) => world.warn(`${request.definition.name}: ${message}`),
    });
  }

  get name(): string {
    return this.request.definition.name;
  }

  /** What an earlier `up` said and this one did not say otherwise. */
  get kept(): Kept {
    const { overrides, request } = this;
    return {
      port: request.overrides.port === overrides.port ? overrides.port : null,
      version: request.overrides.version === overrides.version ? overrides.version : null,
    };
  }

  get endpoint(): string {
    return endpointOf(this.request.definition, this.ports.port);
  }

  /** What is there now; thorough also finds processes beyond those that explain the port. */
  async look({ thorough }: { thorough: boolean }): Promise<Look> {
    const { host, brand, brandFlags } = this.request.definition;
    return await look(this.world.host, {
      folder: this.folder,
      record: this.record,
      hostname: host,
      port: this.ports.port,
      brand: { names: brand, flags: brandFlags },
      thorough,
    });
  }

  elapsedMs(): number {
    return Math.round(this.world.host.clock.monotonic() - this.startedAt);
  }

  finish(kind: OutcomeKind, said: Said = { message: "", hint: "" }): Outcome {
    const snapshot = this.machine.snapshot();
    const state = this.machine.state;
    const known = this.ready;
    const record = this.adoption === "external" ? null : this.record;
    return {
      kind,
      row: {
        ...emptyRow(this.name, this.folder.key),
        state,
        state_code: STATE_CODES[state],
        startup_path: this.path,
        adoption: this.adoption,
        endpoint: this.endpoint,
        port: this.ports.port,
        ws_port: this.ports.wsPort,
        pid: record?.pid ?? null,
        server: {
          name: (known?.live.name || record?.server_name) ?? null,
          version: (known?.live.version || record?.version) ?? null,
          protocol: known?.protocol ?? record?.protocol ?? null,
        },
        expected_version: this.request.definition.version,
        recovered: this.recovered,
        elapsed_ms: this.elapsedMs(),
        message: said.message,
        hint: said.hint,
        can_recover_incompatible: snapshot.can_recover_incompatible,
        connection_blocked: snapshot.connection_blocked,
        log: this.folder.paths.log,
      },
    };
  }
}
