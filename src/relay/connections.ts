/**
 * The connection that messages go out on, those that only bring answers still, and the way from one to the next.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import type { PendingTable } from "./pending.ts";
import { CLOSE_GRACE_MS, Reconnect, type ReconnectOptions } from "./reconnect.ts";
import type { ProcessFate } from "./retry.ts";
import type { ServerIdentity, ServerSource } from "./server_source.ts";
import type { Upstream } from "./upstream/upstream.ts";

export interface ConnectionsOptions extends Omit<ReconnectOptions, "isWanted" | "noteIdentity"> {
  source: ServerSource;
  table: PendingTable;
  /** A server is there, or another one in its place. */
  onServer?(): void;
  /** The connection is good, for the first time or again: what waits may be sent. */
  onReady(upstream: Upstream): void;
  /** It gets nothing new any more. */
  onRetired(upstream: Upstream): Promise<void>;
  /** The connection took the place of another one. */
  onReplaced(upstream: Upstream): Promise<void>;
  float(work: Promise<void>): void;
}

/** A child that was just spawned is still ended with proof. */
const ABANDON_MS = 2500;
/** How long a broken connection's process may take to end until it counts as one that lives. */
const FATE_WAIT_MS = 500;
const FATE_LOOK_MS = 50;
const DOUBT_PAUSE_MS = 1000;
/** Failures that are further apart have nothing to do with each other. */
const APART_MS = 5000;
const FIRST_PAUSE_MS = 25;
const LAST_PAUSE_MS = 1000;

export class Connections {
  readonly #clock: Host["clock"];
  readonly #options: ConnectionsOptions;
  readonly #reconnect: Reconnect;
  readonly #identities = new WeakMap<Upstream, ServerIdentity>();
  #current: Upstream | null = null;
  /** They get nothing new, but their answers may still come. */
  readonly #retired = new Set<Upstream>();
  #recovering: Promise<void> = Promise.resolve();
  #doubtedMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #failedMs = Number.NEGATIVE_INFINITY;

