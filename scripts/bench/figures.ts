/**
 * Figures of the benchmark: medians with their spread, beside the goal.
 *
 * @module
 */

export type Unit = "ms" | "MiB" | "%" | "×";

export interface Figure {
  what: string;
  unit: Unit;
  goal: number;
  median: number;
  /** The 10th and the 90th percentile. */
  low: number;
  high: number;
  runs: number;
}

/** A figure that could not be taken on this machine. */
export interface Missing {
  what: string;
  why: string;
}

/** @throws RangeError without values */
export function figure(
  what: string,
  { unit, goal, values }: { unit: Unit; goal: number; values: readonly number[] },
): Figure {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => {
    const value = sorted[Math.round((sorted.length - 1) * share)];
    if (value === undefined) throw new RangeError(`no values for ${what}`);
    return Math.round(value * 10) / 10;
  };
  return { what, unit, goal, median: at(0.5), low: at(0.1), high: at(0.9), runs: values.length };
}
