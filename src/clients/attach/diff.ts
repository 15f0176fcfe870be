/**
 * The difference between two texts of a settings file for people: changed lines alone, since what stands beside them is
 * not foster's to show, no value of a variable or a header, and of a neighbour on such a line its key alone.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";
import type { Client, Syntax } from "../client.ts";
import { readEntry } from "../entry.ts";
import { findSecrets } from "../import/secrets.ts";
import { referencePattern } from "../references.ts";

/** Lines of a unified diff without context; none where nothing changed. */
export function diffLines(before: string, after: string): string[] {
  const [one, other] = [linesOf(before), linesOf(after)];
  const lines: string[] = [];
  for (const { from, to, otherFrom, otherTo } of changesOf(one, other)) {
    lines.push(`@@ -${range(from, to)} +${range(otherFrom, otherTo)} @@`);
    lines.push(...one.slice(from, to).map((line) => `-${line}`));
    lines.push(...other.slice(otherFrom, otherTo).map((line) => `+${line}`));
  }
  return lines;
}

function linesOf(text: string): string[] {
  if (text === "") return [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** As diff writes it: an empty range names the line before it. */
function range(from: number, to: number): string {
  return to - from === 1 ? `${to}` : `${to === from ? from : from + 1},${to - from}`;
}

interface Change {
  from: number;
  to: number;
  otherFrom: number;
  otherTo: number;
}

/** Myers' greedy way: the fewest lines that differ. */
function changesOf(one: readonly string[], other: readonly string[]): Change[] {
  const trace: Map<number, number>[] = [];
  const furthest = new Map<number, number>([[1, 0]]);
  const at = (diagonal: number) => furthest.get(diagonal) ?? 0;
  const isDown = (diagonal: number, depth: number) =>
    diagonal === -depth || diagonal !== depth && at(diagonal - 1) < at(diagonal + 1);
  for (let depth = 0; depth <= one.length + other.length; depth++) {
    trace.push(new Map(furthest));
    for (let diagonal = -depth; diagonal <= depth; diagonal += 2) {
      let x = isDown(diagonal, depth) ? at(diagonal + 1) : at(diagonal - 1) + 1;
      while (x < one.length && x - diagonal < other.length && one[x] === other[x - diagonal]) x++;
      furthest.set(diagonal, x);
      if (x >= one.length && x - diagonal >= other.length) {
        return backtracked(one.length, other.length, trace);
      }
    }
  }
  return [];
}

function backtracked(length: number, otherLength: number, trace: readonly Map<number, number>[]): Change[] {
  const changes: Change[] = [];
  let [x, y] = [length, otherLength];
  for (let depth = trace.length - 1; depth > 0; depth--) {
    const furthest = trace[depth] ?? new Map<number, number>();
    const at = (diagonal: number) => furthest.get(diagonal) ?? 0;
    const diagonal = x - y;
    const isDown = diagonal === -depth || diagonal !== depth && at(diagonal - 1) < at(diagonal + 1);
    const fromX = at(isDown ? diagonal + 1 : diagonal - 1);
    const fromY = fromX - (isDown ? diagonal + 1 : diagonal - 1);
    const [toX, toY] = isDown ? [fromX, fromY + 1] : [fromX + 1, fromY];
    const next = changes.at(-1);
    if (next !== undefined && next.from === toX && next.otherFrom === toY) {
      [next.from, next.otherFrom] = [fromX, fromY];
    } else changes.push({ from: fromX, to: toX, otherFrom: fromY, otherTo: toY });
    [x, y] = [fromX, fromY];
  }
  return changes.toReversed();
}

/** What must not be shown of an entry: the values of its variables and headers, and secrets in its words. */
export function hiddenTexts(entry: unknown, { references }: Pick<Client, "references">): string[] {
  if (!isObject(entry)) return [];
  const pattern = referencePattern([...references, "prefixed"]);
  const { command, args, env, headers, url } = readEntry(entry);
  const words = [command ?? "", ...args, url ?? ""];
  const inWords = words.flatMap((word, index) => {
    const flag = /^--?([A-Za-z][\w.-]*)$/.exec(words[index - 1] ?? "")?.[1] ?? null;
    const name = word.startsWith("-") ? null : flag;
    return findSecrets(word, { name, references: pattern }).parts.map(({ start, end }) =>
      word.slice(start, end)
    );
  });
  const values = [...Object.values(env), ...Object.values(headers)].filter((value) =>
    value !== "" &&
    (pattern === null || /[A-Za-z0-9]/.test(value.replaceAll(pattern, "").replace(/^Bearer /, "")))
  );
  return [...new Set([...inWords, ...values])].sort((a, b) => b.length - a.length);
}

const HIDDEN = "…";
/** A shorter one may be part of any word. */
const HIDDEN_ANYWHERE = 6;

export function hide(line: string, hidden: readonly string[]): string {
  let shown = line;
  for (const text of hidden) {
    const written = JSON.stringify(text).slice(1, -1);
    for (const form of new Set([written, text])) {
      if (form.length >= HIDDEN_ANYWHERE) shown = shown.replaceAll(form, HIDDEN);
      else {
        shown = shown.replaceAll(`"${form}"`, `"${HIDDEN}"`).replaceAll(`'${form}'`, `'${HIDDEN}'`);
        if (new RegExp(`[:=]\\s*${RegExp.escape(form)}\\s*$`).test(shown)) {
          shown = shown.replace(/([:=]\s*)\S+(\s*)$/, `$1${HIDDEN}$2`);
        }
      }
    }
  }
  return shown;
}

/** Every text and number that stands in these values, keys included. */
export function ownTexts(values: readonly unknown[]): ReadonlySet<string> {
  const texts = new Set<string>();
  const add = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(add);
    else if (isObject(value)) {
      for (const [key, each] of Object.entries(value)) {
        texts.add(key);
        add(each);
      }
    } else if (value !== undefined) texts.add(String(value));
  };
  values.forEach(add);
  return texts;
}

/**
 * A line with every value in it left out that is not one of these: a comma after a neighbour makes its line a changed
 * one. Keys stay; comments go, since they may hold a value of earlier.
 */
export function onlyOwn(line: string, own: ReadonlySet<string>, syntax: Syntax): string {
  if (line.endsWith("\r")) return `${onlyOwn(line.slice(0, -1), own, syntax)}\r`;
  if (syntax === "yaml") return onlyOwnOfYaml(line, own);
  if (syntax !== "toml") return onlyOwnTokens(line, own, JSON_TOKENS);
  return /^\s*\[.*\]\s*(?:#.*)?$/.test(line)
    ? onlyOwnTokens(line, own, TOML_HEADER_TOKENS)
    : onlyOwnTokens(line, own, TOML_TOKENS);
}

// A text that does not end on its line counts as one, up to the end of the line.
const QUOTED = String.raw`"(?:[^"\\]|\\.)*(?:"|\\?$)`;
const JSON_TOKENS = new RegExp(
  String.raw`(?<comment>\/\/.*|\/\*.*?(?:\*\/|$))|(?<token>${QUOTED}|[^\s,:[\]{}"]+)(?<key>\s*:)?`,
  "g",
);
const TOML_TOKENS = new RegExp(
  String.raw`(?<comment>#.*)|(?<token>""".*$|'''.*$|${QUOTED}|'[^']*(?:'|$)|[^\s,=[\]{}"'#]+)(?<key>\s*=)?`,
  "g",
);
const TOML_HEADER_TOKENS = new RegExp(
  String.raw`(?<comment>#.*)|(?<token>${QUOTED}|'[^']*(?:'|$)|[^\s,.[\]{}"'#]+)(?<key>(?!))?`,
  "g",
);
/** Within brackets; a text without quotes may have blanks. */
const YAML_FLOW_TOKENS = new RegExp(
  String
    .raw`(?<comment>(?:(?<=\s)|^)#.*)|(?<token>${QUOTED}|'(?:[^']|'')*(?:'|$)|[^\s,[\]{}"'](?:[^,[\]{}:]|:(?!\s|$))*)(?<key>\s*:(?=\s|$)|(?<=["']):)?`,
  "g",
);
const YAML_KEY =
  /^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'#&*!|>%@`[{](?:[^#:]|:(?!\s|$)|(?<=\S)#)*?)\s*:(?:\s+|$)/;

function onlyOwnTokens(line: string, own: ReadonlySet<string>, tokens: RegExp): string {
  return line.replaceAll(tokens, (whole, ...groups) => {
    const { comment, token = "", key }: Record<string, string | undefined> = groups.at(-1);
    if (comment !== undefined) return comment.slice(0, comment.startsWith("#") ? 1 : 2) + HIDDEN;
    if (key !== undefined || own.has(unquoted(token))) return whole;
    const [quote = ""] = /^["']?/.exec(token) ?? [];
    return `${quote}${HIDDEN}${quote}`;
  });
}

function unquoted(token: string): string {
  const plain = token.trim();
  if (plain.startsWith("'")) return plain.slice(1, -1).replaceAll("''", "'");
  if (!plain.startsWith('"')) return plain;
  try {
    return String(JSON.parse(plain));
  } catch {
    return plain;
  }
}

function onlyOwnOfYaml(line: string, own: ReadonlySet<string>): string {
  const [, lead = "", rest = ""] = /^(\s*(?:-\s+)*)(.*)$/.exec(line) ?? [];
  const [key = ""] = YAML_KEY.exec(rest) ?? [];
  const value = rest.slice(key.length);
  if (/^[[{}\]"'#]/.test(value)) return lead + key + onlyOwnTokens(value, own, YAML_FLOW_TOKENS);
  const [text = ""] = value.split(/\s#/, 1);
  const isShown = text.trim() === "" || own.has(text.trim()) || /^[|>][-+\d]*\s*$/.test(text);
  return lead + key + (isShown ? text : HIDDEN) + (text === value ? "" : ` #${HIDDEN}`);
}
