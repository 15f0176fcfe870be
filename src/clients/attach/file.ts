/**
 * Changes one settings file as planned, and gives it back.
 *
 * @module
 */
import { dirname } from "node:path";
import { canonicalJson, sha256Hex } from "../../base/hash.ts";
import { isObject } from "../../base/json.ts";
import { type Host, withinReach } from "../../host/host.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import type { Client, SettingsFile } from "../client.ts";
import { editEntries, entryIn } from "../edit_entries.ts";
import { type EntryEdit, EntryFormError } from "../entry_editor.ts";
import { parseSettings, placeIn, readSettings, type SettingsText } from "../settings.ts";
import {
  KEPT_BYTES,
  type KeptEntry,
  type KeptFile,
  type KeptPlace,
  keptSettings,
  readKept,
  removeKept,
  writeKept,
} from "./kept.ts";
import { type FilePlan, planEntries, strictProblem, type WantedEntry } from "./plan.ts";

export interface FileWork {
  client: Client;
  file: SettingsFile;
  wanted: readonly WantedEntry[];
}

/** What was, or would be, done to a file; `problem` says why it was left alone as a whole. */
export interface FileResult extends FilePlan {
  client: Client;
  path: string;
  problem: string | null;
}

type FileHost = Pick<Host, "files" | "clock" | "program">;

const TRIES = 3;
const USER_MODE = 0o600;
const PROJECT_MODE = 0o644;

/** Only looks. @throws HostError */
export async function planFile(host: FileHost, work: FileWork): Promise<FileResult> {
  return (await tryPlan(host, work)).result;
}

/** Plans once more from what is there now, writes it, and remembers what was there. @throws HostError */
export async function changeFile(host: FileHost, work: FileWork, stateFolder: string): Promise<FileResult> {
  const place: KeptPlace = { host, stateFolder };
  const { client, file } = work;
  for (let tries = 1;; tries++) {
    const { result: looked, planned } = await tryPlan(host, work);
    if (planned === null || looked.edits.length === 0) return looked;
    const { before, settings, plan, at, text } = planned;
    const real = await host.files.realPath(file.path) ?? file.path;
    const stat = before === null ? null : await host.files.stat(real);
    const mode = stat?.mode ?? (file.scope === "project" ? PROJECT_MODE : USER_MODE);
    const isForeign = stat?.uid != null && host.program.userId !== null && stat.uid !== host.program.userId;
    if (isForeign) return { ...looked, changes: [], edits: [], problem: "it belongs to another user" };
    const content = (before?.byteOrderMark ? "\uFEFF" : "") + text;
    const madeFolder = await makeFolders(host, dirname(real), file);
    await writeKept(
      place,
      await keptAfter(place, { real, before, settings, plan, at, content, client, file, madeFolder }),
    );
    // A client that wrote meanwhile is not overwritten: its text is planned from anew.
    const now = await readSettings(host, file.path);
    if (!isSame(now?.bytes, before?.bytes) && tries < TRIES) continue;
    await host.files.writeAtomic(real, content, mode);
    const written = await readSettings(host, file.path);
    const isThere = written !== null && sha256Hex(written.bytes) === sha256Hex(content);
    if (isThere) return { ...looked, ...plan };
    if (tries === TRIES) {
      return {
        ...looked,
        changes: [],
        edits: [],
        problem: "another program wrote it at the same moment: quit it first",
      };
    }
  }
}

interface Planned {
  before: SettingsText | null;
  /** What the parser reads from it; from the file's skeleton where there is none. */
  settings: unknown;
  /** The keys that lead to the servers in this very file. */
  at: SettingsFile;
  plan: FilePlan;
  text: string;
}

/** The plan, null where the file is left alone: the result says why. @throws HostError */
async function tryPlan(
  host: FileHost,
  work: FileWork,
): Promise<{ result: FileResult; planned: Planned | null }> {
  const { client, file } = work;
  const nothing = { client, path: file.path, changes: [], left: [], edits: [] };
  try {
    const planned = await planOnce(host, work);
    return { result: { ...nothing, ...planned.plan, problem: null }, planned };
  } catch (error) {
    if (!(error instanceof DefinitionError || error instanceof EntryFormError)) throw error;
    const why = error.message.replace(`${file.path}: `, "");
    return { result: { ...nothing, problem: why }, planned: null };
  }
}

