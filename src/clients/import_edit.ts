/**
 * Adds servers to the text of a definition file and leaves every other character of it alone, comments included.
 *
 * @module
 */
import type { WrittenServer } from "../definitions/schema.ts";

export type NewServers = Readonly<Record<string, WrittenServer>>;

/** A whole new definition file. */
export function newFile(servers: NewServers): string {
  return JSON.stringify({ servers }, null, 2) + "\n";
}

/** Adds to the `servers` of a well-formed text, making that section where there is none. */
export function addServers(text: string, servers: NewServers): string {
  if (Object.keys(servers).length === 0) return text;
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const unit = /^([ \t]+)\S/m.exec(text)?.[1] ?? "  ";
  const { file, section } = findObjects(text);
  const added = section === null
    ? insertInto(text, { ...file, members: members({ servers }, unit), unit })
    : insertInto(text, { ...section, members: members(servers, unit), unit });
  return eol === "\n" ? added : added.replaceAll(/\r?\n/g, eol);
}

/** What is added, line by line with a plus sign: what stood there before is nobody's business. */
export function addedLines(servers: NewServers): string {
  return members(servers, "  ").join(",\n").split("\n").map((line) => `+ ${line}\n`).join("");
}

/** `"name": {…}` for each, without the braces around them. */
function members(values: Readonly<Record<string, unknown>>, unit: string): string[] {
  return Object.entries(values).map(([name, value]) =>
    `${JSON.stringify(name)}: ${JSON.stringify(value, null, unit)}`
  );
}

interface Place {
  /** Offset of the closing brace. */
  close: number;
  /** End of the last token inside, comments apart. */
  lastEnd: number;
  /** That token. */
  last: string;
}

function insertInto(
  text: string,
  { close, lastEnd, last, members, unit }: Place & { members: string[]; unit: string },
): string {
  const lineStart = text.lastIndexOf("\n", close - 1) + 1;
  const outer = /^[ \t]*/.exec(text.slice(lineStart, close))?.[0] ?? "";
  const inner = outer + unit;
  const lines = members.map((member) => inner + member.replaceAll("\n", `\n${inner}`)).join(",\n");
  const comma = last === "{" || last === "," ? "" : ",";
  const between = text.slice(lastEnd, close).trimEnd();
  return `${text.slice(0, lastEnd)}${comma}${between}\n${lines}\n${outer}${text.slice(close)}`;
}

// Comments come first, so that quotes and brackets in them are passed over.
const TOKEN = /\/\/[^\n]*|\/\*[^]*?\*\/|"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"/]+/g;

function findObjects(text: string): { file: Place; section: Place | null } {
  const nothing: Place = { close: text.length, lastEnd: 0, last: "{" };
  let [file, section]: [Place, Place | null] = [nothing, null];
  let depth = 0;
  let key: string | null = null;
  let keyExpected = false;
  let [last, lastEnd] = ["{", 0];
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token.startsWith("//") || token.startsWith("/*")) continue;
    if (token === "{" || token === "[") depth++;
    if (token === "}" || token === "]") {
      if (depth === 2 && key === "servers") section = { close: index, lastEnd, last };
      if (depth === 1) file = { close: index, lastEnd, last };
      depth--;
    }
    if (depth === 1 && token.startsWith('"') && keyExpected) key = String(JSON.parse(token));
    if (depth === 1) keyExpected = token === "{" || token === ",";
    [last, lastEnd] = [token, index + token.length];
  }
  return { file, section };
}
