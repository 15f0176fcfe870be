/**
 * Changes single members of a JSON text and leaves every other character of it alone, comments included. The parser's
 * own edits are not used: they lay out the neighbours anew.
 *
 * @module
 */
import { createScanner, findNodeAtLocation, type Node, parseTree } from "jsonc-parser";
import { type EntryEditor, lineEndOf, withLineEnds } from "./entry_editor.ts";

export type Members = Readonly<Record<string, unknown>>;

export const jsonEditor: EntryEditor = {
  raw(text, { at }, name) {
    const value = memberOf(text, at, name)?.children?.[1];
    return value === undefined ? null : sliceOf(text, value);
  },
  set: (text, { at }, { name, value }) => {
    const there = memberOf(text, at, name)?.children?.[1];
    return there === undefined ? addMembers(text, at, { [name]: value }) : replace(text, there, value);
  },
  setRaw(text, { at }, { name, raw }) {
    const there = memberOf(text, at, name)?.children?.[1];
    if (there !== undefined) return spliced(text, there, raw);
    // A name that nothing in the text has holds the place of the raw value.
    const added = addMembers(text, at, { [name]: PLACEHOLDER });
    return added.replace(JSON.stringify(PLACEHOLDER), () => raw);
  },
  remove(text, { at }, name) {
    const member = memberOf(text, at, name);
    return member === undefined ? text : removed(text, member);
  },
  removeEmpty(text, at) {
    const member = memberOf(text, at.slice(0, -1), at.at(-1) ?? "");
    const isEmpty = member?.children?.[1]?.children?.length === 0;
    return member === undefined || !isEmpty ? text : removed(text, member);
  },
};

const PLACEHOLDER = "\uE000foster\uE000";

/** What is added, line by line with a plus sign: what stood there before is not shown. */
export function addedLines(members: Members): string {
  return membersOf(members, "  ").join(",\n").split("\n").map((line) => `+ ${line}\n`).join("");
}

/** Adds to the object at `path` of a well-formed text, after what stands there, making the objects that are missing. */
export function addMembers(text: string, path: readonly string[], members: Members): string {
  if (Object.keys(members).length === 0) return text;
  const root = treeOf(text);
  if (root === undefined) return addMembers("{}\n", path, members);
  let [object, missing, added] = [root, path, members];
  for (let depth = path.length; depth >= 0; depth--) {
    const found = findNodeAtLocation(root, path.slice(0, depth));
    if (found === undefined) continue;
    [object, missing] = [found, path.slice(depth)];
    break;
  }
  for (const name of missing.toReversed()) added = { [name]: added };
  return insertInto(text, object, membersOf(added, unitOf(text)));
}

function treeOf(text: string): Node | undefined {
  return parseTree(text, [], { allowTrailingComma: true });
}

/** The member of an object: its children are the name and the value. */
function memberOf(text: string, at: readonly string[], name: string): Node | undefined {
  const root = treeOf(text);
  return root === undefined ? undefined : findNodeAtLocation(root, [...at, name])?.parent;
}

function unitOf(text: string): string {
  return /^([ \t]+)\S/m.exec(text)?.[1] ?? "  ";
}

function sliceOf(text: string, { offset, length }: Node): string {
  return text.slice(offset, offset + length);
}

function spliced(text: string, { offset, length }: Node, content: string): string {
  return text.slice(0, offset) + content + text.slice(offset + length);
}

function replace(text: string, node: Node, value: unknown): string {
  const lineStart = text.lastIndexOf("\n", node.offset - 1) + 1;
  const outer = /^[ \t]*/.exec(text.slice(lineStart))?.[0] ?? "";
  const written = JSON.stringify(value, null, unitOf(text)).replaceAll("\n", `\n${outer}`);
  return spliced(text, node, withLineEnds(written, lineEndOf(text)));
}

