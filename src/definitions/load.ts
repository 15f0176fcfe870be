/**
 * Finds the definition file in scope and puts the presets beside it.
 *
 * @module
 */
import { basename, dirname, join, resolve } from "node:path";
import { sha256Hex } from "../base/hash.ts";
import { upward } from "../base/upward.ts";
import { userFolders } from "../base/user_folders.ts";
import { type Host, HostError, withinReach } from "../host/host.ts";
import { decodeText } from "../base/encoding.ts";
import type { ServerDefinition } from "./definition.ts";
import { DefinitionError } from "./definition_error.ts";
import { checkFoundFile } from "./found_file.ts";
import type { PassedOver } from "./mcp_json.ts";
import { projectKey, slug } from "./hash.ts";
import { plainJson } from "./plain_json.ts";
import { type EnvironmentOverrides, environmentOverrides, normalise } from "./normalise.ts";
import { PRESETS } from "./presets.ts";

type LoadHost = Pick<Host, "files" | "env" | "system" | "program">;

export interface Definitions {
  /** Real path of the definition file, null where there is none. */
  file: string | null;
  /** `user` for the file in the user's config folder, `project` for any other. */
  kind: "project" | "user" | null;
  /** Whether the file is a project's `.mcp.json`, written for other programs. */
  isMcpJson: boolean;
  /** Whether `--config` or FOSTER_CONFIG named it; false where it was found by searching. */
  isNamed: boolean;
  /** SHA-256 of the file's bytes, 64 hexadecimal digits; null where there is none. */
  sha256: string | null;
  /** A second file in the same folder, which is not read. */
  ignored: string | null;
  /** Entries of a `.mcp.json` that foster does not hold. */
  passedOver: readonly PassedOver[];
  /** The file's servers, in its order. */
  inFile: ServerDefinition[];
  /**
   * By exact name: the file's first, then, beside a `.mcp.json`, those of the user's own file, then the presets.
   * @throws DefinitionError where the user's own file would have to be asked and is malformed
   */
  find(name: string): ServerDefinition | null;
  /** The file's names, then those that `find` knows besides. */
  names(): string[];
  /** What the user's own file says of a name; null where it says nothing or was not asked beside a `.mcp.json`. */
  findUsers(name: string): ServerDefinition | null;
}

export interface LoadOptions {
  /** What `--config` said. */
  configFlag: string | null;
  /** Absolute path of the folder that the caller works in. */
  callerFolder: string;
  /** No file is looked for: a preset is meant, whatever the folder's file says of its name. */
  presetsOnly?: boolean;
  /** A file that the state folder names, in place of the one in scope: held to the rules for one found by searching. */
  recordedFile?: string;
}

/**
 * Reads the definitions in scope: the flag's file, else FOSTER_CONFIG's, else the nearest foster.json upward, else the
 * nearest `.mcp.json` upward, else the user's own.
 * @throws DefinitionError where the file is malformed, is somebody else's, or was named and can't be read.
 */
export async function loadDefinitions(host: LoadHost, options: LoadOptions): Promise<Definitions> {
  const overrides = environmentOverrides((name) => host.env.get(name));
  const located = options.presetsOnly === true ? null : await locate(host, options);
  const read = located === null ? NOTHING_READ : await readServers(located, overrides);
  const users = located?.isMcpJson ? await usersServers(host, overrides) : { servers: [], error: null };
  const presets = [...PRESETS.values()].map(({ name, written }) => {
    const source = { kind: "preset" } as const;
    return normalise(written, { name, key: slug(name), source, baseFolder: options.callerFolder, overrides });
  });
  const named = (servers: readonly ServerDefinition[]) =>
    new Map(servers.map((server) => [server.name, server]));
  const [byName, usersByName, presetsByName] = [named(read.servers), named(users.servers), named(presets)];
  const findUsers = (name: string) => {
    const found = usersByName.get(name) ?? null;
    if (found === null && users.error !== null) throw users.error;
    return found;
  };
  return {
    file: located?.file ?? null,
    kind: located === null ? null : located.project ? "project" : "user",
    isMcpJson: located?.isMcpJson ?? false,
    isNamed: located?.isNamed ?? false,
    sha256: located?.sha256 ?? null,
    ignored: located?.ignored ?? null,
    passedOver: read.passedOver,
    inFile: read.servers,
    find: (name) => byName.get(name) ?? findUsers(name) ?? presetsByName.get(name) ?? null,
    names: () => [...new Set([...byName.keys(), ...usersByName.keys(), ...presetsByName.keys()])],
    findUsers,
  };
}

interface LocatedFile {
  /** Real path. */
  file: string;
  text: string;
  sha256: string;
  project: boolean;
  isMcpJson: boolean;
  isNamed: boolean;
  ignored?: string;
}

interface ReadServers {
  servers: ServerDefinition[];
  passedOver: readonly PassedOver[];
}

const NOTHING_READ: ReadServers = { servers: [], passedOver: [] };

async function readServers(located: LocatedFile, overrides: EnvironmentOverrides): Promise<ReadServers> {
  const { file, text, isMcpJson } = located;
  // The validator is loaded only where there is a file to validate: presets are right as they are.
  const { clientServersIn, definitionsIn } = await import("./read_file.ts");
  const value = plainJson(text) ?? (await import("./jsonc.ts")).parseDefinitionText(text, file);
  if (isMcpJson) return clientServersIn(value, file, overrides);
  // Few definitions name a version, and few of those more than one.
  const ranges = /"version"|\\u/.test(text) ? await import("./version_range.ts") : null;
  const isRange = (version: string) => ranges?.isVersionRange(version) === true;
  return { servers: definitionsIn(value, located, { overrides, isRange }), passedOver: [] };
}

