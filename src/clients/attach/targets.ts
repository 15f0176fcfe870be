/**
 * Which clients are here, and which file of theirs an entry goes into.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";
import { environmentNamesOf } from "../../definitions/variables.ts";
import { type Host, withinReach } from "../../host/host.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { type Client, type HttpEntry, type Places, type SettingsFile, settingsFiles } from "../client.ts";
import type { ImportPlan, ImportSource } from "../import/plan.ts";
import { CLIENTS } from "../known/mod.ts";
import type { FileWork } from "./file.ts";
import type { PlacedEntry } from "./kept.ts";
import { distinctEntryName, entryName, type WantedEntry } from "./plan.ts";

/** The clients whose settings or folders are on this machine. */
export async function clientsHere(places: Places): Promise<Client[]> {
  const here: Client[] = [];
  for (const client of CLIENTS) {
    // A project's file may be another client's.
    const own = (await settingsFiles(client, places)).filter(({ scope }) => scope === "user").map((
      { path },
    ) => path);
    for (const path of [...client.installed(places), ...own]) {
      if (await isThere(places.files, path)) {
        here.push(client);
        break;
      }
    }
  }
  return here;
}

async function isThere(files: Pick<Host["files"], "stat">, path: string): Promise<boolean> {
  return await withinReach(files.stat(path), null) !== null;
}

/** The file that a new entry goes into; null where the client has none of this scope. */
export async function targetFile(
  client: Client,
  places: Places,
  scope: "user" | "project",
): Promise<SettingsFile | null> {
  const candidates = (await settingsFiles(client, places)).filter((file) =>
    file.scope === scope && !file.takesNone && (scope === "user" || file.project === places.folder)
  );
  for (const file of candidates) if (await isThere(places.files, file.path)) return file;
  return candidates[0] ?? null;
}

/** The command that connects to a server, with whole paths: clients drop the environment and choose the folder. */
export interface ConnectCommand {
  command: string;
  argsFor(server: ServerDefinition): string[];
}

/** `path`: of the settings file. */
type EntryOptions = WorkOptions & { path: string };

export interface WorkOptions {
  scope: "user" | "project";
  servers: readonly ServerDefinition[];
  connect: ConnectCommand;
  /** How each server is reached over HTTP; null for `foster connect`. */
  http: ((server: ServerDefinition) => Omit<HttpEntry, "name">) | null;
  /** What was taken over: the entries, with the servers in their place, and the secrets that did not come along. */
  imported: Pick<ImportPlan, "replaced" | "secrets"> | null;
  /** What an earlier attach put where the client had an entry of its own: it is renewed there, and nowhere added. */
  placed?: readonly PlacedEntry[];
}

/** What is wanted of the files of one client: what was taken over gives way where it stands, all others are new. */
export async function worksFor(client: Client, places: Places, options: WorkOptions): Promise<FileWork[]> {
  const { servers, imported, scope } = options;
  // No token is written into a project's file.
  const optionsFor = (file: SettingsFile) => ({
    ...options,
    http: file.scope === "project" ? null : options.http,
    path: file.path,
  });
  const works: FileWork[] = [];
  const own = (imported?.replaced ?? []).filter(({ source }) => source.client === client.id);
  const files = await settingsFiles(client, places);
  const covered = new Set<string>();
  for (const file of files) {
    const wanted = own.flatMap(({ source, entry, server }): WantedEntry[] => {
      const definition = servers.find(({ name }) => name === server);
      if (
        source.file !== file.path || source.at.join("\0") !== file.at.join("\0") || definition === undefined
      ) return [];
      covered.add(server);
      const value = valueInPlace(client, { source, entry, definition, options: optionsFor(file) });
      return [{ name: entry, server: definition, value, replaces: true }];
    });
    const real = await withinReach(places.files.realPath(file.path), null) ?? file.path;
    for (const { client: id, path, at, name, key } of options.placed ?? []) {
      const server = servers.find((each) => each.key === key);
      const isHere = id === client.id && path === real && at.join("\0") === file.at.join("\0");
      if (server === undefined || !isHere || wanted.some((each) => each.name === name)) continue;
      covered.add(server.name);
      const own = optionsFor(file);
      const needed = environmentNamesOf(server).length > 0 ? { ...own, http: null } : own;
      const value = valueOf(client, name, { server, options: needed });
      wanted.push({ name, server, value, replaces: false });
    }
    if (wanted.length > 0) works.push({ client, file, wanted });
  }
  const more = servers.filter(({ name }) => !covered.has(name));
  const file = await targetFile(client, places, scope);
  if (file === null || more.length === 0) return works;
  const wanted: WantedEntry[] = [];
  const taken = new Set<string>();
  for (const server of more) {
    const own = wantedEntry(client, server, { options: optionsFor(file), taken });
    taken.add(own.name.toLowerCase());
    wanted.push(own);
  }
  const same = works.find((work) => work.file.path === file.path && work.file.at.join() === file.at.join());
  if (same === undefined) return [...works, { client, file, wanted }];
  return works.map((work) => work === same ? { ...work, wanted: [...work.wanted, ...wanted] } : work);
}

/** Two servers may have one name where the client knows fewer characters than foster does. */
function wantedEntry(
  client: Client,
  server: ServerDefinition,
  { options, taken }: { options: EntryOptions; taken: ReadonlySet<string> },
): WantedEntry {
  const plain = entryName(server.name, client);
  const name = taken.has(plain.toLowerCase()) ? distinctEntryName(server.name, client) : plain;
  return { name, server, value: valueOf(client, name, { server, options }), replaces: false };
}

/**
 * The secrets that stood elsewhere than in the environment of an entry become variables there. An environment reaches the
 * server through foster connect alone.
 */
function valueInPlace(
  client: Client,
  { source, entry, definition, options }: {
    source: ImportSource;
    entry: string;
    definition: ServerDefinition;
    options: EntryOptions;
  },
): Record<string, unknown> {
  const key = client.envKey ?? "env";
  const own = source.entries.find(({ name }) => name === entry)?.value[key];
  const earlier = isObject(own) ? own : {};
  const names = environmentNamesOf(definition);
  const secrets = names.flatMap((name) => {
    const secret = name in earlier ? undefined : options.imported?.secrets.get(name);
    return secret === undefined ? [] : [[name, secret] as const];
  });
  const isNeeded = secrets.length > 0 || names.some((name) => name in earlier);
  const value = valueOf(client, entry, {
    server: definition,
    options: isNeeded ? { ...options, http: null } : options,
  });
  return secrets.length === 0 ? value : { ...value, [key]: Object.fromEntries(secrets) };
}

function valueOf(
  client: Client,
  name: string,
  { server, options }: { server: ServerDefinition; options: EntryOptions },
): Record<string, unknown> {
  const { connect: { command, argsFor }, http, path } = options;
  if (http !== null && client.httpEntry !== null) return client.httpEntry({ name, ...http(server) }, path);
  return client.connectEntry({ name, command, args: argsFor(server) });
}
