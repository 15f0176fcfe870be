/**
 * Says in the state folder that this client uses the server, and since when it waits for an answer.
 *
 * @module
 */
import type { World } from "../lifecycle/world.ts";
import { isoNow } from "../lifecycle/world.ts";
import { type Lease, writeLease } from "../registry/process_files.ts";
import type { ServerFolder } from "../registry/store.ts";

/** Calls that are answered sooner are not written down. */
const LONG_CALL_MS = 250;
/** How often the oldest call is looked at again once one was written down. */
const LOOK_MS = 1000;

export class ClientLease {
  readonly #world: World;
  readonly #folder: ServerFolder;
  /** One write after the other. */
  #work: Promise<void>;
  #path: string | null = null;
  #lease: Lease | null = null;
  /** Gives the monotonic time since when the oldest call runs; null while none does. */
  #oldestMs: (() => number | null) | null = null;
  #isWatched = false;
  /** Monotonic time that the lease says, or is about to say. */
  #noted: number | null = null;
  readonly #over = new AbortController();

  constructor(world: World, folder: ServerFolder) {
    this.#world = world;
    this.#folder = folder;
    this.#work = this.#hold();
  }

  /** `oldestMs` gives the monotonic time since when the oldest call runs; null where none does any more. */
  noteBusy(oldestMs: (() => number | null) | null): void {
    this.#oldestMs = oldestMs;
    if (oldestMs === null && this.#noted !== null) this.#note(null);
    // Most calls are over long before the watch looks: it is not begun anew for each of them.
    if (oldestMs !== null && !this.#isWatched) this.#watch();
  }

  /** Takes the lease back. Never throws. */
  async release(): Promise<void> {
    this.#over.abort();
    await this.#work;
    const { files } = this.#world.host;
    if (this.#path !== null) await files.remove(this.#path).catch(() => false);
  }

  async #hold(): Promise<void> {
    const { processes } = this.#world.host;
    try {
      const seen = (await processes.inspect([processes.selfPid])).get(processes.selfPid);
      if (seen?.kind !== "seen") throw new Error("foster can't see its own process");
      this.#lease = {
        pid: processes.selfPid,
        start_token: seen.facts.startTime,
        since: isoNow(this.#world.host),
      };
      this.#path = await writeLease(this.#world.host, this.#folder.paths.leases, this.#lease);
    } catch (error) {
      this.#lease = null;
      const why = error instanceof Error ? error.message : String(error);
      this.#world.warn(`Cannot say that "${this.#folder.key}" is in use: ${why}`);
    }
  }

  async #watch(): Promise<void> {
    const { clock } = this.#world.host;
    const { signal } = this.#over;
    this.#isWatched = true;
    let waitMs = LONG_CALL_MS;
    while (!signal.aborted) {
      await clock.sleep(waitMs, signal).catch(() => {});
      const since = signal.aborted ? null : this.#oldestMs?.() ?? null;
      if (since === null) break;
      const ageMs = clock.monotonic() - since;
      if (ageMs >= LONG_CALL_MS && since !== this.#noted) this.#note(since);
      waitMs = ageMs >= LONG_CALL_MS ? LOOK_MS : Math.max(1, LONG_CALL_MS - ageMs);
    }
    this.#isWatched = false;
  }

  #note(sinceMs: number | null): void {
    const { host } = this.#world;
    this.#noted = sinceMs;
    const since = sinceMs === null ? null : host.clock.now() - (host.clock.monotonic() - sinceMs);
    this.#work = this.#work.then(async () => {
      if (this.#lease === null) return;
      const { call_since: _, ...lease } = this.#lease;
      this.#lease = since === null ? lease : { ...lease, call_since: new Date(since).toISOString() };
      await writeLease(host, this.#folder.paths.leases, this.#lease);
    }).catch(() => {
      // A disk that is full now may take the next one.
    });
  }
}
