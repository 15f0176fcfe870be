/**
 * JSON with comments and trailing commas, in which no key may stand twice: definition files and clients' settings.
 *
 * @module
 */
import { type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";
import { DefinitionError } from "./definition_error.ts";
import { UNUSABLE_KEY } from "./plain_json.ts";

/** @throws DefinitionError with line and column where the text is malformed, or where a key stands twice. */
export function parseDefinitionText(text: string, file: string): unknown {
  const source = text.replace(/^\uFEFF/, "");
  const errors: ParseError[] = [];
  const root = treeOf(source, errors, file);
  const [error] = errors;
  if (error !== undefined) throw syntaxError(error, { source, file });
  if (root === undefined) return undefined;
  return toValue(root, { source, file, path: [] });
}

function treeOf(source: string, errors: ParseError[], file: string): Node | undefined {
  try {
    return parseTree(source, errors, { allowTrailingComma: true });
  } catch (cause) {
    // The parser calls itself for every level.
    if (!(cause instanceof RangeError)) throw cause;
    throw new DefinitionError("is nested too deeply", { file, cause });
  }
}

interface Text {
  source: string;
  file: string;
}

function syntaxError({ error, offset }: ParseError, { source, file }: Text): DefinitionError {
  const token = /^[^\s,:[\]{}]{1,30}|./.exec(source.slice(offset))?.[0];
  const what = token === undefined || printParseErrorCode(error).startsWith("UnexpectedEndOf")
    ? "the text ends too early"
    : `${shownToken(token)} is not expected here`;
  return new DefinitionError(`not valid JSON at ${lineAndColumn(source, offset)}: ${what}`, {
    file,
    hint:
      "comments and trailing commas are fine; check the quotes, commas and brackets just before that place",
  });
}

const SHOWN_TOKEN = 12;

/** A text, and what is long enough for one without its quotes, may be a secret. */
function shownToken(token: string): string {
  if (/^["']/.test(token)) return "a text";
  return token.length > SHOWN_TOKEN ? `${token.slice(0, 4)}…` : token;
}

/** Expects a tree without errors. The parser's own conversion silently keeps the last of two equal keys. */
function toValue(node: Node, at: Text & { path: readonly string[] }): unknown {
  switch (node.type) {
    case "array":
      return (node.children ?? []).map((each) => toValue(each, at));
    case "object": {
      const firstAt = new Map<string, number>();
      const value: Record<string, unknown> = {};
      for (const { children: [name, content] = [] } of node.children ?? []) {
        if (name === undefined || content === undefined) continue;
        const key = String(name.value);
        const path = [...at.path, key];
        const first = firstAt.get(key);
        if (first !== undefined || key === UNUSABLE_KEY) {
          throw keyError(first ?? null, { ...at, path, offset: name.offset });
        }
        firstAt.set(key, name.offset);
        value[key] = toValue(content, { ...at, path });
      }
      return value;
    }
    default:
      return node.value;
  }
}

/** `first` is where the same key stood before, null where the key may not stand anywhere. */
function keyError(
  first: number | null,
  { source, file, path, offset }: Text & { path: readonly string[]; offset: number },
): DefinitionError {
  const here = lineAndColumn(source, offset);
  const problem = first === null
    ? `at ${here} is a name that can't be used`
    : `is written twice, at ${lineAndColumn(source, first)} and at ${here}`;
  const hint = first === null ? "choose another name" : "keep one of the two, or rename one";
  const [section, server, ...keys] = path;
  if (server === undefined || (section !== "servers" && section !== "mcpServers")) {
    return new DefinitionError(problem, { file, key: path.join("."), hint });
  }
  return new DefinitionError(problem, { file, server, key: keys.length === 0 ? null : keys.join("."), hint });
}

function lineAndColumn(source: string, offset: number): string {
  const before = source.slice(0, offset).split("\n");
  return `line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
}
