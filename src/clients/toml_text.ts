/**
 * Inserts and removes whole tables of a TOML text and leaves every other character of it alone.
 *
 * @module
 */
import { parse, stringify } from "smol-toml";
import { isObject } from "../base/json.ts";
import { type EntryEditor, type EntryPlace, lineEndOf, withLineEnds } from "./entry_editor.ts";

/** @throws Error where the text is malformed */
export const parseToml: (text: string) => unknown = parse;

export const tomlEditor: EntryEditor = {
  raw(text, place, name) {
    const block = blockOf(text, [...place.at, name]);
    return block === null ? null : text.slice(block.start, block.end);
  },
  set(text, place, { name, value }) {
    return put(text, { place, name, block: withLineEnds(rendered(place, name, value), lineEndOf(text)) });
  },
  setRaw: (text, place, { name, raw }) => put(text, { place, name, block: raw }),
  remove(text, place, name) {
    const block = blockOf(text, [...place.at, name]);
    if (block === null) return text;
    const before = text.slice(0, block.start);
    // The empty line that sets the table off goes with it.
    const kept = /(?:\r?\n){2}$/.test(before) ? before.replace(/\r?\n$/, "") : before;
    return kept + text.slice(block.end);
  },
  // The tables above an entry have no lines of their own.
  removeEmpty: (text) => text,
};

function put(
  text: string,
  { place, name, block }: { place: EntryPlace; name: string; block: string },
): string {
  const there = blockOf(text, [...place.at, name]);
  if (there !== null) return text.slice(0, there.start) + block + text.slice(there.end);
  const eol = lineEndOf(text);
  const end = text === "" || text.endsWith("\n") ? "" : eol;
  const gap = text.trim() === "" ? "" : eol;
  return text + end + gap + block;
}

/** A table with its tables below, as smol-toml writes them; simple values stay on one line. */
function rendered({ at }: EntryPlace, name: string, value: unknown): string {
  let nested: unknown = value;
  for (const key of [...at, name].toReversed()) nested = { [key]: nested };
  const text = stringify(nested as Record<string, unknown>);
  // The tables above hold nothing: they need no line of their own.
  return text.replace(/^(?:\[[^\]]*\]\n(?=\s*\[))+/, "").trimStart().replace(/\s*$/, "\n");
}

interface Block {
  start: number;
  end: number;
}

/** Where the table of this path stands, with those below it that follow at once; null where it has no table. */
function blockOf(text: string, path: readonly string[]): Block | null {
  const headers = headersOf(text);
  const first = headers.findIndex(({ keys }) => keys.join("\0") === path.join("\0"));
  const header = headers[first];
  if (header === undefined) return null;
  let next = first + 1;
  while (headers[next]?.keys.slice(0, path.length).join("\0") === path.join("\0")) next++;
  const limit = headers[next]?.start ?? text.length;
  // Empty lines and comments before the next table belong to that.
  const body = text.slice(header.start, limit);
  const last = /(?:^|\n)[ \t]*(?:(?:#[^\n]*)?(?:\r?\n|$)[ \t]*)*$/.exec(body);
  const end = last === null ? limit : header.start + last.index + (body.charAt(last.index) === "\n" ? 1 : 0);
  return { start: header.start, end };
}

interface Header {
  keys: string[];
  /** Of its line. */
  start: number;
}

// Strings and comments come first, so that brackets in them are passed over.
const TOKEN = /"""(?:\\[^]|[^\\])*?"""|'''[^]*?'''|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|#[^\n]*|[[\]{}]|\n/g;

function headersOf(text: string): Header[] {
  const headers: Header[] = [];
  let [depth, lineStart, isHeader] = [0, 0, false];
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token === "\n") {
      if (isHeader) headers.push(...headerOf(text.slice(lineStart, index), lineStart));
      if (isHeader) depth = 0;
      [lineStart, isHeader] = [index + 1, false];
    } else if (token === "[" || token === "{") {
      if (depth === 0 && text.slice(lineStart, index).trim() === "") isHeader = true;
      depth++;
    } else if (token === "]" || token === "}") depth = Math.max(0, depth - 1);
  }
  if (isHeader) headers.push(...headerOf(text.slice(lineStart), lineStart));
  return headers;
}

/** The parser itself says which keys a header has. */
function headerOf(line: string, start: number): Header[] {
  try {
    const keys: string[] = [];
    let value: unknown = parse(line.trim());
    while (isObject(value) || Array.isArray(value)) {
      const inner: unknown = Array.isArray(value) ? value[0] : value;
      const [key, ...more] = isObject(inner) ? Object.keys(inner) : [];
      if (key === undefined || more.length > 0 || !isObject(inner)) break;
      keys.push(key);
      value = inner[key];
    }
    return [{ keys, start }];
  } catch {
    return [];
  }
}
