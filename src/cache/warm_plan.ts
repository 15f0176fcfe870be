/**
 * How to fetch what a start will need without starting the server: the decision.
 *
 * @module
 */
import {
  bunOptions,
  denoCacheOptions,
  denoOptions,
  npmOptions,
  type OptionRead,
  type OptionsRead,
  readOptions,
  uvOptions,
} from "./tools.ts";

/** A command line as resolved: `command` is the program's path. */
export interface LaunchCommand {
  command: string;
  args: readonly string[];
}

export type WarmPlan =
  | {
    kind: "fetch";
    /** The packages or modules, for people. */
    what: string;
    command: string;
    args: string[];
  }
  | { kind: "nothing"; why: string };

/**
 * The command that fills the same cache that the launch will look into. It runs a program that does nothing in place of
 * the server: uv's Python, a shell's `exit`, Bun itself, or `deno cache`.
 */
export function warmPlan({ command, args }: LaunchCommand): WarmPlan {
  switch (programName(command)) {
    case "uvx":
      return warmUvx({ command, args }, []);
    case "uv":
      return warmUv({ command, args });
    case "npx":
      return warmNpx({ command, args }, []);
    case "npm":
      return args[0] === "exec" || args[0] === "x"
        ? warmNpx({ command, args: args.slice(1) }, ["exec"])
        : nothing(`npm ${args[0] ?? ""}`.trim());
    case "bunx":
      return warmBunx({ command, args }, []);
    case "bun":
      return args[0] === "x"
        ? warmBunx({ command, args: args.slice(1) }, ["x"])
        : nothing(`bun ${args[0] ?? ""}`.trim());
    case "deno":
      return warmDeno({ command, args });
    case "foster":
      return { kind: "nothing", why: "it is a part of foster itself" };
  }
  return nothing(programName(command));
}

function programName(command: string): string {
  const name = command.split(/[/\\]/).at(-1) ?? command;
  return name.toLowerCase().replace(/\.(exe|cmd|bat|ps1)$/, "");
}

function nothing(started: string): WarmPlan {
  return {
    kind: "nothing",
    why: `${started} fetches nothing that foster knows of ` +
      "(it knows uvx, uv tool run, npx, npm exec, bunx, deno run, deno serve and deno x)",
  };
}

function notUnderstood(read: Exclude<OptionsRead, { kind: "read" }>, program: string): WarmPlan {
  return {
    kind: "nothing",
    why: `foster does not know the option ${read.option} of ${program}, so it can't tell the package`,
  };
}

function has(options: readonly OptionRead[], ...names: string[]): boolean {
  return options.some(({ name }) => names.includes(name));
}

function valuesOf(options: readonly OptionRead[], ...names: string[]): string[] {
  return options.filter(({ name }) => names.includes(name)).map(({ value }) => value).filter((each) =>
    each !== null
  );
}

function argsWithout(options: readonly OptionRead[], ...names: string[]): string[] {
  return options.filter(({ name }) => !names.includes(name)).flatMap(({ args }) => args);
}

// ------------------------------------------------------------------------------------------------------------- uv

function warmUv({ command, args }: LaunchCommand): WarmPlan {
  const read = readOptions(args, uvOptions);
  if (read.kind === "unknown_option") return notUnderstood(read, "uv");
  const { options, rest } = read;
  if (rest[0] !== "tool" || rest[1] !== "run") return nothing(`uv ${rest.slice(0, 2).join(" ")}`.trim());
  const before = [...argsWithout(options), "tool", "run"];
  return warmUvx({ command, args: rest.slice(2) }, before);
}

