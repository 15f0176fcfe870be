/**
 * Brings a server back, and the client's session with it, for as long as that takes.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import type { ClientSession, RestoreStep } from "./client_session.ts";
import { METHOD_NOT_FOUND } from "./message.ts";
import { RefusedRequest } from "./own_requests.ts";
import type { AcquiredServer, AcquireResult, ServerIdentity, ServerSource } from "./server_source.ts";
import type { Upstream, UpstreamOptions } from "./upstream/upstream.ts";

export interface ReconnectOptions {
  source: ServerSource;
  session: ClientSession;
  upstream: UpstreamOptions;
  signal: AbortSignal;
  /** Somebody waits for an answer. */
  isWanted(): boolean;
  /** There will be no server for those who wait now. */
  onRefused(refusal: Extract<AcquireResult, { kind: "refused" }>): void;
  /** The server does not know the client's handshake at all. True where nobody waits for a connection any more. */
  onSessionRefused(reason: string): boolean;
  /** Makes a request on the client's behalf. @throws Error where it is not answered well */
  ask(upstream: Upstream, step: RestoreStep): Promise<unknown>;
  tell(upstream: Upstream, step: RestoreStep): void;
  noteIdentity(upstream: Upstream, identity: ServerIdentity): void;
}

/** What a server of another revision says to a handshake. */
const UNKNOWN_HANDSHAKE: readonly (number | null)[] = [METHOD_NOT_FOUND, -32022];

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;
const SHORT_LIFE_MS = 500;
/** For what a connection still has to send when it is closed. */
export const CLOSE_GRACE_MS = 300;

export class Reconnect {
  readonly #clock: Host["clock"];
  readonly #options: ReconnectOptions;
  readonly #lost = new WeakSet<Upstream>();
  #wake: (() => void) | null = null;
  #connectedMs = Number.NEGATIVE_INFINITY;
  #shortLives = 0;
  #isGivenUp = false;
  /** Why there is no server, as last seen. */
  reason = "it is starting";

  constructor(host: Pick<Host, "clock">, options: ReconnectOptions) {
    this.#clock = host.clock;
    this.#options = options;
  }

  /** A request began to wait: the server is not only looked for any more. */
  hurry(): void {
    this.#wake?.();
  }

  noteLost(upstream: Upstream): void {
    this.#lost.add(upstream);
  }

  isLost(upstream: Upstream): boolean {
    return this.#lost.has(upstream);
  }

  /** A connection that knows the client's session; null where the end came before. */
  async connect({ isFirst }: { isFirst: boolean }): Promise<Upstream | null> {
    const { signal, source, isWanted, onRefused } = this.#options;
    await this.#slowDown();
    let delayMs = FIRST_RETRY_MS;
    for (let demand = isFirst || isWanted(); !signal.aborted && !this.#isGivenUp; demand = isWanted()) {
      const acquired = await source.acquire({ demand, signal }).catch(asLater);
      if (signal.aborted) break;
      switch (acquired.kind) {
        case "there": {
          const upstream = await this.#open(acquired.server);
          if (upstream === null) break;
          this.#connectedMs = this.#clock.monotonic();
          return upstream;
        }
        case "later":
          this.reason = acquired.reason;
          break;
        case "refused":
          onRefused(acquired);
          break;
      }
      if (!this.#isGivenUp) await this.#pause(delayMs, { endsOnDemand: !demand });
      delayMs = Math.min(delayMs * 2, LAST_RETRY_MS);
    }
    return null;
  }

  async #open(server: AcquiredServer): Promise<Upstream | null> {
    const { upstream: options, signal } = this.#options;
    let upstream: Upstream;
    try {
      upstream = await server.connect(options, signal);
    } catch (error) {
      this.reason = messageOf(error);
      return null;
    }
    this.#options.noteIdentity(upstream, server.identity);
    if (!signal.aborted && await this.#restore(upstream)) return upstream;
    await upstream.close(CLOSE_GRACE_MS);
    return null;
  }

  /** Repeats the client's own handshake and what it set up since; it hears nothing of that. */
  async #restore(upstream: Upstream): Promise<boolean> {
    const { session, ask, tell } = this.#options;
    const steps = session.restoreSteps();
    if (steps === null) return !this.#lost.has(upstream);
    try {
      await ask(upstream, steps.handshake);
    } catch (error) {
      this.reason = messageOf(error);
      if (error instanceof RefusedRequest && UNKNOWN_HANDSHAKE.includes(error.code)) {
        this.#isGivenUp = this.#options.onSessionRefused(this.reason);
      }
      return false;
    }
    for (const step of steps.rest) {
      // A server that refuses a level or a subscription that it took before has still a session with the client.
      if (step.kind === "notification") tell(upstream, step);
      else await ask(upstream, step).catch(() => {});
    }
    return !this.#lost.has(upstream);
  }

  /** A server that is lost again and again, as soon as it is there, is not looked for in haste. */
  async #slowDown(): Promise<void> {
    const livedMs = this.#clock.monotonic() - this.#connectedMs;
    this.#shortLives = livedMs < SHORT_LIFE_MS ? this.#shortLives + 1 : 0;
    if (this.#shortLives < 2) return;
    const delayMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#shortLives);
    await this.#pause(delayMs, { endsOnDemand: false });
  }

  async #pause(ms: number, { endsOnDemand }: { endsOnDemand: boolean }): Promise<void> {
    const woken = new AbortController();
    if (endsOnDemand) this.#wake = () => woken.abort();
    const { signal } = this.#options;
    const stop = () => woken.abort();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    await this.#clock.sleep(ms, woken.signal).catch(() => {});
    signal.removeEventListener("abort", stop);
    this.#wake = null;
  }
}

function asLater(error: unknown): AcquireResult {
  return { kind: "later", reason: messageOf(error) };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
