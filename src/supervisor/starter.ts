/**
 * Starts, restarts and adopts the server of a bridge, under its lock.
 *
 * @module
 */
import type { ExitStatus } from "../host/host.ts";
import { PLAIN_START, startUnderLock } from "../lifecycle/start/start.ts";
import { busyElsewhere, type Outcome, type ServerRow } from "../lifecycle/row.ts";
import type { World } from "../lifecycle/world.ts";
import type { ServerRecord, StartedBy } from "../registry/record.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { specHash } from "../definitions/spec_hash.ts";
import { withOverrides } from "../definitions/with_overrides.ts";
import type { BridgeJournal } from "./journal.ts";
import { failureOf, notStartedByFoster, supervisedAlready, tooLate } from "./outcomes.ts";
import type { BridgeEnd, BridgeOptions } from "./types.ts";
import type { RestartStep } from "./policy.ts";
import type { SupervisedFolder } from "./supervised_folder.ts";

export type Step = RestartStep | { kind: "first" } | { kind: "adopt" };

export type Started =
  /** `exited` resolves when the process ends, where this bridge spawned it. */
  | { kind: "watching"; record: ServerRecord; exited: Promise<ExitStatus> | null }
  | { kind: "failed"; reason: string }
  /** There is nothing to start any more; what is left of the server is the bridge's to end. */
  | { kind: "over"; reason: string }
  | { kind: "end"; end: BridgeEnd };

/** Somebody else's start may take its whole time before the lock is ours. */
const FIRST_LOCK_WAIT_MS = 120_000;

export class Starter {
  readonly #world: World;
  readonly #options: BridgeOptions;
  readonly #supervised: SupervisedFolder;
  readonly #journal: BridgeJournal;
  /** As written, without what `--port` and `--version` said. */
  #written: ServerDefinition;
  #definition: ServerDefinition;
  #exited: Promise<ExitStatus> | null = null;
  #isKeeper = false;

  constructor(world: World, { options, supervised, journal }: {
    options: BridgeOptions;
    supervised: SupervisedFolder;
    journal: BridgeJournal;
  }) {
    const onSpawn: World["onSpawn"] = (child, record) => {
      this.#exited = child.exited;
      supervised.noteStart(record);
    };
    this.#world = { ...world, onSpawn };
    this.#options = options;
    this.#supervised = supervised;
    this.#journal = journal;
    this.#written = options.definition;
    this.#definition = options.definition;
  }

  /** Of the server that was supervised last, with what `--port` and `--version` said. */
  get definition(): ServerDefinition {
    return this.#definition;
  }

  /** Whether the server is this bridge's to end. */
  get isKeeper(): boolean {
    return this.#isKeeper;
  }