/** `"name": {…}` for each, without the braces around them. */
function membersOf(values: Members, unit: string): string[] {
  return Object.entries(values).map(([name, value]) =>
    `${JSON.stringify(name)}: ${JSON.stringify(value, null, unit)}`
  );
}

/** After the last member, in the layout of the object: on its line, or on lines of their own. */
function insertInto(text: string, object: Node, members: readonly string[]): string {
  const close = object.offset + object.length - 1;
  const last = object.children?.at(-1);
  const lastEnd = last === undefined ? object.offset + 1 : endOf(last);
  const comma = last === undefined ? null : commaAfter(text, { from: lastEnd, to: close });
  const from = comma === null ? lastEnd : comma + 1;
  const comments = text.slice(from, close).trimEnd();
  const blank = text.slice(from + comments.length, close);
  const own = text.slice(0, from) + (last === undefined || comma !== null ? "" : ",");
  const before = own + comments;
  const trailing = comma === null ? "" : ",";
  const isOneLine = last !== undefined && !text.slice(object.offset, close).includes("\n");
  if (isOneLine) {
    const inline = members.map((member) =>
      ` ${member.replaceAll(/,\n[ \t]*/g, ", ").replaceAll(/\n[ \t]*/g, "")}`
    ).join(",");
    return `${before}${inline}${trailing}${blank}${text.slice(close)}`;
  }
  const eol = lineEndOf(text);
  const outer = indentAt(text, close);
  const inner = outer + unitOf(text);
  const lines = members.map((member) => inner + withLineEnds(member, `${eol}${inner}`)).join(`,${eol}`);
  const after = blank.includes("\n") ? blank : eol + outer;
  return `${before}${eol}${lines}${trailing}${after}${text.slice(close)}`;
}

/** Of the line on which the offset is. */
function indentAt(text: string, offset: number): string {
  return /^[ \t]*/.exec(text.slice(text.lastIndexOf("\n", offset - 1) + 1, offset))?.[0] ?? "";
}

/** Without a member, with one of the commas beside it and the line that only it stood on. */
function removed(text: string, member: Node): string {
  const siblings = member.parent?.children ?? [];
  const index = siblings.indexOf(member);
  const before = siblings[index - 1];
  const close = member.parent === undefined ? text.length : endOf(member.parent) - 1;
  const comma = commaAfter(text, { from: endOf(member), to: close });
  const rest = text.slice(comma === null ? endOf(member) : comma + 1);
  const lineStart = text.lastIndexOf("\n", member.offset - 1) + 1;
  const isFirst = text.slice(lineStart, member.offset).trim() === "" && lineStart > 0;
  // What follows on its line stays on a line of its own: the one before may end with a comment.
  const isAlone = isFirst && /^[ \t]*(?:\r?\n|[}/])/.test(rest);
  const start = isAlone ? lineStart - (text.charAt(lineStart - 2) === "\r" ? 2 : 1) : member.offset;
  const isLast = index === siblings.length - 1;
  const earlier = before === undefined || !isLast || comma !== null
    ? null
    : commaAfter(text, { from: endOf(before), to: member.offset });
  if (earlier === null) {
    const kept = text.slice(0, start);
    if (isAlone) return kept + rest;
    return isLast && before !== undefined
      ? kept.replace(/[ \t]+$/, "") + rest
      : kept + rest.replace(/^[ \t]+/, "");
  }
  const between = text.slice(earlier + 1, start);
  return text.slice(0, earlier) + (isAlone ? between : between.trimEnd()) + rest;
}

function endOf({ offset, length }: Node): number {
  return offset + length;
}

/** Where the comma after an offset stands, comments passed over; null where there is none. */
function commaAfter(text: string, { from, to }: { from: number; to: number }): number | null {
  const scanner = createScanner(text, true);
  scanner.setPosition(from);
  scanner.scan();
  const at = scanner.getTokenOffset();
  return at < to && text.charAt(at) === "," ? at : null;
}
