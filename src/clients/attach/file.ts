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
import { editEntries, editorFor, editSteps, entryIn } from "../edit_entries.ts";
import { type EntryEdit, EntryFormError } from "../entry_editor.ts";
import { parseSettings, placeIn, readSettings, type SettingsText } from "../settings.ts";
import { diffLines, hiddenTexts, hide, onlyOwn, ownTexts } from "./diff.ts";
import {
  type KeptEntry,
  type KeptFile,
  type KeptPlace,
  keptSettings,
  readKept,
  removeKept,
  underKeptLock,
  type UndoStep,
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
  /** What differs, without the values of variables and headers. */
  diff(): string[];
}

export type FileHost = Pick<Host, "files" | "clock" | "random" | "program">;

const TRIES = 10;
const USER_MODE = 0o600;
const PROJECT_MODE = 0o644;
const BYTE_ORDER_MARK = "\uFEFF";
const TOO_BUSY = "another program wrote it at the same moment: quit it first";

/** Only looks. @throws HostError */
export async function planFile(host: FileHost, work: FileWork): Promise<FileResult> {
  return (await tryPlan(host, work)).result;
}

/** Plans once more from what is there now, writes it, and remembers what was there. @throws HostError */
export async function changeFile(host: FileHost, work: FileWork, stateFolder: string): Promise<FileResult> {
  return await underKeptLock(host, stateFolder, () => changeUnderLock(host, work, stateFolder));
}

async function changeUnderLock(host: FileHost, work: FileWork, stateFolder: string): Promise<FileResult> {
  const place: KeptPlace = { host, stateFolder };
  const { client, file } = work;
  let done: FileResult | null = null;
  for (let tries = 1;; tries++) {
    const { result, planned } = await tryPlan(host, work);
    if (planned === null) return result;
    const { target: { real, mode } } = planned;
    const read = await readKept(place, real);
    const known = read.kind === "kept" ? read.kept : null;
    if (result.edits.length === 0) {
      await noteClient(place, known, { client, planned });
      return done ?? result;
    }
    if (read.kind === "unreadable") {
      return leftAlone(result, `what foster keeps of it can't be read: move ${read.file} away`);
    }
    const madeFolder = await makeFolders(host, dirname(real), file);
    const kept = await keptAfter(planned, { known, client, madeFolder });
    if (!await writeKept(place, kept)) return leftAlone(result, "what was there is too large to be kept");
    const content = contentOf(planned.before, planned.text);
    const putBack = async () =>
      known === null ? await removeKept(place, real) : await writeKept(place, known);
    const outcome = await replaceContent(host, {
      path: file.path,
      real,
      before: planned.before,
      content,
      mode,
    })
      .catch(async (error) => {
        await withinReach(putBack(), null);
        throw error;
      });
    switch (outcome) {
      case "written":
        return result;
      case "changed_before":
        await putBack();
        break;
      case "changed_after":
        // What is kept stays: the entries may be in what was written meanwhile.
        done = result;
        break;
    }
    if (tries === TRIES) return leftAlone(result, TOO_BUSY);
  }
}

function leftAlone(result: FileResult, problem: string): FileResult {
  return { ...result, changes: [], edits: [], problem, diff: () => [] };
}

function contentOf(before: SettingsText | null, text: string): string {
  return (before?.byteOrderMark ? BYTE_ORDER_MARK : "") + text;
}

interface Replacement {
  path: string;
  real: string;
  /** What the new content was made from. */
  before: SettingsText | null;
  content: string;
  mode: number;
}

/**
 * A client that wrote meanwhile is not overwritten, and one that wrote right after is noticed. All that takes time is done
 * before the last look: nothing but a rename comes after it.
 *
 * @throws HostError
 */
async function replaceContent(
  host: Pick<Host, "files" | "random">,
  { path, real, before, content, mode }: Replacement,
): Promise<"written" | "changed_before" | "changed_after"> {
  const draft = `${real}.${host.random.hex(DRAFT_BYTES)}.draft`;
  try {
    await host.files.writeNew(draft, content, mode);
    if (hashOf(await readSettings(host, path)) !== hashOf(before)) {
      await host.files.remove(draft);
      return "changed_before";
    }
    await host.files.rename(draft, real);
  } catch (error) {
    await withinReach(host.files.remove(draft), null);
    throw error;
  }
  return hashOf(await readSettings(host, path)) === sha256Hex(content) ? "written" : "changed_after";
}

const DRAFT_BYTES = 6;

function hashOf(read: SettingsText | null): string | null {
  return read === null ? null : sha256Hex(read.bytes);
}

