/**
 * From a definition's launch tiers to the command line that works on this machine.
 *
 * @module
 */
import { dirname, join, resolve } from "node:path";
import { upward } from "../../base/upward.ts";
import { type Host, withinReach } from "../../host/host.ts";
import type { LaunchTier, ServerDefinition } from "../definition.ts";
import type { DefinitionPlace } from "../definition_error.ts";
import { expand, expandArguments, expandJson, type Variables } from "../variables.ts";
import { findCommand } from "./find_command.ts";

/** A program and its arguments; the masked forms are for records and messages and keep `${env:NAME}` as written. */
export interface CommandLine {
  command: string;
  maskedCommand: string;
  args: string[];
  maskedArgs: string[];
}

export type ResolvedCommand =
  | CommandLine & {
    kind: "launch";
    tier: string;
    /** The program's folder where it is not on PATH: the child needs it there to find what stands beside it. */
    extraPath: string | null;
  }
  | { kind: "no_command"; message: string; hint: string };

export interface CommandLineOptions {
  vars: Variables;
  /** Whether `refreshArgs` come first: for the one retry after a failed start. */
  refresh?: boolean;
}

type LaunchHost = Pick<Host, "files" | "env" | "system" | "engine">;

/** The first tier whose folder and command are there, as an absolute path; otherwise what was looked for, and where. */
export async function resolveLaunch(
  host: LaunchHost,
  definition: ServerDefinition,
  options: CommandLineOptions,
): Promise<ResolvedCommand> {
  const tried: Tried[] = [];
  for (const tier of orderTiers(definition.launch, launchMode(definition, options.vars))) {
    const line = expandLaunch(tier, { ...options, definition });
    if (line.command === "foster") {
      const [self, ...before] = host.engine.selfCommand;
      return {
        kind: "launch",
        tier: tier.tier,
        command: self,
        maskedCommand: self,
        args: [...before, ...line.args],
        maskedArgs: [...before, ...line.maskedArgs],
        extraPath: null,
      };
    }
    const isMasked = line.maskedCommand !== line.command;
    const folders = await foldersOf(host, { tier, definition, cwd: expandCwd(definition, options.vars) });
    if (folders.length === 0) {
      tried.push({
        command: line.maskedCommand,
        because: `no folder with ${tier.ifExists} at or above ${definition.baseFolder}`,
      });
    }
    for (const cwd of folders) {
      const found = await findCommand(host, line.command, { cwd });
      if ("path" in found) {
        return {
          ...line,
          kind: "launch",
          tier: tier.tier,
          command: found.path,
          maskedCommand: isMasked ? line.maskedCommand : found.path,
          extraPath: found.onPath ? null : dirname(found.path),
        };
      }
      const [program = "", more] = line.command.trim().split(/\s+/);
      const isLine = more !== undefined && "path" in await findCommand(host, program, { cwd });
      const where = isMasked ? "where it says" : `in ${found.tried.join(", ") || "an empty PATH"}`;
      tried.push({
        command: line.maskedCommand,
        because: `not ${where}`,
        line: isLine ? tier.command : undefined,
      });
    }
  }
  return noCommand(definition, tried);
}

/** The command line of a tier, not yet looked up: refresh arguments, the tier's own, then those that all tiers share. */
export function expandLaunch(
  tier: LaunchTier,
  { definition, vars, refresh = false }: CommandLineOptions & { definition: ServerDefinition },
): CommandLine {
  const place = placeOf(definition);
  const all = [...(refresh ? definition.refreshArgs ?? [] : []), ...tier.args, ...definition.args];
  const command = expand(tier.command, vars, { ...place, key: "command" });
  return {
    command: command.full,
    maskedCommand: command.masked,
    ...expandArguments(all, vars, { ...place, key: "args" }),
  };
}

/** The child's working folder, absolute. */
export function expandCwd(definition: ServerDefinition, vars: Variables): string {
  const { full } = expand(definition.cwd, vars, { ...placeOf(definition), key: "cwd" });
  return resolve(definition.baseFolder, full);
}

