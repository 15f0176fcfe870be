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

/**
 * The text with the edits done. What the parser reads from it is what it read before, but for these entries: an edit that
 * would change anything else is not made.
 *
 * @throws EntryFormError, DefinitionError
 */
export async function editEntries(
  text: string,
  file: SettingsFile,
  edits: readonly EntryEdit[],
): Promise<string> {
  if (edits.length === 0) return text;
  const editor = await editorFor(file.syntax);
  let edited = text;
  let before = await parseSettings(edited, file);
  for (const edit of edits) {
    const next = applied(edited, { editor, file, edit });
    const after = await parseSettings(next, file).catch((cause) => {
      if (!(cause instanceof DefinitionError)) throw cause;
      return undefined;
    });
    if (after === undefined || !isOnlyThis({ before, after }, file, edit)) {
      throw new EntryFormError("its servers are written in a form that foster does not edit");
    }
    edited = next;
    before = after;
  }
  return edited;
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

function isOnlyThis(
  { before, after }: { before: unknown; after: unknown },
  { at, isList = false }: EntryPlace,
  edit: EntryEdit,
): boolean {
  if (edit.kind === "remove_empty") {
    const pruned = (settings: unknown) => canonicalJson(without(settings, { at: edit.at, isList, name: "" }));
    return pruned(before) === pruned(after);
  }
  const kept = (settings: unknown) => canonicalJson(without(settings, { at, isList, name: edit.name }));
  if (kept(before) !== kept(after)) return false;
  const now = entryIn(after, { at, isList, name: edit.name });
  if (edit.kind === "remove") return now === undefined;
  return edit.kind === "restore" ? now !== undefined : canonicalJson(now) === canonicalJson(edit.value);
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
