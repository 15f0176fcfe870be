/**
 * What may follow on a command line that is being typed.
 *
 * @module
 */
import { GLOBAL_OPTIONS, type OptionSpec } from "../args.ts";
import type { Context, Verb, VerbLoaders } from "../verb.ts";

export interface Candidate {
  text: string;
  /** What it is, for shells that show it. */
  summary: string;
}

/** What may stand in the place of the word that is being typed. */
export interface Expected {
  candidates: readonly Candidate[];
  servers: boolean;
  paths: "none" | "files" | "folders";
  /** Stands before each of them, as in `--config=FILE`. */
  prefix: string;
}

const NOTHING: Expected = { candidates: [], servers: false, paths: "none", prefix: "" };

/**
 * Decides what may follow `before` (the words after `foster`) where `current` is being typed. Loads no verb but the one
 * that is on the line; all of them with `describe`, which adds the summaries of verbs.
 */
export async function expectedWord(
  { before, current }: { before: readonly string[]; current: string },
  { verbs, describe }: { verbs: VerbLoaders; describe: boolean },
): Promise<Expected> {
  // bash takes `=` for a word of its own.
  const words = before.filter((word) => word !== "=");
  if (current === "=") return await expectedWord({ before: words, current: "" }, { verbs, describe });
  if (words.includes("--")) return { ...NOTHING, paths: "files" };
  const { verb, known } = await readVerb(words, verbs);
  const valued = valuedOption(words.at(-1), known);
  if (valued !== null) return expectedValue(valued);
  if (current.startsWith("--") && current.includes("=")) {
    const name = current.slice(0, current.indexOf("="));
    const option = valuedOption(name, known);
    return option === null ? NOTHING : { ...expectedValue(option), prefix: `${name}=` };
  }
  if (current.startsWith("-")) return { ...NOTHING, candidates: optionCandidates(known, verb === "none") };
  if (verb === "unknown") return NOTHING;
  return verb === "none" || verb === "help"
    ? { ...NOTHING, candidates: await verbCandidates(verbs, describe) }
    : expectedOperand(verb);
}

/** The names that can be given to a verb. A broken definition file takes its servers out, but not those with a record. */
export async function serverNames({ definitions, state }: Context): Promise<string[]> {
  const defined = await definitions().then((found) => found.names(), () => []);
  const records = await state.records();
  const recorded = records.map(({ key, stored }) => stored.kind === "record" ? stored.record.name : key);
  return [...new Set([...defined, ...recorded])];
}

async function readVerb(
  words: readonly string[],
  verbs: VerbLoaders,
): Promise<{ verb: Verb | "none" | "help" | "unknown"; known: readonly OptionSpec[] }> {
  const name = words.find((word, index) =>
    !word.startsWith("-") && valuedOption(words[index - 1], GLOBAL_OPTIONS) === null
  );
  if (name === undefined) return { verb: "none", known: GLOBAL_OPTIONS };
  if (name === "help") return { verb: "help", known: GLOBAL_OPTIONS };
  const load = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (load === undefined) return { verb: "unknown", known: GLOBAL_OPTIONS };
  const verb = await load();
  return { verb, known: [...verb.options, ...GLOBAL_OPTIONS] };
}

/** The option of this name or short form, if a value follows it. */
function valuedOption(word: string | undefined, known: readonly OptionSpec[]): OptionSpec | null {
  const found = known.find(({ name, alias }) => word === `--${name}` || word === `-${alias}`);
  return found === undefined || found.kind === "flag" ? null : found;
}

function expectedValue({ value, values = [] }: OptionSpec): Expected {
  if (values.length > 0) {
    return { ...NOTHING, candidates: values.map((text) => ({ text, summary: "" })) };
  }
  const paths = value === "FILE" ? "files" : value === "DIR" || value === "PATH" ? "folders" : "none";
  return { ...NOTHING, paths, servers: value === "NAME" };
}

/** By the verb's usage line: alternatives in small letters, NAME for servers, FILE for a file. */
function expectedOperand({ usage }: Verb): Expected {
  const operands = usage.replace(/\[?--[^\]]*\]?…?/g, "");
  const words = operands.match(/\b[a-z]+(?:\|[a-z]+)+\b/)?.[0].split("|") ?? [];
  return {
    ...NOTHING,
    candidates: words.map((text) => ({ text, summary: "" })),
    servers: /\bNAME\b/.test(operands),
    paths: /\bFILE\b/.test(operands) ? "files" : "none",
  };
}

function optionCandidates(known: readonly OptionSpec[], withVersion: boolean): Candidate[] {
  const listed = known.flatMap(({ name, alias, summary }) => [
    { text: `--${name}`, summary },
    ...alias === undefined ? [] : [{ text: `-${alias}`, summary }],
  ]);
  return withVersion ? [...listed, { text: "--version", summary: "the version" }] : listed;
}

async function verbCandidates(verbs: VerbLoaders, describe: boolean): Promise<Candidate[]> {
  return await Promise.all(
    Object.entries(verbs).map(async ([text, load]) => ({
      text,
      summary: describe ? (await load()).summary : "",
    })),
  );
}
