/**
 * What a verb is made of, and what it is given.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import type { StateFolder } from "../registry/store.ts";
import type { Definitions } from "../definitions/load.ts";
import type { Args, OptionSpec } from "./args.ts";
import type { ExitCode } from "./exit_codes.ts";
import type { Output } from "./output.ts";
import type { Trace } from "../lifecycle/trace.ts";

export interface Context {
  readonly host: Host;
  readonly output: Output;
  /** Null where nobody asked for it. */
  readonly trace: Trace | null;
  readonly state: StateFolder;
  /** Aborts with the exit code as its reason when the user interrupts. */
  readonly signal: AbortSignal;
  /** The folder that the user stands in, also through a task runner. */
  readonly callerFolder: string;
  /** The verbs for people, in the order of the help. */
  readonly verbs: VerbLoaders;
  /** Read on first use. @throws DefinitionError */
  definitions(): Promise<Definitions>;
}

/** Verbs by name, each loaded when it is asked for. */
export type VerbLoaders = Readonly<Record<string, () => Promise<Verb>>>;

export interface Verb {
  readonly name: string;
  readonly summary: string;
  /** What follows the name in the usage line. */
  readonly usage: string;
  readonly options: readonly OptionSpec[];
  /** Command lines without the leading `foster`, each with what it does. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Its arguments besides options, where they are no names: none, or a command line after `--`. */
  readonly operands?: "none" | "command";
  /** The verb itself sees to a second interrupt; else that one ends foster at once. */
  readonly handlesInterrupts?: true;
  /** Longer text for the verb's own help. */
  readonly details?: string;
  run(context: Context, args: Args): Promise<ExitCode>;
}
