/**
 * Whether a text is a range of versions. A part of its own: a bundle gives a package that is imported in passing no names.
 *
 * @module
 */
import { validRange } from "semver";

export function isVersionRange(version: string): boolean {
  return validRange(version) !== null;
}
