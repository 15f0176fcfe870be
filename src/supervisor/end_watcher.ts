/**
 * Sees at once when one of many processes ends that are not this process's children, with one look for all of them.
 *
 * @module
 */
import type { ExitWatch, Host } from "../host/host.ts";
import { isOver, verdict } from "../registry/identity.ts";
import type { ProcessIdentity } from "../registry/record.ts";

/** The system is asked at next to no cost whether one of them ended. */
const GLANCE_MS = 25;
/** A whole look, for systems that can't be asked so. */
const LOOK_MS = 500;

interface Watched {
  identity: ProcessIdentity;
  /** Null where only a whole look tells, and until that is known. */
  exit: ExitWatch | null;
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
    const watched: Watched = { identity, onEnd, exit: null };
    this.#watched.add(watched);
    this.#stop ??= this.#host.clock.every(GLANCE_MS, () => this.#glance());
    this.#begin(watched).catch(() => {});
    return () => this.#forget(watched);
  }

  async #begin(watched: Watched): Promise<void> {
    const { pid, start_token } = watched.identity;
    const exit = await this.#host.processes.watchExit(pid, start_token);
    // It may have been let go meanwhile.
    if (this.#watched.has(watched)) watched.exit = exit;
    else exit?.close();
  }

  #forget(watched: Watched): void {
    if (!this.#watched.delete(watched)) return;
    watched.exit?.close();
    if (this.#watched.size > 0) return;
    this.#stop?.();
    this.#stop = null;
  }

  #glance(): void {
    const ended: Watched[] = [];
    for (const watched of this.#watched) if (watched.exit?.ended() === true) ended.push(watched);
    for (const watched of ended) this.#end(watched);
    const now = this.#host.clock.monotonic();
    // Windows' helper costs more than the probes, which find it out as well.
    if (this.#isLooking || now - this.#lookedAt < LOOK_MS || this.#host.system === "windows") return;
    this.#lookedAt = now;
    const blind = [...this.#watched].filter(({ exit }) => exit === null);
    if (blind.length === 0) return;
    this.#isLooking = true;
    this.#look(blind).catch(() => {}).finally(() => this.#isLooking = false);
  }

  async #look(blind: readonly Watched[]): Promise<void> {
    const seen = await this.#host.processes.inspect(blind.map(({ identity }) => identity.pid));
    for (const each of blind) {
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
