/**
 * From a command line to an exit code.
 *
 * @module
 */
import type { Host, Interrupt } from "../host/host.ts";
import { stateFolderPath } from "../registry/paths.ts";
import { StateFolder } from "../registry/store.ts";
import type { Definitions } from "../definitions/load.ts";
import { type Args, GLOBAL_OPTIONS, readArgs, UsageError } from "./args.ts";
import { findCallerFolder } from "./caller_folder.ts";
import { EXIT, type ExitCode } from "./exit_codes.ts";
import { Output } from "./output.ts";
import { describeFailure, failureDocument } from "./problems.ts";
import type { Context, Verb } from "./verb.ts";
import { versionDocument, versionLine } from "./version_text.ts";
import { ELSEWHERE, HIDDEN_VERBS, VERBS } from "./verbs.ts";

/** Runs one command line. Never throws: what goes wrong is said and becomes the exit code. */
export async function runFoster(host: Host, argv: readonly string[]): Promise<ExitCode> {
  const json = argv.includes("--json");
  const plain = new Output(host.terminal, { json, quiet: false, verbose: false, color: false });
  try {
    return await dispatch(host, argv, plain);
  } catch (error) {
    const failure = describeFailure(error, argv.includes("--verbose"));
    if (json) plain.document(failureDocument(failure));
    plain.problem(failure.hint === "" ? failure.message : `${failure.message}\n  ${failure.hint}`);
    return failure.exitCode;
  }
}

async function dispatch(host: Host, argv: readonly string[], plain: Output): Promise<ExitCode> {
  const [first, ...rest] = argv;
  if (first === undefined || first === "help" || first === "--help" || first === "-h") {
    return await showHelp(plain, rest[0]);
  }
  if (first === "--version" || first === "-V") return showVersion(host, plain, argv);
  // Global options may stand before the verb.
  const at = argv.findIndex((arg, index) => !arg.startsWith("-") && !isValueOf(argv[index - 1]));
  const name = argv[at];
  if (name === undefined) throw new UsageError("which verb?", "foster --help lists them");
  const verb = await findVerb(name);
  const args = readArgs([...argv.slice(0, at), ...argv.slice(at + 1)], verb.options);
  if (args.flag("help")) return await showHelp(plain, name);
  return await runVerb(host, { verb, args: operandsOf(verb, args) });
}

/** A name may begin with a dash, and then stands after `--`. @throws UsageError */
function operandsOf({ name, operands }: Verb, args: Args): Args {
  if (operands === "command") return args;
  const all = args.withRestAsNames();
  if (operands === "none" && all.names.length > 0) {
    throw new UsageError(`${name} takes no names: ${all.names.join(", ")}`);
  }
  return all;
}

function isValueOf(previous: string | undefined): boolean {
  if (previous === undefined || !previous.startsWith("--")) return false;
  return GLOBAL_OPTIONS.some((option) => option.kind === "text" && `--${option.name}` === previous);
}

async function findVerb(name: string): Promise<Verb> {
  const load = Object.hasOwn(VERBS, name)
    ? VERBS[name]
    : Object.hasOwn(HIDDEN_VERBS, name)
    ? HIDDEN_VERBS[name]
    : undefined;
  if (load !== undefined) return await load();
  const { closest } = await import("../base/suggest.ts");
  const word = closest(name, [...Object.keys(VERBS), ...ELSEWHERE.keys()]);
  const near = word === null ? null : ELSEWHERE.get(word) ?? word;
  const hint = near === null ? "foster --help lists the verbs" : `did you mean foster ${near}?`;
  throw new UsageError(`unknown verb "${name}"`, hint);
}

async function showHelp(output: Output, name: string | undefined): Promise<ExitCode> {
  const { overview, verbHelp } = await import("./help.ts");
  output.raw(name === undefined || name.startsWith("-") ? await overview() : verbHelp(await findVerb(name)));
  return EXIT.done;
}

function showVersion(host: Host, output: Output, argv: readonly string[]): ExitCode {
  if (argv.includes("--json")) output.document(versionDocument(host));
  else output.line(versionLine(host, { verbose: argv.includes("--verbose") || argv.includes("-v") }));
  return EXIT.done;
}

