/**
 * Which `${env:NAME}` of a definition the server that was started last had set: names alone, never a value.
 *
 * @module
 */
import { join } from "node:path";
import { decodeJsonOrNull, list, object, oneOf, text } from "../../base/decode.ts";
import type { Host } from "../../host/host.ts";
import { ownTextOrNull } from "../../registry/own_text.ts";
import { FILE_MODE } from "../../registry/paths.ts";
import type { ServerFolder } from "../../registry/store.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { unsetVariables } from "../../definitions/variables.ts";
import type { Explanation } from "../row.ts";

/** What is started, and where; the host has the environment that it would start with. */
export interface VariablesOf {
  host: Pick<Host, "files" | "env">;
  folder: Pick<ServerFolder, "paths">;
  definition: ServerDefinition;
}

const variablesSet = object({ schema: oneOf(1), set: list(text()) });

function pathOf({ folder }: VariablesOf): string {
  return join(folder.paths.folder, "variables.json");
}

/** What the definition refers to, in any of its tiers. */
function referencesOf({ definition }: VariablesOf): string[] {
  const env = () => undefined;
  return [...new Set(definition.launch.flatMap(({ tier }) => unsetVariables(definition, { tier, env })))];
}

/** Why this start may not take the place of the last one: it would lack what that one had. Null where it may. */
export async function lostVariables(start: VariablesOf): Promise<Explanation | null> {
  const { host, definition: { name } } = start;
  const references = referencesOf(start);
  if (references.length === 0) return null;
  const file = await ownTextOrNull(host, pathOf(start));
  const before = decodeJsonOrNull(file?.text ?? "", variablesSet)?.set ?? [];
  const lost = references.filter((each) => before.includes(each) && !host.env.get(each));
  if (lost.length === 0) return null;
  const names = lost.map((each) => `\${env:${each}}`).join(", ");
  return {
    message: `Cannot start "${name}": ${names} is not set here, and the server that ran last had it`,
    hint: `set ${lost.join(", ")} in this environment or in the definition's "envFile"; ` +
      `--allow-unset starts it without`,
  };
}

/** The user lets it start without those that are not set here. */
export async function allowUnset(start: VariablesOf): Promise<void> {
  if (await lostVariables(start) !== null) await noteVariables(start);
}

export async function noteVariables(start: VariablesOf): Promise<void> {
  const { host } = start;
  const references = referencesOf(start);
  if (references.length === 0) return;
  const set = references.filter((name) => host.env.get(name));
  await host.files.writeAtomic(pathOf(start), JSON.stringify({ schema: 1, set }) + "\n", FILE_MODE);
}
