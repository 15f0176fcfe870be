/** A duration as text: a number and its unit, e.g. `250ms`, `1.5s`, `2m`, `1h`. */
export const DURATION = /^\d+(\.\d+)?(ms|s|m|h)$/;

/** The longest wait that a timer can hold, in milliseconds: about 24.8 days. */
export const MAX_DURATION_MS = 2 ** 31 - 1;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `250ms`, `5s`, `2m` or `1h`; null where the text is no such duration or too long for a timer. */
export function parseDuration(text: string): number | null {
  const unit = DURATION.exec(text)?.[2];
  const unitMs = unit === undefined ? undefined : UNIT_MS[unit];
  if (unitMs === undefined) return null;
  const ms = Math.round(Number.parseFloat(text) * unitMs);
  return ms <= MAX_DURATION_MS ? ms : null;
}
