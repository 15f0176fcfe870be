/**
 * What somebody meant who typed a name that does not exist.
 *
 * Two measures, since each misses what the other finds: a typing error in a short word (`prot`) leaves no pair of
 * letters as it was, and a long name with a part left out is many edits away from the whole.
 *
 * @module
 */

/** How many similar names are given at most, and the least similarity of one. */
const SIMILAR_LIMIT = 3;
const SIMILAR_THRESHOLD = 0.5;

/** The candidate with the fewest typing errors between it and `word`, or null where none is near. Case does not count. */
export function closest(word: string, candidates: Iterable<string>): string | null {
  const typed = word.toLowerCase();
  const limit = Math.max(1, Math.floor(typed.length / 3));
  let best: string | null = null;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    const distance = editDistance(typed, candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** `did you mean "port"?`, or null where nothing is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string | null {
  const found = closest(word, candidates);
  return found === null ? null : `did you mean ${JSON.stringify(found)}?`;
}

/** The known names most similar to `name`, best first; equal ones in alphabetical order. */
export function similarNames(name: string, known: Iterable<string>): string[] {
  return [...known]
    .map((candidate) => ({ candidate, score: similarity(name, candidate) }))
    .filter(({ score }) => score >= SIMILAR_THRESHOLD)
    .sort((a, b) => b.score - a.score || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, SIMILAR_LIMIT)
    .map(({ candidate }) => candidate);
}

/** Share of letter pairs that two names have in common, from 0 to 1 (Sørensen–Dice). */
export function similarity(a: string, b: string): number {
  if (a === b) return 1;
  const ofA = letterPairs(a);
  const ofB = letterPairs(b);
  const total = ofA.length + ofB.length;
  if (ofA.length === 0 || ofB.length === 0) return 0;
  let common = 0;
  for (const pair of ofA) {
    const at = ofB.indexOf(pair);
    if (at === -1) continue;
    ofB.splice(at, 1);
    common += 1;
  }
  return (2 * common) / total;
}

function letterPairs(text: string): string[] {
  return Array.from({ length: Math.max(text.length - 1, 0) }, (_, at) => text.slice(at, at + 2));
}

/** How many insertions, deletions, replacements and swaps of neighbours turn `from` into `to`. */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let cost = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (row > 1 && column > 1 && swapped) cost = Math.min(cost, (beforeLast[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    [beforeLast, last] = [last, current];
  }
  return last[to.length] ?? 0;
}