interface Target {
  /** Links followed. */
  real: string;
  mode: number;
}

/** @throws EntryFormError where the file is not to be written, HostError */
async function targetOf(
  { files, program: { userId } }: FileHost,
  { path, scope }: Pick<SettingsFile, "path" | "scope">,
): Promise<Target> {
  const real = await files.realPath(path);
  if (real === null) {
    if (await withinReach(files.stat(path), null) !== null) throw new EntryFormError("is a link to nothing");
    return { real: path, mode: scope === "project" ? PROJECT_MODE : USER_MODE };
  }
  const { mode = null, uid = null } = await files.stat(real) ?? {};
  if (uid !== null && userId !== null && uid !== userId) {
    throw new EntryFormError("it belongs to another user");
  }
  if (mode !== null && (mode & OWNER_WRITES) === 0) throw new EntryFormError("it is read-only");
  return { real, mode: mode ?? USER_MODE };
}

const OWNER_WRITES = 0o200;

interface Planned {
  target: Target;
  before: SettingsText | null;
  /** What the parser reads from it; from the file's skeleton where there is none. */
  settings: unknown;
  /** The keys that lead to the servers in this very file. */
  at: SettingsFile;
  plan: FilePlan;
  /** What it was made from, and the text after each edit. */
  earlier: string;
  steps: string[];
  text: string;
}

/** The plan, null where the file is left alone: the result says why. @throws HostError */
async function tryPlan(
  host: FileHost,
  work: FileWork,
): Promise<{ result: FileResult; planned: Planned | null }> {
  const { client, file } = work;
  const nothing = { client, path: file.path, changes: [], left: [], edits: [], diff: () => [] };
  try {
    const planned = await planOnce(host, work);
    const diff = () => diffOf(planned, client);
    return { result: { ...nothing, ...planned.plan, diff, problem: null }, planned };
  } catch (error) {
    if (!(error instanceof DefinitionError || error instanceof EntryFormError)) throw error;
    const why = error.message.replace(`${file.path}: `, "");
    return { result: { ...nothing, problem: why }, planned: null };
  }
}

/** @throws DefinitionError, EntryFormError where the file is left alone */
async function planOnce(host: FileHost, { client, file, wanted }: FileWork): Promise<Planned> {
  const target = await targetOf(host, file);
  await refuseDefinitions(host, { file, real: target.real, wanted });
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
  const steps = await editSteps(earlier, at, plan.edits);
  const text = steps.at(-1) ?? earlier;
  const after = strictProblem(text, file.syntax);
  if (after !== null) throw new EntryFormError(`the changed text ${after}`);
  return { target, before, settings, at, plan, earlier, steps, text };
}

/** An entry in the place of its own definition would lead back to itself. @throws EntryFormError */
async function refuseDefinitions(
  { files }: FileHost,
  { file: { path, scope }, real, wanted }: {
    file: SettingsFile;
    real: string;
    wanted: readonly WantedEntry[];
  },
): Promise<void> {
  const sources = wanted.flatMap(({ server: { source } }) => source.kind === "file" ? [source.file] : []);
  for (const source of new Set(sources)) {
    if (source !== real && await withinReach(files.realPath(source), null) !== real) continue;
    throw new EntryFormError(
      "the servers are defined in it, and an entry in place of its own definition starts nothing: " +
        `foster import ${path} --write keeps the definitions in foster.jsonc first` +
        (scope === "project" ? ", --scope user writes into your own settings" : ""),
    );
  }
}

function diffOf({ before, settings, at, plan, earlier, text }: Planned, client: Client): string[] {
  const isList = at.isList ?? false;
  const entries = plan.changes.flatMap(({ name, value }) => [
    entryIn(settings, { at: at.at, isList, name }),
    value,
  ]);
  const hidden = entries.flatMap((entry) => hiddenTexts(entry, client));
  const own = ownTexts([...at.at, ...plan.changes.map(({ name }) => name), ...entries]);
  return diffLines(before === null ? "" : earlier, text).map((line) =>
    line.startsWith("@@ ") ? line : line.slice(0, 1) + hide(onlyOwn(line.slice(1), own, at.syntax), hidden)
  );
}

