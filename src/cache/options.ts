/**
 * Reads the options that stand before the first operand of a command line, for programs whose options are known.
 *
 * @module
 */

export interface OptionTable {
  /** Options that stand alone. */
  alone: readonly string[];
  /** Options whose value is the next argument, or follows a `=`. */
  valued: readonly string[];
  /** Beginnings of more options that stand alone. */
  prefixes?: readonly string[];
}

export interface OptionRead {
  name: string;
  value: string | null;
  /** The arguments that it was written as. */
  args: readonly string[];
}

export type OptionsRead =
  | { kind: "read"; options: OptionRead[]; rest: string[] }
  | { kind: "unknown_option"; option: string };

/**
 * Splits `args` at the first operand. An option that is in no table ends the reading: its value could be taken for the
 * operand, and the wrong thing would be fetched.
 */
export function readOptions(args: readonly string[], table: OptionTable): OptionsRead {
  const options: OptionRead[] = [];
  let at = 0;
  for (let arg = args[at]; arg !== undefined && arg.startsWith("-") && arg !== "-"; arg = args[at]) {
    if (arg === "--") return { kind: "read", options, rest: args.slice(at + 1) };
    const read = readOne(arg, args[at + 1], table);
    if (read === null) return { kind: "unknown_option", option: arg };
    options.push(read);
    at += read.args.length;
  }
  return { kind: "read", options, rest: args.slice(at) };
}

function readOne(arg: string, next: string | undefined, table: OptionTable): OptionRead | null {
  const { alone, valued, prefixes = [] } = table;
  if (alone.includes(arg) || prefixes.some((prefix) => arg.startsWith(prefix))) {
    return { name: arg, value: null, args: [arg] };
  }
  if (valued.includes(arg)) return next === undefined ? null : { name: arg, value: next, args: [arg, next] };
  const equals = arg.indexOf("=");
  if (equals > 0) {
    const name = arg.slice(0, equals);
    const known = alone.includes(name) || valued.includes(name);
    return known ? { name, value: arg.slice(equals + 1), args: [arg] } : null;
  }
  // -p3.12, or several letters such as -qq in one.
  const short = arg.slice(0, 2);
  if (!arg.startsWith("--") && valued.includes(short)) {
    return { name: short, value: arg.slice(2), args: [arg] };
  }
  const letters = arg.startsWith("--") ? [] : [...arg.slice(1)];
  if (letters.length > 1 && letters.every((letter) => alone.includes(`-${letter}`))) {
    return { name: arg, value: null, args: [arg] };
  }
  return null;
}
