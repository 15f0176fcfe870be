/**
 * The command line: options as data, read by one function.
 *
 * @module
 */
import { parseArgs } from "@std/cli";
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
  const parsed = parseArgs(argv, {
    boolean: known.filter((option) => option.kind === "flag").map((option) => option.name),
    string: ["_", ...known.filter((option) => option.kind !== "flag").map((option) => option.name)],
    collect: known.filter((option) => option.kind === "texts").map((option) => option.name),
    alias: Object.fromEntries(
      known.flatMap((option) => option.alias === undefined ? [] : [[option.name, option.alias]]),
    ),
    "--": true,
    unknown: (arg, key) => {
      if (key === undefined) return true;
      const close = closest(key, known.map((option) => option.name));
      throw new UsageError(
        `unknown option ${arg.split("=")[0]}`,
        close === null ? "" : `did you mean --${close}?`,
      );
    },
  });
  const values = new Map<string, string | boolean | readonly string[]>();
  for (const option of known) {
    const value = parsed[option.name];
    if (value === undefined || value === false) continue;
    if (value === "") throw new UsageError(`--${option.name} needs a value`);
    if (typeof value === "string" || typeof value === "boolean") values.set(option.name, value);
    else if (Array.isArray(value) && value.length > 0) values.set(option.name, value.map(String));
  }
  return new Args(parsed._.map(String), parsed["--"] ?? [], values);
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
