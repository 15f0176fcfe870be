/**
 * What the names on a command line stand for.
 *
 * @module
 */
import { withinReach } from "../host/host.ts";
import type { ServerRecord } from "../registry/record.ts";
import { recordIn } from "../registry/store.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { DefinitionError } from "../definitions/definition_error.ts";
import type { Definitions } from "../definitions/load.ts";
import { slug } from "../definitions/hash.ts";
import { closest } from "../base/suggest.ts";
import { type Args, type OptionSpec, UsageError } from "./args.ts";
import type { Context } from "./verb.ts";

/** A server by definition, by record, or by both. */
export interface Target {
  name: string;
  key: string;
  definition: ServerDefinition | null;
  record: ServerRecord | null;
}

/** The definition in scope, else the only server of that name that the state folder knows, else a key. @throws UsageError, DefinitionError */
export async function findTarget(context: Context, name: string): Promise<Target> {
  const definitions = await context.definitions();
  const definition = definitions.find(name);
  if (definition !== null) {
    const stored = await context.state.server(definition.key).read();
    return { name, key: definition.key, definition, record: recordIn(stored) };
  }
  return await targetOf(context, await findKnown(context, { name, definitions, orLeft: true }));
}

/** A server as its files in the state folder describe it, whatever definition file is in scope. */
interface KnownServer {
  /** Null where only its folder is left. */
  name: string | null;
  key: string;
  /** The definition file that it was last started or enrolled from; null for presets and where nothing says so. */
  config: string | null;
  record: ServerRecord | null;
}

/** Every server that has a record, is enrolled, or has a process. */
export async function knownTargets(context: Context): Promise<Target[]> {
  const known = (await knownServers(context)).filter(({ name }) => name !== null);
  return await Promise.all(known.map((each) => targetOf(context, each)));
}

async function targetOf(context: Context, server: KnownServer): Promise<Target> {
  const { name, key, record } = server;
  return { name: name ?? key, key, record, definition: await knownDefinition(context, server) };
}

/**
 * The definition of a server of the state folder: the one in scope, else that of the file it was last started from. Null
 * where there is none, or where it can't be read: its record says enough to show it and to stop it.
 */
export async function knownDefinition(
  context: Context,
  server: Pick<KnownServer, "name" | "key" | "config">,
): Promise<ServerDefinition | null> {
  for (const find of [inScope, recordedDefinition]) {
    try {
      const found = await find(context, server);
      if (found !== null) return found;
    } catch (error) {
      if (!(error instanceof DefinitionError)) throw error;
      const { said } = readFilesOf(context);
      if (!said.has(error.message)) context.output.talk(error.message);
      said.add(error.message);
    }
  }
  return null;
}

/** One in scope counts where it is this very server's. @throws DefinitionError */
async function inScope(
  context: Context,
  { name, key }: Pick<KnownServer, "name" | "key">,
): Promise<ServerDefinition | null> {
  const found = name === null ? null : (await context.definitions()).find(name);
  return found?.key === key ? found : null;
}

async function knownServers({ host, state }: Context): Promise<KnownServer[]> {
  const known = new Map<string, KnownServer>();
  for (const { key, stored } of await state.records()) {
    const record = recordIn(stored);
    known.set(key, { name: record?.name ?? key, key, config: record?.config ?? null, record });
  }
  const { readEnrolled } = await import("../registry/supervisor_files.ts");
  const enrolled = await readEnrolled(host, state.path).catch(() => ({ kind: "none" as const }));
  for (const { path, servers } of enrolled.kind === "file" ? enrolled.value.files : []) {
    for (const { name, key } of servers) {
      if (!known.has(key)) known.set(key, { name, key, config: path, record: null });
    }
  }
  for (const key of await state.keys()) {
    if (known.has(key)) continue;
    const [copy] = await state.server(key).copies();
    known.set(key, { name: copy?.name ?? null, key, config: copy?.config ?? null, record: null });
  }
  return [...known.values()];
}

/** @throws UsageError where the name is of none or of several */
async function findKnown(
  context: Context,
  { name, definitions, orLeft = false }: {
    name: string;
    definitions: Definitions;
    /** Also where nothing but its folder is left of it. */
    orLeft?: boolean;
  },
): Promise<KnownServer> {
  const servers = await knownServers(context);
  const named = servers.filter((server) => server.name === name);
  // A server's log can be read after its record went: the folder's key then stands for the name.
  const left = new RegExp(`^${RegExp.escape(slug(name))}(?:-[0-9a-f]{8})?$`);
  const candidates = [
    named,
    servers.filter((server) => server.key === name && (orLeft || server.name !== null)),
    orLeft ? servers.filter((server) => server.name === null && left.test(server.key)) : [],
  ];
  const [found, ...others] = candidates.find(({ length }) => length > 0) ?? [];
  if (others.length > 0) {
    const keys = [found, ...others].flatMap((each) => each?.key ?? []).join(", ");
    throw new UsageError(`"${name}" is the name of several servers`, `use one of the keys: ${keys}`);
  }
  if (found !== undefined) return found;
  const known = [...definitions.names(), ...servers.flatMap((server) => server.name ?? [])];
  const near = closest(name, known);
  const hint = near === null ? `known here: ${[...new Set(known)].join(", ")}` : `did you mean "${near}"?`;
  const where = definitions.file === null ? await nothingInScope(context) : `not in ${definitions.file}`;
  throw new UsageError(`"${name}" is no server, no preset and no key (${where})`, hint);
}

