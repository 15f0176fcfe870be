/**
 * Tells a process that is silent from one that is not there yet: what launches it may still install or load it.
 *
 * @module
 */
import { basename } from "node:path";

/** The processes of a server at one moment. */
export interface Work {
  /** The program that was started. */
  command: string | null;
  pids: readonly number[];
  cpuMs: number;
}

/** Two looks are at least so far apart. */
const LOOK_MS = 2000;
/** CPU time between two looks that a process which only waits does not take. */
const BUSY_MS = 20;
/** Programs that fetch another one before they start it. */
const LAUNCHER = /^(?:npx|npm|pnpm|pnpx|yarn|bunx|uvx|uv|pipx|docker|podman)(?:\.(?:exe|cmd))?$/i;

/** Whether a server that had not spoken still starts, by what it did since the look before. */
export function isStarting(before: Work, now: Work): boolean {
  if (now.pids.length === 0) return false;
  if (now.pids.join() !== before.pids.join() || now.cpuMs - before.cpuMs >= BUSY_MS) return true;
  return now.pids.length === 1 && LAUNCHER.test(basename(now.command ?? ""));
}

/** Looks at the processes of one server for as long as it is asked to. */
export class StartWatch {
  readonly #look: () => Promise<Work>;
  #before: { work: Work; ms: number } | null = null;
  #isStarting = true;
  #isLooking = false;

  constructor(look: () => Promise<Work>) {
    this.#look = look;
  }

  /** As the last two looks have it; true before there were two. */
  get isStarting(): boolean {
    return this.#isStarting;
  }

  /** Looks again, where the last look is old enough. @throws HostError */
  async look(nowMs: number): Promise<void> {
    if (this.#isLooking || (this.#before !== null && nowMs - this.#before.ms < LOOK_MS)) return;
    this.#isLooking = true;
    try {
      const work = await this.#look();
      if (this.#before !== null) this.#isStarting = isStarting(this.#before.work, work);
      this.#before = { work, ms: nowMs };
    } finally {
      this.#isLooking = false;
    }
  }
}
