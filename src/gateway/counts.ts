/**
 * What one server's requests came to: plain numbers, since every request passes here.
 *
 * @module
 */
import type { Outcome } from "./exchange.ts";

/** Upper bounds of the histogram, in ms; the last bucket is open. */
export const BUCKETS_MS = [1, 5, 25, 100, 500, 2500, 10_000, 60_000, 600_000];

export class RequestCounts {
  readonly outcomes: Record<Outcome | "refused", number> = {
    answered: 0,
    failed: 0,
    cancelled: 0,
    refused: 0,
  };
  /** By bucket, each request in one of them. */
  readonly buckets: number[] = [...BUCKETS_MS.map(() => 0), 0];
  sumMs = 0;
  held = 0;
  starts = 0;
  restarts = 0;

  note(outcome: Outcome, ms: number): void {
    this.outcomes[outcome]++;
    this.sumMs += ms;
    let bucket = 0;
    while (bucket < BUCKETS_MS.length && ms > (BUCKETS_MS[bucket] ?? Infinity)) bucket++;
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
  }
}
