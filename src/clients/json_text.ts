/**
 * Changes single members of a JSON text and leaves every other character of it alone, comments included. The parser's
 * own edits are not used: they lay out the neighbours anew.
 *
 * @module
 */
import { createScanner, findNodeAtLocation, type Node, parseTree } from "jsonc-parser";

/** What is added, line by line with a plus sign: what stood there before is not shown. */
export function addedLines(members: Members): string {
  return membersOf(members, "  ").join(",\n").split("\n").map((line) => `+ ${line}\n`).join("");
}

export type Members = Readonly<Record<string, unknown>>;

/** Adds to the object at `path` of a well-formed text, after what stands there, making the objects that are missing. */
export function addMembers(text: string, path: readonly string[], members: Members): string {
  if (Object.keys(members).length === 0) return text;
  const root = parseTree(text, [], { allowTrailingComma: true });
  if (root === undefined) return text;
  let [object, missing, added] = [root, path, members];
  for (let depth = path.length; depth >= 0; depth--) {
    const found = findNodeAtLocation(root, path.slice(0, depth));
    if (found === undefined) continue;
    [object, missing] = [found, path.slice(depth)];
    break;
  }
  for (const name of missing.toReversed()) added = { [name]: added };
  const unit = /^([ \t]+)\S/m.exec(text)?.[1] ?? "  ";
  const edited = insertInto(text, object, { members: membersOf(added, unit), unit });
  return text.includes("\r\n") ? edited.replaceAll(/\r?\n/g, "\r\n") : edited;
}

/** `"name": {…}` for each, without the braces around them. */
function membersOf(values: Members, unit: string): string[] {
  return Object.entries(values).map(([name, value]) =>
    `${JSON.stringify(name)}: ${JSON.stringify(value, null, unit)}`
  );
}

function insertInto(
  text: string,
  object: Node,
  { members, unit }: { members: readonly string[]; unit: string },
): string {
  const close = object.offset + object.length - 1;
  const last = object.children?.at(-1);
  const lastEnd = last === undefined ? object.offset + 1 : last.offset + last.length;
  const commaEnd = endOfComma(text, { from: lastEnd, to: close });
  const lineStart = text.lastIndexOf("\n", close - 1) + 1;
  const outer = /^[ \t]*/.exec(text.slice(lineStart, close))?.[0] ?? "";
  const inner = outer + unit;
  const lines = members.map((member) => inner + member.replaceAll("\n", `\n${inner}`)).join(",\n");
  const comma = last === undefined || commaEnd !== null ? "" : ",";
  const kept = commaEnd ?? lastEnd;
  const between = text.slice(kept, close).trimEnd();
  return `${text.slice(0, kept)}${comma}${between}\n${lines}\n${outer}${text.slice(close)}`;
}

/** The end of the first comma between two offsets, comments passed over; null where there is none. */
function endOfComma(text: string, { from, to }: { from: number; to: number }): number | null {
  const scanner = createScanner(text, true);
  scanner.setPosition(from);
  scanner.scan();
  const at = scanner.getTokenOffset();
  return at < to && text.charAt(at) === "," ? at + 1 : null;
}
