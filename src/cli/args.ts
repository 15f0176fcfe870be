/**
 * The command line: options as data, read by one function.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { parseDuration } from "../base/duration.ts";
import { closest } from "../base/suggest.ts";

export type OptionKind = "flag" | "text" | "number" | "duration" | "texts";

export interface OptionSpec {
  name: string;
  kind: OptionKind;
  /** What stands for the value in the help, e.g. `D`. */
  value?: string;
  /** All that the value may be, where they are few: for completions. */
  values?: readonly string[];
  alias?: string;
  summary: string;
}

/** Wrong usage: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly code = "usage";
  constructor(message: string, readonly hint = "") {
    super(message);
  }
}

export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { name: "json", kind: "flag", summary: "print JSON on stdout" },
  { name: "config", kind: "text", value: "FILE", summary: "the definition file" },
  { name: "state-dir", kind: "text", value: "DIR", summary: "the state folder" },
  { name: "quiet", kind: "flag", alias: "q", summary: "no talk on stderr" },
  { name: "verbose", kind: "flag", alias: "v", summary: "say what is being done and how long it took" },
  { name: "no-color", kind: "flag", summary: "no colours (NO_COLOR does the same)" },
  { name: "help", kind: "flag", alias: "h", summary: "this help" },
];

/** The options' values as given on one command line. */
export class Args {
  constructor(
    readonly names: readonly string[],
    readonly rest: readonly string[],
    private readonly values: ReadonlyMap<string, string | boolean | readonly string[]>,
  ) {}

  /** The same command line, with the arguments after `--` as names. */
  withRestAsNames(): Args {
    return this.rest.length === 0 ? this : new Args([...this.names, ...this.rest], [], this.values);
  }

  flag(name: string): boolean {
    return this.values.get(name) === true;
  }

  text(name: string): string | null {
    const value = this.values.get(name);
    return typeof value === "string" ? value : null;
  }

  texts(name: string): readonly string[] {
    const value = this.values.get(name);
    return Array.isArray(value) ? value : [];
  }

  /** Milliseconds. @throws UsageError */
  duration(name: string): number | null {
    const text = this.text(name);
    if (text === null) return null;
    const ms = parseDuration(text);
    if (ms === null) {
      throw new UsageError(`--${name} ${text} is not a duration`, "durations are written 250ms, 5s or 2m");
    }
    return ms;
  }

  /** A whole number within the limits. @throws UsageError */
  number(name: string, { min, max }: { min: number; max: number }): number | null {
    const text = this.text(name);
    if (text === null) return null;
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < min || value > max) {
      throw new UsageError(`--${name} ${text} is not a whole number from ${min} to ${max}`);
    }
    return value;
  }

  /** The only name. @throws UsageError where there is none or more than one */
  oneName(what = "server"): string {
    const [name, more] = this.names;
    if (name === undefined) throw new UsageError(`which ${what}?`, "foster ps lists what is running");
    if (more !== undefined) throw new UsageError(`one ${what} at a time: ${this.names.join(", ")}`);
    return name;
  }
}

/** @throws UsageError for an unknown option or a missing value */
export function readArgs(argv: readonly string[], options: readonly OptionSpec[]): Args {
  const known = [...options, ...GLOBAL_OPTIONS];
  const byName = new Map(known.map((option) => [option.name, option]));
  for (const option of known) if (option.alias !== undefined) byName.set(option.alias, option);
  refuseNegative(argv, byName);
  const values = new Map<string, string | boolean | readonly string[]>();
  const names: string[] = [];
  const rest: string[] = [];
  const end = argv.indexOf("--");
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(known.map(({ name, kind, alias }) => [name, {
      type: kind === "flag" ? "boolean" : "string",
      multiple: kind === "texts",
      ...alias === undefined ? {} : { short: alias },
    }])),
  });
  for (const token of tokens) {
    if (token.kind === "positional") {
      (end !== -1 && token.index > end ? rest : names).push(token.value);
    } else if (token.kind === "option") {
      const option = byName.get(token.name);
      if (option === undefined) throw unknownOption(token, known);
      setValue(values, option, token);
    }
  }
  return new Args(names, rest, values);
}

interface OptionToken {
  name: string;
  rawName: string;
  value?: string | undefined;
  inlineValue?: boolean | undefined;
}

function setValue(
  values: Map<string, string | boolean | readonly string[]>,
  { name, kind }: OptionSpec,
  { value, inlineValue }: OptionToken,
): void {
  if (kind === "flag") {
    if (value !== "false") values.set(name, true);
    return;
  }
  // What looks like an option is none's value, but for a lone dash.
  const isMissing = value === undefined || value === "" || (inlineValue === false && /^-./.test(value));
  if (isMissing) throw new UsageError(`--${name} needs a value`);
  const earlier = values.get(name);
  values.set(name, kind === "texts" ? [...Array.isArray(earlier) ? earlier : [], value] : value);
}

function unknownOption({ name, rawName }: OptionToken, known: readonly OptionSpec[]): UsageError {
  const close = closest(name, known.map((option) => option.name));
  return new UsageError(`unknown option ${rawName}`, close === null ? "" : `did you mean --${close}?`);
}

/** The reader of options would take `-5` for an option of its own. */
function refuseNegative(argv: readonly string[], byName: ReadonlyMap<string, OptionSpec>): void {
  const end = argv.indexOf("--");
  argv.slice(0, end === -1 ? undefined : end).forEach((value, index, all) => {
    const typed = all[index - 1] ?? "";
    const option = /^-\d/.test(value) ? byName.get(typed.replace(/^--?/, "")) : undefined;
    if (option === undefined || !typed.startsWith("-")) return;
    if (option.kind === "number") throw new UsageError(`${typed} takes a whole number, not ${value}`);
    if (option.kind === "duration") {
      throw new UsageError(`${typed} takes a duration such as 5s, not ${value}`);
    }
  });
}