  constructor(host: Pick<Host, "clock">, options: ConnectionsOptions) {
    this.#clock = host.clock;
    this.#options = options;
    this.#reconnect = new Reconnect(host, {
      ...options,
      isWanted: () => options.table.waiting().some(({ open }) => open.size > 0),
      noteIdentity: (upstream, identity) => {
        this.#identities.set(upstream, identity);
        options.onServer?.();
      },
    });
  }

  /** Null while there is none to send to. */
  get current(): Upstream | null {
    return this.#current;
  }

  /** Why there is no server, as last seen. */
  get reason(): string {
    return this.#reconnect.reason;
  }

  /** Looks for the server, or starts it, and goes on looking until the end. */
  start(): void {
    this.#recoverFrom(null, { isDoubtful: false });
  }

  /** A request began to wait: the server is not only looked for any more. */
  hurry(): void {
    this.#reconnect.hurry();
  }

  /** Nothing more is to be sent over it, whatever else becomes of it. */
  noteLost(upstream: Upstream): void {
    this.#reconnect.noteLost(upstream);
  }

  /**
   * A message failed over the connection: others have to wait. Returns what goes on from there, to be called once is decided
   * what becomes of that message.
   */
  suspend(upstream: Upstream, { reason, isDoubtful }: { reason: string; isDoubtful: boolean }): () => void {
    const isCurrent = this.#current === upstream;
    if (isCurrent) this.#current = null;
    this.#reconnect.reason = reason;
    return () => isCurrent ? this.#recoverFrom(upstream, { isDoubtful }) : this.closeRetired();
  }

  /** The server at its other end is gone. Returns what goes on from there, as {@link suspend}. */
  lose(upstream: Upstream, reason: string): () => void {
    this.#reconnect.noteLost(upstream);
    const isCurrent = this.#current === upstream;
    if (isCurrent || this.#current === null) this.#reconnect.reason = reason;
    if (isCurrent) this.#current = null;
    this.#retired.delete(upstream);
    return () => isCurrent ? this.#recoverFrom(upstream, { isDoubtful: false }) : undefined;
  }

  /** Whether the process behind the connection is provably another one by now. Looks once in a while. */
  async isOutlived(upstream: Upstream): Promise<boolean> {
    const now = this.#clock.monotonic();
    if (this.#current !== upstream || now - this.#doubtedMs < DOUBT_PAUSE_MS) return false;
    this.#doubtedMs = now;
    const fate = await this.fateOf(upstream);
    return (fate === "replaced" || fate === "stopped") && this.#current === upstream;
  }

  async fateOf(upstream: Upstream): Promise<ProcessFate> {
    const identity = this.#identities.get(upstream);
    return identity === undefined ? "unknown" : await this.#options.source.fate(identity);
  }

  /** A process that closes its connections may take a moment to end, and one that is asked to end may get a successor. */
  async settledFateOf(upstream: Upstream): Promise<ProcessFate> {
    const { signal } = this.#options;
    const endsAt = this.#clock.monotonic() + FATE_WAIT_MS;
    while (true) {
      const fate = await this.fateOf(upstream);
      const isSettled = fate !== "same" && fate !== "stopped";
      if (isSettled || this.#clock.monotonic() >= endsAt || signal.aborted) return fate;
      await this.#clock.sleep(FATE_LOOK_MS, signal).catch(() => {});
    }
  }

  /** What foster did to the process, where it ended that itself; else null. */
  endedAs(upstream: Upstream): ProcessFate | null {
    const identity = this.#identities.get(upstream);
    return identity === undefined ? null : this.#options.source.endedAs?.(identity) ?? null;
  }

  /** Closes retired connections that have nothing more to bring. */
  closeRetired(): void {
    for (const upstream of this.#retired) {
      if (this.#options.table.sentTo(upstream).some(({ open }) => open.size > 0)) continue;
      this.#retired.delete(upstream);
      this.#options.float(upstream.close(CLOSE_GRACE_MS));
    }
  }

  /** Ends all of them, and a start that is under way, once the signal is aborted. */
  async close(): Promise<void> {
    const upstreams = [...this.#retired];
    if (this.#current !== null) upstreams.push(this.#current);
    this.#current = null;
    this.#retired.clear();
    await Promise.all(upstreams.map((upstream) => upstream.close(CLOSE_GRACE_MS)));
    await Promise.race([this.#recovering, this.#clock.sleep(ABANDON_MS)]);
  }

  /** Runs once at a time: only who takes the connection away calls it. */
  #recoverFrom(old: Upstream | null, how: { isDoubtful: boolean }): void {
    this.#recovering = this.#recover(old, how);
    this.#options.float(this.#recovering);
  }

  async #recover(old: Upstream | null, { isDoubtful }: { isDoubtful: boolean }): Promise<void> {
    if (old !== null && isDoubtful && await this.#isGood(old)) {
      await this.#slowDown();
      if (!this.#reconnect.isLost(old)) return this.#resume(old);
    }
    if (old !== null) {
      this.#retire(old);
      await this.#options.onRetired(old);
    }
    const upstream = await this.#reconnect.connect({ isFirst: old === null });
    if (upstream === null) return;
    this.#resume(upstream);
    if (old !== null) await this.#options.onReplaced(upstream);
  }

  /** A connection that brings all answers over one stream is kept for those that are still to come. */
  #retire(upstream: Upstream): void {
    upstream.retire();
    if (!upstream.sharesStream || this.#reconnect.isLost(upstream)) return;
    this.#retired.add(upstream);
    this.closeRetired();
  }

  /** A server that fails again and again at the same message is not asked in haste. */
  async #slowDown(): Promise<void> {
    const now = this.#clock.monotonic();
    this.#failures = now - this.#failedMs < APART_MS ? this.#failures + 1 : 0;
    this.#failedMs = now;
    if (this.#failures === 0) return;
    const delayMs = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    await this.#clock.sleep(delayMs, this.#options.signal).catch(() => {});
  }

  async #isGood(old: Upstream): Promise<boolean> {
    const fate = await this.fateOf(old);
    if (fate === "replaced" || fate === "stopped") return false;
    return await old.isAlive(this.#options.signal) && !this.#reconnect.isLost(old);
  }

  #resume(upstream: Upstream): void {
    if (this.#options.signal.aborted) return;
    this.#current = upstream;
    this.#options.onReady(upstream);
  }
}