/** The user's own servers, for names that a `.mcp.json` does not define; a broken file counts only once it is asked. */
async function usersServers(
  host: LoadHost,
  overrides: EnvironmentOverrides,
): Promise<{ servers: ServerDefinition[]; error: DefinitionError | null }> {
  try {
    const folder = userConfigFolder(host);
    const located = folder === null
      ? null
      : await firstIn(host, [folder], { names: FILE_NAMES, callerFolder: folder });
    return { servers: located === null ? [] : (await readServers(located, overrides)).servers, error: null };
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    return { servers: [], error };
  }
}

const SECOND_NAME = "foster.jsonc";
/** Where both stand in one folder, the first is taken. */
export const FILE_NAMES: readonly string[] = ["foster.json", SECOND_NAME];
const MCP_JSON = ".mcp.json";

async function locate(
  host: LoadHost,
  { configFlag, callerFolder, recordedFile }: LoadOptions,
): Promise<LocatedFile | null> {
  if (recordedFile !== undefined) {
    const found = await readCandidate(host, recordedFile, { callerFolder });
    return found === "out_of_reach" ? null : found;
  }
  const named = configFlag ?? (host.env.get("FOSTER_CONFIG") || null);
  if (named !== null) return await readNamed(host, resolve(callerFolder, named), configFlag);
  // A folder that is gone has nothing above it that its caller could mean.
  const folders = await withinReach(host.files.stat(callerFolder), null) === null ? [] : upward(callerFolder);
  const userFolder = userConfigFolder(host);
  return await firstIn(host, folders, { names: FILE_NAMES, callerFolder }) ??
    await firstIn(host, folders, { names: [MCP_JSON], callerFolder }) ??
    (userFolder === null ? null : await firstIn(host, [userFolder], { names: FILE_NAMES, callerFolder }));
}

async function readNamed(host: LoadHost, file: string, configFlag: string | null): Promise<LocatedFile> {
  const found = await readCandidate(host, file, { callerFolder: null });
  if (found !== null && found !== "out_of_reach") return found;
  const origin = configFlag === null ? "FOSTER_CONFIG" : "--config";
  const problem = found === null ? "no such file" : "may not be read";
  throw new DefinitionError(`${problem}, named by ${origin}`, {
    file,
    hint: `foster init --config ${file} writes one`,
  });
}

async function firstIn(
  host: LoadHost,
  folders: readonly string[],
  { names, callerFolder }: { names: readonly string[]; callerFolder: string },
): Promise<LocatedFile | null> {
  for (const folder of folders) {
    for (const name of names) {
      const found = await readCandidate(host, join(folder, name), { callerFolder });
      if (found === null || found === "out_of_reach") continue;
      if (name !== FILE_NAMES[0]) return found;
      const other = join(folder, SECOND_NAME);
      return await withinReach(host.files.stat(other), null) === null ? found : { ...found, ignored: other };
    }
  }
  return null;
}

const LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * A folder of the caller's: the file was found by searching from there. Out of reach: not even its own folder may be
 * looked into, so that nobody can tell whether it is there.
 */
async function readCandidate(
  host: LoadHost,
  file: string,
  { callerFolder }: { callerFolder: string | null },
): Promise<LocatedFile | "out_of_reach" | null> {
  try {
    const realFile = await host.files.realPath(file);
    if (realFile === null) return null;
    if (callerFolder !== null) await checkFoundFile(host, { file, realFile, callerFolder });
    const bytes = await bytesOf(host, realFile, { isNamed: callerFolder === null });
    if (bytes === null) return null;
    return {
      file: realFile,
      ...textOf(bytes, realFile),
      project: !await isUsersOwn(host, file),
      isMcpJson: basename(file) === MCP_JSON,
      isNamed: callerFolder === null,
    };
  } catch (cause) {
    if (!(cause instanceof HostError)) throw cause;
    if (await withinReach(host.files.stat(file), null) === null) return "out_of_reach";
    throw new DefinitionError(`can't be read: ${cause.message}`, { file, cause });
  }
}

/** Only a file that was named may be a pipe. @throws DefinitionError, HostError */
async function bytesOf(
  { files }: LoadHost,
  file: string,
  { isNamed }: { isNamed: boolean },
): Promise<Uint8Array | null> {
  const read = await files.readOwn(file, { offset: 0, limitBytes: LIMIT_BYTES });
  switch (read.kind) {
    case "none":
      return null;
    case "read":
      if (read.sizeBytes <= LIMIT_BYTES) return read.bytes;
      throw new DefinitionError(`is ${read.sizeBytes} bytes large, and 16 MiB are the most`, { file });
    case "odd": {
      const text = isNamed && read.what !== "directory" ? await files.readText(file) : null;
      if (text !== null) return new TextEncoder().encode(text);
      throw new DefinitionError(`can't be read: it is a ${read.what}`, { file });
    }
  }
}

/** @throws DefinitionError naming the encoding and the offset */
function textOf(bytes: Uint8Array, file: string): { text: string; sha256: string } {
  const decoded = decodeText(bytes);
  if (decoded.kind === "text") return { text: decoded.text, sha256: sha256Hex(bytes) };
  const byte = bytes[decoded.offset]?.toString(16).padStart(2, "0");
  const where = `the byte 0x${byte} at offset ${decoded.offset}`;
  throw new DefinitionError(`is not valid ${decoded.encoding}: ${where}`, {
    file,
    hint: "save it as UTF-8",
  });
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
