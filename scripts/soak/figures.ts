/**
 * What a soak saw, and whether it is well: pure.
 *
 * @module
 */

export interface Sample {
  atMs: number;
  residentBytes: number;
  /** Open files. */
  files: number;
}

export interface Growth {
  samples: number;
  /** Medians of the first and the last quarter. */
  from: Sample;
  to: Sample;
}

/** Bun's heap swings by so much under this load, around a level that stays. */
const SPARE_BYTES = 40 * 1024 * 1024;
const SPARE_SHARE = 0.2;
const SPARE_FILES = 16;
/** Of all samples: abandoned sessions fill up for some minutes, as they are meant to. */
const WARM_UP_SHARE = 0.4;
/** Fewer say nothing of a trend. */
const LEAST_SAMPLES = 12;

/** From what is left after a warm-up; null where that is too little. */
export function growthOf(samples: readonly Sample[]): Growth | null {
  const settled = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
  if (settled.length < LEAST_SAMPLES) return null;
  const quarter = Math.floor(settled.length / 4);
  return {
    samples: settled.length,
    from: medianOf(settled.slice(0, quarter)),
    to: medianOf(settled.slice(-quarter)),
  };
}

function medianOf(samples: readonly Sample[]): Sample {
  const middle = (of: (sample: Sample) => number) =>
    samples.map(of).sort((one, other) => one - other)[Math.floor(samples.length / 2)] ?? 0;
  return {
    atMs: middle(({ atMs }) => atMs),
    residentBytes: middle(({ residentBytes }) => residentBytes),
    files: middle(({ files }) => files),
  };
}

/** What is wrong with it, nothing where it is flat. */
export function growthProblems(what: string, { from, to }: Growth): string[] {
  const grown = to.residentBytes - from.residentBytes;
  const problems: string[] = [];
  if (grown > Math.max(SPARE_BYTES, from.residentBytes * SPARE_SHARE)) {
    problems.push(`${what} grew from ${mebibytes(from.residentBytes)} to ${mebibytes(to.residentBytes)}`);
  }
  if (to.files - from.files > SPARE_FILES) {
    problems.push(`${what} holds ${to.files} files open, before ${from.files}`);
  }
  return problems;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Marks that stand more than once, and answered ones that stand nowhere. */
export function markProblems(written: readonly string[], answered: ReadonlySet<string>): string[] {
  const counts = new Map<string, number>();
  for (const mark of written) counts.set(mark, (counts.get(mark) ?? 0) + 1);
  const twice = [...counts].filter(([, count]) => count > 1).map(([mark]) => mark);
  const missing = [...answered].filter((mark) => !counts.has(mark));
  return [
    ...twice.length === 0 ? [] : [`calls that ran twice: ${twice.slice(0, 5).join(", ")} (${twice.length})`],
    ...missing.length === 0
      ? []
      : [`answers to calls that never ran: ${missing.slice(0, 5).join(", ")} (${missing.length})`],
  ];
}
