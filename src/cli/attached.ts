/**
 * How clients reach this foster, and which entries that attach wrote still fit.
 *
 * @module
 */
import { checkKept, type CheckOptions, type KeptCheck } from "../clients/attach/repair.ts";
import type { ConnectCommand } from "../clients/attach/targets.ts";
import type { HttpEntry } from "../clients/client.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { DefinitionError } from "../definitions/definition_error.ts";
import { slug } from "../definitions/hash.ts";
import { loadDefinitions } from "../definitions/load.ts";
import { environmentOverrides, normalise } from "../definitions/normalise.ts";
import { PRESETS } from "../definitions/presets.ts";
import { withinReach } from "../host/host.ts";
import { wholeText } from "../registry/once_made.ts";
import { stateFolderPath, statePaths } from "../registry/paths.ts";
import { readSupervisorFile } from "../registry/supervisor_files.ts";
import type { Context } from "./verb.ts";

/** This foster with whole paths, as another program starts it: `before` and `after` stand around a verb's own words. */
export function ownCommand({ host, state }: Context) {
  const [command, ...before] = host.engine.selfCommand;
  return { command, before, after: state.path === usualStateFolder(host) ? [] : ["--state-dir", state.path] };
}

/** With whole paths: clients choose the folder, and most of them drop the environment. */
export function connectCommand(context: Context): ConnectCommand {
  const { command, before, after } = ownCommand(context);
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
  if (ownCommand(context).after.length > 0) return false;
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
    connect: connectCommand(context),
    http: await gatewayOf(context),
    find: findIn(context),
  });
}