/** opencode's newer form has `disabled` in place of `enabled`. */
function newerForm({ enabled: _, ...value }: Record<string, unknown>): Record<string, unknown> {
  return value;
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

/** What is kept once the planned text is written; `known` is what is kept of the file so far. */
async function keptAfter(
  { target: { real }, before, settings, plan, at, earlier, steps, text }: Planned,
  { known, client, madeFolder }: { known: KeptFile | null; client: Client; madeFolder: string | null },
): Promise<KeptFile> {
  const now = hashOf(before);
  // An attach that ended before it wrote has changed nothing.
  const first = known === null || known.entries.length === 0 || known.before === now ? null : known;
  const entries = new Map((first?.entries ?? []).map((entry) => [entryKey(entry), entry]));
  const editor = await editorFor(at.syntax);
  let madeKeys = missingKeys(before === null ? {} : settings, at.at);
  for (const { name, server, value, kind } of plan.changes) {
    const key = entryKey({ at: at.at, name });
    const own = entries.get(key);
    if (kind === "same" && own === undefined) continue;
    const raw = before === null ? null : editor.raw(before.text, at, name);
    entries.set(key, {
      clients: [...new Set([...own?.clients ?? [], client.id])],
      at: [...at.at],
      is_list: at.isList ?? false,
      made_keys: own?.made_keys ?? madeKeys,
      name,
      server: server.name,
      key: server.key,
      config: server.source.kind === "file" ? server.source.file : null,
      written: writtenHash(value),
      earlier: own === undefined ? raw : own.earlier,
    });
    madeKeys = 0;
  }
  const isWhole = first === null || first.after === now;
  return {
    schema: 1,
    path: real,
    made_folder: first === null ? madeFolder ?? known?.made_folder ?? null : first.made_folder,
    before: first === null ? now : first.before,
    after: sha256Hex(contentOf(before, text)),
    undo: isWhole && first?.undo !== null ? [...undoOf(earlier, steps), ...first?.undo ?? []] : null,
    entries: [...entries.values()],
  };
}

function writtenHash(value: unknown): string {
  return sha256Hex(canonicalJson(value));
}

/** Remembers that a further client reads an entry that is there already. @throws HostError */
async function noteClient(
  place: KeptPlace,
  known: KeptFile | null,
  { client, planned: { at, plan } }: { client: Client; planned: Planned },
): Promise<void> {
  const same = new Set(plan.changes.map(({ name }) => entryKey({ at: at.at, name })));
  const isNew = (entry: KeptEntry) => same.has(entryKey(entry)) && !entry.clients.includes(client.id);
  if (known === null || !known.entries.some(isNew)) return;
  const entries = known.entries.map((entry) =>
    isNew(entry) ? { ...entry, clients: [...entry.clients, client.id] } : entry
  );
  await writeKept(place, { ...known, entries });
}

function entryKey({ at, name }: { at: readonly string[]; name: string }): string {
  return JSON.stringify([at, name]);
}

/** From the last of the texts back to the first. */
function undoOf(earlier: string, steps: readonly string[]): UndoStep[] {
  return steps.map((after, index) => stepBack(steps[index - 1] ?? earlier, after)).toReversed();
}

function stepBack(before: string, after: string): UndoStep {
  const shorter = Math.min(before.length, after.length);
  let [from, end] = [0, 0];
  while (from < shorter && before.charCodeAt(from) === after.charCodeAt(from)) from++;
  while (
    end < shorter - from &&
    before.charCodeAt(before.length - 1 - end) === after.charCodeAt(after.length - 1 - end)
  ) end++;
  return { at: from, length: after.length - from - end, text: before.slice(from, before.length - end) };
}

/** The text before attach, null where that can't be told. */
function earlierText(now: SettingsText, { before, after, undo }: KeptFile): string | null {
  if (undo === null || hashOf(now) !== after) return null;
  let text = now.text;
  for (const step of undo) text = text.slice(0, step.at) + step.text + text.slice(step.at + step.length);
  return before === null || sha256Hex(contentOf(now, text)) === before ? text : null;
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

export interface RestoreOptions {
  stateFolder: string;
  /** What remains of an entry; null where it is to be given back. */
  remains(entry: KeptEntry): KeptEntry | null;
  /** Only looks, and says what would be done. */
  isDry?: boolean;
}

/** Gives back what was there before attach, of all entries or of some. @throws HostError */
export async function restoreFile(
  host: FileHost,
  path: string,
  options: RestoreOptions,
): Promise<RestoreResult> {
  return await underKeptLock(host, options.stateFolder, () => restoreUnderLock(host, path, options));
}

async function restoreUnderLock(
  host: FileHost,
  path: string,
  { stateFolder, remains, isDry = false }: RestoreOptions,
): Promise<RestoreResult> {
  const place: KeptPlace = { host, stateFolder };
  const nothing = { path, restored: [], left: [], problem: null };
  const read = await readKept(place, path);
  if (read.kind !== "kept") return { ...nothing, kind: "unchanged" };
  const { kept } = read;
  const own = kept.entries.filter((entry) => remains(entry) === null);
  const others = kept.entries.flatMap((entry) => remains(entry) ?? []);
  const names = own.map(({ name }) => name);
  const leftAll = (problem: string): RestoreResult => ({
    ...nothing,
    kind: "unchanged",
    left: names,
    problem,
  });
  try {
    for (let tries = 1; tries <= TRIES; tries++) {
      const now = await readSettings(host, path);
      if (now === null) {
        if (!isDry) await removeKept(place, path);
        return { ...nothing, kind: "gone" };
      }
      const { mode } = await targetOf(host, { path, scope: "user" });
      const earlier = others.length === 0 ? earlierText(now, kept) : null;
      if (isDry && earlier !== null) return { ...nothing, kind: "whole", restored: names };
      if (earlier !== null && kept.before === null) {
        await host.files.remove(path);
        await removeEmptyFolders(host.files, kept);
        await removeKept(place, path);
        return { ...nothing, kind: "whole", restored: names };
      }
      const { steps, restored, left } = earlier === null
        ? await withoutEntries(now.text, kept, { own, isLast: others.length === 0 })
        : { steps: [earlier], restored: names, left: [] };
      const text = steps.at(-1) ?? now.text;
      const kind = earlier !== null ? "whole" : text === now.text ? "unchanged" : "entries";
      if (isDry) return { ...nothing, kind, restored, left };
      const content = contentOf(now, text);
      const outcome = text === now.text
        ? "written"
        : await replaceContent(host, { path, real: path, before: now, content, mode });
      if (outcome !== "written") continue;
      if (others.length === 0) await removeKept(place, path);
      else {
        const undo = kept.undo !== null && hashOf(now) === kept.after
          ? [...undoOf(now.text, steps), ...kept.undo]
          : null;
        const entries = withMadeKeys(others, own);
        await writeKept(place, { ...kept, after: sha256Hex(content), undo, entries });
      }
      return { ...nothing, kind, restored, left };
    }
    return leftAll(TOO_BUSY);
  } catch (error) {
    if (!(error instanceof DefinitionError || error instanceof EntryFormError)) throw error;
    return leftAll(error.message.replace(`${path}: `, ""));
  }
}

/** The objects that were made for an entry that goes are those of one that stays beside it. */
function withMadeKeys(others: readonly KeptEntry[], gone: readonly KeptEntry[]): KeptEntry[] {
  return others.map((entry) => {
    const beside = gone.filter(({ at }) => at.join("\0") === entry.at.join("\0"));
    return { ...entry, made_keys: Math.max(entry.made_keys, ...beside.map(({ made_keys }) => made_keys)) };
  });
}

async function removeEmptyFolders(files: FileHost["files"], { path, made_folder }: KeptFile): Promise<void> {
  if (made_folder === null) return;
  for (let folder = dirname(path); folder.startsWith(made_folder); folder = dirname(folder)) {
    if ((await files.list(folder))?.length !== 0) return;
    await files.removeTree(folder);
  }
}

interface Restored {
  /** The text after each edit. */
  steps: string[];
  restored: string[];
  left: string[];
}

/** `isLast`: no other entry of attach's stays. @throws DefinitionError, EntryFormError */
async function withoutEntries(
  text: string,
  kept: KeptFile,
  { own, isLast }: { own: readonly KeptEntry[]; isLast: boolean },
): Promise<Restored> {
  const [steps, restored, left]: [string[], string[], string[]] = [[], [], []];
  const edit = async (file: SettingsFile, edit: EntryEdit) => {
    steps.push(await editEntries(steps.at(-1) ?? text, file, [edit]));
  };
  for (const entry of own) {
    const { at, is_list, name, written, earlier } = entry;
    const file = keptSettings(kept, entry);
    const now = entryIn(await parseSettings(steps.at(-1) ?? text, file), { at, isList: is_list, name });
    if (now === undefined) continue;
    if (writtenHash(now) !== written) {
      left.push(name);
      continue;
    }
    await edit(file, earlier === null ? { kind: "remove", name } : { kind: "restore", name, raw: earlier });
    restored.push(name);
  }
  if (!isLast) return { steps, restored, left };
  // The objects that attach made for its entries go with the last of them.
  for (const entry of own) {
    for (let depth = entry.at.length; depth > entry.at.length - entry.made_keys; depth--) {
      const at = entry.at.slice(0, depth);
      await edit({ ...keptSettings(kept, entry), isList: false }, { kind: "remove_empty", at });
    }
  }
  return { steps, restored, left };
}
