/**
 * The restart bridge: keeps one server up on its endpoint, within its budget, until it is no longer wanted.
 *
 * @module
 */
import { type ExitStatus, HostError } from "../host/host.ts";
import { withoutProcess } from "../lifecycle/begin.ts";
import { stopServer } from "../lifecycle/down.ts";
import { keepCrashLog } from "../lifecycle/log_files.ts";
import { PLAIN_START, plainOutcome, startUnderLock } from "../lifecycle/operations.ts";
import { emptyRow, type Outcome, rowOfRecord, type ServerRow } from "../lifecycle/row.ts";
import { endServer, PORT_WAIT_MS } from "../lifecycle/stop.ts";
import { isoNow, type World } from "../lifecycle/world.ts";
import type { EventName } from "../registry/events.ts";
import type { LastExit, ProcessIdentity, ServerRecord, StartedBy } from "../registry/record.ts";
import { STATE_CODES } from "../registry/state_label.ts";
import type { ServerSlot } from "../registry/store.ts";
import type { ServerDefinition } from "../spec/definition.ts";
import { specHash } from "../spec/spec_hash.ts";
import { withOverrides } from "../spec/with_overrides.ts";
import { IdleWatch } from "./idle.ts";
import {
  decideRestart,
  exhaustedMessage,
  type GiveUpStep,
  NEW_TALLY,
  type PolicyStep,
  type RestartStep,
  type Tally,
  type WatchEvent,
} from "./policy.ts";
import { isSameProcess, SupervisedSlot } from "./supervised_slot.ts";
import { type Seen, Watch } from "./watch.ts";

export type BridgeEvent =
  | { type: "ready"; row: ServerRow }
  | { type: "adopted"; pid: number | null }
  | { type: "probe_failed"; misses: number; reason: string }
  | { type: "exited"; reason: string }
  | { type: "restarting"; reason: string; attempt: number; delay_ms: number }
  | { type: "start_failed"; row: ServerRow }
  /** Something could not be done or written down; the watch goes on. */
  | { type: "problem"; message: string }
  | { type: "exhausted"; message: string; reason: string; restarts: number; max: number }
  | { type: "refused"; message: string }
  | { type: "stopped"; reason: string };

export interface BridgeOptions {
  definition: ServerDefinition;
  startedBy: StartedBy;
  timeoutMs: number | null;
  ownerPid: number | null;
  /** How long a server that a client started stays without clients; null for ever. */
  idleMs: number | null;
  /** Only keeps what runs already: a server that was taken away meanwhile is not started again. */
  adoptOnly: boolean;
  /** The definition as it stands now, for a server that another foster started from a changed one. */
  reload(): Promise<ServerDefinition>;
  onEvent(event: BridgeEvent): void;
}

/** How the bridge ended: as asked, or with an outcome that tells why. */
export type BridgeEnd = { kind: "stopped" } | { kind: "failed"; outcome: Outcome };

type Step = RestartStep | { kind: "first" } | { kind: "adopt" };

type Started =
  | { kind: "watching"; record: ServerRecord }
  | { kind: "failed"; reason: string }
  | { kind: "end"; end: BridgeEnd };

type Watched = { kind: "again"; step: RestartStep | { kind: "adopt" } } | { kind: "end"; end: BridgeEnd };

/** What an end of the watched process, or a change of its record, turned out to be. */
type Explained = Seen | { kind: "unchanged" } | { kind: "replaced" };

/** Somebody else's start may take its whole time before the lock is ours. */
const FIRST_LOCK_WAIT_MS = 120_000;
const WAIT_LOOK_MS = 100;

export class Bridge {
  readonly #world: World;
  readonly #options: BridgeOptions;
  readonly #slot: ServerSlot;
  readonly #supervised: SupervisedSlot;
  readonly #idle: IdleWatch | null;
  /** As written, without what `--port` and `--version` said. */
  #written: ServerDefinition;
  #definition: ServerDefinition;
  #tally: Tally = NEW_TALLY;
  #self: ProcessIdentity | null = null;
  #owner: ProcessIdentity | null = null;
  /** Resolves when the server's process ends, where this bridge spawned it. */
  #exited: Promise<ExitStatus> | null = null;
  /** How the watched process ended, where that is not in the record yet. */
  #lastExit: LastExit | null = null;
  /** The process that was watched last. */
  #watched: ServerRecord | null = null;
  /** Whether the server is this bridge's to end. */
  #isKeeper = false;

