/**
 * Watches one live server: whether its process lives, whether it answers, whether it is still wanted.
 *
 * @module
 */
import type { ExitStatus } from "../host/host.ts";
import { describeExit } from "../lifecycle/begin.ts";
import { attemptReady, transportOf } from "../lifecycle/live.ts";
import { rotateOpenLog } from "../lifecycle/log_files.ts";
import type { World } from "../lifecycle/world.ts";
import { type KeptProbe, openProbe } from "../mcp/probe.ts";
import { verdict } from "../registry/identity.ts";
import type { ProcessIdentity, ServerRecord } from "../registry/record.ts";
import type { ServerSlot } from "../registry/store.ts";
import type { ServerDefinition } from "../spec/definition.ts";

const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
/** How often a process that is not our child is looked at; dearer where a helper program has to do it. */
const LOOK_MS = 20;
const LOOK_THROUGH_HELPER_MS = 500;

export type Seen =
  | { kind: "probe_ok" }
  | { kind: "probe_failed"; reason: string }
  | { kind: "exited"; exit: ExitStatus | null; reason: string }
  /** Another foster put a new process in its place. */
  | { kind: "replaced"; record: ServerRecord }
  /** Another foster took it away, or is about to. */
  | { kind: "not_wanted" }
  | { kind: "owner_gone" };

export interface WatchOptions {
  slot: ServerSlot;
  definition: ServerDefinition;
  record: ServerRecord;
  /** Resolves when the process ends, where this bridge spawned it. */
  exited: Promise<ExitStatus> | null;
  owner: ProcessIdentity | null;
}

/** Watches one process of the server; a new one needs a new watch. */
export class Watch {
  readonly #world: World;
  readonly #options: WatchOptions;
  readonly #probe: KeptProbe;
  #exit: ExitStatus | null = null;
  #wake: (() => void) | null = null;

  constructor(world: World, options: WatchOptions) {
    this.#world = world;
    this.#options = options;
    this.#probe = openProbe(world.host, {
      endpoint: new URL(options.record.endpoint),
      transport: transportOf(options.definition),
      requiredTools: [],
    });
    options.exited?.then((exit) => {
      this.#exit = exit;
      this.#wake?.();
    });
  }

  /** Waits until the next tick or until something happens before it. @throws the signal's reason */
  async next(intervalMs: number): Promise<Seen> {
    const { clock } = this.#world.host;
    const endsAt = clock.monotonic() + intervalMs;
    while (clock.monotonic() < endsAt) {
      const found = await this.#glance();
      if (found !== null) return found;
      const restMs = Math.max(1, endsAt - clock.monotonic());
      await this.#pause(this.#isOwnChild() ? restMs : Math.min(restMs, this.#lookMs()));
    }
    return await this.#tick();
  }

  async close(): Promise<void> {
    await this.#probe.close();
  }

  /** What can be seen at no cost: is the process there? */
  async #glance(): Promise<Seen | null> {
    const { record } = this.#options;
    if (record.pid === null || (this.#isOwnChild() && this.#exit === null)) return null;
    const seen = (await this.#world.host.processes.inspect([record.pid])).get(record.pid);
    switch (verdict(seen, record.start_token).kind) {
      case "ours":
      case "unknown":
        return null;
      case "gone":
      case "recycled":
        break;
    }
    // A restart by another foster ends the process too: its record then tells the whole story.
    return await this.#readRecord() ??
      {
        kind: "exited",
        exit: this.#exit,
        reason: this.#exit === null ? "its process is gone" : describeExit(this.#exit),
      };
  }

  async #tick(): Promise<Seen> {
    const { slot, owner } = this.#options;
    const changed = await this.#readRecord();
    if (changed !== null) return changed;
    if (owner !== null && await this.#isGone(owner)) return { kind: "owner_gone" };
    await rotateOpenLog(this.#world.host, slot.paths.log, LOG_LIMIT_BYTES).catch(() => false);
    return await this.#probeOnce();
  }

  async #readRecord(): Promise<Seen | null> {
    const { slot, record } = this.#options;
    if (await slot.isAskedToStop()) return { kind: "not_wanted" };
    const stored = await slot.read();
    switch (stored.kind) {
      case "none":
        // Gone for good, or for the moment of a restart by another foster: its lock tells.
        return { kind: "exited", exit: this.#exit, reason: "its record is gone" };
      case "corrupt":
        // Whoever takes the lock next heals it.
        return null;
      case "record":
        if (stored.record.want === "down") return { kind: "not_wanted" };
        return isSameProcess(stored.record, record) ? null : { kind: "replaced", record: stored.record };
    }
  }

  async #probeOnce(): Promise<Seen> {
    const { host, signal } = this.#world;
    const { definition, record } = this.#options;
    const { check, probeTimeoutMs } = definition.ready;
    const outcome = check === "mcp"
      ? await this.#probe.check(probeTimeoutMs, signal)
      : await attemptReady(host, {
        definition,
        endpoint: record.endpoint,
        timeoutMs: probeTimeoutMs,
        signal,
      });
    signal.throwIfAborted();
    switch (outcome.kind) {
      case "ok":
      case "ready":
        return { kind: "probe_ok" };
      case "retry":
      case "permanent":
        // A process that ended while it was asked has not missed a probe.
        return await this.#glance() ?? { kind: "probe_failed", reason: outcome.reason };
    }
  }

  async #isGone(owner: ProcessIdentity): Promise<boolean> {
    const seen = (await this.#world.host.processes.inspect([owner.pid])).get(owner.pid);
    const { kind } = verdict(seen, owner.start_token);
    return kind === "gone" || kind === "recycled";
  }

  /** The end of a child is told at once; any other process has to be looked at. */
  #isOwnChild(): boolean {
    const { exited, record } = this.#options;
    return exited !== null && record.pid === record.launcher_pid;
  }

  #lookMs(): number {
    return this.#world.host.engine.fullAccess ? LOOK_MS : LOOK_THROUGH_HELPER_MS;
  }

  async #pause(ms: number): Promise<void> {
    const { clock } = this.#world.host;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    if (this.#exit !== null && this.#isOwnChild()) woken.abort();
    await clock.sleep(ms, AbortSignal.any([woken.signal, this.#world.signal])).catch(() => {});
    this.#wake = null;
    this.#world.signal.throwIfAborted();
  }
}

function isSameProcess(one: ServerRecord, other: ServerRecord): boolean {
  return one.pid === other.pid && one.start_token === other.start_token;
}
