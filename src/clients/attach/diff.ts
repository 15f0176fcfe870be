/**
 * The difference between two texts of a settings file for people: changed lines alone, since what stands beside them is
 * not foster's to show, and no value of a variable or a header.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";
import type { Client } from "../client.ts";
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