/** @throws DefinitionError, EntryFormError where the file is left alone */
async function planOnce(host: FileHost, { client, file, wanted }: FileWork): Promise<Planned> {
  const before = await readSettings(host, file.path);
  if (before !== null && !before.isUtf8) throw new EntryFormError("is UTF-16: save it as UTF-8");
  const earlier = before?.text ?? file.skeleton ?? "";
  const settings = await parseSettings(earlier, file);
  const problem = strictProblem(earlier, file.syntax);
  if (problem !== null) throw new EntryFormError(problem);
  if (!isObject(settings)) throw new EntryFormError("holds no object");
  const at = placeIn(settings, client, file);
  const values = at === file ? wanted : wanted.map((each) => ({ ...each, value: newerForm(each.value) }));
  const plan = planEntries(settings, { client, file: at, wanted: values });
  const text = await editEntries(earlier, at, plan.edits);
  const after = strictProblem(text, file.syntax);
  if (after !== null) throw new EntryFormError(`the changed text ${after}`);
  return { before, settings, at, plan, text };
}

/** opencode's newer form has `disabled` in place of `enabled`. */
function newerForm({ enabled: _, ...value }: Record<string, unknown>): Record<string, unknown> {
  return value;
}

function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return sha256Hex(one) === sha256Hex(other);
}

/** The topmost folder that had to be made, null for none. */
async function makeFolders(
  { files }: FileHost,
  folder: string,
  { scope }: SettingsFile,
): Promise<string | null> {
  let [made, at]: [string | null, string] = [null, folder];
  while (await withinReach(files.stat(at), null) === null && dirname(at) !== at) {
    [made, at] = [at, dirname(at)];
  }
  if (made !== null) await files.makeDir(folder, scope === "project" ? 0o755 : 0o700);
  return made;
}

interface KeptInput {
  real: string;
  before: SettingsText | null;
  settings: unknown;
  plan: FilePlan;
  at: SettingsFile;
  content: string;
  client: Client;
  file: SettingsFile;
  madeFolder: string | null;
}

async function keptAfter(place: KeptPlace, input: KeptInput): Promise<KeptFile> {
  const { real, before, settings, plan, at, content, client, madeFolder } = input;
  const known = await readKept(place, real);
  const now = before === null ? null : sha256Hex(before.bytes);
  // What was kept is the earlier text only for as long as nobody else has written.
  const isFirst = known === null || known.entries.length === 0;
  const whole = isFirst
    ? before !== null && before.bytes.length <= KEPT_BYTES ? toBase64(before.bytes) : null
    : known.after === now
    ? known.before
    : null;
  const earlier = await earlierTexts(before, at, plan);
  const entries = new Map((known?.entries ?? []).map((entry) => [entryKey(entry), entry]));
  for (const { name, server, value, kind } of plan.changes) {
    if (kind === "same" && !entries.has(entryKey({ at: [...at.at], name }))) continue;
    const known = entries.get(entryKey({ at: [...at.at], name }));
    entries.set(entryKey({ at: [...at.at], name }), {
      client: client.id,
      at: [...at.at],
      is_list: at.isList ?? false,
      name,
      server: server.name,
      key: server.key,
      config: server.source.kind === "file" ? server.source.file : null,
      written: canonicalJson(value),
      earlier: known === undefined ? earlier.get(name) ?? null : known.earlier,
    });
  }
  return {
    schema: 1,
    path: real,
    made: isFirst ? before === null : known.made && known.after === now,
    made_folder: isFirst ? madeFolder : known.made_folder,
    before: whole,
    after: sha256Hex(content),
    made_keys: isFirst ? missingKeys(before === null ? {} : settings, at.at) : known.made_keys,
    entries: [...entries.values()],
  };
}

function entryKey({ at, name }: { at: readonly string[]; name: string }): string {
  return JSON.stringify([at, name]);
}

async function earlierTexts(
  before: SettingsText | null,
  at: SettingsFile,
  plan: FilePlan,
): Promise<Map<string, string>> {
  const { editorFor } = await import("../edit_entries.ts");
  const editor = await editorFor(at.syntax);
  const texts = new Map<string, string>();
  for (const { name } of plan.edits) {
    const raw = before === null ? null : editor.raw(before.text, at, name);
    if (raw !== null) texts.set(name, raw);
  }
  return texts;
}

function missingKeys(settings: unknown, at: readonly string[]): number {
  let found = settings;
  for (const [index, key] of at.entries()) {
    if (!isObject(found) || found[key] === undefined) return at.length - index;
    found = found[key];
  }
  return 0;
}