/** What the session file holds, null for a server without one. */
export function expandPayload(definition: ServerDefinition, vars: Variables): unknown {
  if (definition.session === null) return null;
  return expandJson(definition.session.payload, vars, { ...placeOf(definition), key: "session.payload" });
}

/** Where messages about this definition point to. */
export function placeOf({ name, source }: ServerDefinition): Pick<DefinitionPlace, "file" | "server"> {
  return { file: source.kind === "file" ? source.file : null, server: name };
}

type LaunchMode = "auto" | "dev" | "user";

/**
 * Which tiers the user wants, from the definition's own `env`, else from the caller's environment: `dev` or `user` in
 * any case, anything else is `auto`.
 */
function launchMode(definition: ServerDefinition, vars: Variables): LaunchMode {
  const { modeEnv, env } = definition;
  if (modeEnv === null) return "auto";
  const own = env[modeEnv];
  const text = own === undefined ? vars.env(modeEnv) ?? "" : expand(own, vars, placeOf(definition)).full;
  const mode = text.trim().toLowerCase();
  return mode === "dev" || mode === "user" ? mode : "auto";
}

const CHECKOUT_TIER = "dev_venv";

/** The tiers in the order of trying: `user` leaves the checkout out, `dev` puts it first. */
function orderTiers(tiers: readonly LaunchTier[], mode: LaunchMode): LaunchTier[] {
  const others = tiers.filter(({ tier }) => tier !== CHECKOUT_TIER);
  switch (mode) {
    case "auto":
      return [...tiers];
    case "user":
      return others;
    case "dev":
      return [...tiers.filter(({ tier }) => tier === CHECKOUT_TIER), ...others];
  }
}

/** Where a relative command of this tier may begin: the folders that have `ifExists`, nearest first, else the cwd. */
async function foldersOf(
  { files }: LaunchHost,
  { tier, definition, cwd }: { tier: LaunchTier; definition: ServerDefinition; cwd: string },
): Promise<string[]> {
  if (tier.ifExists === undefined) return [cwd];
  const having: string[] = [];
  for (const folder of upward(definition.baseFolder).slice(0, (tier.searchUp ?? 0) + 1)) {
    if (await withinReach(files.realPath(join(folder, tier.ifExists)), null) !== null) having.push(folder);
  }
  return having;
}

interface Tried {
  command: string;
  because: string;
  /** The command as it is written, where its first word would be one and the others are its arguments. */
  line?: string;
}

const INSTALL: readonly { commands: readonly string[]; hint: string }[] = [
  { commands: ["uvx", "uv"], hint: "install uv: pip install uv, or see Astral's uv documentation" },
  { commands: ["npx", "npm", "node"], hint: "install Node.js, which brings node, npm and npx" },
  { commands: ["bunx", "bun"], hint: "install Bun: npm install --global bun" },
  { commands: ["deno"], hint: "install Deno: npm install --global deno" },
];

function noCommand(
  { name }: ServerDefinition,
  tried: readonly Tried[],
): ResolvedCommand & { kind: "no_command" } {
  const details = tried.map(({ command, because }) => `${command}: ${because}`).join("; ");
  const commands = tried.map(({ command }) => command);
  const last = commands.at(-1) ?? "the program";
  const line = tried.find((each) => each.line !== undefined)?.line;
  const hint = line !== undefined
    ? splitHint(line)
    : INSTALL.find((each) => each.commands.some((command) => commands.includes(command)))?.hint ??
      (last.includes("/")
        ? `"command" must name an executable file: check the path, and chmod +x the file`
        : `install ${last}, or give its full path as "command"`);
  return {
    kind: "no_command",
    message: `Cannot start ${JSON.stringify(name)}: no command to start it was found (${
      details || "no launch tier"
    })`,
    hint,
  };
}

function splitHint(line: string): string {
  const words = line.match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
  const [program, ...args] = words.map((word) => word.replace(/^(["'])(.*)\1$/, "$2"));
  const list = args.map((each) => JSON.stringify(each)).join(", ");
  return `arguments belong into "args": "command": ${JSON.stringify(program)}, "args": [${list}]`;
}