function warmUvx({ command, args }: LaunchCommand, before: readonly string[]): WarmPlan {
  const program = before.length === 0 ? "uvx" : "uv tool run";
  const read = readOptions(args, uvOptions);
  if (read.kind === "unknown_option") return notUnderstood(read, program);
  const { options, rest: [tool] } = read;
  if (has(options, "--offline") || before.includes("--offline")) return offline(program);
  if (has(options, "-n", "--no-cache") || before.includes("--no-cache") || before.includes("-n")) {
    return { kind: "nothing", why: `${program} is told to keep no cache` };
  }
  const from = valuesOf(options, "--from").at(-1) ?? tool;
  if (tool === undefined || from === undefined) return { kind: "nothing", why: `${program} names no tool` };
  const others = argsWithout(options, "--from");
  if (!has(options, "--from") && /^python(\d[\d.]*)?(@.*)?$/.test(tool)) {
    return { kind: "fetch", what: tool, command, args: [...before, ...others, tool, "-V"] };
  }
  // Any program of the environment will do, and Python is in each.
  return { kind: "fetch", what: from, command, args: [...before, ...others, "--from", from, "python", "-V"] };
}

function offline(program: string): WarmPlan {
  return { kind: "nothing", why: `${program} is told to stay offline` };
}

// ------------------------------------------------------------------------------------------------------- npm and Bun

function warmNpx({ command, args }: LaunchCommand, before: readonly string[]): WarmPlan {
  const program = before.length === 0 ? "npx" : "npm exec";
  const read = readOptions(args, npmOptions);
  if (read.kind === "unknown_option") return notUnderstood(read, program);
  const { options, rest } = read;
  if (has(options, "--offline")) return offline(program);
  if (has(options, "--no", "--no-install")) {
    return { kind: "nothing", why: `${program} is told to install nothing` };
  }
  const packages = packagesOf(options, rest);
  if (packages.length === 0) return { kind: "nothing", why: `${program} names no package` };
  const others = argsWithout(options, "-y", "--yes", "-p", "--package", "-c", "--call");
  const named = packages.flatMap((each) => ["--package", each]);
  return {
    kind: "fetch",
    what: packages.join(", "),
    command,
    // `exit` is built into every shell, Windows' included.
    args: [...before, ...others, "--yes", ...named, "--call", "exit 0"],
  };
}

function warmBunx({ command, args }: LaunchCommand, before: readonly string[]): WarmPlan {
  const program = before.length === 0 ? "bunx" : "bun x";
  const read = readOptions(args, bunOptions);
  if (read.kind === "unknown_option") return notUnderstood(read, program);
  const { options, rest } = read;
  if (has(options, "--no-install")) return { kind: "nothing", why: `${program} is told to install nothing` };
  const [wanted] = packagesOf(options, rest);
  if (wanted === undefined) return { kind: "nothing", why: `${program} names no package` };
  const others = argsWithout(options, "-p", "--package");
  return {
    kind: "fetch",
    what: wanted,
    command,
    args: [...before, ...others, "--package", wanted, "bun", "--version"],
  };
}

/** What `--package` names, else the first operand, which is package and program in one. */
function packagesOf(options: readonly OptionRead[], rest: readonly string[]): string[] {
  const named = valuesOf(options, "-p", "--package");
  if (named.length > 0) return named;
  return has(options, "-c", "--call") ? [] : rest.slice(0, 1);
}

// ------------------------------------------------------------------------------------------------------------ Deno

function warmDeno({ command, args }: LaunchCommand): WarmPlan {
  const [verb, ...others] = args;
  if (verb !== "run" && verb !== "serve" && verb !== "x") return nothing(`deno ${verb ?? ""}`.trim());
  const program = `deno ${verb}`;
  const read = readOptions(others, denoOptions);
  if (read.kind === "unknown_option") return notUnderstood(read, program);
  const { options, rest } = read;
  if (has(options, "--cached-only")) return offline(program);
  const module = (verb === "x" ? valuesOf(options, "-p", "--package").at(-1) : null) ?? rest[0];
  if (module === undefined || module === "-") return { kind: "nothing", why: `${program} names no module` };
  const what = verb === "x" ? npmUnlessElse(module) : module;
  const kept = options.filter(({ name }) =>
    denoCacheOptions.some((each) => name === each || name.startsWith(`${each}=`))
  );
  return { kind: "fetch", what, command, args: ["cache", ...kept.flatMap((each) => each.args), what] };
}

/** `deno x` takes a bare name for a package of npm. */
function npmUnlessElse(module: string): string {
  return /^[a-z][a-z\d+.-]*:|^\.{0,2}\//i.test(module) ? module : `npm:${module}`;
}
