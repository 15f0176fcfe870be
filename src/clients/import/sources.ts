/**
 * Gathers the servers of all clients on this machine, or of one file.
 *
 * @module
 */
import { type Host, HostError } from "../../host/host.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import { type Client, type Places, type Scope, type SettingsFile, settingsFiles } from "../client.ts";
import { CLIENTS } from "../known/mod.ts";
import { entriesFor, guessEntries, parseSettings, projectOf, readSettings, syntaxOf } from "../settings.ts";
import type { ImportSource } from "./plan.ts";

export interface Gathered {
  sources: ImportSource[];
  /** Files without any list of servers. */
  without: string[];
  /** What could not be read, in words. */
  unreadable: string[];
}

/** A project's settings before the user's own. */
const SCOPES: readonly Scope[] = ["project", "local", "user"];

/** The settings that are there, of all clients or of one. */
export async function gatherSources(
  host: Pick<Host, "files">,
  places: Places,
  clients: readonly Client[] = CLIENTS,
): Promise<Gathered> {
  const gathered: Gathered = { sources: [], without: [], unreadable: [] };
  const listed: { client: Client; file: SettingsFile }[] = [];
  for (const client of clients) {
    for (const file of await settingsFiles(client, places)) listed.push({ client, file });
  }
  const read = new Map<string, Promise<unknown>>();
  const seen = new Set<string>();
  const inOrder = listed.toSorted((a, b) => SCOPES.indexOf(a.file.scope) - SCOPES.indexOf(b.file.scope));
  for (const { client, file } of inOrder) {
    // Several clients read one .mcp.json.
    const place = JSON.stringify([file.path, file.at]);
    if (seen.has(place)) continue;
    seen.add(place);
    try {
      const reading = read.get(file.path) ?? settingsOf(host, file);
      read.set(file.path, reading);
      const settings = await reading;
      if (settings === null) continue;
      const entries = entriesFor(settings, client, file);
      if (entries === null) {
        if (!gathered.without.includes(file.path)) gathered.without.push(file.path);
      } else {
        const { path, at, project } = file;
        gathered.sources.push({
          file: path,
          at,
          client: client.id,
          project,
          references: client.references,
          entries,
        });
      }
    } catch (error) {
      if (!(error instanceof HostError || error instanceof DefinitionError)) throw error;
      if (!gathered.unreadable.includes(error.message)) gathered.unreadable.push(error.message);
    }
  }
  const used = new Set(gathered.sources.map(({ file }) => file));
  return { ...gathered, without: gathered.without.filter((path) => !used.has(path)) };
}

async function settingsOf(host: Pick<Host, "files">, file: SettingsFile): Promise<unknown> {
  const settings = await readSettings(host, file.path);
  return settings === null ? null : await parseSettings(settings.text, file);
}

/** One file, by the client that keeps it there, else by what it looks like. Null where there is no such file. */
export async function gatherFile(
  host: Pick<Host, "files">,
  path: string,
  { places, client }: { places: Places; client: Client | null },
): Promise<Gathered | null> {
  const settings = await readSettings(host, path);
  if (settings === null) return null;
  const gathered: Gathered = { sources: [], without: [], unreadable: [] };
  const value = await parseSettings(settings.text, { path, syntax: syntaxOf(path) });
  for (const known of client === null ? CLIENTS : [client]) {
    for (const file of await settingsFiles(known, places)) {
      const entries = file.path === path ? entriesFor(value, known, file) : null;
      if (entries === null || gathered.sources.some(({ at }) => at.join() === file.at.join())) continue;
      const { at, project } = file;
      gathered.sources.push({
        file: path,
        at,
        client: known.id,
        project,
        references: known.references,
        entries,
      });
    }
  }
  if (gathered.sources.length === 0) {
    for (const { entries, references } of guessEntries(value)) {
      const project = projectOf(path, places.home);
      const forms = client?.references ?? references;
      gathered.sources.push({
        file: path,
        at: [],
        client: client?.id ?? null,
        project,
        references: forms,
        entries,
      });
    }
  }
  if (gathered.sources.length === 0) gathered.without.push(path);
  return gathered;
}
