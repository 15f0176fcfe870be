/**
 * What a sweep did, or would do, as it adds up.
 *
 * @module
 */
import type { Skipped, SkipReason } from "./sweep_plan.ts";

export interface SweepResult {
  cache_dir: string;
  /** Whether anything could be changed: asked for, and not kept from it by a running uv. */
  applied: boolean;
  /** `.tmp*` folders. */
  scanned: number;
  renamed: number;
  /** Includes those that an earlier sweep had renamed. */
  deleted: number;
  /** `.tmp*` and dead folders that are left. */
  remaining: number;
  /** Sum of the sizes of the files deleted. */
  bytes: number;
  skipped: Skipped[];
}

export interface SweepProgress {
  kind: "renamed" | "deleted" | "skipped";
  name: string;
  /** Size of what was deleted; 0 for the rest. */
  bytes: number;
  reason: SkipReason | null;
}

export class Tally {
  readonly result: SweepResult;
  readonly #onProgress: (progress: SweepProgress) => void;

  constructor(cacheDir: string, onProgress: (progress: SweepProgress) => void) {
    this.#onProgress = onProgress;
    this.result = {
      cache_dir: cacheDir,
      applied: false,
      scanned: 0,
      renamed: 0,
      deleted: 0,
      remaining: 0,
      bytes: 0,
      skipped: [],
    };
  }

  renamed(name: string): void {
    this.result.renamed += 1;
    this.#onProgress({ kind: "renamed", name, bytes: 0, reason: null });
  }

  deleted(name: string, bytes: number): void {
    this.result.deleted += 1;
    this.result.bytes += bytes;
    this.#onProgress({ kind: "deleted", name, bytes, reason: null });
  }

  /** Always false: the folder is not to be touched any more. */
  skip(name: string, reason: SkipReason): false {
    this.result.skipped.push({ name, reason });
    this.#onProgress({ kind: "skipped", name, bytes: 0, reason });
    return false;
  }
}
