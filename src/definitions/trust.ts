/**
 * Which server a name means to `connect`, which clients start by themselves: a project's `.mcp.json` that was found by
 * searching counts only once the user brought that very text in.
 *
 * @module
 */
import { DefinitionError } from "./definition_error.ts";
import type { ServerDefinition } from "./definition.ts";
import type { Definitions } from "./load.ts";

/** A file as `up`, `run`, `serve` or `attach` enrolled it. */
export interface BroughtInFile {
  /** Real path; null for presets. */
  path: string | null;
  sha256: string | null;
}

/** Whether the definitions in scope may be used without the user having asked for them at this moment. */
export function isBroughtIn(
  { file, sha256, isMcpJson, isNamed }: Pick<Definitions, "file" | "sha256" | "isMcpJson" | "isNamed">,
  broughtIn: readonly BroughtInFile[],
): boolean {
  if (!isMcpJson || isNamed) return true;
  return broughtIn.some((each) => each.path === file && each.sha256 === sha256 && sha256 !== null);
}

export type TrustedName =
  | { kind: "defined"; definition: ServerDefinition }
  /** The project's file defines it, and was not brought in. */
  | { kind: "not_brought_in"; message: string; hint: string }
  | { kind: "undefined" };

/** What a name means to `connect`. @throws DefinitionError where the user's own file had to be asked and is malformed */
export function trustedName(
  definitions: Definitions,
  name: string,
  broughtIn: readonly BroughtInFile[],
): TrustedName {
  const found = definitions.find(name);
  if (isBroughtIn(definitions, broughtIn)) {
    return found === null ? UNDEFINED : { kind: "defined", definition: found };
  }
  const users = definitions.findUsers(name);
  if (users !== null) return { kind: "defined", definition: users };
  if (found === null) return UNDEFINED;
  if (!definitions.inFile.includes(found)) return { kind: "defined", definition: found };
  return { kind: "not_brought_in", ...notBroughtIn(definitions.file, name) };
}

/** @throws DefinitionError where a `.mcp.json` has another text than the one that the user brought in */
export function requireBroughtIn(
  { file, sha256, isMcpJson }: Pick<Definitions, "file" | "sha256" | "isMcpJson">,
  name: string,
  broughtIn: readonly BroughtInFile[],
): void {
  if (isBroughtIn({ file, sha256, isMcpJson, isNamed: false }, broughtIn)) return;
  const { message, hint } = notBroughtIn(file, name);
  throw new DefinitionError(message, { hint });
}

function notBroughtIn(file: string | null, name: string): { message: string; hint: string } {
  return {
    message:
      `"${name}" is defined by ${file}, which nobody has let foster start servers of yet, or which changed since`,
    hint: `look at that file, then type in its folder: foster up "${name}"`,
  };
}

const UNDEFINED: TrustedName = { kind: "undefined" };
