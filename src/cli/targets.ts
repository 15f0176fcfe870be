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

/** The definition in scope, else the only record of that name, else a key. @throws UsageError, DefinitionError */
export async function findTarget(context: Context, name: string): Promise<Target> {
  const definitions = await context.definitions();
  const definition = definitions.find(name);
  if (definition !== null) {
    const stored = await context.state.server(definition.key).read();
    return { name, key: definition.key, definition, record: recordIn(stored) };
  }
  const records = (await context.state.records()).map(({ key, stored }) => ({
    key,
    record: recordIn(stored),
  }));
  const named = records.filter(({ record }) => record?.name === name);
  if (named.length > 1) {
    const keys = named.map(({ key }) => key).join(", ");
    throw new UsageError(`"${name}" is the name of several servers`, `use one of the keys: ${keys}`);
  }
  const found = named[0] ?? records.find(({ key }) => key === name);
  if (found !== undefined) {
    return { name: found.record?.name ?? found.key, key: found.key, definition: null, record: found.record };
  }
  const known = [...definitions.names(), ...records.map(({ record, key }) => record?.name ?? key)];
  const near = closest(name, known);
  const hint = near === null ? `known here: ${[...new Set(known)].join(", ")}` : `did you mean "${near}"?`;
  const where = definitions.file === null ? await nothingInScope(context) : `not in ${definitions.file}`;
  throw new UsageError(`"${name}" is no server, no preset and no key (${where})`, hint);
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

/** The labels of each server with a record, by key: from the definitions in scope, and from the files that records name. */
export async function labelsByKey(context: Context): Promise<ReadonlyMap<string, readonly string[]>> {
  const { loadDefinitions } = await import("../definitions/load.ts");
  const { host, callerFolder } = context;
  const records = (await context.state.records()).flatMap(({ stored }) => recordIn(stored) ?? []);
  const files = new Set(records.flatMap(({ config }) => config ?? []));
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

/** The definition of a name, also by its key. @throws UsageError where only a record is left of it */
export async function findDefinition(context: Context, name: string): Promise<ServerDefinition> {
  const { definition, record } = await findTarget(context, name);
  if (definition !== null) return definition;
  const from = record?.config ?? "a definition that is not in scope here";
  throw new UsageError(`"${name}" comes from ${from}`, `give that file with --config, or go to its folder`);
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
