/**
 * What an import would do to a definition file, from the settings of all clients concerned.
 *
 * @module
 */
import { dirname } from "node:path";
import { canonicalJson } from "../../base/hash.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import { slug } from "../../definitions/hash.ts";
import { readDefinitions } from "../../definitions/read_text.ts";
import type { WrittenServer } from "../../definitions/schema.ts";
import type { ClientId } from "../client.ts";
import { addedLines, addMembers } from "../json_text.ts";
import type { ReferenceForm } from "../references.ts";
import type { SettingsEntry } from "../settings.ts";
import { convert, distinctName } from "./convert.ts";

export interface ImportSource {
  /** The settings file. */
  file: string;
  /** Keys that lead to its servers. */
  at: readonly string[];
  /** Null for a file of no known client. */
  client: ClientId | null;
  /** The folder that relative paths in it begin at; null where it belongs to no project. */
  project: string | null;
  references: readonly ReferenceForm[];
  entries: readonly SettingsEntry[];
}

export interface ImportTarget {
  file: string;
  /** Null where there is no such file yet. */
  text: string | null;
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

/** A client's entry and the server that takes its place. */
export interface ReplacedEntry {
  source: ImportSource;
  entry: string;
  server: string;
}

export interface ImportPlan {
  imported: Imported[];
  leftOut: LeftOut[];
  replaced: ReplacedEntry[];
  /** Which secret each new variable stands for. Never shown, and written only where the secret stood before. */
  secrets: ReadonlyMap<string, string>;
  /** The definition file as it would be. */
  text: string;
  /** For people: the whole of a new file, what is added to an existing one. */
  shown: string;
}

const NO_OVERRIDES = { readyTimeoutMs: null, probeTimeoutMs: null, intervalMs: null };

/** A server by its key: what is written of it, and where that stands. */
interface Taken {
  name: string;
  written: WrittenServer;
  reason: string;
}

/** What several clients have alike becomes one server. @throws DefinitionError where the target is malformed */
export function planImport(sources: readonly ImportSource[], target: ImportTarget): ImportPlan {
  const there = target.text === null
    ? []
    : readDefinitions({ file: target.file, text: target.text, project: true }, NO_OVERRIDES);
  const taken = new Map<string, Taken>(
    there.map(({ name, written }) => [slug(name), {
      name,
      written,
      reason: "the definition file has it already",
    }]),
  );
  const variables = new Map<string, string>();
  const plan: Omit<ImportPlan, "text" | "shown"> = {
    imported: [],
    leftOut: [],
    replaced: [],
    secrets: variables,
  };
  for (const source of sources) {
    const places = { project: source.project, folder: dirname(target.file), variables };
    for (const entry of source.entries) {
      const result = convert({ ...entry, references: source.references }, places);
      const from = source.file;
      if (result.kind === "left_out") {
        plan.leftOut.push({ name: result.name, from, reason: result.reason });
        continue;
      }
      const { definition, notes } = result;
      const alike = [...taken.values()].find(({ written }) =>
        canonicalJson(written) === canonicalJson(definition)
      );
      if (alike !== undefined) {
        plan.leftOut.push({ name: result.name, from, reason: sameReason(alike, result.name) });
        plan.replaced.push({ source, entry: entry.name, server: alike.name });
        continue;
      }
      const other = taken.get(slug(result.name));
      const name = other === undefined ? result.name : freeName(result.name, { taken, source });
      const reason = other !== undefined && there.some((each) => each.name === other.name)
        ? other.reason
        : whyUnusable(name, definition);
      if (reason !== null) {
        plan.leftOut.push({ name: result.name, from, reason });
        continue;
      }
      if (other !== undefined) {
        notes.unshift(`named "${name}": "${result.name}" is another server (${other.reason})`);
      }
      plan.imported.push({ name, from, definition, notes });
      plan.replaced.push({ source, entry: entry.name, server: name });
      taken.set(slug(name), { name, written: definition, reason: `of ${from}` });
    }
  }
  return { ...plan, ...resultOf(plan.imported, target) };
}

function sameReason({ name, reason }: Taken, own: string): string {
  return name === own ? `it is the same (${reason})` : `it is the same as "${name}" (${reason})`;
}

/** Two servers of one name keep apart by their client, else by their file. */
function freeName(
  name: string,
  { taken, source }: { taken: ReadonlyMap<string, Taken>; source: ImportSource },
): string {
  const byClient = `${name.slice(0, 48)}-${source.client ?? "imported"}`;
  if (!taken.has(slug(byClient))) return byClient;
  for (let count = 0;; count++) {
    const distinct = distinctName(name, JSON.stringify([name, source.file, source.at, count]));
    if (!taken.has(slug(distinct))) return distinct;
  }
}

function whyUnusable(name: string, definition: WrittenServer): string | null {
  const text = JSON.stringify({ servers: { [name]: definition } });
  try {
    readDefinitions({ file: "", text, project: true }, NO_OVERRIDES);
    return null;
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    const place = `server ${JSON.stringify(name)}: `;
    return error.message.slice(error.message.indexOf(place)).replace(place, "");
  }
}

function resultOf(
  imported: readonly Imported[],
  { file, text }: ImportTarget,
): Pick<ImportPlan, "text" | "shown"> {
  const servers = Object.fromEntries(imported.map(({ name, definition }) => [name, definition]));
  if (text === null) {
    const made = JSON.stringify({ servers }, null, 2) + "\n";
    return { text: made, shown: made };
  }
  const edited = addMembers(text, ["servers"], servers);
  // What stands there together must be right together: two servers may want one port.
  readDefinitions({ file, text: edited, project: true }, NO_OVERRIDES);
  return { text: edited, shown: addedLines(servers) };
}
