/**
 * Inserts and removes whole entries of a YAML mapping or list and leaves every other character of the text alone.
 *
 * @module
 */
import {
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parse,
  parseDocument,
  type Scalar,
  stringify,
} from "yaml";
import {
  type EntryEditor,
  EntryFormError,
  type EntryPlace,
  lineEndOf,
  withLineEnds,
} from "./entry_editor.ts";

/**
 * Here, since a package of the older module form that is itself loaded late comes without its names in the binary.
 *
 * @throws Error where the text is malformed
 */
export const parseYaml: (text: string) => unknown = (text) => parse(text);

export const yamlEditor: EntryEditor = {
  raw(text, place, name) {
    const item = find(text, place)?.items.find((each) => each.name === name);
    return item === undefined ? null : text.slice(item.start, item.end);
  },
  set(text, place, { name, value }) {
    const found = find(text, place);
    const indent = found?.indent ?? "  ";
    const lines = place.isList ? stringify([value], STYLE) : stringify({ [name]: value }, STYLE);
    const raw = withLineEnds(lines.replaceAll(/^(?=.)/gm, indent), lineEndOf(text));
    return put(text, { place, name, raw });
  },
  setRaw: (text, place, { name, raw }) => put(text, { place, name, raw }),
  remove(text, place, name) {
    const found = find(text, place);
    const item = found?.items.find((each) => each.name === name);
    if (found === null || item === undefined) return text;
    return text.slice(0, item.start) + text.slice(item.end);
  },
  removeEmpty(text, at) {
    const found = find(text, { at });
    if (found?.empty === undefined) return text;
    const lines = linesOf(text, found.empty.keyStart, found.end);
    return text.slice(0, lines.start) + text.slice(lines.end);
  },
};

const STYLE = { lineWidth: 0, indentSeq: true } as const;

function put(text: string, { place, name, raw }: { place: EntryPlace; name: string; raw: string }): string {
  const eol = lineEndOf(text);
  const found = find(text, place);
  const there = found?.items.find((each) => each.name === name);
  if (there !== undefined) return text.slice(0, there.start) + raw + text.slice(there.end);
  if (found?.empty !== undefined) {
    // A comment stays on the line of the key.
    const lineStop = /\r?\n|$/.exec(text.slice(found.end))?.index ?? 0;
    const head = text.slice(0, found.empty.start) + text.slice(found.end, found.end + lineStop);
    const rest = text.slice(found.end + lineStop).replace(/^\r?\n/, "");
    return head + eol + raw + rest;
  }
  if (found !== null) {
    return text.slice(0, found.end) + lineEnd(text, found.end, eol) + raw + text.slice(found.end);
  }
  return text + lineEnd(text, text.length, eol) + `${place.at.join(`:${eol}`)}:${eol}` + raw;
}

/** A line end where the text before has none. */
function lineEnd(text: string, at: number, eol: string): string {
  return at === 0 || text.charAt(at - 1) === "\n" ? "" : eol;
}

interface Item {
  name: string;
  /** Of the first line. */
  start: number;
  /** After the last line. */
  end: number;
}

interface Found {
  items: Item[];
  indent: string;
  /** Where a further item goes. */
  end: number;
  /** Nothing stands there: where its key and its value begin; `end` is then the value's end. */
  empty?: { keyStart: number; start: number };
}

/** Null where there is no such place. @throws EntryFormError where it is written in another style than lines */
function find(text: string, { at, isList = false }: EntryPlace): Found | null {
  const document = parseDocument(text, { keepSourceTokens: true });
  const pair = pairAt(document.contents, at);
  if (pair === null) return null;
  const { key, value: node } = pair;
  if (
    node === null || isScalar(node) && node.value === null || isCollection(node) && node.items.length === 0
  ) {
    const start = text.indexOf(":", key.range?.[1] ?? 0) + 1;
    const isWritten = isCollection(node) && node.range !== null && node.range !== undefined;
    const empty = { keyStart: key.range?.[0] ?? 0, start };
    return { items: [], indent: "  ", end: isWritten ? node.range?.[1] ?? start : start, empty };
  }
  if (!isCollection(node) || (isList ? !isSeq(node) : !isMap(node)) || node.flow) {
    throw new EntryFormError("its servers are written in braces or brackets");
  }
  const children: readonly unknown[] = node.items;
  const items = children.flatMap((child): Item[] => {
    const own = isList ? listItem(child) : mapItem(child);
    return own === null ? [] : [{ name: own.name, ...linesOf(text, own.start, own.end) }];
  });
  const first = items[0];
  const last = items.at(-1);
  if (first === undefined || last === undefined) {
    throw new EntryFormError("its list of servers is written in a way of its own");
  }
  return { items, indent: /^[ \t]*/.exec(text.slice(first.start))?.[0] ?? "", end: last.end };
}

function pairAt(root: unknown, at: readonly string[]): Pair<Scalar, Node | null> | null {
  let [node, found]: [unknown, Pair<Scalar, Node | null> | null] = [root, null];
  for (const name of at) {
    found = null;
    if (!isMap(node)) return null;
    for (const each of node.items) {
      if (isScalar(each.key) && String(each.key.value) === name) found = each as Pair<Scalar, Node | null>;
    }
    if (found === null) return null;
    node = found.value;
  }
  return found;
}

function mapItem(child: unknown): { name: string; start: number; end: number } | null {
  if (!isPair(child)) return null;
  const { key, value } = child as Pair<Node, Node | null>;
  if (!isScalar(key) || !key.range) return null;
  return { name: String(key.value), start: key.range[0], end: value?.range?.[1] ?? key.range[1] };
}

function listItem(child: unknown): { name: string; start: number; end: number } | null {
  if (!isMap(child) || !child.range) return null;
  return { name: String(child.get("name") ?? ""), start: child.range[0], end: child.range[1] };
}

/** The whole lines of a range. */
function linesOf(text: string, start: number, end: number): { start: number; end: number } {
  const from = text.lastIndexOf("\n", start - 1) + 1;
  const isAtLineStart = end > 0 && text.charAt(end - 1) === "\n";
  const next = text.indexOf("\n", end);
  return { start: from, end: isAtLineStart ? end : next === -1 ? text.length : next + 1 };
}
