/**
 * Starts, restarts, adopts and ends a supervised server, each time under its lock.
 *
 * @module
 */
import type { ExitStatus } from "../host/host.ts";
import { withoutProcess } from "../lifecycle/start/fail.ts";
import { PLAIN_START, startUnderLock } from "../lifecycle/start/start.ts";
import { stopCommandOf } from "../lifecycle/stop/stop_command.ts";
import { stopServer } from "../lifecycle/stop/down.ts";
import { endServer, isAllGone, PORT_WAIT_MS } from "../lifecycle/stop/end_server.ts";
import {
  busyElsewhere,
  emptyRow,
  type Outcome,
  plainOutcome,
  rowOfRecord,
  type ServerRow,
} from "../lifecycle/row.ts";
import type { RecentObservation } from "../lifecycle/observe/observe.ts";
import type { World } from "../lifecycle/world.ts";
import type { ProcessIdentity, ServerRecord, StartedBy } from "../registry/record.ts";
import type { ServerFolder } from "../registry/store.ts";
import { type ServerDefinition, withOverrides } from "../definitions/definition.ts";
import { specHash } from "../definitions/hash.ts";
import type { LoopEnd, LoopJournal, LoopOptions } from "./loop_events.ts";
import { exhaustedMessage, type GiveUpStep, type RestartStep } from "./policy.ts";
import type { SupervisedFolder } from "./supervised_folder.ts";

/** `seen`: what the loop has just seen of the server. */
export type Step = (RestartStep & { seen?: RecentObservation }) | { kind: "first" } | { kind: "adopt" };

export type StartResult =
  /** `exited` resolves when the process ends, where this loop spawned it. */
  | { kind: "watching"; record: ServerRecord; exited: Promise<ExitStatus> | null }
  | { kind: "failed"; reason: string }
  /** There is nothing to start any more; what is left of the server is the loop's to end. */
  | { kind: "over"; reason: string }
  | { kind: "end"; end: LoopEnd };

/** Somebody else's start may take its whole time before the lock is ours. */
const FIRST_LOCK_WAIT_MS = 120_000;

const RIVAL_END_MS = 2000;
const RIVAL_LOOK_MS = 10;

export class ServerActions {
  readonly #world: World;
  readonly #options: LoopOptions;
  readonly #supervised: SupervisedFolder;
  readonly #journal: LoopJournal;
  /** As written, without what `--port` and `--version` said. */
  #written: ServerDefinition;
  #definition: ServerDefinition;
  #exited: Promise<ExitStatus> | null = null;
  /** Whether the server is this loop's to end. */
  #isKeeper = false;

