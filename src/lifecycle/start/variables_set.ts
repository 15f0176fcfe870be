/**
 * Which `${env:NAME}` of a definition the server that was started last had set: names alone, never a value.
 *
 * @module
 */
import { join } from "node:path";
import { decodeJsonOrNull, list, object, oneOf, text } from "../../base/decode.ts";
import { ownTextOrNull } from "../../registry/own_text.ts";
import { FILE_MODE } from "../../registry/paths.ts";
import { unsetVariables } from "../../definitions/variables.ts";
import type { Explanation } from "../row.ts";
import type { ServerStart } from "./server_start.ts";

const variablesSet = object({ schema: oneOf(1), set: list(text()) });

function pathOf({ folder }: ServerStart): string {
  return join(folder.paths.folder, "variables.json");
}

/** What the definition refers to, in any of its tiers. */
function referencesOf({ definition }: ServerStart): string[] {
  const env = () => undefined;
  return [...new Set(definition.launch.flatMap(({ tier }) => unsetVariables(definition, { tier, env })))];
}

/** Why this start may not take the place of the last one: it would lack what that one had. Null where it may. */
export async function lostVariables(start: ServerStart): Promise<Explanation | null> {
  if (start.options.allowUnset) return null;
  const { world: { host } } = start;
  const file = await ownTextOrNull(host, pathOf(start));
  const before = decodeJsonOrNull(file?.text ?? "", variablesSet)?.set ?? [];
  const lost = referencesOf(start).filter((name) => before.includes(name) && !host.env.get(name));
  if (lost.length === 0) return null;
  const names = lost.map((name) => `\${env:${name}}`).join(", ");
  return {
    message: `Cannot start "${start.name}": ${names} is not set here, and the server that ran last had it`,
    hint: `set ${lost.join(", ")} in this environment or in the definition's "envFile"; ` +
      `--allow-unset starts it without`,
  };
}

export async function noteVariables(start: ServerStart): Promise<void> {
  const { world: { host } } = start;
  const references = referencesOf(start);
  if (references.length === 0) return;
  const set = references.filter((name) => host.env.get(name));
  await host.files.writeAtomic(pathOf(start), JSON.stringify({ schema: 1, set }) + "\n", FILE_MODE);
}
