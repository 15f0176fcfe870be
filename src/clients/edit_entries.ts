/**
 * Changes single servers' entries in the text of a settings file, and nothing else.
 *
 * @module
 */
import { canonicalJson } from "../base/hash.ts";
import { isObject } from "../base/json.ts";
import { DefinitionError } from "../definitions/definition_error.ts";
import type { SettingsFile, Syntax } from "./client.ts";
import { type EntryEdit, type EntryEditor, EntryFormError, type EntryPlace } from "./entry_editor.ts";
import { parseSettings } from "./settings.ts";

export async function editorFor(syntax: Syntax): Promise<EntryEditor> {
  switch (syntax) {
    case "toml":
      return (await import("./toml_text.ts")).tomlEditor;
    case "yaml":
      return (await import("./yaml_text.ts")).yamlEditor;
    case "json":
    case "json_with_comments":
    case "jsonc":
      return (await import("./json_text.ts")).jsonEditor;
  }
}

/** As {@link editSteps}, the last of the texts. @throws EntryFormError, DefinitionError */
export async function editEntries(
  text: string,
  file: SettingsFile,
  edits: readonly EntryEdit[],
): Promise<string> {
  return (await editSteps(text, file, edits)).at(-1) ?? text;
}

/**
 * The text after each of the edits. What the parser reads from the last is what it read before, but for these entries:
 * edits that would change anything else are not made.
 *
 * @throws EntryFormError, DefinitionError
 */
export async function editSteps(
  text: string,
  file: SettingsFile,
  edits: readonly EntryEdit[],
): Promise<string[]> {
  if (edits.length === 0) return [];
  const editor = await editorFor(file.syntax);
  const before = await parseSettings(text, file);
  const steps: string[] = [];
  for (const edit of edits) steps.push(applied(steps.at(-1) ?? text, { editor, file, edit }));
  const after = await parseSettings(steps.at(-1) ?? text, file).catch((cause) => {
    if (!(cause instanceof DefinitionError)) throw cause;
    return undefined;
  });
  if (after === undefined || !areOnlyThese({ before, after }, file, edits)) {
    throw new EntryFormError("its servers are written in a form that foster does not edit");
  }
  return steps;
}

function applied(
  text: string,
  { editor, file, edit }: { editor: EntryEditor; file: SettingsFile; edit: EntryEdit },
): string {
  switch (edit.kind) {
    case "set":
      return editor.set(text, file, edit);
    case "restore":
      return editor.setRaw(text, file, edit);
    case "remove":
      return editor.remove(text, file, edit.name);
    case "remove_empty":
      return editor.removeEmpty(text, edit.at);
  }
}

function areOnlyThese(
  { before, after }: { before: unknown; after: unknown },
  { at, isList = false }: EntryPlace,
  edits: readonly EntryEdit[],
): boolean {
  const rest = (settings: unknown) =>
    edits.reduce(
      (kept, edit) =>
        without(
          kept,
          edit.kind === "remove_empty" ? { at: edit.at, isList, name: "" } : { at, isList, name: edit.name },
        ),
      settings,
    );
  return isSame(rest(before), rest(after)) && edits.every((edit) => {
    if (edit.kind === "remove_empty") return true;
    const now = entryIn(after, { at, isList, name: edit.name });
    if (edit.kind === "remove") return now === undefined;
    return edit.kind === "restore" ? now !== undefined : canonicalJson(now) === canonicalJson(edit.value);
  });
}

/** The order of keys means nothing. */
function isSame(one: unknown, other: unknown): boolean {
  if (Array.isArray(one)) {
    return Array.isArray(other) && one.length === other.length &&
      one.every((each, index) => isSame(each, other[index]));
  }
  if (isObject(one) && isObject(other) && isPlain(one) && isPlain(other)) {
    const keys = Object.keys(one);
    return keys.length === Object.keys(other).length &&
      keys.every((key) => Object.hasOwn(other, key) && isSame(one[key], other[key]));
  }
  return Object.is(one, other) || canonicalJson(one) === canonicalJson(other);
}

/** TOML has dates, which have no keys. */
function isPlain(value: Readonly<Record<string, unknown>>): boolean {
  const kind = Object.getPrototypeOf(value);
  return kind === Object.prototype || kind === null;
}

interface EntryPath {
  at: readonly string[];
  isList: boolean;
  name: string;
}

/** The settings without the entry; what is empty above it counts as not there. */
function without(settings: unknown, { at, isList, name }: EntryPath): unknown {
  const [key, ...below] = at;
  if (key === undefined) {
    if (isList) return Array.isArray(settings) ? settings.filter((each) => !isNamed(each, name)) : settings;
    return isObject(settings)
      ? Object.fromEntries(Object.entries(settings).filter(([own]) => own !== name))
      : settings;
  }
  if (!isObject(settings)) return settings;
  const inner = without(settings[key], { at: below, isList, name });
  const isNothing = inner === undefined || inner === null ||
    isObject(inner) && Object.keys(inner).length === 0 ||
    Array.isArray(inner) && inner.length === 0;
  const others = Object.fromEntries(Object.entries(settings).filter(([own]) => own !== key));
  return isNothing ? others : { ...others, [key]: inner };
}

/** The entry of the name, undefined where there is none. */
export function entryIn(settings: unknown, { at, isList, name }: EntryPath): unknown {
  let found = settings;
  for (const key of at) found = isObject(found) ? found[key] : undefined;
  if (isList) return Array.isArray(found) ? found.find((each) => isNamed(each, name)) : undefined;
  return isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
}

function isNamed(value: unknown, name: string): boolean {
  return isObject(value) && value["name"] === name;
}
