/**
 * Messages that wait for a server, and how long their client waits for them.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import type { Parcel } from "./parcel.ts";

export interface WaitingRoomOptions {
  timeoutMs: number;
  /** Somebody waits for an answer who did not before. */
  onDemand(): void;
  /** These waited for too long, and are not here any more. */
  onOverdue(parcels: readonly Parcel[]): Promise<void>;
  signal: AbortSignal;
}

const CHECK_MS = 250;

export class WaitingRoom {
  readonly #clock: Host["clock"];
  readonly #options: WaitingRoomOptions;
  #parcels: Parcel[] = [];
  #isWatched = false;

  constructor(host: Pick<Host, "clock">, options: WaitingRoomOptions) {
    this.#clock = host.clock;
    this.#options = options;
  }

  /** Whether somebody waits for an answer. */
  get isWanted(): boolean {
    return this.#parcels.some((parcel) => parcel.open.size > 0);
  }

  hold(parcel: Parcel): void {
    parcel.upstream = null;
    parcel.deadlineMs ??= this.#clock.monotonic() + this.#options.timeoutMs;
    this.#parcels.push(parcel);
    if (parcel.open.size > 0) this.#options.onDemand();
    if (!this.#isWatched) this.#watch();
  }

  remove(parcel: Parcel): void {
    this.#parcels = this.#parcels.filter((held) => held !== parcel);
  }

  /** All of them, in their order. */
  empty(): Parcel[] {
    const parcels = this.#parcels;
    this.#parcels = [];
    return parcels;
  }

  async #watch(): Promise<void> {
    const { signal, onOverdue } = this.#options;
    this.#isWatched = true;
    while (this.#parcels.length > 0 && !signal.aborted) {
      const now = this.#clock.monotonic();
      const overdue = this.#parcels.filter((parcel) => (parcel.deadlineMs ?? now) <= now);
      this.#parcels = this.#parcels.filter((parcel) => !overdue.includes(parcel));
      if (overdue.length > 0) await onOverdue(overdue);
      if (this.#parcels.length === 0) break;
      const next = Math.min(...this.#parcels.map((parcel) => parcel.deadlineMs ?? now));
      const waitMs = Math.max(1, Math.min(CHECK_MS, next - this.#clock.monotonic()));
      await this.#clock.sleep(waitMs, signal).catch(() => {});
    }
    this.#isWatched = false;
  }
}
