/**
 * The restart bridge: keeps one server up on its endpoint, within its budget, until it is no longer wanted.
 *
 * @module
 */
import { type ExitStatus, type FileLock, HostError } from "../host/host.ts";
import { withoutProcess } from "../lifecycle/begin.ts";
import { stopServer } from "../lifecycle/down.ts";
import { keepCrashLog } from "../lifecycle/log_files.ts";
import { PLAIN_START, plainOutcome, startUnderLock } from "../lifecycle/operations.ts";
import { emptyRow, type Outcome, rowOfRecord, type ServerRow } from "../lifecycle/row.ts";
import { endServer, PORT_WAIT_MS } from "../lifecycle/stop.ts";
import { isoNow, type World } from "../lifecycle/world.ts";
import { verdict } from "../registry/identity.ts";
import type { ProcessIdentity, ServerRecord, StartedBy } from "../registry/record.ts";
import { STATE_CODES } from "../registry/state_label.ts";
import type { ServerSlot } from "../registry/store.ts";
import type { ServerDefinition } from "../spec/definition.ts";
import { withOverrides } from "../spec/with_overrides.ts";
import { IdleWatch } from "./idle.ts";
import {
  decideRestart,
  exhaustedMessage,
  NEW_TALLY,
  type PolicyStep,
  type Tally,
  type WatchEvent,
} from "./policy.ts";
import { type Seen, Watch } from "./watch.ts";

export type BridgeEvent =
  | { type: "ready"; row: ServerRow }
  | { type: "adopted"; pid: number | null }
  | { type: "probe_failed"; misses: number; reason: string }
  | { type: "exited"; reason: string }
  | { type: "restarting"; reason: string; attempt: number; delay_ms: number }
  | { type: "start_failed"; row: ServerRow }
  | { type: "exhausted"; message: string }
  | { type: "refused"; message: string }
  | { type: "stopped"; reason: string };

export interface BridgeOptions {
  definition: ServerDefinition;
  startedBy: StartedBy;
  timeoutMs: number | null;
  ownerPid: number | null;
  /** How long a server that a client started stays without clients; null for ever. */
  idleMs: number | null;
  onEvent(event: BridgeEvent): void;
}

/** How the bridge ended; `interrupted` is the asked-for end by a signal. */
export type BridgeEnd = { kind: "stopped" } | { kind: "failed"; outcome: Outcome };

/** Somebody else's start may take its whole time before the lock is ours. */
const LOCK_WAIT_MS = 120_000;
const LOCK_CHECK_MS = 50;

export class Bridge {
  readonly #world: World;
  readonly #options: BridgeOptions;
  readonly #slot: ServerSlot;
  #definition: ServerDefinition;
  #tally: Tally = NEW_TALLY;
  #self: ProcessIdentity | null = null;
  #owner: ProcessIdentity | null = null;
  #exited: Promise<ExitStatus> | null = null;
  #watchedPid: number | null = null;
  readonly #idle: IdleWatch | null;

  constructor(world: World, options: BridgeOptions) {
    this.#options = options;
    this.#definition = options.definition;
    this.#slot = world.state.slot(options.definition.key);
    this.#world = { ...world, onSpawn: (child) => this.#exited = child.exited };
    this.#idle = options.idleMs === null ? null : new IdleWatch(world.host, this.#slot, options.idleMs);
  }