/** 128 and the signal's number, as a shell says it. */
const EXIT_OF: Record<Interrupt, ExitCode> = {
  SIGINT: EXIT.interrupted,
  SIGTERM: EXIT.terminated,
  SIGHUP: EXIT.hungUp,
};

async function runVerb(plain: Host, { verb, args }: { verb: Verb; args: Args }): Promise<ExitCode> {
  const { terminal, env } = plain;
  const verbose = args.flag("verbose") || await asksForTrace(env.get("FOSTER_TRACE"));
  const json = args.flag("json");
  const output = new Output(terminal, {
    json,
    quiet: args.flag("quiet"),
    verbose,
    color: terminal.stdoutIsTerminal && !json && !args.flag("no-color") && !env.get("NO_COLOR"),
  });
  const tracing = verbose
    ? (await import("./trace.ts")).startTracing(plain, verb.name, (line) => output.detail(line))
    : null;
  const host = tracing?.host ?? plain;
  const interrupt = new AbortController();
  const forced = Promise.withResolvers<ExitCode>();
  const stopListening = terminal.onInterrupt(["SIGINT", "SIGTERM", "SIGHUP"], (signal) => {
    // The second one does not wait for what the first one left to be done.
    if (interrupt.signal.aborted && !verb.handlesInterrupts) forced.resolve(EXIT_OF[signal]);
    interrupt.abort(new Interrupted(EXIT_OF[signal]));
  });
  const stopCatching = host.program.onUnhandledRejection((reason) =>
    interrupt.abort(new UnhandledError(reason))
  );
  const callerFolder = env.get("INIT_CWD") ? await findCallerFolder(host) : host.program.folder;
  let definitions: Promise<Definitions> | null = null;
  let state: StateFolder | null = null;
  const context: Context = {
    host,
    output,
    trace: tracing?.trace ?? null,
    get state() {
      state ??= new StateFolder(
        host,
        stateFolderPath(host, { flag: args.text("state-dir"), callerFolder: () => callerFolder }),
      );
      return state;
    },
    signal: interrupt.signal,
    callerFolder,
    verbs: VERBS,
    definitions() {
      definitions ??= import("../definitions/load.ts").then(async ({ loadDefinitions }) => {
        const loaded = await loadDefinitions(host, { configFlag: args.text("config"), callerFolder });
        if (loaded.ignored !== null) {
          output.talk(`${loaded.ignored} is not read: ${loaded.file} stands beside it`);
        }
        for (const { name, reason } of loaded.passedOver) {
          output.talk(`${loaded.file}: "${name}" is passed over: ${reason}`);
        }
        return loaded;
      });
      return definitions;
    },
  };
  try {
    const code = await Promise.race([verb.run(context, args), forced.promise]);
    throwIfUnhandled(interrupt.signal);
    // Verbs that end in good order do not tell the signals apart.
    return code === EXIT.interrupted ? exitCodeOf(interrupt.signal) ?? code : code;
  } catch (error) {
    throwIfUnhandled(interrupt.signal);
    const code = exitCodeOf(interrupt.signal);
    if (code !== null) return code;
    throw error;
  } finally {
    output.clearProgress();
    tracing?.finish();
    stopListening();
    stopCatching();
  }
}

async function asksForTrace(value: string | undefined): Promise<boolean> {
  if (value === undefined) return false;
  const { isTruthy } = await import("../definitions/launch/environment.ts");
  return isTruthy(value);
}

/** @throws what made a promise fail that nobody waited for */
function throwIfUnhandled({ aborted, reason }: AbortSignal): void {
  if (aborted && reason instanceof UnhandledError) throw reason.cause;
}

function exitCodeOf({ aborted, reason }: AbortSignal): ExitCode | null {
  return aborted && reason instanceof Interrupted ? reason.exitCode : null;
}

/** A promise failed that nobody waited for: a bug, of which everything is closed as at an interrupt. */
class UnhandledError extends Error {
  override readonly name = "UnhandledError";
  constructor(reason: unknown) {
    super("a promise failed that nobody waited for", { cause: reason });
  }
}

/** Why a verb's signal was aborted. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  constructor(readonly exitCode: ExitCode) {
    super("interrupted");
  }
}
