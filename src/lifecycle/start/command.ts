/**
 * Works out the command line and the environment of a start.
 *
 * @module
 */
import type { ServerFolder } from "../../registry/store.ts";
import { childEnvironment, findDevSource } from "../../definitions/launch/environment.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { expandCwd, expandPayload, resolveLaunch } from "../../definitions/launch/command_line.ts";
import {
  expand,
  unsetVariables,
  usesVariable,
  type Variables,
  variablesOf,
} from "../../definitions/variables.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import { readEnvFile, startCommands } from "../../definitions/launch/values.ts";
import { withoutValues } from "../messages.ts";
import type { Explanation } from "../row.ts";
import type { Ports } from "../observe/ports.ts";
import type { World } from "../world.ts";

const SESSION_ID_BYTES = 8;

/** A command that was found, ready to be run; masked texts keep `${env:…}` unexpanded, for records. */
export interface ResolvedCommand {
  tier: string;
  /** Absolute path of the program. */
  command: string;
  maskedCommand: string;
  args: string[];
  maskedArgs: string[];
  cwd: string;
  maskedCwd: string;
  env: Record<string, string>;
  /** The variables that the start adds or changes. */
  envNames: string[];
  /** The value of FOSTER_TOKEN: new for each start. */
  instanceToken: string;
  session: { file: string; payload: unknown } | null;
}

export interface CommandRequest {
  definition: ServerDefinition;
  ports: Pick<Ports, "port" | "wsPort"> | null;
  ownerPid: number | null;
  /** The one retry after a start that never got anywhere: the launcher is told to fetch the package anew. */
  refresh?: boolean;
}

/** The first launch tier that works here, or what was looked for. */
export async function resolveCommand(
  world: World,
  serverFolder: ServerFolder,
  request: CommandRequest,
): Promise<ResolvedCommand | Explanation> {
  try {
    return await commandOf(world, serverFolder, request);
  } catch (error) {
    // A value from outside could not be had: that is this server's trouble alone.
    if (!(error instanceof DefinitionError)) throw error;
    const message = `Cannot start "${request.definition.name}": ${error.message}`;
    return { message, hint: error.hint ?? "" };
  }
}

/** @throws DefinitionError where `envFile` or a `${cmd:…}` gives no value */
async function commandOf(
  world: World,
  serverFolder: ServerFolder,
  { definition, ports, ownerPid, refresh = false }: CommandRequest,
): Promise<ResolvedCommand | Explanation> {
  const { host } = world;
  const instanceToken = await newInstanceToken(world, serverFolder.key);
  const hasSession = definition.session !== null || usesVariable(definition, "sessionId");
  const sessionId = hasSession ? host.random.hex(SESSION_ID_BYTES) : null;
  const sessionFile = definition.session === null || sessionId === null
    ? null
    : serverFolder.sessionFile(sessionId);
  const vars = variablesOf(definition, {
    port: ports?.port ?? null,
    wsPort: ports?.wsPort ?? null,
    pidFile: serverFolder.paths.pidFile,
    sessionFile,
    sessionId,
    stateDir: world.state.path,
    ownerPid,
    token: instanceToken,
    env: (name) => host.env.get(name),
    commands: await startCommands(host, definition, world.commandOutputs ?? new Map()),
  });
  const launch = await resolveLaunch(host, definition, { vars, refresh });
  if (launch.kind === "no_command") return { message: launch.message, hint: launch.hint };
  const refused = await host.processes.mayRun(launch.command);
  const folder = folderOf(definition, { vars, serverFolder });
  if (refused !== null) {
    const why = withoutValues(refused, { ...launch, ...folder });
    return { message: `Cannot start "${definition.name}": ${why}`, hint: "" };
  }

  // The retry of a start has been warned of already.
  if (!refresh) {
    for (const unset of unsetVariables(definition, { tier: launch.tier, env: vars.env })) {
      world.warn(`"${definition.name}": \${env:${unset}} is not set`);
    }
  }
  const inherited = host.env.all();
  const env = childEnvironment({
    inherited,
    definition,
    vars,
    instanceToken,
    system: host.system,
    ownerPid,
    devSource: refresh ? null : await findDevSource(host, definition),
    extraPath: launch.extraPath,
    envFile: await readEnvFile(host, definition, vars),
  });
  return {
    tier: launch.tier,
    command: launch.command,
    maskedCommand: launch.maskedCommand,
    args: launch.args,
    maskedArgs: launch.maskedArgs,
    ...folder,
    env,
    envNames: Object.keys(env).filter((name) => env[name] !== inherited[name]).sort(),
    instanceToken,
    session: sessionFile === null ? null : {
      file: sessionFile,
      payload: expandPayload(definition, vars),
    },
  };
}

/** The value of FOSTER_TOKEN for a new start. */
async function newInstanceToken(world: World, key: string): Promise<string> {
  return `${await world.state.id()}:${key}:${world.host.random.hex(16)}`;
}

/** A preset belongs to no project: it runs in the server's own folder unless its definition says otherwise. */
function folderOf(
  definition: ServerDefinition,
  { vars, serverFolder }: { vars: Variables; serverFolder: ServerFolder },
): { cwd: string; maskedCwd: string } {
  if (definition.source.kind === "preset" && definition.written.cwd === undefined) {
    return { cwd: serverFolder.paths.folder, maskedCwd: serverFolder.paths.folder };
  }
  const cwd = expandCwd(definition, vars);
  const { full, masked } = expand(definition.cwd, vars);
  return { cwd, maskedCwd: masked === full ? cwd : masked };
}
