import { satisfies, valid } from "semver";

/** Whether `own` is a higher version than `other`; false where either is none. */
export function isNewerVersion(own: string, other: string): boolean {
  return valid(own) !== null && valid(other) !== null && satisfies(own, `>${other}`);
}
