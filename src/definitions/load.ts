/**
 * Finds the definition file in scope and puts the presets beside it.
 *
 * @module
 */
import { basename, dirname, join, resolve } from "@std/path";
import { userFolders } from "../base/user_folders.ts";
import { type Host, HostError, withinReach } from "../host/host.ts";
import type { ServerDefinition } from "./definition.ts";
import { DefinitionError } from "./definition_error.ts";
import { type EnvironmentOverrides, environmentOverrides, normalise } from "./normalise.ts";
import { projectKey, slug } from "./hash.ts";
import { PRESETS } from "./presets.ts";

type LoadHost = Pick<Host, "files" | "env" | "system">;

export interface Definitions {
  /** Real path of the definition file, null where there is none. */
  file: string | null;
  /** `user` for the file in the user's config folder, `project` for any other. */
  kind: "project" | "user" | null;
  /** A second file in the same folder, which is not read. */
  ignored: string | null;
  /** The file's servers, in its order. */
  inFile: ServerDefinition[];
  /** By exact name: the file's first, then the presets. */
  find(name: string): ServerDefinition | null;
  /** The file's names, then those of the presets that it does not define itself. */
  names(): string[];
}

export interface LoadOptions {
  /** What `--config` said. */
  configFlag: string | null;
  /** Absolute path of the folder that the caller works in. */
  callerFolder: string;
  /** No file is looked for: a preset is meant, whatever the folder's file says of its name. */
  presetsOnly?: boolean;
}

/**
 * Reads the definitions in scope: the flag's file, else FOSTER_CONFIG's, else the nearest upward, else the user's own.
 * @throws DefinitionError where the file is malformed, or was named and can't be read.
 */
export async function loadDefinitions(host: LoadHost, options: LoadOptions): Promise<Definitions> {
  const overrides = environmentOverrides((name) => host.env.get(name));
  const found = options.presetsOnly === true ? null : await locate(host, options);
  const inFile = found === null ? [] : await readFound(found, overrides);
  const byName = new Map<string, ServerDefinition>();
  for (const { name, written } of PRESETS.values()) {
    const source = { kind: "preset" } as const;
    const baseFolder = options.callerFolder;
    byName.set(
      name,
      normalise(written, { name, key: slug(name), source, baseFolder, overrides }),
    );
  }
  for (const definition of inFile) byName.set(definition.name, definition);
  return {
    file: found?.file ?? null,
    kind: found === null ? null : found.project ? "project" : "user",
    ignored: found?.ignored ?? null,
    inFile,
    find: (name) => byName.get(name) ?? null,
    names: () => [...new Set([...inFile.map(({ name }) => name), ...PRESETS.keys()])],
  };
}

interface Found {
  file: string;
  text: string;
  project: boolean;
  ignored?: string;
}

async function readFound(found: Found, overrides: EnvironmentOverrides): Promise<ServerDefinition[]> {
  // The validator is loaded only where there is a file to validate: presets are right as they are.
  const { readDefinitions } = await import("./read_file.ts");
  return readDefinitions(found, overrides);
}

const SECOND_NAME = "foster.jsonc";
/** Where both stand in one folder, the first is taken. */
export const FILE_NAMES: readonly string[] = ["foster.json", SECOND_NAME];

async function locate(host: LoadHost, { configFlag, callerFolder }: LoadOptions): Promise<Found | null> {
  const named = configFlag ?? (host.env.get("FOSTER_CONFIG") || null);
  if (named !== null) {
    const file = resolve(callerFolder, named);
    const found = await readCandidate(host, file);
    if (found !== null && found !== "out_of_reach") return found;
    const origin = configFlag === null ? "FOSTER_CONFIG" : "--config";
    const problem = found === null ? "no such file" : "may not be read";
    throw new DefinitionError(`${problem}, named by ${origin}`, {
      file,
      hint: `foster init --config ${file} writes one`,
    });
  }
  const userFolder = userConfigFolder(host);
  for (const folder of [...upward(callerFolder), ...(userFolder === null ? [] : [userFolder])]) {
    for (const name of FILE_NAMES) {
      const found = await readCandidate(host, join(folder, name));
      if (found === null || found === "out_of_reach") continue;
      const other = join(folder, SECOND_NAME);
      return name !== SECOND_NAME && await withinReach(host.files.stat(other), null) !== null
        ? { ...found, ignored: other }
        : found;
    }
  }
  return null;
}

function upward(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...upward(parent)];
}

/** Out of reach: not even its folder may be looked into, so that nobody can tell whether it is there. */
async function readCandidate(host: LoadHost, file: string): Promise<Found | "out_of_reach" | null> {
  try {
    const text = await host.files.readText(file);
    if (text === null) return null;
    const project = !await isUsersOwn(host, file);
    return { file: await host.files.realPath(file) ?? file, text, project };
  } catch (cause) {
    if (!(cause instanceof HostError)) throw cause;
    if (await withinReach(host.files.stat(file), null) === null) return "out_of_reach";
    throw new DefinitionError(`can't be read: ${cause.message}`, { file, cause });
  }
}

/** The key that a server of this name has in the file, whatever stands in it. */
export async function keyIn(host: LoadHost, { name, file }: { name: string; file: string }): Promise<string> {
  if (await isUsersOwn(host, file)) return slug(name);
  return projectKey(name, await host.files.realPath(file) ?? file);
}

/** Whether it is the file in the user's config folder. */
async function isUsersOwn(host: LoadHost, file: string): Promise<boolean> {
  const userFolder = userConfigFolder(host);
  if (userFolder === null || !FILE_NAMES.includes(basename(file))) return false;
  const realFolder = await host.files.realPath(dirname(file));
  return realFolder !== null && realFolder === await host.files.realPath(userFolder);
}

/** The folder of the user's own definitions; null where the system does not say where home is. */
export function userConfigFolder({ env, system }: Pick<Host, "env" | "system">): string | null {
  const { config } = userFolders({ env, system });
  return config === null ? null : join(config, "foster");
}
