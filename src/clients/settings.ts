/**
 * Reads a client's settings file, and what servers stand in it.
 *
 * @module
 */
import { basename, dirname } from "node:path";
import { decodeText } from "../base/encoding.ts";
import { isObject } from "../base/json.ts";
import { DefinitionError } from "../definitions/definition_error.ts";
import { parseDefinitionText } from "../definitions/jsonc.ts";
import type { Host } from "../host/host.ts";
import type { Client, SettingsFile, Syntax } from "./client.ts";
import type { ReferenceForm } from "./references.ts";

/** The largest settings file that is read: Claude Code keeps its history in its own. */
const SETTINGS_LIMIT_BYTES = 64 * 1024 * 1024;

export interface SettingsText {
  /** Without its byte order mark. */
  text: string;
  bytes: Uint8Array;
  byteOrderMark: boolean;
  isUtf8: boolean;
}

/** Null where there is no such file. @throws DefinitionError where it can't be a text, HostError where it can't be read */
export async function readSettings(
  { files }: { files: Pick<Host["files"], "realPath" | "readOwn"> },
  path: string,
): Promise<SettingsText | null> {
  const real = await files.realPath(path);
  if (real === null) return null;
  const read = await files.readOwn(real, { offset: 0, limitBytes: SETTINGS_LIMIT_BYTES });
  if (read.kind === "none") return null;
  if (read.kind === "odd") throw new DefinitionError(`can't be read: it is a ${read.what}`, { file: path });
  if (read.sizeBytes > SETTINGS_LIMIT_BYTES) {
    throw new DefinitionError("is larger than 64 MiB", { file: path });
  }
  const decoded = decodeText(read.bytes);
  if (decoded.kind === "malformed") {
    throw new DefinitionError(`is not valid ${decoded.encoding} at offset ${decoded.offset}`, { file: path });
  }
  const { text, encoding, byteOrderMark } = decoded;
  return {
    text,
    bytes: read.bytes,
    byteOrderMark,
    isUtf8: encoding === "UTF-8",
  };
}

/** @throws DefinitionError where the text is malformed */
export async function parseSettings(text: string, file: { path: string; syntax: Syntax }): Promise<unknown> {
  const { path, syntax } = file;
  switch (syntax) {
    case "json":
    case "json_with_comments":
    case "jsonc":
      return text.trim() === "" ? {} : parseDefinitionText(text, path);
    case "toml": {
      const { parseToml } = await import("./toml_text.ts");
      return parsed(() => parseToml(text), { path, language: "TOML" });
    }
    case "yaml": {
      const { parseYaml } = await import("./yaml_text.ts");
      return parsed(() => parseYaml(text) ?? {}, { path, language: "YAML" });
    }
  }
}

function parsed(parse: () => unknown, { path, language }: { path: string; language: string }): unknown {
  try {
    return parse();
  } catch (error) {
    const [first = ""] = error instanceof Error ? error.message.split("\n") : [];
    // What stands at an alias may be a secret that lacks its quotes.
    const shown = first.replace(/(alias \([^)]*\)): .*/, "$1");
    throw new DefinitionError(`not valid ${language}: ${shown}`, { file: path });
  }
}

export interface SettingsEntry {
  name: string;
  value: Readonly<Record<string, unknown>>;
}

/** The servers at one place of the settings; null where there is no such place. */
function entriesAt(
  settings: unknown,
  { at, isList = false }: Pick<SettingsFile, "at" | "isList">,
): SettingsEntry[] | null {
  let found = settings;
  for (const key of at) found = isObject(found) ? found[key] : undefined;
  if (isList) {
    if (!Array.isArray(found)) return null;
    return found.flatMap((value) =>
      isObject(value) && typeof value["name"] === "string" ? [{ name: value["name"], value }] : []
    );
  }
  if (!isObject(found)) return null;
  return Object.entries(found).flatMap(([name, value]) => isObject(value) ? [{ name, value }] : []);
}

/** The place of the servers in these settings, in whichever of the client's forms they are. */
export function placeIn(settings: unknown, client: Client | null, file: SettingsFile): SettingsFile {
  if (client?.deeperAt === undefined) return file;
  const { deeperAt } = client;
  const deeper = [...file.at, deeperAt];
  const entries = entriesAt(settings, { at: deeper });
  const isForm = entries !== null &&
    !entriesAt(settings, file)?.some(({ name, value }) =>
      name === deeperAt && (value["command"] !== undefined || typeof value["type"] === "string")
    );
  return isForm ? { ...file, at: deeper } : file;
}

/** All servers of a file that a client may read, in both forms where it has two. */
export function entriesFor(settings: unknown, client: Client, file: SettingsFile): SettingsEntry[] | null {
  const place = placeIn(settings, client, file);
  const entries = entriesAt(settings, place);
  if (place === file || entries === null) return entries;
  const older = (entriesAt(settings, file) ?? []).filter(({ name }) => name !== client.deeperAt);
  return [...entries, ...older.filter(({ name }) => !entries.some((each) => each.name === name))];
}

export interface GuessedEntries {
  entries: SettingsEntry[];
  references: readonly ReferenceForm[];
}

const EVERY_FORM: readonly ReferenceForm[] = ["shell", "prefixed", "asked", "folders"];

/** The servers of a file of no known client, by the names that the lists of all of them have. */
export function guessEntries(settings: unknown): GuessedEntries[] {
  const places: [SettingsFile["at"], readonly ReferenceForm[], boolean?][] = [
    [["mcpServers"], EVERY_FORM],
    [["mcpServers"], ["secrets", "shell"], true],
    [["servers"], ["prefixed", "asked", "folders"]],
    [["mcp", "servers"], ["prefixed", "asked", "folders"]],
    [["context_servers"], ["prefixed", "folders"]],
    [["mcp_servers"], []],
    [["extensions"], []],
  ];
  return places.flatMap(([at, references, isList = false]) => {
    const entries = entriesAt(settings, { at, isList });
    return entries === null ? [] : [{ entries, references }];
  });
}

/** By the ending of a name. */
export function syntaxOf(path: string): Syntax {
  return /\.toml$/i.test(path) ? "toml" : /\.ya?ml$/i.test(path) ? "yaml" : "jsonc";
}

/** The folder that a settings file speaks of, null for one that belongs to the user and not to a project. */
export function projectOf(file: string, home: string | null): string | null {
  const folder = dirname(file);
  const inside = [".cursor", ".vscode", ".zed", ".codex", ".gemini", ".devin"].includes(basename(folder));
  const project = inside ? dirname(folder) : basename(file) === ".mcp.json" ? folder : null;
  return project === home ? null : project;
}
