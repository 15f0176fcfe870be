/**
 * What attach did to a settings file, kept in the state folder so that detach can give back exactly what was there.
 *
 * @module
 */
import { join } from "node:path";
import { decodeJsonOrNull, flag, integer, list, nullable, object, oneOf, text } from "../../base/decode.ts";
import { sha256Hex } from "../../base/hash.ts";
import { type Host, HostError } from "../../host/host.ts";
import { acquireLock } from "../../registry/lock.ts";
import { readOwnText } from "../../registry/own_text.ts";
import { FILE_MODE, FOLDER_MODE, statePaths } from "../../registry/paths.ts";
import { CLIENT_IDS } from "../known/mod.ts";
import type { ClientId, SettingsFile } from "../client.ts";
import { syntaxOf } from "../settings.ts";

export interface KeptEntry {
  /** Those that attach wrote it for: several clients read one file. */
  clients: ClientId[];
  /** Keys that lead to the servers. */
  at: string[];
  is_list: boolean;
  /** How many of the last keys of `at` were made for it. */
  made_keys: number;
  name: string;
  /** The server that the entry starts, and the key that foster keeps it under. */
  server: string;
  key: string;
  /** The definition file that the entry names; null for a preset. */
  config: string | null;
  /** SHA-256 of what attach wrote, as canonical JSON. */
  written: string;
  /** The text of the entry that stood there before, null where there was none. */
  earlier: string | null;
}

/** One step back: `text` takes the place of the `length` characters at `at`. */
export interface UndoStep {
  at: number;
  length: number;
  text: string;
}

export interface KeptFile {
  schema: 1;
  /** Of the settings file, links followed. */
  path: string;
  /** The topmost folder that attach made for it, null for none. */
  made_folder: string | null;
  /** SHA-256 of the content before attach; null where attach made the file. */
  before: string | null;
  /** SHA-256 of the content as attach left it. */
  after: string;
  /** From that content back to the earlier one; null once somebody else has written in between. */
  undo: UndoStep[] | null;
  entries: KeptEntry[];
}

const LIMIT_BYTES = 16 * 1024 * 1024;

const HASH = /^[0-9a-f]{64}$/;

const keptFile = object<KeptFile>({
  schema: oneOf(1),
  path: text(),
  made_folder: nullable(text()),
  before: nullable(text(HASH)),
  after: text(HASH),
  undo: nullable(list(object<UndoStep>({ at: integer(0), length: integer(0), text: text() }))),
  entries: list(object<KeptEntry>({
    clients: list(oneOf(...CLIENT_IDS)),
    at: list(text()),
    is_list: flag,
    made_keys: integer(0),
    name: text(),
    server: text(),
    key: text(),
    config: nullable(text()),
    written: text(HASH),
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

export type KeptRead =
  | { kind: "none" }
  | { kind: "kept"; kept: KeptFile }
  /** Damaged, or of a later foster: `file` is left as it is. */
  | { kind: "unreadable"; file: string };

export async function readKept({ host, stateFolder }: KeptPlace, path: string): Promise<KeptRead> {
  return await readOne(host, fileOf(stateFolder, path));
}

async function readOne(host: KeptHost, file: string): Promise<KeptRead> {
  const read = await readOwnText(host, file, { limitBytes: LIMIT_BYTES });
  if (read.kind === "none") return read;
  const kept = read.kind === "text" ? decodeJsonOrNull(read.text, keptFile) : null;
  return kept === null ? { kind: "unreadable", file } : { kind: "kept", kept };
}

/** All that is kept, in the order of the settings files' paths, and the files of it that can't be read. */
export async function listKept(
  { host, stateFolder }: KeptPlace,
): Promise<{ kept: KeptFile[]; unreadable: string[] }> {
  const found = await host.files.list(folderOf(stateFolder)) ?? [];
  const [kept, unreadable]: [KeptFile[], string[]] = [[], []];
  for (const { name } of found) {
    if (!name.endsWith(".json")) continue;
    const one = await readOne(host, join(folderOf(stateFolder), name));
    if (one.kind === "kept") kept.push(one.kept);
    else if (one.kind === "unreadable") unreadable.push(one.file);
  }
  return { kept: kept.toSorted((a, b) => a.path < b.path ? -1 : 1), unreadable: unreadable.sort() };
}

/** An entry that took the place of one that its client had. */
export interface PlacedEntry {
  client: ClientId;
  path: string;
  at: readonly string[];
  name: string;
  /** Of its server. */
  key: string;
}

export function placedEntries(kept: readonly KeptFile[]): PlacedEntry[] {
  return kept.flatMap(({ path, entries }) =>
    entries.filter(({ earlier }) => earlier !== null).flatMap(({ clients, at, name, key }) =>
      clients.map((client) => ({ client, path, at, name, key }))
    )
  );
}

/** False, with nothing written, where it would be too large to be read again. @throws HostError */
export async function writeKept({ host, stateFolder }: KeptPlace, kept: KeptFile): Promise<boolean> {
  const content = JSON.stringify(kept) + "\n";
  if (new TextEncoder().encode(content).length > LIMIT_BYTES) return false;
  await host.files.makeDir(folderOf(stateFolder), FOLDER_MODE);
  await host.files.writeAtomic(fileOf(stateFolder, kept.path), content, FILE_MODE);
  return true;
}

/** @throws HostError */
export async function removeKept({ host, stateFolder }: KeptPlace, path: string): Promise<void> {
  await host.files.remove(fileOf(stateFolder, path));
}

const LOCK_WAIT_MS = 30_000;

/** Two fosters never change settings at the same moment. @throws HostError `busy` */
export async function underKeptLock<T>(
  host: Pick<Host, "files" | "clock" | "random">,
  stateFolder: string,
  body: () => Promise<T>,
): Promise<T> {
  await host.files.makeDir(folderOf(stateFolder), FOLDER_MODE);
  const path = join(folderOf(stateFolder), "lock");
  const signal = host.clock.deadline(2 * LOCK_WAIT_MS);
  const lock = await acquireLock(host, path, { waitMs: LOCK_WAIT_MS, signal });
  if (lock === null) throw new HostError("busy", `another foster holds ${path}`);
  try {
    return await body();
  } finally {
    lock.release();
  }
}

/** The settings file as a place of this entry; null for the file alone. */
export function keptSettings({ path }: Pick<KeptFile, "path">, entry: KeptEntry | null): SettingsFile {
  const [at, isList] = [entry?.at ?? [], entry?.is_list ?? false];
  return { path, scope: "user", syntax: syntaxOf(path), at, isList, project: null };
}
