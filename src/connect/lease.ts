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
/** How often the oldest call of a client that always has some in flight is looked at again. */
const LOOK_MS = 30_000;

export class ClientLease {
  readonly #world: World;
  readonly #folder: ServerFolder;
  /** One write after the other. */
  #work: Promise<void>;
  #path: string | null = null;
  #lease: Lease | null = null;
  #over = new AbortController();

  constructor(world: World, folder: ServerFolder) {
    this.#world = world;
    this.#folder = folder;
    this.#work = this.#hold();
  }

  /** `oldestMs` gives the monotonic time since when the oldest call runs; null where none does any more. */
  noteBusy(oldestMs: (() => number | null) | null): void {
    this.#over.abort();
    this.#over = new AbortController();
    if (oldestMs !== null) this.#watch(oldestMs, this.#over.signal);
    else if (this.#lease?.call_since !== undefined) this.#write(null);
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

  async #watch(oldestMs: () => number | null, signal: AbortSignal): Promise<void> {
    const { clock } = this.#world.host;
    for (let waitMs = LONG_CALL_MS; !signal.aborted; waitMs = LOOK_MS) {
      await clock.sleep(waitMs, signal).catch(() => {});
      const since = signal.aborted ? null : oldestMs();
      if (since !== null) this.#write(clock.now() - (clock.monotonic() - since));
    }
  }

  #write(sinceMs: number | null): void {
    this.#work = this.#work.then(async () => {
      if (this.#lease === null) return;
      const { call_since: _, ...lease } = this.#lease;
      this.#lease = sinceMs === null ? lease : { ...lease, call_since: new Date(sinceMs).toISOString() };
      await writeLease(this.#world.host, this.#folder.paths.leases, this.#lease);
    }).catch(() => {
      // A disk that is full now may take the next one.
    });
  }
}