interface ReadFiles {
  /** Many servers stand in one file. */
  loading: Map<string, Promise<Definitions>>;
  /** Messages of files with errors that were printed already: once is enough. */
  said: Set<string>;
}

const READ_FILES = new WeakMap<Context, ReadFiles>();

function readFilesOf(context: Context): ReadFiles {
  const files = READ_FILES.get(context) ?? { loading: new Map(), said: new Set() };
  READ_FILES.set(context, files);
  return files;
}

/** The definition by the file that the state folder names, read as one found by searching. @throws DefinitionError */
async function recordedDefinition(
  context: Context,
  { name, key, config }: Pick<KnownServer, "name" | "key" | "config">,
): Promise<ServerDefinition | null> {
  if (name === null || config === null) return null;
  const files = readFilesOf(context).loading;
  const { loadDefinitions } = await import("../definitions/load.ts");
  const { host, callerFolder } = context;
  const loading = files.get(config) ??
    loadDefinitions(host, { configFlag: null, recordedFile: config, callerFolder });
  files.set(config, loading);
  const found = (await loading).find(name);
  return found?.key === key ? found : null;
}

/** Why no definition file counts. */
async function nothingInScope({ host, callerFolder }: Context): Promise<string> {
  const folder = await withinReach(host.files.stat(callerFolder), "hidden");
  if (folder === "hidden") return `the current folder ${callerFolder} may not be looked into`;
  return folder === null ? `the current folder ${callerFolder} is gone` : "there is no foster.json in scope";
}

/**
 * As `findTarget`, for what needs no definition: a file that is broken keeps none of its servers from being stopped, and
 * no log from being read. The name then stands for a server of that file, or is the whole key of a project's server.
 * @throws UsageError, DefinitionError where neither has a folder
 */
export async function findRecorded(context: Context, name: string): Promise<Target> {
  try {
    return await findTarget(context, name);
  } catch (error) {
    if (!(error instanceof DefinitionError) || error.file === null) throw error;
    const { keyIn } = await import("../definitions/load.ts");
    const keys = await context.state.keys();
    const candidates = [
      await keyIn(context.host, { name, file: error.file }),
      ...PROJECT_KEY.test(name) ? [name] : [],
    ];
    const key = candidates.find((each) => keys.includes(each));
    if (key === undefined) throw error;
    const stored = await context.state.server(key).read();
    const record = recordIn(stored);
    context.output.talk(`${error.message}\n  going by the record of ${key} alone`);
    return { name: record?.name ?? name, key, definition: null, record };
  }
}

/** The option of every verb that takes several servers. */
export const LABEL_OPTION: OptionSpec = {
  name: "label",
  kind: "texts",
  value: "L",
  summary: "the servers with this label; given again: with one of them",
};

/** @throws UsageError where names and labels are both given */
export function refuseLabels(args: Args): void {
  if (args.names.length > 0 && args.texts("label").length > 0) {
    throw new UsageError("either names or --label");
  }
}

/** Without labels everything counts. */
export function hasLabel(own: readonly string[], wanted: readonly string[]): boolean {
  return wanted.length === 0 || wanted.some((label) => own.includes(label));
}

/** The labels of each server that the state folder knows, by key: from the definitions in scope, and from the files it names. */
export async function labelsByKey(context: Context): Promise<ReadonlyMap<string, readonly string[]>> {
  const { loadDefinitions } = await import("../definitions/load.ts");
  const { host, callerFolder } = context;
  const files = new Set((await knownServers(context)).flatMap(({ config }) => config ?? []));
  const loading = [
    context.definitions(),
    ...[...files].map((configFlag) => loadDefinitions(host, { configFlag, callerFolder })),
  ];
  const labels = new Map<string, readonly string[]>();
  for (const loaded of await Promise.allSettled(loading)) {
    if (loaded.status === "fulfilled") {
      for (const each of loaded.value.inFile) labels.set(each.key, each.labels);
    } else if (loaded.reason instanceof DefinitionError) {
      context.output.talk(loaded.reason.message);
    } else throw loaded.reason;
  }
  return labels;
}

