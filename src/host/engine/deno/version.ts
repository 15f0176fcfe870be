/**
 * Which Deno foster runs on. 2.7.0 has the file lock that does not wait, and 2.7.8 gives a compiled program's children
 * their arguments as they are.
 */
const OLDEST = [2, 7, 8] as const;

/** What to say where Deno is too old; null where it is new enough, or has a version that can't be read. */
export function denoRefusal(
  { version, standalone }: { version: string; standalone: boolean },
): string | null {
  const numbers = /^(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number);
  if (numbers === undefined) return null;
  const at = OLDEST.findIndex((oldest, index) => numbers[index] !== oldest);
  if (at < 0 || (numbers[at] ?? 0) > (OLDEST[at] ?? 0)) return null;
  const hint = standalone ? "use a foster that was built with a later one" : "deno upgrade";
  return `foster needs Deno ${OLDEST.join(".")} or later, and this is ${version}\n  ${hint}`;
}
