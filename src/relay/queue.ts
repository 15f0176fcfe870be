/**
 * Messages that wait for a server: within bounds, and no longer than their client was promised.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import type { Answers } from "./answers.ts";
import type { PendingTable } from "./pending.ts";
import { notReadyError, tooManyError, unavailableError } from "./retry.ts";
import type { Pending } from "./upstream/upstream.ts";

export interface RequestQueueOptions {
  /** The server's name, for errors. */
  name: string;
  /** How long a request waits for a server. */
  timeoutMs: number;
  table: PendingTable;
  answers: Answers;
  signal: AbortSignal;
  /** Why there is no server. */
  reason(): Promise<string>;
  /** A request has to wait that did not wait before. */
  onHeld?(): void;
  /** A request waits. */
  onWanted(): void;
  warn(text: string): void;
  float(work: Promise<void>): void;
}

const LIMIT = 1000;
const LIMIT_BYTES = 64 * 1024 * 1024;
const LOOK_MS = 250;

export class RequestQueue {
  readonly #clock: Host["clock"];
  readonly #options: RequestQueueOptions;
  #isWatched = false;

  constructor(clock: Host["clock"], options: RequestQueueOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  hold(pending: Pending): void {
    const { name, timeoutMs, table, answers, float, onHeld, onWanted } = this.#options;
    answers.noteOver(pending);
    pending.upstream = null;
    pending.state = "waiting";
    const waiting = table.waiting();
    const bytes = waiting.reduce((sum, { line }) => sum + line.length, 0);
    if (waiting.length > LIMIT || (bytes > LIMIT_BYTES && waiting.length > 1)) {
      return float(answers.refuse(pending, () => tooManyError(name, waiting.length - 1)));
    }
    const isFirst = pending.deadlineMs === null && pending.own === null && (pending.exchange ?? -1) >= 0;
    if (isFirst && pending.open.size > 0) onHeld?.();
    pending.deadlineMs ??= this.#clock.monotonic() + timeoutMs;
    if (pending.open.size > 0) onWanted();
    if (!this.#isWatched) float(this.#watch());
  }

  /** There will be no server for those who wait now. */
  refuseAll(refusal: { message: string; hint: string }): void {
    const { name, table, answers, warn, float } = this.#options;
    const { message, hint } = refusal;
    warn(hint === "" ? message : `${message}\n  ${hint}`);
    for (const pending of table.waiting()) {
      float(answers.refuse(pending, () => unavailableError(name, refusal)));
    }
  }

  async #watch(): Promise<void> {
    this.#isWatched = true;
    const { table, signal } = this.#options;
    for (let waiting = table.waiting(); waiting.length > 0 && !signal.aborted; waiting = table.waiting()) {
      const now = this.#clock.monotonic();
      const overdue = waiting.filter(({ deadlineMs }) => (deadlineMs ?? Infinity) <= now);
      if (overdue.length > 0) await this.#refuseOverdue(overdue);
      const deadlines = waiting.map(({ deadlineMs }) => deadlineMs ?? Infinity).filter((at) => at > now);
      const waitMs = Math.max(1, Math.min(LOOK_MS, Math.min(...deadlines) - this.#clock.monotonic()));
      await this.#clock.sleep(waitMs, signal).catch(() => {});
    }
    this.#isWatched = false;
  }

  async #refuseOverdue(overdue: readonly Pending[]): Promise<void> {
    const { name, timeoutMs, answers } = this.#options;
    const reason = await this.#options.reason();
    for (const pending of overdue) {
      if (pending.state !== "waiting") continue;
      await answers.refuse(pending, () => notReadyError(name, { waitedMs: timeoutMs, reason }));
    }
  }
}
