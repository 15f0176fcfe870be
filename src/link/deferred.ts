import type { Reply } from "./wire.ts";

/** Below the server's own 5 s, so that it hears why. Milliseconds. */
export const DEFERRED_TIMEOUT_MS = 4_500;

const TIMEOUTS_MS: ReadonlyMap<string, number> = new Map([
  ["create_script", 4_500],
  ["stop_project", 4_500],
  ["take_screenshot", 30_000],
]);

export interface DeferredEntry {
  command: string;
  /** Monotonic milliseconds. */
  startedMs: number;
  timeoutMs: number;
}

/** Milliseconds that an answer to `command` may take; `overrides` come first. */
export function deferredTimeoutMs(
  command: string,
  overrides: ReadonlyMap<string, number> = new Map(),
): number {
  return overrides.get(command) ?? TIMEOUTS_MS.get(command) ?? DEFERRED_TIMEOUT_MS;
}

/** The answer to a request whose handler did not come back in time. */
export function timeoutReply(entry: DeferredEntry, nowMs: number): Reply {
  const { command, timeoutMs } = entry;
  return {
    status: "error",
    error: {
      code: "DEFERRED_TIMEOUT",
      message: `"${command}" was not answered within ${timeoutMs} ms`,
      data: { command, elapsed_ms: Math.round(nowMs - entry.startedMs), timeout_ms: timeoutMs },
    },
  };
}

/** The requests that will be answered later. */
export class DeferredTable {
  #entries = new Map<string, DeferredEntry>();
  /** Never later than the earliest deadline: a removal leaves it as it is, and the next look puts it right. */
  #earliestMs = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#entries.size;
  }

  /** Monotonic milliseconds at which to look again; null where nothing is waited for. */
  get nextDeadlineMs(): number | null {
    return this.#entries.size === 0 ? null : this.#earliestMs;
  }

  /** An empty id is not tracked. */
  add(requestId: string, entry: DeferredEntry): void {
    if (requestId === "") return;
    if (this.#entries.size === 0) this.#earliestMs = Number.POSITIVE_INFINITY;
    this.#entries.set(requestId, entry);
    this.#earliestMs = Math.min(this.#earliestMs, entry.startedMs + entry.timeoutMs);
  }

  has(requestId: string): boolean {
    return this.#entries.has(requestId);
  }

  remove(requestId: string): void {
    this.#entries.delete(requestId);
  }

  ids(): string[] {
    return [...this.#entries.keys()];
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Takes out what is overdue at `nowMs`, oldest first. */
  takeExpired(nowMs: number): { requestId: string; entry: DeferredEntry }[] {
    if (this.#entries.size === 0 || nowMs < this.#earliestMs) return [];
    const expired: { requestId: string; entry: DeferredEntry }[] = [];
    this.#earliestMs = Number.POSITIVE_INFINITY;
    for (const [requestId, entry] of this.#entries) {
      const deadlineMs = entry.startedMs + entry.timeoutMs;
      if (deadlineMs > nowMs) this.#earliestMs = Math.min(this.#earliestMs, deadlineMs);
      else expired.push({ requestId, entry });
    }
    for (const { requestId } of expired) this.#entries.delete(requestId);
    return expired;
  }
}
