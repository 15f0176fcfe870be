/**
 * Sees at once when one of many processes ends that are not this process's children, with one look for all of them.
 *
 * @module
 */
import type { Host, ProcessEnd } from "../host/host.ts";
import { isOver, verdict } from "../registry/identity.ts";
import type { ProcessIdentity } from "../registry/record.ts";

/** The system is asked at next to no cost whether one of them ended. */
const GLANCE_MS = 20;
/** A whole look, which also tells a zombie and another process of the same number. */
const LOOK_MS = 500;

interface Watched {
  identity: ProcessIdentity;
  /** Null where only a whole look tells. */
  end: ProcessEnd | null;
  onEnd(): void;
}

export class EndWatcher {
  readonly #host: Pick<Host, "clock" | "processes" | "system">;
  readonly #watched = new Set<Watched>();
  #stop: (() => void) | null = null;
  #lookedAt = 0;
  #isLooking = false;

  constructor(host: Pick<Host, "clock" | "processes" | "system">) {
    this.#host = host;
  }

  /** Calls back once, when the process is gone. Returns the function that ends this. */
  watch(identity: ProcessIdentity, onEnd: () => void): () => void {
    const watched: Watched = { identity, onEnd, end: this.#host.processes.watchEnd(identity.pid) };
    this.#watched.add(watched);
    // What was handed over may be another process of the same number already: the next look is a whole one.
    this.#lookedAt = -LOOK_MS;
    this.#stop ??= this.#host.clock.every(watched.end !== null ? GLANCE_MS : LOOK_MS, () => this.#glance());
    return () => this.#forget(watched);
  }

  #forget(watched: Watched): void {
    if (!this.#watched.delete(watched)) return;
    watched.end?.close();
    if (this.#watched.size > 0) return;
    this.#stop?.();
    this.#stop = null;
  }

  #glance(): void {
    for (const watched of [...this.#watched]) {
      if (watched.end?.hasEnded() === true) this.#end(watched);
    }
    const now = this.#host.clock.monotonic();
    // Windows' helper costs more than the probes, which find it out as well.
    if (this.#isLooking || now - this.#lookedAt < LOOK_MS || this.#host.system === "windows") return;
    this.#lookedAt = now;
    this.#isLooking = true;
    this.#look().catch(() => {}).finally(() => this.#isLooking = false);
  }

  async #look(): Promise<void> {
    const watched = [...this.#watched];
    const seen = await this.#host.processes.inspect(watched.map(({ identity }) => identity.pid));
    for (const each of watched) {
      const { pid, start_token } = each.identity;
      if (isOver(verdict(seen.get(pid), start_token))) this.#end(each);
    }
  }

  #end(watched: Watched): void {
    if (!this.#watched.has(watched)) return;
    this.#forget(watched);
    watched.onEnd();
  }
}