  constructor(world: World, options: BridgeOptions) {
    this.#options = options;
    this.#written = options.definition;
    this.#definition = options.definition;
    this.#slot = world.state.slot(options.definition.key);
    this.#world = { ...world, onSpawn: (child) => this.#exited = child.exited };
    this.#supervised = new SupervisedSlot(this.#world, this.#slot);
    this.#idle = options.idleMs === null ? null : new IdleWatch(world.host, this.#slot, options.idleMs);
  }

  /** Runs until the server is no longer wanted or is given up. */
  async run(): Promise<BridgeEnd> {
    try {
      return await this.#keep();
    } catch (error) {
      if (!this.#world.signal.aborted) throw error;
      return await this.#end("interrupted");
    }
  }

  async #keep(): Promise<BridgeEnd> {
    this.#self = await this.#identityOf(this.#world.host.processes.selfPid);
    if (this.#options.ownerPid !== null) this.#owner = await this.#identityOf(this.#options.ownerPid);
    let step: Step = { kind: "first" };
    while (true) {
      const started = await this.#tryStart(step);
      switch (started.kind) {
        case "end":
          return started.end;
        case "watching": {
          const watched = await this.#watch(started.record);
          if (watched.kind === "end") return watched.end;
          step = watched.step;
          break;
        }
        case "failed": {
          const next = this.#decide({ kind: "start_failed", reason: started.reason });
          if (next.kind === "give_up") return await this.#giveUp(next);
          if (next.kind !== "restart") break;
          await this.#announce(next);
          const over = await this.#waitOut(next.delayMs);
          if (over !== null) return await this.#end(over);
          step = next;
        }
      }
    }
  }

  /** What fails while a server is being kept may pass, a full disk for example: it counts as a failed start. */
  async #tryStart(step: Step): Promise<Started> {
    try {
      return await this.#start(step);
    } catch (error) {
      if (this.#world.signal.aborted || step.kind === "first") throw error;
      const reason = this.#report(error);
      return { kind: "failed", reason: `its start failed: ${reason}` };
    }
  }

  /** Starts, restarts or adopts under the lock, after a second look at what others did meanwhile. */
  async #start(step: Step): Promise<Started> {
    const isFirst = step.kind === "first";
    const lock = isFirst
      ? await this.#slot.lock({ waitMs: FIRST_LOCK_WAIT_MS, signal: this.#world.signal })
      : await this.#supervised.lockUnlessUnwanted();
    if (lock === null) return { kind: "end", end: isFirst ? this.#busy() : await this.#end("not wanted") };
    try {
      const before = await this.#slot.readOrHeal();
      const rival = await this.#supervised.rivalIn(before);
      if (rival !== null) {
        this.#isKeeper = false;
        return { kind: "end", end: this.#refuse(rival) };
      }
      this.#isKeeper = !isFirst || !this.#options.adoptOnly;
      if (isFirst && this.#options.adoptOnly && (before === null || before.want === "down")) {
        return { kind: "end", end: this.#tooLate() };
      }
      if (isFirst) return await this.#bring("no", this.#options.startedBy);
      if (before === null || before.want === "down" || await this.#slot.isAskedToStop()) {
        lock.release();
        return { kind: "end", end: await this.#end("not wanted any more") };
      }
      this.#exited = null;
      if (await this.#isNewProcess(before)) return await this.#takeOver(before);
      if (step.kind === "restart") await this.#recordRestart(before);
      return await this.#bring("yes", before.started_by);
    } finally {
      lock.release();
    }
  }

  /** A process that another foster started: as ready as that one left it. */
  async #takeOver(record: ServerRecord): Promise<Started> {
    await this.#followDefinition(record);
    this.#options.onEvent({ type: "adopted", pid: record.pid });
    if (record.state !== "ready") return await this.#bring("no", record.started_by);
    return await this.#supervise(record, null);
  }

  async #bring(restart: "no" | "yes", startedBy: StartedBy): Promise<Started> {
    const { timeoutMs, ownerPid } = this.#options;
    const outcome = await startUnderLock(this.#world, this.#slot, {
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
    });
    const record = await this.#slot.readOrHeal();
    switch (outcome.kind) {
      case "done":
        break;
      case "crashed":
      case "notReady":
        if (record !== null) await this.#slot.write({ ...record, supervisor: this.#self });
        this.#options.onEvent({ type: "start_failed", row: outcome.row });
        return { kind: "failed", reason: failureOf(outcome) };
      case "no":
        return { kind: "end", end: { kind: "stopped" } };
      case "interrupted":
        throw this.#world.signal.reason;
      case "noCommand":
      case "portExcluded":
      case "incompatible":
      case "foreignPort":
      case "refused":
      case "exhausted":
      case "guarded":
        return { kind: "end", end: { kind: "failed", outcome } };
    }
    if (record !== null) return await this.#supervise(record, outcome.row);
    const message =
      `"${this.#written.name}" was started by somebody else: foster can't restart what it did not start`;
    return {
      kind: "end",
      end: { kind: "failed", outcome: { kind: "refused", row: { ...outcome.row, message } } },
    };
  }

  /** `row` is there where this bridge itself saw the server ready. */
  async #supervise(record: ServerRecord, row: ServerRow | null): Promise<Started> {
    const supervised: ServerRecord = { ...record, supervisor: this.#self };
    await this.#slot.write(supervised);
    this.#isKeeper = true;
    await this.#note("supervising", { ...this.#self, record: supervised });
    this.#definition = withOverrides(this.#written, await this.#slot.notes());
    this.#decide({ kind: "ready", now: this.#world.host.clock.monotonic() });
    if (row !== null) this.#options.onEvent({ type: "ready", row });
    return { kind: "watching", record: supervised };
  }

  async #watch(record: ServerRecord): Promise<Watched> {
    this.#watched = record;
    const watch = new Watch(this.#world, {
      slot: this.#slot,
      definition: this.#definition,
      record,
      exited: this.#exited,
      owner: this.#owner,
    });
    try {
      while (true) {
        const seen = await this.#lookOnce(watch, record);
        switch (seen.kind) {
          case "unchanged":
            continue;
          case "not_wanted":
            return { kind: "end", end: await this.#end("not wanted any more") };
          case "owner_gone":
            return { kind: "end", end: await this.#end("its owner is gone") };
          case "replaced":
            return { kind: "again", step: { kind: "adopt" } };
          case "probe_ok":
            this.#decide({ kind: "probe_ok", now: this.#world.host.clock.monotonic() });
            if (await this.#idle?.isOver() ?? false) {
              const end = await this.#endIdle();
              if (end !== null) return { kind: "end", end };
            }
            continue;
          case "exited":
            this.#options.onEvent({ type: "exited", reason: seen.reason });
            break;
          case "probe_failed":
            break;
        }
        const step = await this.#judge(record, seen);
        if (step.kind === "restart") return { kind: "again", step };
        if (step.kind === "give_up") return { kind: "end", end: await this.#giveUp(step) };
      }
    } finally {
      await watch.close();
    }
  }

  /** Never throws for what is merely wrong with the machine or the server: that is a probe that failed. */
  async #lookOnce(watch: Watch, record: ServerRecord): Promise<Explained> {
    const { intervalMs } = this.#definition.restart;
    try {
      const seen = await watch.next(intervalMs);
      return seen.kind === "exited" ? await this.#explain(record, seen) : seen;
    } catch (error) {
      if (this.#world.signal.aborted) throw error;
      const reason = this.#report(error);
      await this.#world.host.clock.sleep(intervalMs, this.#world.signal);
      return { kind: "probe_failed", reason };
    }
  }

  async #judge(
    record: ServerRecord,
    seen: Extract<Seen, { kind: "exited" | "probe_failed" }>,
  ): Promise<PolicyStep> {
    const now = this.#world.host.clock.monotonic();
    const step = this.#decide({ kind: seen.kind, reason: seen.reason, now });
    if (seen.kind === "probe_failed") {
      const misses = step.kind === "missed" ? step.misses : this.#definition.restart.misses;
      this.#options.onEvent({ type: "probe_failed", misses, reason: seen.reason });
      await this.#note("probe_failed", { pid: record.pid, message: seen.reason });
      if (step.kind !== "missed") await keepCrashLog(this.#world.host, this.#slot.paths).catch(() => "");
    }
    if (step.kind === "restart") await this.#announce(step);
    return step;
  }

  #decide(event: WatchEvent): PolicyStep {
    const jitter = this.#world.host.random.unit();
    const { tally, step } = decideRestart(this.#definition.restart, this.#tally, { event, jitter });
    this.#tally = tally;
    return step;
  }

  async #announce({ reason, delayMs, attempt }: RestartStep): Promise<void> {
    this.#options.onEvent({ type: "restarting", reason, attempt, delay_ms: delayMs });
    await this.#note("restarting", { message: `${reason} (restart ${attempt})` });
  }

  /** The process ended: by itself, or because another foster, whose turn it then was, put a new one in its place. */
  async #explain(record: ServerRecord, seen: Extract<Seen, { kind: "exited" }>): Promise<Explained> {
    const lock = await this.#supervised.lockUnlessUnwanted();
    if (lock === null) return { kind: "not_wanted" };
    try {
      const now = await this.#slot.readOrHeal();
      if (now?.want === "down" || await this.#slot.isAskedToStop()) return { kind: "not_wanted" };
      if (now !== null && await this.#isNewProcess(now)) return { kind: "replaced" };
      if (await this.#supervised.isAlive(record)) {
        // Whoever ends a server for good ends its process first: this record was lost.
        if (now === null) await this.#slot.write(record);
        return { kind: "unchanged" };
      }
      if (now === null) return { kind: "not_wanted" };
      await this.#recordCrash(now, seen);
      return seen;
    } finally {
      lock.release();
    }
  }

  async #recordCrash(record: ServerRecord, seen: Extract<Seen, { kind: "exited" }>): Promise<void> {
    const { pid, start_token } = record;
    const { code = null, signal = null } = seen.exit ?? {};
    this.#lastExit = { code, signal, at: isoNow(this.#world.host) };
    await keepCrashLog(this.#world.host, this.#slot.paths).catch((error) => this.#report(error));
    await this.#note("crashed", { pid, start_token, message: seen.reason });
  }

  /** One write for the end of the old process and the attempt at a new one: it stands in the way of that attempt. */
  async #recordRestart(before: ServerRecord): Promise<void> {
    const { state, last_exit, restarts } = before;
    const ended = this.#lastExit;
    await this.#slot.write({
      ...before,
      state: ended === null ? state : "crashed",
      last_exit: ended ?? last_exit,
      restarts: restarts + 1,
      next_attempt: null,
    });
    this.#lastExit = null;
  }

