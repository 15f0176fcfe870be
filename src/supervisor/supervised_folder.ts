/**
 * A supervised server's folder, which other fosters may take over at any moment: lock and record as its loop needs them.
 *
 * @module
 */
import { type ExitStatus, type FileLock, isSameStart } from "../host/host.ts";
import { advance, nextState } from "../lifecycle/state.ts";
import { isoNow, type World } from "../lifecycle/world.ts";
import { isOver, verdictNow } from "../registry/identity.ts";
import type { LastExit, ProcessIdentity, ServerRecord } from "../registry/record.ts";
import type { ServerFolder } from "../registry/store.ts";

const LOCK_CHECK_MS = 50;
/** Within so long a `down` that asked for the server's end has the lock; one that was killed never takes it. */
const TAKE_OVER_MS = 1000;

export class SupervisedFolder {
  readonly #world: World;
  readonly folder: ServerFolder;
  #self: ProcessIdentity | null = null;
  /** The process that was watched last. */
  #watched: ServerRecord | null = null;
  /** How it ended, where that is not in the record yet. */
  #lastExit: LastExit | null = null;
  /** Of the start that this loop found or made when it last brought the server up. */
  #token: string | null = null;

  constructor(world: World, folder: ServerFolder) {
    this.#world = world;
    this.folder = folder;
  }

  /** Must be called before the first write. */
  identify(self: ProcessIdentity): void {
    this.#self = self;
  }

  /** The lock, however long another foster's start takes; null when that one makes the server unwanted. */
  async lockUnlessUnwanted(): Promise<FileLock | null> {
    while (true) {
      const lock = await this.folder.lock({ waitMs: LOCK_CHECK_MS, signal: this.#world.signal });
      if (lock !== null) return lock;
      if (await this.isUnwanted()) return null;
    }
  }

  async isUnwanted(): Promise<boolean> {
    return await this.folder.isAskedToStop() || await this.#isLatchedDown();
  }

  /** Changes the record where there still is one and the server is still wanted. */
  async change(deed: (record: ServerRecord) => Promise<void>): Promise<void> {
    const lock = await this.lockUnlessUnwanted();
    if (lock === null) return;
    try {
      const record = await this.readOrRestore();
      if (record !== null) await deed(record);
    } finally {
      lock.release();
    }
  }

  /** Writes the record of a watched server again that was lost, so that it can be ended. */
  async restoreLost(): Promise<void> {
    const lock = await this.folder.lock({ waitMs: TAKE_OVER_MS, signal: new AbortController().signal });
    if (lock === null) return;
    try {
      await this.readOrRestore();
    } finally {
      lock.release();
    }
  }

  /**
   * Under the lock: what is recorded. Whoever ends a server for good ends its process first: a record that is not there
   * while that lives was lost, and is written again.
   */
  async readOrRestore(): Promise<ServerRecord | null> {
    const record = await this.folder.readOrHeal();
    const watched = this.#watched;
    if (record !== null || watched === null || !await this.isAlive(watched)) return record;
    await this.folder.write(watched);
    return watched;
  }

  /** Waits until nobody else is at work on it. False where another foster has ended it, or is about to. */
  async isLeftToUs(): Promise<boolean> {
    const { clock } = this.#world.host;
    const signal = new AbortController().signal;
    const asked = await this.folder.isAskedToStop();
    const endsAt = clock.monotonic() + (asked ? TAKE_OVER_MS : 0);
    while (true) {
      // A record that is not there may be on its way: only the lock tells.
      if (await this.#isLatchedDown()) return false;
      if (clock.monotonic() >= endsAt) {
        const lock = await this.folder.lock({ waitMs: LOCK_CHECK_MS, signal });
        lock?.release();
        if (lock !== null) return true;
      } else await clock.sleep(LOCK_CHECK_MS);
    }
  }

  /** Another live supervisor of the server of this record; one that can't be told apart counts. */
  async rivalIn(record: ServerRecord | null): Promise<ProcessIdentity | null> {
    const supervisor = record?.supervisor ?? null;
    if (supervisor === null || supervisor.pid === this.#world.host.processes.selfPid) return null;
    return await this.isGone(supervisor) ? null : supervisor;
  }

  /** Whether the process is provably not there any more. */
  async isGone(identity: ProcessIdentity): Promise<boolean> {
    return isOver(await verdictNow(this.#world.host, identity));
  }

  /** Whether the server's own process is there, as far as can be told. */
  async isAlive({ pid, start_token }: ServerRecord): Promise<boolean> {
    return pid !== null && !isOver(await verdictNow(this.#world.host, { pid, start_token }));
  }

  noteWatched(record: ServerRecord): void {
    this.#watched = record;
  }

  /** Whether the record names a live process that this loop has not watched yet. */
  async isNewProcess(record: ServerRecord): Promise<boolean> {
    if (this.#watched !== null && isSameProcess(record, this.#watched)) return false;
    return record.start_token !== null && await this.isAlive(record);
  }

  /** Whether another foster started the server anew since this loop last brought it up. */
  async isReplaced(record: ServerRecord): Promise<boolean> {
    return record.token !== this.#token && await this.isNewProcess(record);
  }

  /** Notes the start that this loop found or made, before it is recorded as its supervisor. */
  noteStart(record: ServerRecord | null): void {
    this.#token = record?.token ?? null;
  }

  /** Whether the record is about the server of this loop, not about one that another foster started since. */
  isOurs({ supervisor, token }: ServerRecord): boolean {
    if (token === this.#token) return true;
    const { pid, start_token } = this.#self ?? {};
    return supervisor !== null && supervisor.pid === pid && isSameStart(supervisor.start_token, start_token);
  }

  /** Writes the record with this loop as its supervisor. */
  async claim(record: ServerRecord): Promise<ServerRecord> {
    const claimed: ServerRecord = { ...record, supervisor: this.#self };
    await this.folder.write(claimed);
    return claimed;
  }

  /** Keeps for the next write how the watched process ended. */
  noteExit(exit: ExitStatus | null): void {
    const { code = null, signal = null } = exit ?? {};
    this.#lastExit = { code, signal, at: isoNow(this.#world.host) };
  }

  /**
   * One write for the end of the old process and the attempt at a new one. It stands in the way of that attempt, so it
   * does not wait for the disk: the next record does, and a power cut ends what both are about.
   */
  async writeRestart(before: ServerRecord): Promise<void> {
    await this.folder.write({
      ...before,
      state: this.#lastExit === null ? before.state : nextState(before.state, "crash"),
      last_exit: this.#lastExit ?? before.last_exit,
      restarts: before.restarts + 1,
      next_attempt: null,
    }, { isDurable: false });
    this.#lastExit = null;
  }

  /** Writes what is left of a server that nobody will start again by itself. */
  async writeGivenUp(record: ServerRecord): Promise<void> {
    await this.folder.write({
      ...advance(record, "crash"),
      last_exit: this.#lastExit ?? record.last_exit,
      supervisor: null,
      next_attempt: null,
    });
  }

  async #isLatchedDown(): Promise<boolean> {
    const stored = await this.folder.read();
    return stored.kind === "record" && stored.record.want === "down";
  }
}

export function isSameProcess(one: ServerRecord, other: ServerRecord): boolean {
  return one.pid === other.pid && isSameStart(one.start_token, other.start_token);
}
