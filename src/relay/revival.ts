/**
 * Brings a server back, and the client's session with it, for as long as that takes.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import type { ClientMemory } from "./memory.ts";
import { type Parcel, parcelOf } from "./parcel.ts";
import type { Opened, Source, Upstream, UpstreamEvents } from "./upstream/upstream.ts";

export interface RevivalOptions {
  source: Source;
  memory: ClientMemory;
  events: UpstreamEvents;
  signal: AbortSignal;
  /** Somebody waits for an answer. */
  isWanted(): boolean;
  /** There will be no server for those who wait now. */
  onRefused(refusal: Extract<Opened, { kind: "refused" }>): void;
  /** Asks on the client's behalf. @throws Error where no answer comes */
  askFor(upstream: Upstream, parcel: Parcel): Promise<Uint8Array>;
}

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;
const SHORT_LIFE_MS = 500;
const CLOSE_GRACE_MS = 300;

export class Revival {
  readonly #clock: Host["clock"];
  readonly #options: RevivalOptions;
  readonly #lost = new WeakSet<Upstream>();
  #wake: (() => void) | null = null;
  #revivedMs = Number.NEGATIVE_INFINITY;
  #shortLives = 0;
  /** Why there is no server, as last seen. */
  reason = "it is starting";

  constructor(host: Pick<Host, "clock">, options: RevivalOptions) {
    this.#clock = host.clock;
    this.#options = options;
  }

  /** Somebody began to wait: it is not only looked for any more. */
  hurry(): void {
    this.#wake?.();
  }

  noteLost(upstream: Upstream): void {
    this.#lost.add(upstream);
  }

  /** Whether a connection that broke for one message is good for others. */
  async isGood(upstream: Upstream): Promise<boolean> {
    return await upstream.isAlive(this.#options.signal) && !this.#lost.has(upstream);
  }

  /** A connection that knows the client's session; null where the end came before. */
  async revive({ isFirst }: { isFirst: boolean }): Promise<Upstream | null> {
    const { signal, source, events, isWanted, onRefused } = this.#options;
    await this.#slowDown();
    let delayMs = FIRST_RETRY_MS;
    for (let demand = isFirst || isWanted(); !signal.aborted; demand = isWanted()) {
      const opened = await source.open({ events, demand, signal }).catch(asLater);
      switch (opened.kind) {
        case "open":
          if (!signal.aborted && await this.#restore(opened.upstream)) {
            this.#revivedMs = this.#clock.monotonic();
            return opened.upstream;
          }
          await opened.upstream.close(CLOSE_GRACE_MS);
          break;
        case "later":
          this.reason = opened.reason;
          break;
        case "refused":
          if (!signal.aborted) onRefused(opened);
          break;
      }
      await this.#pause(delayMs, { endsOnDemand: !demand });
      delayMs = Math.min(delayMs * 2, LAST_RETRY_MS);
    }
    return null;
  }

  /** Repeats the client's own handshake and what it set up since; it hears nothing of that. */
  async #restore(upstream: Upstream): Promise<boolean> {
    const session = this.#options.memory.sessionParcels();
    if (session === null) return !this.#lost.has(upstream);
    try {
      await this.#options.askFor(upstream, session.handshake);
      for (const parcel of session.rest) {
        if (parcel.message.kind === "notification") upstream.send(parcelOf(parcel.line, parcel.message));
        else await this.#options.askFor(upstream, parcel);
      }
      return !this.#lost.has(upstream);
    } catch (error) {
      this.reason = error instanceof Error ? error.message : String(error);
      return false;
    }
  }

  /** A server that is lost again and again, as soon as it is there, is not looked for in haste. */
  async #slowDown(): Promise<void> {
    const livedMs = this.#clock.monotonic() - this.#revivedMs;
    this.#shortLives = livedMs < SHORT_LIFE_MS ? this.#shortLives + 1 : 0;
    if (this.#shortLives < 2) return;
    const delayMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#shortLives);
    await this.#pause(delayMs, { endsOnDemand: false });
  }

  async #pause(ms: number, { endsOnDemand }: { endsOnDemand: boolean }): Promise<void> {
    const woken = new AbortController();
    if (endsOnDemand) this.#wake = () => woken.abort();
    const signal = AbortSignal.any([woken.signal, this.#options.signal]);
    await this.#clock.sleep(ms, signal).catch(() => {});
    this.#wake = null;
  }
}

function asLater(error: unknown): Opened {
  return { kind: "later", reason: error instanceof Error ? error.message : String(error) };
}
