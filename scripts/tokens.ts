/**
 * Splits TypeScript into tokens, as far as a check of names and imports needs it: comments are left out, and what
 * stands in strings, templates and regular expressions is never taken for code.
 *
 * @module
 */

export interface Token {
  /** A name or number, a text in quotes (`text` is its content), a regular expression, or one other character. */
  kind: "word" | "string" | "regex" | "sign";
  text: string;
  /** Counted from 1. */
  line: number;
}

/** After these words a slash begins a regular expression. */
const beforeRegex = new Set(
  "return typeof case in of do else void delete instanceof new throw await yield".split(" "),
);

const word = /#?[\p{ID_Start}$_\d][\p{ID_Continue}$\u200c\u200d]*/uy;
const comment = /\/\/[^\n]*|\/\*[\s\S]*?\*\//y;
const quoted = /"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'/y;
const regex = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
/** A part of a template: up to its end or to an expression in it. */
const templatePart = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*(`|\$\{)/y;

export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  /** For each open template: how many braces are open in its present expression. */
  const templates: number[] = [];
  let at = 0;
  let line = 1;

  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(source);
  };
  const skip = (text: string): void => {
    at += text.length;
    line += text.split("\n").length - 1;
  };
  const push = (kind: Token["kind"], { text, whole }: { text: string; whole: string }): void => {
    tokens.push({ kind, text, line });
    skip(whole);
  };
  const readTemplate = (): void => {
    const part = match(templatePart);
    if (part === null) throw new Error(`line ${line}: a template without an end`);
    push("string", { text: part[0].slice(0, -(part[1] ?? "").length), whole: part[0] });
    if (part[1] === "${") templates.push(0);
  };

  while (at < source.length) {
    const char = source.charAt(at);
    if (/\s/.test(char)) {
      skip(char);
      continue;
    }
    const passed = match(comment);
    if (passed !== null) {
      skip(passed[0]);
      continue;
    }
    const text = match(quoted);
    if (text !== null) {
      push("string", { text: text[0].slice(1, -1), whole: text[0] });
      continue;
    }
    const name = match(word);
    if (name !== null) {
      push("word", { text: name[0], whole: name[0] });
      continue;
    }
    const expression = char === "/" && mayBeginRegex(tokens.at(-1)) ? match(regex) : null;
    if (expression !== null) {
      push("regex", { text: expression[0], whole: expression[0] });
      continue;
    }
    const depth = templates.at(-1);
    if (char === "`") {
      skip(char);
      readTemplate();
    } else if (char === "}" && depth === 0) {
      templates.pop();
      skip(char);
      readTemplate();
    } else {
      if (depth !== undefined && char === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && char === "}") templates[templates.length - 1] = depth - 1;
      push("sign", { text: char, whole: char });
    }
  }
  return tokens;
}

function mayBeginRegex(before: Token | undefined): boolean {
  switch (before?.kind) {
    case undefined:
      return true;
    case "word":
      return beforeRegex.has(before.text);
    case "string":
    case "regex":
      return false;
    case "sign":
      return !")]}".includes(before.text);
  }
}
