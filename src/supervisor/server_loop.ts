/**
 * The loop of one supervised server: keeps it up on its endpoint, within its budget, until it is no longer desired. Many
 * of them live in one process; none knows of another.
 *
 * @module
 */
import { wholeNumber } from "../base/text.ts";
import type { ExitStatus } from "../host/host.ts";
import { keepCrashLog } from "../registry/log_files.ts";
import { advance } from "../lifecycle/state.ts";
import type { RecentObservation } from "../lifecycle/observe/observe.ts";
import type { World } from "../lifecycle/world.ts";
import type { ServerRecord } from "../registry/record.ts";
import type { ServerFolder } from "../registry/store.ts";
import { identityOf } from "./enrol.ts";
import { type LoopEnd, LoopJournal, type LoopOptions } from "./loop_events.ts";
import { decideRestart, NEW_TALLY, type PolicyStep, type RestartStep, type WatchEvent } from "./policy.ts";
import { ServerActions, type StartResult, type Step } from "./server_actions.ts";
import { findSuccessor } from "./successor.ts";
import { SupervisedFolder } from "./supervised_folder.ts";
import { IdleWatch, type Observation, Watch } from "./watch.ts";

/** A start, with the server ended where it was over. */
type StartTried = Exclude<StartResult, { kind: "over" }>;

type WatchResult =
  | { kind: "again"; step: Exclude<Step, { kind: "first" }> }
  | { kind: "end"; end: LoopEnd };

type Exited = Extract<Observation, { kind: "exited" }>;

/** What an end of the watched process, or a change of its record, turned out to be. */
type Explanation =
  | Exclude<Observation, Exited>
  | Exited & { seen: RecentObservation }
  | { kind: "unchanged" }
  | { kind: "replaced" };

/** Why a loop's signal is aborted that is to leave its server as it is. */
export class LetGo extends Error {
  override readonly name = "LetGo";
}

const WAIT_LOOK_MS = 100;
const LIVE_MS = 60_000;

export class ServerLoop {
  readonly #world: World;
  readonly #options: LoopOptions;
  readonly #folder: ServerFolder;
  readonly #supervised: SupervisedFolder;
  readonly #journal: LoopJournal;
  readonly #actions: ServerActions;
  readonly #idle: IdleWatch | null;
  readonly #liveMs: number;
  #tally = NEW_TALLY;

