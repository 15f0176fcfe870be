/**
 * What there is to complete on a command line, from the verbs themselves, and the scripts made of it.
 *
 * @module
 */
import { GLOBAL_OPTIONS, type OptionSpec } from "../args.ts";
import { bashScript, fishScript, powershellScript, zshScript } from "./scripts.ts";
import type { Verb } from "../verb.ts";

export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;
export type Shell = typeof SHELLS[number];

/** What follows an option: nothing, or a value of which a shell may know the candidates. */
export type ValueKind = "none" | "file" | "folder" | "other";

export interface CompletedOption {
  /** `--timeout`, and `-n` where it has a short form. */
  long: string;
  short: string | null;
  summary: string;
  value: ValueKind;
  /** The candidates themselves, where they are few. */
  values: readonly string[];
}

export interface CompletedVerb {
  name: string;
  summary: string;
  options: CompletedOption[];
  /** Words that may follow it, apart from servers. */
  words: string[];
  /** Whether it takes servers' names. */
  servers: boolean;
  /** Whether it takes a file. */
  files: boolean;
}

export interface CompletionTable {
  verbs: CompletedVerb[];
  everywhere: CompletedOption[];
}

type Described = Pick<Verb, "name" | "summary" | "usage" | "options">;

export function completionTable(verbs: readonly Described[]): CompletionTable {
  return {
    verbs: verbs.map(({ name, summary, usage, options }) => ({
      name,
      summary,
      options: options.map(completed),
      words: wordsOf(usage),
      servers: /\bNAME\b/.test(usage),
      files: /\bFILE\b/.test(usage),
    })),
    everywhere: GLOBAL_OPTIONS.map(completed),
  };
}

export function completionScript(shell: Shell, table: CompletionTable): string {
  switch (shell) {
    case "bash":
      return bashScript(table);
    case "zsh":
      return zshScript(table);
    case "fish":
      return fishScript(table);
    case "powershell":
      return powershellScript(table);
  }
}

function completed({ name, alias, summary, kind, value, values = [] }: OptionSpec): CompletedOption {
  return {
    long: `--${name}`,
    short: alias === undefined ? null : `-${alias}`,
    summary,
    value: kind === "flag" ? "none" : value === "FILE" ? "file" : isFolder(value) ? "folder" : "other",
    values,
  };
}

function isFolder(value: string | undefined): boolean {
  return value === "DIR" || value === "PATH";
}

/** The alternatives in small letters that a usage line names: `[processes|ports]`. */
function wordsOf(usage: string): string[] {
  return usage.match(/\b[a-z]+(?:\|[a-z]+)+\b/)?.[0].split("|") ?? [];
}
