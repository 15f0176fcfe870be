/**
 * Figures of the benchmark: what was measured, in which unit, beside its goal. A script that measures alone hands an
 * array of {@link Taken} over as JSON.
 *
 * @module
 */

export const UNITS = ["ms", "MB", "MiB", "%", "×", ""] as const;

export type Unit = (typeof UNITS)[number];

export interface Goal {
  side: "at most" | "at least";
  value: number;
}

/** foster's values of one figure, and those of its peers from the same run. */
export interface Figure {
  what: string;
  unit: Unit;
  goal: Goal | null;
  values: number[];
  peers?: { name: string; values: number[] }[];
}

/** A figure that could not be taken on this machine. */
export interface Missing {
  what: string;
  why: string;
}

export type Taken = Figure | Missing;

export function atMost(value: number): Goal {
  return { side: "at most", value };
}

export function atLeast(value: number): Goal {
  return { side: "at least", value };
}

/** The value below which a `share` of all lies. @throws RangeError without values */
export function quantile(values: readonly number[], share: number): number {
  const value = values.toSorted((a, b) => a - b)[Math.round((values.length - 1) * share)];
  if (value === undefined) throw new RangeError("nothing was measured");
  return value;
}

/** @throws RangeError without values */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