  /** Runs until the server is no longer wanted or is given up. */
  async run(): Promise<BridgeEnd> {
    try {
      return await this.#keep();
    } catch (error) {
      if (!this.#world.signal.aborted) throw error;
      return await this.#shutDown("interrupted");
    }
  }

  async #keep(): Promise<BridgeEnd> {
    this.#self = await this.#identityOf(this.#world.host.processes.selfPid);
    if (this.#options.ownerPid !== null) this.#owner = await this.#identityOf(this.#options.ownerPid);
    let step: PolicyStep | null = null;
    while (true) {
      const started = await this.#start(step);
      if (started.kind === "end") return started.end;
      if (started.kind === "failed") {
        step = this.#decide({ kind: "start_failed", reason: started.outcome.row.message });
        if (step.kind === "give_up") return await this.#giveUp(step);
        if (step.kind === "restart") await this.#announce(step);
        if (step.kind === "restart" && !await this.#waitOut(step.delayMs)) {
          return await this.#shutDown("not wanted");
        }
        continue;
      }
      const watched = await this.#watch(started.record);
      if (watched.kind === "end") return watched.end;
      step = watched.step;
      if (step.kind === "give_up") return await this.#giveUp(step);
    }
  }

  /** Starts, restarts or adopts under the lock, after a second look at what others did meanwhile. */
  async #start(step: PolicyStep | null): Promise<Started> {
    const lock = await this.#lockUnlessUnwanted(step !== null);
    if (lock === null) return { kind: "end", end: await this.#shutDown("not wanted") };
    try {
      const before = await this.#slot.readOrHeal();
      const rival = await this.#rivalOf(before);
      if (rival !== null) return { kind: "end", end: this.#refuse(rival) };
      if (step !== null) {
        if (before === null || before.want === "down") {
          return { kind: "end", end: { kind: "stopped" } };
        }
        const revived = await this.#isNewProcess(before);
        if (!revived && step.kind === "restart") {
          await this.#slot.write({ ...before, restarts: before.restarts + 1, next_attempt: null });
        }
        if (!revived) this.#exited = null;
        return await this.#bring(revived ? "no" : "yes", before.started_by);
      }
      return await this.#bring("no", this.#options.startedBy);
    } finally {
      lock.release();
    }
  }

  async #bring(restart: "no" | "yes", startedBy: StartedBy): Promise<Started> {
    const { definition, timeoutMs, ownerPid } = this.#options;
    const options = {
      ...PLAIN_START,
      startedBy,
      timeoutMs,
      // The bridge is the server's owner where nobody else was named.
      ownerPid: ownerPid ?? this.#world.host.processes.selfPid,
      restart,
    };
    const outcome = await startUnderLock(this.#world, this.#slot, {
      definition,
      options,
      timeoutMs: timeoutMs ?? definition.ready.timeoutMs,
    });
    const record = await this.#slot.readOrHeal();
    switch (outcome.kind) {
      case "done":
        break;
      case "crashed":
      case "notReady":
        if (record !== null) await this.#slot.write({ ...record, supervisor: this.#self });
        this.#options.onEvent({ type: "start_failed", row: outcome.row });
        return { kind: "failed", outcome };
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
    if (record === null) {
      const message =
        `"${definition.name}" was started by somebody else: foster can't restart what it did not start`;
      return {
        kind: "end",
        end: { kind: "failed", outcome: { kind: "refused", row: { ...outcome.row, message } } },
      };
    }
    const supervised: ServerRecord = { ...record, supervisor: this.#self };
    await this.#slot.write(supervised);
    await this.#slot.event("supervising", this.#self ?? {});
    this.#definition = withOverrides(definition, await this.#slot.notes());
    this.#decide({ kind: "ready", now: this.#world.host.clock.monotonic() });
    this.#options.onEvent({ type: "ready", row: outcome.row });
    return { kind: "watching", record: supervised };
  }

  async #watch(first: ServerRecord): Promise<Watched> {
    let record = first;
    this.#watchedPid = record.pid;
    const { restart } = this.#definition;
    let watch = this.#newWatch(record);
    try {
      while (true) {
        const found: Seen = await watch.next(restart.intervalMs);
        const seen = found.kind === "exited" ? await this.#explainExit(record, found) : found;
        const { clock } = this.#world.host;
        switch (seen.kind) {
          case "not_wanted":
            return { kind: "end", end: await this.#shutDown("not wanted any more") };
          case "owner_gone":
            return { kind: "end", end: await this.#shutDown("its owner is gone") };
          case "replaced":
            record = seen.record;
            this.#watchedPid = record.pid;
            this.#exited = null;
            await watch.close();
            watch = this.#newWatch(record);
            this.#options.onEvent({ type: "adopted", pid: record.pid });
            continue;
          case "probe_ok":
            this.#decide({ kind: "probe_ok", now: clock.monotonic() });
            if (await this.#idle?.isOver() ?? false) {
              return { kind: "end", end: await this.#shutDown("no clients left") };
            }
            continue;
          case "exited":
            this.#options.onEvent({ type: "exited", reason: seen.reason });
            break;
          case "probe_failed":
            break;
        }
        const step = this.#decide({ kind: seen.kind, reason: seen.reason, now: clock.monotonic() });
        if (step.kind === "missed" || step.kind === "watch") {
          const misses = this.#tally.misses;
          this.#options.onEvent({ type: "probe_failed", misses, reason: seen.reason });
          await this.#slot.event("probe_failed", { pid: record.pid, message: seen.reason });
          continue;
        }
        if (step.kind === "restart") await this.#announce(step);
        return { kind: "step", step };
      }
    } finally {
      await watch.close();
    }
  }

  #newWatch(record: ServerRecord): Watch {
    return new Watch(this.#world, {
      slot: this.#slot,
      definition: this.#definition,
      record,
      exited: this.#exited,
      owner: this.#owner,
    });
  }

  #decide(event: WatchEvent): PolicyStep {
    const jitter = this.#world.host.random.unit();
    const { tally, step } = decideRestart(this.#definition.restart, this.#tally, { event, jitter });
    this.#tally = tally;
    return step;
  }

  async #announce(step: Extract<PolicyStep, { kind: "restart" }>): Promise<void> {
    const { attempts } = this.#tally;
    const { reason, delayMs } = step;
    this.#options.onEvent({ type: "restarting", reason, attempt: attempts, delay_ms: delayMs });
    await this.#slot.event("restarting", { message: `${reason} (restart ${attempts})` });
  }

  /** The process ended: by itself, or because another foster, whose turn it then was, put a new one in its place. */
  async #explainExit(record: ServerRecord, seen: Extract<Seen, { kind: "exited" }>): Promise<Seen> {
    let explained: Seen = { kind: "not_wanted" };
    await this.#underLock(async (now) => {
      if (now.want === "down") return;
      if (await this.#isNewProcess(now)) {
        explained = { kind: "replaced", record: now };
        return;
      }
      explained = seen;
      await keepCrashLog(this.#world.host, this.#slot.paths);
      await this.#slot.event("crashed", {
        pid: record.pid,
        start_token: record.start_token,
        message: seen.reason,
      });
      const { code = null, signal = null } = seen.exit ?? {};
      const last_exit = { code, signal, at: isoNow(this.#world.host) };
      await this.#slot.write({ ...now, state: "crashed", last_exit });
    });
    return explained;
  }

  /** True when the time is over, false when the server is not wanted any more. */
  async #waitOut(delayMs: number): Promise<boolean> {
    const { host, signal } = this.#world;
    const next_attempt = new Date(host.clock.now() + delayMs).toISOString();
    await this.#underLock((record) => this.#slot.write({ ...record, next_attempt }));
    const endsAt = host.clock.monotonic() + delayMs;
    while (host.clock.monotonic() < endsAt) {
      if (await this.#isUnwanted()) return false;
      await host.clock.sleep(Math.min(100, Math.max(1, endsAt - host.clock.monotonic())), signal);
    }
    return true;
  }

  async #giveUp(step: Extract<PolicyStep, { kind: "give_up" }>): Promise<BridgeEnd> {
    const { name, restart, key } = this.#definition;
    const message = exhaustedMessage(name, {
      reason: step.reason,
      attempts: step.attempts,
      max: restart.max,
    });
    await this.#underLock(async (record) => {
      await endServer(this.#world, {
        slot: this.#slot,
        record,
        definition: this.#definition,
        port: record.port,
        graceMs: this.#definition.stop.graceMs,
        portWaitMs: PORT_WAIT_MS.stop,
        proof: null,
      });
      await this.#slot.removeSessions();
      await this.#slot.write({
        ...withoutProcess(record),
        state: "crashed",
        supervisor: null,
        next_attempt: null,
      });
    });
    await this.#slot.event("exhausted", { message });
    this.#options.onEvent({ type: "exhausted", message });
    return { kind: "failed", outcome: await exhaustedOutcome(this.#slot, { name, key, message }) };
  }

  /** Ends the server and this bridge, unless another foster is at it already. */
  async #shutDown(reason: string): Promise<BridgeEnd> {
    if (reason !== "not wanted") await this.#stopProcesses();
    this.#options.onEvent({ type: "stopped", reason });
    return { kind: "stopped" };
  }

  /** A `down` that holds the lock ends the server by itself and waits for this bridge to be out of its way. */
  async #stopProcesses(): Promise<void> {
    const stored = await this.#slot.read();
    if (stored.kind !== "record" || stored.record.want === "down" || await this.#slot.isAskedToStop()) return;
    const { name, key } = this.#definition;
    const quiet: World = { ...this.#world, signal: new AbortController().signal };
    await stopServer(quiet, { name, key, definition: this.#definition, named: false, handoff: false });
  }

  /** The lock, or null when the server is found to be unwanted while another foster holds it. */
  async #lockUnlessUnwanted(isRestart: boolean): Promise<FileLock | null> {
    const { clock } = this.#world.host;
    const endsAt = clock.monotonic() + LOCK_WAIT_MS;
    while (clock.monotonic() < endsAt) {
      const lock = await this.#slot.lock({ waitMs: LOCK_CHECK_MS, signal: this.#world.signal });
      if (lock !== null) return lock;
      if (isRestart && await this.#isUnwanted()) return null;
    }
    throw new HostError("busy", `another foster holds the lock of "${this.#definition.name}"`);
  }

  async #isUnwanted(): Promise<boolean> {
    if (await this.#slot.isAskedToStop()) return true;
    const stored = await this.#slot.read();
    return stored.kind === "record" && stored.record.want === "down";
  }

  /** Another live bridge of this server. */
  async #rivalOf(record: ServerRecord | null): Promise<ProcessIdentity | null> {
    const supervisor = record?.supervisor ?? null;
    if (supervisor === null || supervisor.pid === this.#self?.pid) return null;
    const seen = await this.#world.host.processes.inspect([supervisor.pid]);
    const { kind } = verdict(seen.get(supervisor.pid), supervisor.start_token);
    return kind === "ours" || kind === "unknown" ? supervisor : null;
  }

  #refuse(rival: ProcessIdentity): BridgeEnd {
    const { name } = this.#definition;
    const message = `"${name}" is supervised already, by pid ${rival.pid}`;
    this.#options.onEvent({ type: "refused", message });
    const hint = `foster status "${name}" shows it; foster down "${name}" ends both`;
    const outcome = plainOutcome(this.#definition, this.#slot, {
      kind: "guarded",
      state: "guarded",
      message,
      hint,
    });
    return { kind: "failed", outcome };
  }

  /** Whether the record names a live process that this bridge did not know of. */
  async #isNewProcess(record: ServerRecord): Promise<boolean> {
    if (record.pid === null || record.state !== "ready" || record.pid === this.#watchedPid) return false;
    const seen = await this.#world.host.processes.inspect([record.pid]);
    return verdict(seen.get(record.pid), record.start_token).kind === "ours";
  }

  async #identityOf(pid: number): Promise<ProcessIdentity> {
    const seen = (await this.#world.host.processes.inspect([pid])).get(pid);
    if (seen?.kind === "seen" && !seen.facts.zombie) return { pid, start_token: seen.facts.startToken };
    throw new HostError(
      "not_found",
      `there is no process ${pid} to be the owner of "${this.#definition.name}"`,
    );
  }

  async #underLock(change: (record: ServerRecord) => Promise<void>): Promise<void> {
    const lock = await this.#lockUnlessUnwanted(true);
    if (lock === null) return;
    try {
      const record = await this.#slot.readOrHeal();
      if (record !== null) await change(record);
    } finally {
      lock.release();
    }
  }
}

type Started =
  | { kind: "watching"; record: ServerRecord }
  | { kind: "failed"; outcome: Outcome }
  | { kind: "end"; end: BridgeEnd };

type Watched = { kind: "step"; step: PolicyStep } | { kind: "end"; end: BridgeEnd };

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
