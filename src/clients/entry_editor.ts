/**
 * What edits of one syntax are, and the edits themselves as data.
 *
 * @module
 */
import type { SettingsFile } from "./client.ts";

export type EntryPlace = Pick<SettingsFile, "at" | "isList">;

/** Edits of one syntax. A text is without its byte order mark. */
export interface EntryEditor {
  /** The entry as it is written, null where there is none, or none that can be edited by itself. */
  raw(text: string, place: EntryPlace, name: string): string | null;
  set(text: string, place: EntryPlace, entry: { name: string; value: Record<string, unknown> }): string;
  /** As `set`, with what `raw` gave. */
  setRaw(text: string, place: EntryPlace, entry: { name: string; raw: string }): string;
  remove(text: string, place: EntryPlace, name: string): string;
  /** Without the empty object or list at this path. */
  removeEmpty(text: string, at: readonly string[]): string;
}

/** The settings are right and written in a form in which no entry can be edited by itself. */
export class EntryFormError extends Error {
  override readonly name = "EntryFormError";
}

export type EntryEdit =
  | { kind: "set"; name: string; value: Record<string, unknown> }
  | { kind: "restore"; name: string; raw: string }
  | { kind: "remove"; name: string }
  /** `at`: the keys that lead to an object or a list in which nothing stands. */
  | { kind: "remove_empty"; at: readonly string[] };

/** Of the first line; where there is none, that of new files. */
export function lineEndOf(text: string): string {
  return /\r?\n/.exec(text)?.[0] ?? "\n";
}

/** For text of foster's own only: what a user wrote keeps the line ends that it has. */
export function withLineEnds(text: string, lineEnd: string): string {
  return text.replaceAll(/\r?\n/g, lineEnd);
}
