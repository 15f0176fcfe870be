/** macOS: `ps` tells whole seconds, the system itself microseconds, which stand behind a dot. */
const MACOS = /^(ps:.* \d{4})(?:\.(\d{6}))?$/;

/**
 * Whether two start times are of the same process, where the pid is the same. On macOS one of them may have been read
 * through `ps`, which knows the second only.
 */
export function isSameStart(one: string | null | undefined, other: string | null | undefined): boolean {
  if (one === other) return true;
  const [, second, fraction] = MACOS.exec(one ?? "") ?? [];
  const [, otherSecond, otherFraction] = MACOS.exec(other ?? "") ?? [];
  return second !== undefined && second === otherSecond &&
    (fraction === undefined || otherFraction === undefined);
}
