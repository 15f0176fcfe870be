/**
 * The text of a definition file: JSON with comments and trailing commas, in which no key may stand twice.
 *
 * @module
 */
import { parse } from "@std/jsonc";
import { DefinitionError } from "./definition_error.ts";

/** @throws DefinitionError with line and column where the text is malformed, or where a key stands twice. */
export function parseDefinitionText(text: string, file: string): unknown {
  const source = text.replace(/^\uFEFF/, "");
  let value: unknown;
  try {
    value = parse(source);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw syntaxError(cause, { source, file });
  }
  const misplaced = findMisplacedKey(source);
  if (misplaced !== null) throw keyError(misplaced, { source, file });
  return value;
}

interface Text {
  source: string;
  file: string;
}

function syntaxError(cause: SyntaxError, { source, file }: Text): DefinitionError {
  const position = / at position (\d+)$/.exec(cause.message)?.[1];
  const offset = position === undefined ? source.length : Number(position);
  const token = /^[^\s,:[\]{}]{1,30}|./.exec(source.slice(offset))?.[0];
  const what = token === undefined ? "the text ends too early" : `${token} is not expected here`;
  return new DefinitionError(`not valid JSON at ${lineAndColumn(source, offset)}: ${what}`, {
    file,
    hint:
      "comments and trailing commas are fine; check the quotes, commas and brackets just before that place",
    cause,
  });
}

interface MisplacedKey {
  /** Keys that lead to the object, then the key itself. */
  path: string[];
  /** Where the same key stood before; null where the key may not stand anywhere. */
  firstOffset: number | null;
  offset: number;
}

function keyError({ path, firstOffset, offset }: MisplacedKey, { source, file }: Text): DefinitionError {
  const here = lineAndColumn(source, offset);
  const problem = firstOffset === null
    ? `at ${here} is a name that can't be used`
    : `is written twice, at ${lineAndColumn(source, firstOffset)} and at ${here}`;
  const hint = firstOffset === null ? "choose another name" : "keep one of the two, or rename one";
  const [section, server, ...keys] = path;
  if (server === undefined || (section !== "servers" && section !== "mcpServers")) {
    return new DefinitionError(problem, { file, key: path.join("."), hint });
  }
  return new DefinitionError(problem, { file, server, key: keys.length === 0 ? null : keys.join("."), hint });
}

// Comments come first, so that quotes and brackets in them are passed over.
const TOKEN = /\/\/[^\n]*|\/\*[^]*?\*\/|"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

interface Frame {
  /** Where each key of an object first stood; null for an array. */
  keys: Map<string, number> | null;
  key: string | null;
}

// Objects made from JSON lose this key on the way, or take it for their prototype.
const UNUSABLE = "__proto__";

/** Expects well-formed text. A JSON parser itself silently keeps the last of two equal keys. */
function findMisplacedKey(source: string): MisplacedKey | null {
  const frames: Frame[] = [];
  let keyExpected = false;
  for (const { 0: token, index: offset } of source.matchAll(TOKEN)) {
    const frame = frames.at(-1);
    if (token === "{" || token === "[") {
      frames.push({ keys: token === "{" ? new Map() : null, key: null });
      keyExpected = token === "{";
    } else if (token === "}" || token === "]") {
      frames.pop();
      keyExpected = false;
    } else if (token === ",") {
      keyExpected = (frame?.keys ?? null) !== null;
    } else if (token.startsWith('"') && keyExpected && frame?.keys) {
      const key = String(JSON.parse(token));
      const firstOffset = frame.keys.get(key) ?? null;
      if (firstOffset !== null || key === UNUSABLE) {
        const outer = frames.slice(0, -1).flatMap((each) => each.key ?? []);
        return { path: [...outer, key], firstOffset, offset };
      }
      frame.keys.set(key, offset);
      frame.key = key;
      keyExpected = false;
    }
  }
  return null;
}

function lineAndColumn(source: string, offset: number): string {
  const before = source.slice(0, offset).split("\n");
  return `line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
}
