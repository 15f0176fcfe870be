/**
 * What an import would do to a definition file, from the texts of all files concerned.
 *
 * @module
 */
import { dirname } from "@std/path";
import { DefinitionError } from "../definitions/definition_error.ts";
import { convert } from "./import_convert.ts";
import { addedLines, addServers, newFile } from "./edit_json.ts";
import { entriesOf, projectOf } from "./import_places.ts";
import { parseDefinitionText } from "../definitions/jsonc.ts";
import { slug } from "../definitions/hash.ts";
import { readDefinitions } from "../definitions/read_file.ts";
import type { WrittenServer } from "../definitions/schema.ts";

export interface ImportSource {
  file: string;
  text: string;
}

export interface ImportTarget {
  file: string;
  /** Null where there is no such file yet. */
  text: string | null;
  /** The user's home folder, null where it is not known. */
  home: string | null;
}

export interface Imported {
  name: string;
  from: string;
  definition: WrittenServer;
  notes: string[];
}

export interface LeftOut {
  name: string;
  from: string;
  reason: string;
}

export interface ImportPlan {
  imported: Imported[];
  leftOut: LeftOut[];
  /** Files without any list of servers. */
  without: string[];
  /** The definition file as it would be. */
  text: string;
  /** For people: the whole of a new file, what is added to an existing one. */
  shown: string;
}

const NO_OVERRIDES = { readyTimeoutMs: null, probeTimeoutMs: null, intervalMs: null };

/** The first of several servers of one name is taken. @throws DefinitionError where a file is malformed */
export async function planImport(
  sources: readonly ImportSource[],
  target: ImportTarget,
): Promise<ImportPlan> {
  const there = target.text === null
    ? []
    : await readDefinitions({ file: target.file, text: target.text, project: true }, NO_OVERRIDES);
  const taken = new Map(there.map(({ name }) => [slug(name), "the definition file has it already"]));
  const plan: Omit<ImportPlan, "text" | "shown"> = { imported: [], leftOut: [], without: [] };
  for (const { file: from, text } of sources) {
    const entries = entriesOf(parseDefinitionText(text, from));
    if (entries === null) plan.without.push(from);
    const places = { project: projectOf(from, target.home), folder: dirname(target.file) };
    for (const entry of entries ?? []) {
      const result = convert(entry, places);
      if (result.kind === "left_out") {
        plan.leftOut.push({ name: result.name, from, reason: result.reason });
        continue;
      }
      const { name, definition, notes } = result;
      const reason = taken.get(slug(name)) ?? await whyUnusable(name, definition);
      if (reason !== null) plan.leftOut.push({ name, from, reason });
      else {
        plan.imported.push({ name, from, definition, notes });
        taken.set(slug(name), `the one of ${from} is taken`);
      }
    }
  }
  return { ...plan, ...await resultOf(plan.imported, target) };
}

async function whyUnusable(name: string, definition: WrittenServer): Promise<string | null> {
  const text = JSON.stringify({ servers: { [name]: definition } });
  try {
    await readDefinitions({ file: "", text, project: true }, NO_OVERRIDES);
    return null;
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    return error.message.slice(error.message.indexOf(`server ${JSON.stringify(name)}: `))
      .replace(`server ${JSON.stringify(name)}: `, "");
  }
}

async function resultOf(
  imported: readonly Imported[],
  { file, text }: ImportTarget,
): Promise<Pick<ImportPlan, "text" | "shown">> {
  const servers = Object.fromEntries(imported.map(({ name, definition }) => [name, definition]));
  if (text === null) {
    const made = newFile(servers);
    return { text: made, shown: made };
  }
  const edited = addServers(text, servers);
  // What stands there together must be right together: two servers may want one port.
  await readDefinitions({ file, text: edited, project: true }, NO_OVERRIDES);
  return { text: edited, shown: addedLines(servers) };
}