  /** Null when the time is over, else why there will be no other attempt. */
  async #waitOut(delayMs: number): Promise<string | null> {
    const { host, signal } = this.#world;
    const next_attempt = new Date(host.clock.now() + delayMs).toISOString();
    const write = (record: ServerRecord) => this.#slot.write({ ...record, next_attempt });
    await this.#supervised.change(write).catch((error) => this.#report(error));
    const endsAt = host.clock.monotonic() + delayMs;
    let nextLookAtOwner = 0;
    while (host.clock.monotonic() < endsAt) {
      if (await this.#supervised.isUnwanted()) return "not wanted any more";
      if (this.#owner !== null && host.clock.monotonic() >= nextLookAtOwner) {
        if (await this.#supervised.isGone(this.#owner)) return "its owner is gone";
        nextLookAtOwner = host.clock.monotonic() + this.#definition.restart.intervalMs;
      }
      await host.clock.sleep(
        Math.min(WAIT_LOOK_MS, Math.max(1, endsAt - host.clock.monotonic())),
        signal,
      );
    }
    return null;
  }

  async #giveUp({ reason, attempts }: GiveUpStep): Promise<BridgeEnd> {
    const { name, restart: { max }, key } = this.#definition;
    const message = exhaustedMessage(name, { reason, attempts, max });
    await this.#supervised.change((record) => this.#endForGood(record)).catch((error) => this.#report(error));
    await this.#note("exhausted", { message });
    this.#options.onEvent({ type: "exhausted", message, reason, restarts: attempts, max });
    return { kind: "failed", outcome: await exhaustedOutcome(this.#slot, { name, key, message }) };
  }

  async #endForGood(record: ServerRecord): Promise<void> {
    const ended = await endServer(this.#world, {
      slot: this.#slot,
      record,
      definition: this.#definition,
      port: record.port,
      graceMs: this.#definition.stop.graceMs,
      portWaitMs: PORT_WAIT_MS.stop,
      proof: null,
    });
    const isGone = ended.survivors.length === 0 && ended.after.owned.length === 0;
    if (isGone) await this.#slot.removeSessions();
    await this.#slot.write({
      ...(isGone ? withoutProcess(record) : record),
      state: "crashed",
      last_exit: this.#lastExit ?? record.last_exit,
      supervisor: null,
      next_attempt: null,
    });
  }

  /** Null when somebody came to use the server, or pinned it, before it could be ended. */
  async #endIdle(): Promise<BridgeEnd | null> {
    let isOver = false;
    const outcome = await this.#stopServer(async () => isOver = await this.#idle?.isOver() ?? false);
    if (!isOver) return null;
    this.#options.onEvent({ type: "stopped", reason: "no clients left" });
    return outcome.kind === "done" ? { kind: "stopped" } : { kind: "failed", outcome };
  }

  /** Ends this bridge and, unless another foster is at it already, the server that it keeps. */
  async #end(
    reason: string,
    stillDue: (record: ServerRecord) => Promise<boolean> = () => Promise.resolve(true),
  ): Promise<BridgeEnd> {
    const isDue = this.#isKeeper && await this.#supervised.isLeftToUs();
    const outcome = isDue ? await this.#stopServer(stillDue) : null;
    this.#options.onEvent({ type: "stopped", reason });
    return outcome === null || outcome.kind === "done" ? { kind: "stopped" } : { kind: "failed", outcome };
  }

  /** Under the lock the case is looked at once more: another foster may have pinned, leased or ended it since. */
  async #stopServer(stillDue: (record: ServerRecord) => Promise<boolean>): Promise<Outcome> {
    const { name, key } = this.#definition;
    const uninterrupted: World = { ...this.#world, signal: new AbortController().signal };
    return await stopServer(uninterrupted, {
      name,
      key,
      definition: this.#definition,
      named: false,
      handoff: false,
      stillDue: async (record) =>
        record !== null && record.want === "up" && await this.#supervised.rivalIn(record) === null &&
        await stillDue(record),
    });
  }

  /** Takes over the definition that another foster started the server from. */
  async #followDefinition(record: ServerRecord): Promise<void> {
    const notes = await this.#slot.notes();
    const startedThis = async (definition: ServerDefinition) =>
      await specHash(withOverrides(definition, notes)) === record.spec_hash;
    if (await startedThis(this.#written)) return;
    try {
      const fresh = await this.#options.reload();
      if (await startedThis(fresh)) this.#written = fresh;
    } catch (error) {
      this.#report(error);
    }
  }

  /** Whether the record names a live process that this bridge has not watched yet. */
  async #isNewProcess(record: ServerRecord): Promise<boolean> {
    if (this.#watched !== null && isSameProcess(record, this.#watched)) return false;
    return record.start_token !== null && await this.#supervised.isAlive(record);
  }

  #refuse(rival: ProcessIdentity): BridgeEnd {
    const { name } = this.#written;
    const message = `"${name}" is supervised already, by pid ${rival.pid}`;
    const hint = `foster status "${name}" shows it; foster down "${name}" ends both`;
    return this.#guarded(message, hint);
  }

  /** What this bridge was to keep was taken away before it came. */
  #tooLate(): BridgeEnd {
    const message = `"${this.#written.name}": stopped by foster down before its bridge was there`;
    const said = { kind: "no", state: "stopped", message, hint: "" } as const;
    return { kind: "failed", outcome: plainOutcome(this.#written, this.#slot, said) };
  }

  #busy(): BridgeEnd {
    const { name } = this.#written;
    return this.#guarded(
      `"${name}" is being started or stopped by another foster`,
      `foster status "${name}"`,
    );
  }

  #guarded(message: string, hint: string): BridgeEnd {
    this.#options.onEvent({ type: "refused", message });
    const said = { kind: "guarded", state: "guarded", message, hint } as const;
    return { kind: "failed", outcome: plainOutcome(this.#written, this.#slot, said) };
  }

  /** Writes an event down where that can be done. */
  async #note(event: EventName, details: Parameters<ServerSlot["event"]>[1]): Promise<void> {
    await this.#slot.event(event, details).catch((error) => this.#report(error));
  }

  #report(error: unknown): string {
    const message = error instanceof Error ? error.message : String(error);
    this.#options.onEvent({ type: "problem", message });
    return message;
  }

  async #identityOf(pid: number): Promise<ProcessIdentity> {
    const seen = (await this.#world.host.processes.inspect([pid])).get(pid);
    if (seen?.kind === "seen" && !seen.facts.zombie) return { pid, start_token: seen.facts.startToken };
    throw new HostError("not_found", `there is no process ${pid} to be the owner of "${this.#written.name}"`);
  }
}

/** Why a start came to nothing, in one line: the server's last words are in its crash log. */
function failureOf({ kind, row }: Outcome): string {
  const [line = ""] = row.message.split("\n");
  const said = line.replace(/; its last words:$/, "");
  return `${kind === "crashed" ? "exited before it was ready" : "probe failed"}: ${said}`;
}

async function exhaustedOutcome(
  slot: ServerSlot,
  { name, key, message }: { name: string; key: string; message: string },
): Promise<Outcome> {
  const stored = await slot.read();
  const row = stored.kind === "record" ? rowOfRecord(stored.record, "crashed") : emptyRow(name, key);
  const hint = `foster logs "${name}" --crash shows its last words; foster up "${name}" tries again`;
  return {
    kind: "exhausted",
    row: { ...row, state: "crashed", state_code: STATE_CODES.crashed, message, hint },
  };
}
