/**
 * From the text of one definition file to its servers, for who has it at hand: `load.ts` loads what it takes only where a
 * file needs it.
 *
 * @module
 */
import { validRange } from "semver";
import type { ServerDefinition } from "./definition.ts";
import { parseDefinitionText } from "./jsonc.ts";
import type { EnvironmentOverrides } from "./normalise.ts";
import { definitionsIn, type FilePlace } from "./read_file.ts";

/** The servers in the order of the file. @throws DefinitionError for the first thing that can't be used. */
export function readDefinitions(
  { text, ...place }: FilePlace & { text: string },
  overrides: EnvironmentOverrides,
): ServerDefinition[] {
  const isRange = (version: string) => validRange(version) !== null;
  return definitionsIn(parseDefinitionText(text, place.file), place, { overrides, isRange });
}
