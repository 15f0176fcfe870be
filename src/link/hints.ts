/** How many similar names a hint gives, and how similar they have to be. */
export const HINT_LIMIT = 3;
export const HINT_THRESHOLD = 0.5;

/** The known names most similar to `name`, best first; equal ones in alphabetical order. */
export function similarNames(name: string, known: Iterable<string>): string[] {
  return [...known]
    .map((candidate) => ({ candidate, score: similarity(name, candidate) }))
    .filter(({ score }) => score >= HINT_THRESHOLD)
    .sort((a, b) => b.score - a.score || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, HINT_LIMIT)
    .map(({ candidate }) => candidate);
}

/** Share of letter pairs that two names have in common, from 0 to 1 (Sørensen–Dice). */
export function similarity(a: string, b: string): number {
  if (a === b) return 1;
  const ofA = pairs(a);
  const ofB = pairs(b);
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

function pairs(text: string): string[] {
  return Array.from({ length: Math.max(text.length - 1, 0) }, (_, at) => text.slice(at, at + 2));
}
