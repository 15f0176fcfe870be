/**
 * Works out the command line and the environment of a start.
 *
 * @module
 */
import { isAbsolute, resolve } from "node:path";
import { isObject } from "../../base/json.ts";
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
  /** `${sessionId}`, null where nothing asks for one. */
  sessionId: string | null;
  /** `name` is that of the file, without what all session files have in common. */
  session: { name: string; file: string; payload: unknown } | null;
}

export interface CommandRequest {
  definition: ServerDefinition;
  ports: Pick<Ports, "port" | "wsPort"> | null;
  ownerPid: number | null;
  /** The one retry after a start that never got anywhere: the launcher is told to fetch the package anew. */
  refresh?: boolean;
  /** `${sessionId}` of the start that this one goes on with. */
  sessionId?: string | null;
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
  { definition, ports, ownerPid, refresh = false, sessionId = null }: CommandRequest,
): Promise<ResolvedCommand | Explanation> {
  const { host } = world;
  const instanceToken = await newInstanceToken(world, serverFolder.key);
  const hasSession = definition.session !== null || usesVariable(definition, "sessionId");
  const id = hasSession ? sessionId ?? host.random.hex(SESSION_ID_BYTES) : null;
  const fileName = definition.session === null ? null : host.random.hex(SESSION_ID_BYTES);
  const sessionFile = fileName === null ? null : serverFolder.sessionFile(fileName);
  const vars = variablesOf(definition, {
    port: ports?.port ?? null,
    wsPort: ports?.wsPort ?? null,
    pidFile: serverFolder.paths.pidFile,
    sessionFile,
    sessionId: id,
    stateDir: world.state.path,
    ownerPid,
    token: instanceToken,
    env: (name) => host.env.get(name),
    commands: await startCommands(host, definition, world.commandOutputs ?? new Map()),
  });
  const launch = await resolveLaunch(host, definition, { vars, refresh });
  if (launch.kind === "no_command") {
    return await notExecutable(world, definition, vars) ?? { message: launch.message, hint: launch.hint };
  }
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
    for (const name of host.program.undecodable()) {
      world.warn(
        `"${definition.name}": does not get the environment variable ${name}: its value is no UTF-8`,
      );
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
    sessionId: id,
    session: sessionFile === null || fileName === null
      ? null
      : { name: fileName, file: sessionFile, payload: tidyPayload(expandPayload(definition, vars)) },
  };
}

/** Without values that came out empty, and with capabilities in order: the same session reads the same each time. */
function tidyPayload(payload: unknown): unknown {
  if (!isObject(payload)) return payload;
  const kept = Object.entries(payload).filter(([, value]) => value !== "" && value !== null);
  return Object.fromEntries(kept.map(([key, value]) => {
    const isSorted = key === "capabilities" && Array.isArray(value) && value.every(isText);
    return [key, isSorted ? [...value].sort() : value];
  }));
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** For a path that is there and is no program; null for whatever else kept a command from being found. */
async function notExecutable(
  { host }: World,
  definition: ServerDefinition,
  vars: Variables,
): Promise<Explanation | null> {
  const { name, launch } = definition;
  const command = launch.length === 1 ? launch[0]?.command ?? "" : "";
  const { full, masked } = expand(command, vars);
  if (!full.includes("/") || host.system === "windows") return null;
  const folder = expandCwd(definition, vars);
  if (!isAbsolute(full) && (await host.files.stat(folder).catch(() => null)) === null) {
    const shown = expand(definition.cwd, vars).masked;
    const message = `Cannot start "${name}": its folder ${
      shown.includes("${") ? shown : folder
    } does not exist`;
    return { message, hint: `correct "cwd" in its definition` };
  }
  const stat = await host.files.stat(resolve(folder, full)).catch(() => null);
  if (stat?.kind === "directory") {
    return {
      message: `Cannot start "${name}": ${masked} is a folder`,
      hint: `"command" must name a program`,
    };
  }
  if (stat?.kind !== "file" || stat.mode === null || (stat.mode & 0o111) !== 0) return null;
  return { message: `Cannot start "${name}": ${masked} is not executable`, hint: `chmod +x ${masked}` };
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