  /** Takes one step, after a second look at what others did before the lock was ours. */
  async start(step: Step): Promise<Started> {
    const isFirst = step.kind === "first";
    const { folder } = this.#supervised;
    const lock = isFirst
      ? await folder.lock({ waitMs: FIRST_LOCK_WAIT_MS, signal: this.#world.signal })
      : await this.#supervised.lockUnlessUnwanted();
    if (lock === null) {
      return isFirst
        ? this.#refuse(busyElsewhere(this.#written, folder))
        : { kind: "over", reason: "not wanted" };
    }
    try {
      return isFirst ? await this.#startFirst() : await this.#startAgain(step);
    } finally {
      lock.release();
    }
  }

  async #startFirst(): Promise<Started> {
    const { folder } = this.#supervised;
    const { adoptOnly, startedBy } = this.#options;
    const before = await folder.readOrHeal();
    const refused = await this.#refuseRival(before);
    if (refused !== null) return refused;
    this.#isKeeper = !adoptOnly;
    if (adoptOnly && (before === null || before.want === "down")) {
      return failed(tooLate(folder, this.#written.name));
    }
    this.#supervised.noteStart(before);
    return await this.#bring("no", startedBy);
  }

  async #startAgain(step: Exclude<Step, { kind: "first" }>): Promise<Started> {
    const { folder } = this.#supervised;
    const before = await folder.readOrHeal();
    const refused = await this.#refuseRival(before);
    if (refused !== null) return refused;
    this.#isKeeper = true;
    if (before === null || before.want === "down" || await folder.isAskedToStop()) {
      return { kind: "over", reason: "not wanted any more" };
    }
    this.#exited = null;
    this.#supervised.noteStart(before);
    if (await this.#supervised.isNewProcess(before)) return await this.#takeOver(before);
    if (step.kind === "restart") await this.#supervised.writeRestart(before);
    return await this.#bring("yes", before.started_by);
  }

  async #refuseRival(before: ServerRecord | null): Promise<Started | null> {
    const rival = await this.#supervised.rivalIn(before);
    if (rival === null) return null;
    this.#isKeeper = false;
    return this.#refuse(supervisedAlready(this.#supervised.folder, { name: this.#written.name, rival }));
  }

  /** A process that another foster started: as ready as that one left it. */
  async #takeOver(record: ServerRecord): Promise<Started> {
    await this.#followDefinition(record);
    this.#journal.say({ type: "adopted", pid: record.pid });
    if (record.state !== "ready") return await this.#bring("no", record.started_by);
    return await this.#supervise(record, null);
  }

  async #bring(restart: "no" | "yes", startedBy: StartedBy): Promise<Started> {
    const { timeoutMs, ownerPid } = this.#options;
    const { folder } = this.#supervised;
    const outcome = await startUnderLock(this.#world, folder, {
      definition: this.#written,
      options: {
        ...PLAIN_START,
        startedBy,
        timeoutMs,
        // The bridge is the server's owner where nobody else was named.
        ownerPid: ownerPid ?? this.#world.host.processes.selfPid,
        restart,
      },
      timeoutMs: timeoutMs ?? this.#written.ready.timeoutMs,
    }).finally(() => this.#noteStart());
    const record = await folder.readOrHeal();
    switch (outcome.kind) {
      case "done":
        if (record === null) return failed(notStartedByFoster(outcome.row, this.#written.name));
        return await this.#supervise(record, outcome.row);
      case "crashed":
      case "not_ready":
        if (record !== null) await this.#supervised.claim(record);
        this.#journal.say({ type: "start_failed", row: outcome.row });
        return { kind: "failed", reason: failureOf(outcome) };
      case "no":
        return { kind: "end", end: { kind: "stopped" } };
      case "interrupted":
        throw this.#world.signal.reason;
      case "no_command":
      case "port_excluded":
      case "incompatible":
      case "foreign_port":
      case "refused":
      case "exhausted":
      case "guarded":
        return failed(outcome);
    }
  }

  /** Also of a start that failed half-way: what it left is this bridge's to end. */
  async #noteStart(): Promise<void> {
    try {
      this.#supervised.noteStart(await this.#supervised.folder.readOrHeal());
    } catch (error) {
      this.#journal.report(error);
    }
  }

  /** `row` is there where this bridge itself saw the server ready. */
  async #supervise(found: ServerRecord, row: ServerRow | null): Promise<Started> {
    const record = await this.#supervised.claim(found);
    this.#isKeeper = true;
    await this.#journal.note("supervising", { ...record.supervisor, record });
    this.#definition = withOverrides(this.#written, await this.#supervised.folder.overrides());
    // Not before all is well: a process that was never watched is taken over, not replaced.
    this.#supervised.noteWatched(record);
    if (row !== null) this.#journal.say({ type: "ready", row });
    return { kind: "watching", record, exited: this.#exited };
  }

  /** Takes over the definition that another foster started the server from. */
  async #followDefinition(record: ServerRecord): Promise<void> {
    const overrides = await this.#supervised.folder.overrides();
    const startedThis = (definition: ServerDefinition) =>
      specHash(withOverrides(definition, overrides)) === record.spec_hash;
    if (startedThis(this.#written)) return;
    try {
      const fresh = await this.#options.reload();
      if (startedThis(fresh)) this.#written = fresh;
    } catch (error) {
      this.#journal.report(error);
    }
  }

  #refuse(outcome: Outcome): Started {
    this.#journal.say({ type: "refused", message: outcome.row.message });
    return failed(outcome);
  }
}

function failed(outcome: Outcome): Started {
  return { kind: "end", end: { kind: "failed", outcome } };
}
