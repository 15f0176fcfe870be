/**
 * Watches one live server: whether its process lives, whether it answers, whether it is still desired and used.
 *
 * @module
 */
import { join } from "node:path";
import type { ExitStatus, Host } from "../host/host.ts";
import { describeExit } from "../lifecycle/messages.ts";
import { attemptReady, requestHeaders, transportOf } from "../lifecycle/observe/live.ts";
import { rotateOpenLog } from "../registry/log_files.ts";
import type { World } from "../lifecycle/world.ts";
import { type KeptProbe, openProbe } from "../mcp/probe.ts";
import { isOver, verdictNow } from "../registry/identity.ts";
import { readLeases } from "../registry/process_files.ts";
import type { ProcessIdentity, ServerRecord } from "../registry/record.ts";
import type { ServerFolder } from "../registry/store.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import type { EndWatcher } from "./end_watcher.ts";
import { isSameProcess } from "./supervised_folder.ts";

const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
const DIAL_TIMEOUT_MS = 1000;
/** More than the steps in which any file system counts time. */
const STAMP_AGE_MS = 3000;

export type Observation =
  | { kind: "probe_ok" }
  /** `isLive`: its port still accepts, or its process uses CPU. */
  | { kind: "probe_failed"; reason: string; isLive: boolean }
  /** It works on a call that foster knows of: what it does not answer meanwhile means nothing. */
  | { kind: "busy" }
  /** Its process is gone, or its record is about another one: what that means is told by the record under the lock. */
  | { kind: "exited"; exit: ExitStatus | null; reason: string }
  /** Another foster took it away, or is about to. */
  | { kind: "not_wanted" }
  | { kind: "owner_gone" };

export interface WatchOptions {
  folder: ServerFolder;
  definition: ServerDefinition;
  record: ServerRecord;
  /** Resolves when the process ends, where this loop spawned it. */
  exited: Promise<ExitStatus> | null;
  owner: ProcessIdentity | null;
  /** Since when the oldest call through this process's own gateway runs, monotonic; null while none does. */
  oldestCallMs(): number | null;
  ends: EndWatcher;
}

/** Watches one process of the server; a new one needs a new watch. */
export class Watch {
  readonly #world: World;
  readonly #options: WatchOptions;
  readonly #probe: KeptProbe;
  #exit: ExitStatus | null = null;
  #isProcessOver = false;
  /** Of the record as it was read last; null where its time may still stand for another write. */
  #recordStamp: string | null = null;
  #unwatch = () => {};
  #wake: (() => void) | null = null;
  #isBusy = false;
  /** CPU time at the last miss. */
  #cpuMs: number | null = null;
  readonly #interrupted = () => this.#wake?.();

