/**
 * A supervised server's folder, which other fosters may take over at any moment: lock and record as a bridge needs them.
 *
 * @module
 */
import type { FileLock } from "../host/host.ts";
import type { World } from "../lifecycle/world.ts";
import { verdict } from "../registry/identity.ts";
import type { ProcessIdentity, ServerRecord } from "../registry/record.ts";
import type { ServerSlot } from "../registry/store.ts";

const LOCK_CHECK_MS = 50;
/** Within so long a `down` that asked for the server's end has the lock; one that was killed never takes it. */
const TAKE_OVER_MS = 1000;

export class SupervisedSlot {
  readonly #world: World;
  readonly slot: ServerSlot;

  constructor(world: World, slot: ServerSlot) {
    this.#world = world;
    this.slot = slot;
  }

  /** The lock, however long another foster's start takes; null when that one makes the server unwanted. */
  async lockUnlessUnwanted(): Promise<FileLock | null> {
    while (true) {
      const lock = await this.slot.lock({ waitMs: LOCK_CHECK_MS, signal: this.#world.signal });
      if (lock !== null) return lock;
      if (await this.isUnwanted()) return null;
    }
  }

  async isUnwanted(): Promise<boolean> {
    return await this.slot.isAskedToStop() || await this.#isLatchedDown();
  }

  /** Changes the record where there still is one and the server is still wanted. */
  async change(deed: (record: ServerRecord) => Promise<void>): Promise<void> {
    const lock = await this.lockUnlessUnwanted();
    if (lock === null) return;
    try {
      const record = await this.slot.readOrHeal();
      if (record !== null) await deed(record);
    } finally {
      lock.release();
    }
  }

  /** Waits until nobody else is at work on it. False where another foster has ended it, or is about to. */
  async isLeftToUs(): Promise<boolean> {
    const { clock } = this.#world.host;
    const signal = new AbortController().signal;
    const asked = await this.slot.isAskedToStop();
    const endsAt = clock.monotonic() + (asked ? TAKE_OVER_MS : 0);
    while (true) {
      // A record that is not there may be on its way: only the lock tells.
      if (await this.#isLatchedDown()) return false;
      if (clock.monotonic() >= endsAt) {
        const lock = await this.slot.lock({ waitMs: LOCK_CHECK_MS, signal });
        lock?.release();
        if (lock !== null) return true;
      } else await clock.sleep(LOCK_CHECK_MS);
    }
  }

  /** Another live bridge over the server of this record; one that can't be told apart counts. */
  async rivalIn(record: ServerRecord | null): Promise<ProcessIdentity | null> {
    const supervisor = record?.supervisor ?? null;
    if (supervisor === null || supervisor.pid === this.#world.host.processes.selfPid) return null;
    return await this.isGone(supervisor) ? null : supervisor;
  }

  /** Whether the process is provably not there any more. */
  async isGone({ pid, start_token }: ProcessIdentity): Promise<boolean> {
    const seen = await this.#world.host.processes.inspect([pid]);
    const { kind } = verdict(seen.get(pid), start_token);
    return kind === "gone" || kind === "recycled";
  }

  /** Whether the server's own process is there, as far as can be told. */
  async isAlive({ pid, start_token }: ServerRecord): Promise<boolean> {
    if (pid === null) return false;
    const seen = await this.#world.host.processes.inspect([pid]);
    const { kind } = verdict(seen.get(pid), start_token);
    return kind === "ours" || kind === "unknown";
  }

  async #isLatchedDown(): Promise<boolean> {
    const stored = await this.slot.read();
    return stored.kind === "record" && stored.record.want === "down";
  }
}

export function isSameProcess(one: ServerRecord, other: ServerRecord): boolean {
  return one.pid === other.pid && one.start_token === other.start_token;
}
