/**
 * The command-line signature of a server: its name and one of its flags, looked for in argv tokens.
 *
 * @module
 */
import type { ServerDefinition } from "../../definitions/definition.ts";

export interface Signature {
  /** Spellings of the name, e.g. `godot-ai`; hyphens and underscores count as one. */
  names: readonly string[];
  /** Flags of which one must be there, e.g. `--pid-file`. */
  flags: readonly string[];
  /** Flags whose value is a path that may hold the name by chance: the value is not searched. */
  valueFlags?: readonly string[];
}

const PATH_FLAGS = ["--pid-file"];
const NO_SIGNATURE: Signature = { names: [], flags: [] };

/** Nothing carries the signature of a server without a definition. */
export function signatureOf(definition: Pick<ServerDefinition, "brand" | "brandFlags"> | null): Signature {
  return definition === null ? NO_SIGNATURE : { names: definition.brand, flags: definition.brandFlags };
}

/** Whether the command line carries the name and a flag. Without names, or without a command line, never. */
export function hasSignature(argv: readonly string[] | null, signature: Signature): boolean {
  if (argv === null || signature.names.length === 0) return false;
  const tokens = withoutValues(argv, signature.valueFlags ?? PATH_FLAGS);
  if (!tokens.some((token) => mentions(token, signature))) return false;
  if (signature.flags.length === 0) return true;
  return signature.flags.some((flag) => {
    const wanted = flag.toLowerCase();
    return tokens.some((token) => {
      const lower = token.toLowerCase();
      return lower === wanted || lower.startsWith(wanted + "=");
    });
  });
}

/** Whether one of the names stands in the text; an empty name stands nowhere. */
export function mentions(text: string, { names }: Pick<Signature, "names">): boolean {
  const folded = fold(text);
  return names.some((name) => name !== "" && folded.includes(fold(name)));
}

function fold(text: string): string {
  return text.toLowerCase().replaceAll("_", "-");
}

function withoutValues(argv: readonly string[], valueFlags: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const token = argv[index] ?? "";
    const lower = token.toLowerCase();
    const flag = valueFlags.find((name) => lower === name || lower.startsWith(name + "="));
    if (flag === undefined) {
      kept.push(token);
      continue;
    }
    kept.push(flag);
    if (lower === flag) index++;
  }
  return kept;
}

/**
 * The pid of the process that started this Python worker, null for any other process. Windows forgets the parent
 * of a process once that has ended; a worker's command line still names it.
 */
export function spawnMainParent(argv: readonly string[]): number | null {
  for (const arg of argv) {
    const match = /\bspawn_main\(parent_pid=(\d+)/.exec(arg);
    if (match !== null) return Number(match[1]);
  }
  return null;
}