  constructor(world: World, options: WatchOptions) {
    this.#world = world;
    this.#options = options;
    this.#probe = openProbe(world.host, {
      endpoint: new URL(options.record.endpoint),
      transport: transportOf(options.definition),
      requiredTools: [],
      headers: () => requestHeaders(world.host, options.definition, options.record.endpoint),
    });
    options.exited?.then((exit) => {
      this.#exit = exit;
      this.#wake?.();
    });
    const { pid, start_token } = options.record;
    if (!this.#isOwnChild() && pid !== null && start_token !== null) {
      this.#unwatch = options.ends.watch({ pid, start_token }, () => {
        this.#isProcessOver = true;
        this.#wake?.();
      });
    }
    world.signal.addEventListener("abort", this.#interrupted);
  }

  /** Waits until the next tick or until something happens before it. @throws the signal's reason */
  async next(intervalMs: number): Promise<Observation> {
    const { clock } = this.#world.host;
    const endsAt = clock.monotonic() + intervalMs;
    while (clock.monotonic() < endsAt) {
      const found = await this.#glance();
      if (found !== null) return found;
      const restMs = Math.max(1, endsAt - clock.monotonic());
      await this.#pause(restMs);
    }
    return await this.#tick();
  }

  async close(): Promise<void> {
    this.#world.signal.removeEventListener("abort", this.#interrupted);
    this.#unwatch();
    await this.#probe.close();
  }

  /** What can be seen at no cost: is the process there? */
  async #glance(): Promise<Observation | null> {
    const { record, folder } = this.#options;
    if (record.pid === null) return null;
    if (this.#isOwnChild()) {
      if (this.#exit === null) return null;
    } else if (!this.#isProcessOver) return null;
    if (await folder.isAskedToStop()) return { kind: "not_wanted" };
    const reason = this.#exit === null ? "its process is gone" : describeExit(this.#exit);
    return { kind: "exited", exit: this.#exit, reason };
  }

  async #tick(): Promise<Observation> {
    const { owner } = this.#options;
    const changed = await this.#readRecord();
    if (changed !== null) return changed;
    if (owner !== null && await this.#isGone(owner.pid, owner.start_token)) return { kind: "owner_gone" };
    await this.#rotateLog().catch(() => {});
    return await this.#probeOnce();
  }

  /** Under the lock: a start beside this loop moves the same files. */
  async #rotateLog(): Promise<void> {
    const { host, signal } = this.#world;
    const { folder } = this.#options;
    const stat = await host.files.stat(folder.paths.log);
    if (stat === null || stat.sizeBytes < LOG_LIMIT_BYTES) return;
    const lock = await folder.lock({ waitMs: 0, signal });
    if (lock === null) return;
    try {
      await rotateOpenLog(host, folder.paths.log, LOG_LIMIT_BYTES);
    } finally {
      lock.release();
    }
  }

  async #readRecord(): Promise<Observation | null> {
    const { folder, record } = this.#options;
    if (await folder.isAskedToStop()) return { kind: "not_wanted" };
    if (await this.#isRecordUnchanged()) return null;
    const stored = await folder.readStored();
    switch (stored.kind) {
      case "none":
        return { kind: "exited", exit: this.#exit, reason: "its record is gone" };
      case "corrupt":
        // Whoever takes the lock next heals it.
        return null;
      case "record":
        if (stored.record.want === "down") return { kind: "not_wanted" };
        if (isSameProcess(stored.record, record)) return null;
        return { kind: "exited", exit: this.#exit, reason: "another process took its place" };
    }
  }

  /** Its time says so once it is old enough that a later write would have another one. */
  async #isRecordUnchanged(): Promise<boolean> {
    const { files, clock } = this.#world.host;
    const stat = await files.stat(this.#options.folder.paths.record);
    if (stat === null || stat.kind !== "file") return false;
    const stamp = `${stat.modifiedAt} ${stat.sizeBytes}`;
    const isSame = stamp === this.#recordStamp;
    const ageMs = clock.now() - stat.modifiedAt;
    this.#recordStamp = ageMs > STAMP_AGE_MS ? stamp : null;
    return isSame;
  }

  async #probeOnce(): Promise<Observation> {
    const { host, signal } = this.#world;
    const { definition, record } = this.#options;
    // Probes of a busy server pile up in front of it.
    if (this.#isBusy && await this.#hasCall()) return { kind: "busy" };
    this.#isBusy = false;
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
        await this.#lookAtProcess();
        return await this.#glance() ?? await this.#missed(outcome.reason);
    }
  }

  /** Its end may not have been told yet. */
  async #lookAtProcess(): Promise<void> {
    const { pid, start_token } = this.#options.record;
    if (this.#isOwnChild() || pid === null) return;
    this.#isProcessOver ||= await this.#isGone(pid, start_token);
  }

  async #missed(reason: string): Promise<Observation> {
    this.#isBusy = await this.#hasCall();
    return this.#isBusy ? { kind: "busy" } : { kind: "probe_failed", reason, isLive: await this.#isLive() };
  }

  /** Whether a client waits for the answer to a call that is younger than the definition's limit. */
  async #hasCall(): Promise<boolean> {
    const { folder, definition, oldestCallMs } = this.#options;
    const ownMs = oldestCallMs();
    if (ownMs !== null && this.#world.host.clock.monotonic() - ownMs < definition.call.timeoutMs) return true;
    const { live } = await readLeases(this.#world.host, folder.paths.leases);
    const oldest = this.#world.host.clock.now() - definition.call.timeoutMs;
    return live.some(({ call_since: since }) => since !== undefined && Date.parse(since) > oldest);
  }

  async #isLive(): Promise<boolean> {
    const { host } = this.#world;
    const { endpoint, pid } = this.#options.record;
    const usage = pid === null ? undefined : (await host.processes.usage([pid])).get(pid);
    const before = this.#cpuMs;
    this.#cpuMs = usage?.cpuMs ?? null;
    if (usage !== undefined && before !== null && usage.cpuMs > before) return true;
    const { hostname, port } = new URL(endpoint);
    return await host.net.dial(hostname.replace(/^\[|\]$/g, ""), Number(port), DIAL_TIMEOUT_MS) === "open";
  }

  async #isGone(pid: number, startTime: string | null): Promise<boolean> {
    return isOver(await verdictNow(this.#world.host, { pid, start_token: startTime }));
  }

  /** The end of a child is told at once; any other process has to be looked at. */
  #isOwnChild(): boolean {
    const { exited, record } = this.#options;
    return exited !== null && record.pid === record.launcher_pid;
  }

  async #pause(ms: number): Promise<void> {
    const { host, signal } = this.#world;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    if (signal.aborted || this.#isProcessOver || (this.#exit !== null && this.#isOwnChild())) woken.abort();
    await host.clock.sleep(ms, woken.signal).catch(() => {});
    this.#wake = null;
    signal.throwIfAborted();
  }
}

/** Notices that a server which was started for clients has none left. */
export class IdleWatch {
  readonly #host: Pick<Host, "files" | "processes" | "clock">;
  readonly #folder: ServerFolder;
  readonly #idleMs: number;
  #aloneSince: number | null = null;

  constructor(host: Pick<Host, "files" | "processes" | "clock">, folder: ServerFolder, idleMs: number) {
    this.#host = host;
    this.#folder = folder;
    this.#idleMs = idleMs;
  }

  /** Whether no live client was there for the whole time, and the server is still one that clients started. */
  async isOver(): Promise<boolean> {
    const { leases } = this.#folder.paths;
    const seen = await readLeases(this.#host, leases);
    for (const name of seen.dead) await this.#host.files.remove(join(leases, name));
    const now = this.#host.clock.monotonic();
    if (seen.live.length + seen.unknown > 0) {
      this.#aloneSince = null;
      return false;
    }
    this.#aloneSince ??= now;
    if (now - this.#aloneSince < this.#idleMs) return false;
    const stored = await this.#folder.read();
    return stored.kind === "record" && stored.record.started_by === "connect";
  }
}