  constructor(world: World, options: LoopOptions) {
    this.#world = world;
    this.#options = options;
    this.#folder = world.state.server(options.definition.key);
    this.#liveMs = wholeNumber(world.host.env.get("FOSTER_LIVE_MS")) ?? LIVE_MS;
    this.#supervised = new SupervisedFolder(world, this.#folder);
    this.#journal = new LoopJournal(this.#folder, options.onEvent);
    this.#actions = new ServerActions(world, {
      options,
      supervised: this.#supervised,
      journal: this.#journal,
    });
    this.#idle = options.idleMs === null ? null : new IdleWatch(world.host, this.#folder, options.idleMs);
  }

  /** Runs until the server is no longer wanted or is given up. */
  async run(): Promise<LoopEnd> {
    try {
      return await this.#keep();
    } catch (error) {
      const { aborted, reason } = this.#world.signal;
      if (!aborted) throw error;
      if (reason instanceof LetGo) return { kind: "stopped" };
      return await this.#actions.end("interrupted");
    }
  }

  async #keep(): Promise<LoopEnd> {
    const { host } = this.#world;
    this.#supervised.identify(await identityOf(host, host.processes.selfPid));
    let step: Step = { kind: "first" };
    while (true) {
      const started = await this.#tryStart(step);
      switch (started.kind) {
        case "end":
          return started.end;
        case "watching": {
          const watched = await this.#watch(started);
          if (watched.kind === "end") return watched.end;
          step = watched.step;
          break;
        }
        case "failed": {
          const next = this.#decide({ kind: "start_failed", reason: started.reason });
          if (next.kind === "give_up") {
            const end = await this.#actions.giveUp(next);
            if (end !== null) return end;
            step = { kind: "adopt" };
          }
          if (next.kind !== "restart") break;
          await this.#announce(next);
          const over = await this.#waitOut(next.delayMs);
          if (over !== null) return await this.#actions.end(over);
          step = next;
        }
      }
    }
  }

  /** What fails while a server is being kept may pass, a full disk for example: it counts as a failed start. */
  async #tryStart(step: Step): Promise<StartTried> {
    try {
      const started = await this.#actions.start(step);
      return started.kind === "over"
        ? { kind: "end", end: await this.#actions.end(started.reason) }
        : started;
    } catch (error) {
      if (this.#world.signal.aborted || step.kind === "first") throw error;
      const reason = this.#journal.report(error);
      return { kind: "failed", reason: `its start failed: ${reason}` };
    }
  }

  async #watch(
    { record, exited }: { record: ServerRecord; exited: Promise<ExitStatus> | null },
  ): Promise<WatchResult> {
    const { definition } = this.#actions;
    this.#decide({ kind: "ready", now: this.#world.host.clock.monotonic() });
    const watch = new Watch(this.#world, {
      folder: this.#folder,
      definition,
      record,
      exited,
      owner: this.#options.owner,
      ends: this.#options.ends,
      oldestCallMs: this.#options.oldestCallMs ?? (() => null),
    });
    try {
      while (true) {
        const seen = await this.#lookOnce(watch, record);
        switch (seen.kind) {
          case "unchanged":
          case "busy":
            continue;
          case "not_wanted":
            return { kind: "end", end: await this.#actions.end("not wanted any more") };
          case "owner_gone":
            return { kind: "end", end: await this.#endWithOwner() };
          case "replaced":
            return { kind: "again", step: { kind: "adopt" } };
          case "probe_ok": {
            this.#decide({ kind: "probe_ok", now: this.#world.host.clock.monotonic() });
            const end = await this.#endIfIdle();
            if (end !== null) return { kind: "end", end };
            continue;
          }
          case "exited":
            this.#journal.say({ type: "exited", reason: seen.reason });
            break;
          case "probe_failed":
            break;
        }
        const step = await this.#judge(record, seen);
        if (step.kind === "restart") {
          const recent = seen.kind === "exited" ? { seen: seen.seen } : {};
          return { kind: "again", step: { ...step, ...recent } };
        }
        if (step.kind === "give_up") {
          const end = await this.#actions.giveUp(step);
          return end === null ? { kind: "again", step: { kind: "adopt" } } : { kind: "end", end };
        }
      }
    } finally {
      await watch.close();
    }
  }

  /** Never throws for what is merely wrong with the machine or the server: that is a probe that failed. */
  async #lookOnce(watch: Watch, record: ServerRecord): Promise<Explanation> {
    const { intervalMs } = this.#actions.definition.restart;
    try {
      const seen = await watch.next(intervalMs);
      return seen.kind === "exited" ? await this.#explain(record, seen) : seen;
    } catch (error) {
      if (this.#world.signal.aborted) throw error;
      const reason = this.#journal.report(error);
      await this.#world.host.clock.sleep(intervalMs, this.#world.signal);
      return { kind: "probe_failed", reason, isLive: false };
    }
  }

  /** The process ended: by itself, or because another foster, whose turn it then was, put a new one in its place. */
  async #explain(record: ServerRecord, exited: Exited): Promise<Explanation> {
    const lock = await this.#supervised.lockUnlessUnwanted();
    if (lock === null) return { kind: "not_wanted" };
    try {
      const now = await this.#supervised.readOrRestore();
      if (now?.want === "down" || await this.#folder.isAskedToStop()) return { kind: "not_wanted" };
      if (now !== null && await this.#supervised.isNewProcess(now)) return { kind: "replaced" };
      if (await this.#supervised.isAlive(record)) return { kind: "unchanged" };
      if (now === null) return { kind: "not_wanted" };
      const seen = await this.#followSuccessor(now, exited);
      if (seen === null) return { kind: "replaced" };
      await this.#recordCrash(now, exited);
      return { ...exited, seen };
    } finally {
      lock.release();
    }
  }

  /**
   * A server that handed over to another process has not crashed: that one is watched from now on, and null is given.
   * Else what was seen instead.
   */
  async #followSuccessor(record: ServerRecord, seen: Exited): Promise<RecentObservation | null> {
    const { definition } = this.#actions;
    // The exit that is known is the launcher's.
    const exit = record.pid === record.launcher_pid ? seen.exit : null;
    const search = await findSuccessor(this.#world, { folder: this.#folder, record, exit, definition });
    if (search.kind === "none") return search.seen;
    await this.#folder.write({ ...advance(record, "spawn"), ...search.successor, ready_at: null });
    return null;
  }

  async #recordCrash(record: ServerRecord, seen: Exited): Promise<void> {
    const { pid, start_token } = record;
    this.#supervised.noteExit(seen.exit);
    const since = Date.parse(record.started_at);
    await keepCrashLog(this.#world.host, this.#folder.paths, { since })
      .catch((error) => this.#journal.report(error));
    await this.#journal.note("crashed", { pid, start_token, message: seen.reason });
  }

  async #judge(
    record: ServerRecord,
    seen: Extract<Observation, { kind: "exited" | "probe_failed" }>,
  ): Promise<PolicyStep> {
    const now = this.#world.host.clock.monotonic();
    const step = this.#decide({ ...seen, now });
    if (seen.kind === "probe_failed") {
      const misses = step.kind === "missed" ? step.misses : this.#actions.definition.restart.misses;
      this.#journal.say({ type: "probe_failed", misses, reason: seen.reason });
      await this.#journal.note("probe_failed", { pid: record.pid, message: seen.reason });
      if (step.kind !== "missed") {
        const since = Date.parse(record.started_at);
        await keepCrashLog(this.#world.host, this.#folder.paths, { since }).catch(() => "");
      }
    }
    if (step.kind === "restart") await this.#announce(step);
    return step;
  }

  #decide(event: WatchEvent): PolicyStep {
    const jitter = this.#world.host.random.unit();
    const { restart } = this.#actions.definition;
    const { tally, step } = decideRestart({ ...restart, liveMs: this.#liveMs }, this.#tally, {
      event,
      jitter,
    });
    this.#tally = tally;
    return step;
  }

  async #announce({ reason, delayMs, attempt }: RestartStep): Promise<void> {
    this.#journal.say({ type: "restarting", reason, attempt, delay_ms: delayMs });
    await this.#journal.note("restarting", { message: `${reason} (restart ${attempt})` });
  }

  /** Null when the time is over, else why there will be no other attempt. */
  async #waitOut(delayMs: number): Promise<string | null> {
    const { host, signal } = this.#world;
    const next_attempt = new Date(host.clock.now() + delayMs).toISOString();
    const write = (record: ServerRecord) => this.#folder.write({ ...record, next_attempt });
    await this.#supervised.change(write).catch((error) => this.#journal.report(error));
    const endsAt = host.clock.monotonic() + delayMs;
    let nextLookAtOwner = 0;
    while (host.clock.monotonic() < endsAt) {
      if (await this.#supervised.isUnwanted()) return "not wanted any more";
      if (this.#options.owner !== null && host.clock.monotonic() >= nextLookAtOwner) {
        if (await this.#supervised.isGone(this.#options.owner)) return "its owner is gone";
        nextLookAtOwner = host.clock.monotonic() + this.#actions.definition.restart.intervalMs;
      }
      await host.clock.sleep(
        Math.min(WAIT_LOOK_MS, Math.max(1, endsAt - host.clock.monotonic())),
        signal,
      );
    }
    return null;
  }

  /** What a run kept, and up wanted meanwhile, stays; what up itself bound to an owner goes. */
  async #endWithOwner(): Promise<LoopEnd> {
    const leavesPinned = this.#options.startedBy === "run";
    return await this.#actions.end("its owner is gone", { leavesPinned });
  }

  async #endIfIdle(): Promise<LoopEnd | null> {
    const idle = this.#idle;
    if (idle === null || !await idle.isOver()) return null;
    return await this.#actions.endIdle(() => idle.isOver());
  }
}