  constructor(world: World, { options, supervised, journal }: {
    options: LoopOptions;
    supervised: SupervisedFolder;
    journal: LoopJournal;
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

  /** Takes one step, after a second look at what others did before the lock was ours. */
  async start(step: Step): Promise<StartResult> {
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

  async #startFirst(): Promise<StartResult> {
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
    // Who brought it up has just seen it ready.
    if (adoptOnly && before !== null && before.state === "ready" && await this.#supervised.isAlive(before)) {
      this.#world.signal.throwIfAborted();
      await this.#followDefinition(before);
      return await this.#supervise(before, { ...rowOfRecord(before), startup_path: "adopted" });
    }
    return await this.#bring("no", startedBy);
  }

  async #startAgain(step: Exclude<Step, { kind: "first" }>): Promise<StartResult> {
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
    const recent = step.kind === "restart" ? step.seen : undefined;
    return await this.#bring("yes", before.started_by, recent);
  }

  async #refuseRival(before: ServerRecord | null): Promise<StartResult | null> {
    const rival = await this.#supervised.rivalIn(before);
    if (rival === null || await this.#endsDetachedRun(rival)) return null;
    this.#isKeeper = false;
    return this.#refuse(
      supervisedAlready(this.#supervised.folder, { name: this.#written.name, pid: rival.pid }),
    );
  }

  /**
   * Foster 0.1 left a process of its own behind for each server. It is ended by force, so that it does not stop its server,
   * which is then adopted. One that a user runs in a terminal is left alone.
   */
  async #endsDetachedRun(rival: ProcessIdentity): Promise<boolean> {
    const { host, signaller } = this.#world;
    if (!isDetachedRun(await host.processes.argv(rival.pid) ?? [])) return false;
    const { pid, start_token: startTime } = rival;
    const sent = await signaller.send({ kind: "process", pid, startTime }, "SIGKILL");
    if (sent.kind === "refused") return false;
    const endsAt = host.clock.monotonic() + RIVAL_END_MS;
    while (host.clock.monotonic() < endsAt) {
      if (await this.#supervised.isGone(rival)) return true;
      await host.clock.sleep(RIVAL_LOOK_MS, this.#world.signal);
    }
    return false;
  }

  /** A process that another foster started: as ready as that one left it. */
  async #takeOver(record: ServerRecord): Promise<StartResult> {
    await this.#followDefinition(record);
    this.#journal.say({ type: "adopted", pid: record.pid });
    if (record.state !== "ready") return await this.#bring("no", record.started_by);
    return await this.#supervise(record, null);
  }

  async #bring(
    restart: "no" | "yes",
    startedBy: StartedBy,
    recent?: RecentObservation,
  ): Promise<StartResult> {
    const { timeoutMs, owner } = this.#options;
    const { folder } = this.#supervised;
    const outcome = await startUnderLock(this.#world, folder, {
      definition: this.#written,
      options: {
        ...PLAIN_START,
        startedBy,
        timeoutMs,
        ownerPid: owner?.pid ?? null,
        restart,
      },
      timeoutMs: timeoutMs ?? this.#written.ready.timeoutMs,
      recent,
    }).finally(() => this.#noteStart());
    const record = await folder.readOrHeal();
    switch (outcome.kind) {
      case "done":
        if (record === null) return failed(notStartedByFoster(outcome.row, this.#written.name));
        return await this.#supervise(record, outcome.row);
      case "failed":
      case "crashed":
      case "not_ready":
        if (record !== null) await this.#supervised.claim(record);
        this.#journal.say({ type: "start_failed", outcome });
        return { kind: "failed", reason: failureOf(outcome) };
      case "no":
        return { kind: "end", end: { kind: "stopped" } };
      case "interrupted":
        throw this.#world.signal.reason;
      case "usage":
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

  /** Also of a start that failed half-way: what it left is this loop's to end. */
  async #noteStart(): Promise<void> {
    try {
      this.#supervised.noteStart(await this.#supervised.folder.readOrHeal());
    } catch (error) {
      this.#journal.report(error);
    }
  }

  /** `row` is there where this loop itself saw the server ready. */
  async #supervise(found: ServerRecord, row: ServerRow | null): Promise<StartResult> {
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

  #refuse(outcome: Outcome): StartResult {
    this.#journal.say({ type: "refused", message: outcome.row.message });
    return failed(outcome);
  }

  /**
   * Ends the server, where it is this loop's to end and no other foster is at it already. `leavesPinned`: not what `up`
   * wanted meanwhile.
   */
  async end(reason: string, { leavesPinned = false } = {}): Promise<LoopEnd> {
    const isDue = this.#isKeeper && await this.#supervised.isLeftToUs();
    if (isDue) await this.#supervised.restoreLost();
    const stillDue = (record: ServerRecord) => Promise.resolve(!(leavesPinned && record.started_by === "up"));
    const outcome = isDue ? await this.#stopServer(stillDue) : null;
    return this.#stopped(reason, outcome);
  }

  /** Null when somebody came to use the server, or pinned it, before it could be ended. */
  async endIdle(isIdle: () => Promise<boolean>): Promise<LoopEnd | null> {
    let isOver = false;
    const outcome = await this.#stopServer(async () => isOver = await isIdle());
    return isOver ? this.#stopped("no clients left", outcome) : null;
  }

  /**
   * Ends a server that is not restarted any more, and leaves its record as crashed. Null when another foster had started
   * it anew before that.
   */
  async giveUp({ reason, attempts }: GiveUpStep): Promise<LoopEnd | null> {
    const { name, restart: { max } } = this.#definition;
    const message = exhaustedMessage(name, { reason, attempts, max });
    let isReplaced = false;
    await this.#supervised.change(async (record) => {
      isReplaced = await this.#supervised.isReplaced(record);
      if (!isReplaced) await this.#endForGood(record);
    }).catch((error) => this.#journal.report(error));
    if (isReplaced) return null;
    await this.#journal.note("exhausted", { message });
    this.#journal.say({ type: "exhausted", message, reason, restarts: attempts, max });
    return { kind: "failed", outcome: await exhausted(this.#supervised.folder, { name, message }) };
  }

  async #endForGood(record: ServerRecord): Promise<void> {
    const { folder } = this.#supervised;
    const definition = this.#definition;
    const ended = await endServer(this.#world, {
      folder,
      record,
      definition,
      port: record.port,
      graceMs: definition.stop.graceMs,
      portWaitMs: PORT_WAIT_MS.stop,
      proof: null,
      stopCommand: stopCommandOf(this.#world, folder, { definition, record }),
    });
    const isGone = isAllGone(ended);
    if (isGone) await folder.removeSessions();
    await this.#supervised.writeGivenUp(isGone ? withoutProcess(record) : record);
  }

  /** Under the lock the case is looked at once more: another foster may have pinned, leased or ended it since. */
  async #stopServer(stillDue: (record: ServerRecord) => Promise<boolean>): Promise<Outcome> {
    const definition = this.#definition;
    const { name, key } = definition;
    const uninterrupted: World = { ...this.#world, signal: new AbortController().signal };
    return await stopServer(uninterrupted, {
      name,
      key,
      definition,
      named: false,
      handoff: false,
      stillDue: async (record) =>
        record !== null && record.want === "up" && this.#supervised.isOurs(record) &&
        await this.#supervised.rivalIn(record) === null && await stillDue(record),
    });
  }

  #stopped(reason: string, outcome: Outcome | null): LoopEnd {
    this.#journal.say({ type: "stopped", reason });
    return outcome === null || outcome.kind === "done" ? { kind: "stopped" } : { kind: "failed", outcome };
  }
}

/** The command line with which foster 0.1 started what it left behind. */
export function isDetachedRun(argv: readonly string[]): boolean {
  return ["run", "--json", "--state-dir", "--started-by"].every((word) => argv.includes(word));
}

function failed(outcome: Outcome): StartResult {
  return { kind: "end", end: { kind: "failed", outcome } };
}

/** Another supervisor keeps the server. */
export function supervisedAlready(
  folder: ServerFolder,
  { name, pid }: { name: string; pid: number },
): Outcome {
  const message = `"${name}" is supervised already, by pid ${pid}`;
  const hint = `foster status "${name}" shows it; foster down "${name}" ends both`;
  return plainOutcome({ name }, folder, { kind: "guarded", state: "guarded", message, hint });
}

/** What was to be supervised was taken away before that. */
function tooLate(folder: ServerFolder, name: string): Outcome {
  const message = `"${name}": stopped by foster down before it was supervised`;
  return plainOutcome({ name }, folder, { kind: "no", state: "stopped", message, hint: "" });
}

/** The server is there, but foster has no record of it. */
function notStartedByFoster(row: ServerRow, name: string): Outcome {
  const message = `"${name}" was started by somebody else: foster can't restart what it did not start`;
  return { kind: "refused", row: { ...row, message } };
}

/** The budget of restarts is used up. */
async function exhausted(
  folder: ServerFolder,
  { name, message }: { name: string; message: string },
): Promise<Outcome> {
  const stored = await folder.read();
  const row = stored.kind === "record" ? rowOfRecord(stored.record, "crashed") : emptyRow(name, folder.key);
  const hint = `foster logs "${name}" --crash shows its last words; foster up "${name}" tries again`;
  return {
    kind: "exhausted",
    row: { ...row, state: "crashed", message, hint },
  };
}

/** Why a start came to nothing, in one line: the server's last words are in its crash log. */
function failureOf({ kind, row }: Outcome): string {
  const [line = ""] = row.message.split("\n");
  const said = line.replace(/; its last words:$/, "");
  if (kind === "failed") return said;
  return `${kind === "crashed" ? "exited before it was ready" : "probe failed"}: ${said}`;
}
