/**
 * Picks the launch tier that works on this machine.
 *
 * @module
 */
import { dirname, join } from "@std/path";
import type { Host } from "../../host/host.ts";
import type { LaunchTier, ServerDefinition } from "../definition.ts";
import { findCommand } from "./find_command.ts";
import { expandCwd, expandLaunch, type LaunchMode, orderTiers } from "./launch.ts";
import type { Variables } from "../variables.ts";
import { withinReach } from "../within_reach.ts";

export type Launch =
  | {
    kind: "launch";
    tier: string;
    /** Absolute path of the program. */
    command: string;
    /** The same for records and messages: as it is written where it holds `${env:NAME}`. */
    maskedCommand: string;
    args: string[];
    /** `args` with `${env:NAME}` as it is written, for records and messages. */
    maskedArgs: string[];
    /** The program's folder where it is not on PATH: the child needs it there to find what stands beside it. */
    extraPath: string | null;
  }
  | { kind: "no_command"; message: string; hint: string };

export interface ResolveOptions {
  vars: Variables;
  mode: LaunchMode;
  /** Whether `refreshArgs` come first: for the one retry after a failed start. */
  refresh?: boolean;
}

type ResolveHost = Pick<Host, "files" | "env" | "system" | "engine">;

/** The first tier whose folder and command are there; otherwise what was looked for, and where. */
export async function resolveLaunch(
  host: ResolveHost,
  definition: ServerDefinition,
  { vars, mode, refresh = false }: ResolveOptions,
): Promise<Launch> {
  const tried: Tried[] = [];
  for (const tier of orderTiers(definition.launch, mode)) {
    const expanded = expandLaunch(tier, { definition, vars, refresh });
    const { command, maskedCommand, args, maskedArgs } = expanded;
    const isMasked = maskedCommand !== command;
    if (command === "foster") {
      const [self, ...before] = host.engine.selfCommand;
      return {
        kind: "launch",
        tier: tier.tier,
        command: self,
        maskedCommand: self,
        args: [...before, ...args],
        maskedArgs: [...before, ...maskedArgs],
        extraPath: null,
      };
    }
    const folders = await foldersOf(host, { tier, definition, cwd: expandCwd(definition, vars) });
    if (folders.length === 0) {
      tried.push({
        command: maskedCommand,
        because: `no folder with ${tier.ifExists} at or above ${definition.baseFolder}`,
      });
    }
    for (const cwd of folders) {
      const found = await findCommand(host, command, { cwd });
      if ("path" in found) {
        const extraPath = found.onPath ? null : dirname(found.path);
        return {
          kind: "launch",
          tier: tier.tier,
          command: found.path,
          maskedCommand: isMasked ? maskedCommand : found.path,
          args,
          maskedArgs,
          extraPath,
        };
      }
      const [program = "", more] = command.trim().split(/\s+/);
      const isLine = more !== undefined && "path" in await findCommand(host, program, { cwd });
      const where = isMasked ? "where it says" : `in ${found.tried.join(", ") || "an empty PATH"}`;
      tried.push({
        command: maskedCommand,
        because: `not ${where}`,
        line: isLine ? tier.command : undefined,
      });
    }
  }
  return noCommand(definition, tried);
}

/** Where a relative command of this tier may begin: the folders that have `ifExists`, nearest first, else the cwd. */
async function foldersOf(
  { files }: ResolveHost,
  { tier, definition, cwd }: { tier: LaunchTier; definition: ServerDefinition; cwd: string },
): Promise<string[]> {
  if (tier.ifExists === undefined) return [cwd];
  const having: string[] = [];
  let folder = definition.baseFolder;
  for (let level = 0; level <= (tier.searchUp ?? 0); level++) {
    if (await withinReach(files.realPath(join(folder, tier.ifExists)), null) !== null) having.push(folder);
    if (dirname(folder) === folder) break;
    folder = dirname(folder);
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

function noCommand({ name }: ServerDefinition, tried: readonly Tried[]): Launch & { kind: "no_command" } {
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