export interface RestoreResult {
  path: string;
  /** `whole`: byte for byte what was there; `entries`: each entry, since somebody else has written too. */
  kind: "whole" | "entries" | "gone" | "unchanged";
  restored: string[];
  /** Entries that somebody changed since. */
  left: string[];
  problem: string | null;
}

/** Gives back what was there before attach, of all entries or of some. @throws HostError */
export async function restoreFile(
  host: FileHost,
  kept: KeptFile,
  { stateFolder, isWanted }: { stateFolder: string; isWanted(entry: KeptEntry): boolean },
): Promise<RestoreResult> {
  const place: KeptPlace = { host, stateFolder };
  const own = kept.entries.filter(isWanted);
  const others = kept.entries.filter((entry) => !own.includes(entry));
  const names = own.map(({ name }) => name);
  const nothing = { path: kept.path, restored: [], left: [], problem: null };
  try {
    const now = await readSettings(host, kept.path);
    if (now === null) {
      await removeKept(place, kept.path);
      return { ...nothing, kind: "gone" };
    }
    const isOurs = sha256Hex(now.bytes) === kept.after;
    if (others.length === 0 && isOurs && (kept.made || kept.before !== null)) {
      await writeBack(host, kept);
      await removeKept(place, kept.path);
      return { ...nothing, kind: "whole", restored: names };
    }
    const { text, restored, left } = await withoutEntries(now.text, kept, { own, others });
    if (text !== now.text) {
      const mode = (await host.files.stat(kept.path))?.mode ?? USER_MODE;
      const content = (now.byteOrderMark ? "\uFEFF" : "") + text;
      await host.files.writeAtomic(kept.path, content, mode);
      if (others.length > 0) {
        await writeKept(place, {
          ...kept,
          before: null,
          made: false,
          after: sha256Hex(content),
          entries: others,
        });
      }
    }
    if (others.length === 0) await removeKept(place, kept.path);
    return { ...nothing, kind: text === now.text ? "unchanged" : "entries", restored, left };
  } catch (error) {
    if (!(error instanceof DefinitionError || error instanceof EntryFormError)) throw error;
    return {
      ...nothing,
      kind: "unchanged",
      left: names,
      problem: error.message.replace(`${kept.path}: `, ""),
    };
  }
}

async function writeBack({ files }: FileHost, kept: KeptFile): Promise<void> {
  if (kept.made) {
    await files.remove(kept.path);
    await removeEmptyFolders(files, kept);
    return;
  }
  const mode = (await files.stat(kept.path))?.mode ?? USER_MODE;
  // The bytes were valid UTF-8: the decoder gives them back, their byte order mark included.
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(fromBase64(kept.before ?? ""));
  await files.writeAtomic(kept.path, text, mode);
}

async function removeEmptyFolders(files: FileHost["files"], { path, made_folder }: KeptFile): Promise<void> {
  if (made_folder === null) return;
  for (let folder = dirname(path); folder.startsWith(made_folder); folder = dirname(folder)) {
    if ((await files.list(folder))?.length !== 0) return;
    await files.removeTree(folder);
  }
}

/** @throws DefinitionError, EntryFormError */
async function withoutEntries(
  text: string,
  kept: KeptFile,
  { own, others }: { own: readonly KeptEntry[]; others: readonly KeptEntry[] },
): Promise<{ text: string; restored: string[]; left: string[] }> {
  const [restored, left]: [string[], string[]] = [[], []];
  let edited = text;
  for (const entry of own) {
    const { at, is_list, name, written, earlier } = entry;
    const file = keptSettings(kept, entry);
    const now = entryIn(await parseSettings(edited, file), { at, isList: is_list, name });
    if (now === undefined) continue;
    if (canonicalJson(now) !== written) {
      left.push(name);
      continue;
    }
    const edit: EntryEdit = earlier === null
      ? { kind: "remove", name }
      : { kind: "restore", name, raw: earlier };
    edited = await editEntries(edited, file, [edit]);
    restored.push(name);
  }
  const [first] = own;
  if (first === undefined || others.length > 0) return { text: edited, restored, left };
  // The objects that attach made for its entries go with the last of them.
  for (let depth = first.at.length; depth > first.at.length - kept.made_keys; depth--) {
    const file = { ...keptSettings(kept, first), isList: false };
    const at = first.at.slice(0, depth);
    edited = await editEntries(edited, file, [{ kind: "remove_empty", at }]);
  }
  return { text: edited, restored, left };
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