const PROJECT_KEY = /-[0-9a-f]{8}$/;

/**
 * The definition of a name, also by its key: the one in scope, else the one in the file that the server was last started
 * from. @throws UsageError, DefinitionError
 */
export async function findDefinition(context: Context, name: string): Promise<ServerDefinition> {
  const definitions = await context.definitions();
  const found = definitions.find(name);
  if (found !== null) return found;
  const known = await findKnown(context, { name, definitions });
  const definition = await inScope(context, known) ?? await recordedDefinition(context, known);
  if (definition !== null) return definition;
  throw outOfScope(name, known);
}

/** As `findDefinition`, of the definitions in scope alone. @throws UsageError, DefinitionError */
export async function findDefinitionInScope(context: Context, name: string): Promise<ServerDefinition> {
  const definitions = await context.definitions();
  const found = definitions.find(name);
  if (found !== null) return found;
  const known = await findKnown(context, { name, definitions });
  const definition = await inScope(context, known);
  if (definition !== null) return definition;
  throw outOfScope(name, known);
}

function outOfScope(name: string, { config }: KnownServer): UsageError {
  const from = config ?? "a definition that is not in scope here";
  return new UsageError(`"${name}" comes from ${from}`, `give that file with --config, or go to its folder`);
}

/** A server by the name that it was given: whether that is a server's is found out when its turn comes. */
export interface WantedServer {
  name: string;
  /** @throws UsageError, DefinitionError */
  find(): Promise<ServerDefinition>;
}

/** Those that were named, else those of the definition file. @throws UsageError, DefinitionError */
export async function wantedServers(context: Context, args: Args): Promise<WantedServer[]> {
  if (args.names.length > 0) {
    if (args.flag("all")) throw new UsageError("either names or --all");
    refuseLabels(args);
    // A file that is broken is the trouble of all of them.
    await context.definitions();
    return [...new Set(args.names)].map((name) => ({ name, find: () => findDefinition(context, name) }));
  }
  const all = await definitionsInScope(context, args);
  return all.map((definition) => ({ name: definition.name, find: () => Promise.resolve(definition) }));
}

/** The definitions of the given names; without names, or with --all, those of the definition file. @throws UsageError */
export async function wantedDefinitions(context: Context, args: Args): Promise<ServerDefinition[]> {
  if (args.names.length > 0) {
    if (args.flag("all")) throw new UsageError("either names or --all");
    refuseLabels(args);
    const wanted: ServerDefinition[] = [];
    for (const name of new Set(args.names)) wanted.push(await findDefinition(context, name));
    return wanted;
  }
  return await definitionsInScope(context, args);
}

/**
 * The file's servers. Of a `.mcp.json` of foster's own entries alone, those that it leads to, where they are the user's
 * own: attach --import moved them there.
 */
export function ownOrConnected({ inFile, passedOver, findUsers }: Definitions): ServerDefinition[] {
  if (inFile.length > 0) return inFile;
  return passedOver.flatMap(({ connects }) => {
    const found = connects === undefined ? null : findUsers(connects.name);
    return found?.source.kind === "file" && found.source.file === connects?.config ? [found] : [];
  });
}

/** All of the definition file, or those with a wanted label. @throws UsageError where there is none */
export async function definitionsInScope(context: Context, args: Args): Promise<ServerDefinition[]> {
  const definitions = await context.definitions();
  const labels = args.texts("label");
  const inFile = ownOrConnected(definitions);
  if (inFile.length > 0) {
    const wanted = inFile.filter((each) => hasLabel(each.labels, labels));
    if (wanted.length > 0) return wanted;
    const known = [...new Set(inFile.flatMap((each) => each.labels))];
    throw new UsageError(
      `no server of ${definitions.file} has the label ${labels.map((label) => `"${label}"`).join(" or ")}`,
      known.length === 0 ? 'a definition gets them as "labels": ["…"]' : `labels there: ${known.join(", ")}`,
    );
  }
  const presets = definitions.names().join(", ");
  if (definitions.file !== null) {
    const elsewhere = new Set(definitions.passedOver.flatMap(({ connects }) => connects?.config ?? []));
    if (elsewhere.size > 0) {
      throw new UsageError(
        `which server? The entries of ${definitions.file} run foster itself, for servers of ` +
          [...elsewhere].join(" and "),
        "give that file with --config",
      );
    }
    throw new UsageError(
      `which server? ${definitions.file} defines no servers`,
      `the presets are: ${presets}; foster import takes servers over from other programs`,
    );
  }
  throw new UsageError(
    `which server? ${await nothingInScope(context)}`.replace("? there", "? There"),
    `the presets are: ${presets}; foster init writes a definition file`,
  );
}
