/**
 * What attach did to a settings file, kept in the state folder so that detach can give back exactly what was there.
 *
 * @module
 */
import { join } from "node:path";
import { decodeJsonOrNull, flag, integer, list, nullable, object, oneOf, text } from "../../base/decode.ts";
import { sha256Hex } from "../../base/hash.ts";
import type { Host } from "../../host/host.ts";
import { readOwnText } from "../../registry/own_text.ts";
import { FILE_MODE, FOLDER_MODE, statePaths } from "../../registry/paths.ts";
import { CLIENT_IDS } from "../known/mod.ts";
import type { ClientId, SettingsFile } from "../client.ts";
import { syntaxOf } from "../settings.ts";

export interface KeptEntry {
  client: ClientId;
  /** Keys that lead to the servers. */
  at: string[];
  is_list: boolean;
  name: string;
  /** The server that the entry starts, and the key that foster keeps it under. */
  server: string;
  key: string;
  /** The definition file that the entry names; null for a preset. */
  config: string | null;
  /** What attach wrote, as JSON. */
  written: string;
  /** The text of the entry that stood there before, null where there was none. */
  earlier: string | null;
}

export interface KeptFile {
  schema: 1;
  /** Of the settings file, links followed. */
  path: string;
  /** Whether attach made the file. */
  made: boolean;
  /** The topmost folder that attach made for it, null for none. */
  made_folder: string | null;
  /** The whole earlier content in base64; null where there was none, or it changed in between, or it is too large. */
  before: string | null;
  /** SHA-256 of the content as attach left it. */
  after: string;
  /** How many of the last keys of `at` the first edit had to make. */
  made_keys: number;
  entries: KeptEntry[];
}

/** Two texts of a file of this size fit into the limit of what is kept. */
export const KEPT_BYTES = 8 * 1024 * 1024;
const LIMIT_BYTES = 16 * 1024 * 1024;

const keptFile = object<KeptFile>({
  schema: oneOf(1),
  path: text(),
  made: flag,
  made_folder: nullable(text()),
  before: nullable(text()),
  after: text(/^[0-9a-f]{64}$/),
  made_keys: integer(0),
  entries: list(object<KeptEntry>({
    client: oneOf(...CLIENT_IDS),
    at: list(text()),
    is_list: flag,
    name: text(),
    server: text(),
    key: text(),
    config: nullable(text()),
    written: text(),
    earlier: nullable(text()),
  })),
});

type KeptHost = Pick<Host, "files">;

export interface KeptPlace {
  host: KeptHost;
  stateFolder: string;
}

function folderOf(stateFolder: string): string {
  return statePaths(stateFolder).attached;
}

function fileOf(stateFolder: string, path: string): string {
  return join(folderOf(stateFolder), `${sha256Hex(path).slice(0, 16)}.json`);
}

/** Null where nothing is kept of the file, or nothing that can be read. */
export async function readKept({ host, stateFolder }: KeptPlace, path: string): Promise<KeptFile | null> {
  return await readOne(host, fileOf(stateFolder, path));
}

async function readOne(host: KeptHost, file: string): Promise<KeptFile | null> {
  const read = await readOwnText(host, file, { limitBytes: LIMIT_BYTES });
  return read.kind === "text" ? decodeJsonOrNull(read.text, keptFile) : null;
}

/** All that is kept, in the order of the settings files' paths. */
export async function listKept({ host, stateFolder }: KeptPlace): Promise<KeptFile[]> {
  const found = await host.files.list(folderOf(stateFolder)) ?? [];
  const kept: KeptFile[] = [];
  for (const { name } of found) {
    const one = name.endsWith(".json") ? await readOne(host, join(folderOf(stateFolder), name)) : null;
    if (one !== null) kept.push(one);
  }
  return kept.toSorted((a, b) => a.path < b.path ? -1 : 1);
}

/** @throws HostError */
export async function writeKept({ host, stateFolder }: KeptPlace, kept: KeptFile): Promise<void> {
  await host.files.makeDir(folderOf(stateFolder), FOLDER_MODE);
  await host.files.writeAtomic(fileOf(stateFolder, kept.path), JSON.stringify(kept) + "\n", FILE_MODE);
}

/** @throws HostError */
export async function removeKept({ host, stateFolder }: KeptPlace, path: string): Promise<void> {
  await host.files.remove(fileOf(stateFolder, path));
}

/** The settings file as a place of this entry; null for the file alone. */
export function keptSettings({ path }: Pick<KeptFile, "path">, entry: KeptEntry | null): SettingsFile {
  const [at, isList] = [entry?.at ?? [], entry?.is_list ?? false];
  return { path, scope: "user", syntax: syntaxOf(path), at, isList, project: null };
}
