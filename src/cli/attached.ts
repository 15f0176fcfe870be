/**
 * How clients reach this foster, and which entries that attach wrote still fit.
 *
 * @module
 */
import { basename, isAbsolute, join } from "node:path";
import { checkKept, type CheckOptions, type KeptCheck } from "../clients/attach/repair.ts";
import type { ConnectCommand } from "../clients/attach/targets.ts";
import type { HttpEntry } from "../clients/client.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { DefinitionError } from "../definitions/definition_error.ts";
import { slug } from "../definitions/hash.ts";
import { loadDefinitions } from "../definitions/load.ts";
import { environmentOverrides, normalise } from "../definitions/normalise.ts";
import { PRESETS } from "../definitions/presets.ts";
import { type Host, withinReach } from "../host/host.ts";
import { wholeText } from "../registry/once_made.ts";
import { stateFolderPath, statePaths } from "../registry/paths.ts";
import { readSupervisorFile } from "../registry/supervisor_files.ts";
import { VERSION } from "../version.ts";
import type { Context } from "./verb.ts";

/** This foster with whole paths, as another program starts it: `before` and `after` stand around a verb's own words. */
export async function ownCommand({ host, state }: Context) {
  const [program, ...before] = host.engine.selfCommand;
  const command = await lastingPath(host, program);
  return { command, before, after: stateFolderOptions({ host, state }) };
}

function stateFolderOptions({ host, state }: Pick<Context, "host" | "state">): string[] {
  return state.path === usualStateFolder(host) ? [] : ["--state-dir", state.path];
}

/**
 * Homebrew and nix keep each version in a folder of its own, and delete it some time after an update: the link on PATH
 * goes on to lead to the program.
 */
export async function lastingPath(
  { env, files, system }: Pick<Host, "env" | "files" | "system">,
  program: string,
): Promise<string> {
  if (!program.includes(VERSION)) return program;
  for (const folder of (env.get("PATH") ?? "").split(system === "windows" ? ";" : ":")) {
    const link = join(folder, basename(program));
    if (!isAbsolute(folder) || link === program) continue;
    if (await withinReach(files.realPath(link), null) === program) return link;
  }
  return program;
}

/** Says where the path of this foster, which another program is to keep, will not last. */
export async function warnOfPath({ output }: Context, path: string): Promise<void> {
  const { lifeOf } = await import("../update/owner.ts");
  switch (lifeOf(path)) {
    case "lasting":
      return;
    case "cached":
      return output.talk(
        `${path} lies where caches are cleaned: install foster, and repeat this with that one`,
      );
    case "versioned":
      return output.talk(`${path} is there until foster is updated: repeat this then`);
  }
}

/** With whole paths: clients choose the folder, and most of them drop the environment. */
export async function connectCommand(context: Context): Promise<ConnectCommand> {
  const { command, before, after } = await ownCommand(context);
  return {
    command,
    argsFor: ({ name, source }) => [
      ...before,
      "connect",
      name,
      ...(source.kind === "file" ? ["--config", source.file] : []),
      ...after,
    ],
  };
}

/** Whether `export --install` made serve start with the user's session, for the usual state folder. */
export async function hasService(context: Context): Promise<boolean> {
  if (stateFolderOptions(context).length > 0) return false;
  const { isServiceInstalled } = await import("../export/install.ts");
  return await isServiceInstalled(context.host);
}

/**
 * Without any variable of this shell's own: most clients drop them, and foster connect would look elsewhere. Null where
 * nothing says where it would be.
 */
function usualStateFolder({ env, system }: Context["host"]): string | null {
  const plain = {
    get: (name: string) => ["FOSTER_STATE_DIR", "XDG_STATE_HOME"].includes(name) ? undefined : env.get(name),
    all: env.all,
  };
  try {
    return stateFolderPath({ env: plain, system }, { flag: null, callerFolder: () => "/" });
  } catch {
    return null;
  }
}

/** How a server is reached over HTTP; null where no gateway is there. */
export async function gatewayOf(
  { host, state }: Context,
): Promise<((server: ServerDefinition) => Omit<HttpEntry, "name">) | null> {
  const supervisor = await readSupervisorFile(host, state.path);
  const token = await wholeText(host, statePaths(state.path).gatewayToken);
  if (supervisor.kind !== "file" || token === null) return null;
  return ({ key }) => ({
    url: `${supervisor.value.endpoint}/mcp/${encodeURIComponent(key)}`,
    authorization: `Bearer ${token}`,
  });
}

/** The server of a name in a definition file, or among the presets; see `CheckOptions.find`. */
export function findIn({ host, callerFolder }: Context): CheckOptions["find"] {
  return async (config, name) => {
    if (config === null) {
      const preset = PRESETS.get(name);
      if (preset === undefined) return null;
      const overrides = environmentOverrides(() => undefined);
      const source = { kind: "preset" } as const;
      return normalise(preset.written, {
        name,
        key: slug(name),
        source,
        baseFolder: callerFolder,
        overrides,
      });
    }
    try {
      return (await loadDefinitions(host, { configFlag: config, callerFolder })).find(name);
    } catch (error) {
      if (!(error instanceof DefinitionError)) throw error;
      // A file that is there and broken says nothing of its servers.
      return await withinReach(host.files.stat(config), null) === null ? null : "unknown";
    }
  };
}

/** Every entry that attach wrote, with what is wrong with it. */
export async function checkAttached(context: Context): Promise<KeptCheck[]> {
  return await checkKept(context.host, {
    stateFolder: context.state.path,
    connect: await connectCommand(context),
    http: await gatewayOf(context),
    find: findIn(context),
  });
}
