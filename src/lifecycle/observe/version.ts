import { satisfies, valid } from "semver";

/** Whether `actual` is exactly the expected version or within the expected semver range; null expects nothing. */
export function versionMatches(expected: string | null, actual: string): boolean {
  if (expected === null || expected === actual) return true;
  if (valid(expected) !== null) return false;
  return satisfies(actual, expected);
}
