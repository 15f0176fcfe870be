/**
 * Starts a server's process: record first, then the child, then the child's identity in the record.
 *
 * @module
 */
import { type DetachedChild, HostError } from "../../host/host.ts";
import type { ServerRecord, StartedBy } from "../../registry/record.ts";
import { RECORD_SCHEMA } from "../../registry/record.ts";
import type { ServerFolder } from "../../registry/store.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { childStartToken } from "./child_identity.ts";
import { rotateLog } from "../log_files.ts";
import { endpointOf, type Ports } from "../observe/ports.ts";
import { isoNow, type World } from "../world.ts";

/** A command that was found, ready to be run; `maskedArgs` keep `${env:…}` unexpanded. */
export interface ResolvedLaunch {
  tier: string;
  /** Absolute path of the program. */
  command: string;
  /** As `maskedArgs`, for records. */
  maskedCommand: string;
  args: string[];
  maskedArgs: string[];
  cwd: string;
  /** As `maskedArgs`, for records. */
  maskedCwd: string;
  env: Record<string, string>;
  /** The variables that the start adds or changes. */
  envNames: string[];
  /** The value of FOSTER_TOKEN: new for each start. */
  instanceToken: string;
  session: { file: string; payload: unknown } | null;
}

export interface SpawnRequest {
  definition: ServerDefinition;
  launch: ResolvedLaunch;
  ports: Ports;
  specHash: string;
  startedBy: StartedBy;
  ownerPid: number | null;
  /** Of the record that this start replaces, for what outlives a restart. */
  previous: ServerRecord | null;
}

export type Spawned =
  | { kind: "spawned"; record: ServerRecord; child: DetachedChild }
  | { kind: "failed"; error: HostError; record: ServerRecord };

export async function spawnServer(
  world: World,
  folder: ServerFolder,
  request: SpawnRequest,
): Promise<Spawned> {
  const { host } = world;
  const { definition, launch, ports, previous } = request;
  await host.files.remove(folder.paths.pidFile);
  await rotateLog(host, folder.paths.log);
  const draft: ServerRecord = {
    schema: RECORD_SCHEMA,
    key: folder.key,
    name: definition.name,
    config: definition.source.kind === "file" ? definition.source.file : null,
    want: "up",
    state: "spawning",
    started_by: request.startedBy,
    pid: null,
    start_token: null,
    pgid: null,
    launcher_pid: null,
    launcher_start_token: null,
    token: launch.instanceToken,
    pid_namespace: null,
    revision: null,
    on_demand: false,
    executable: launch.maskedCommand,
    argv: [launch.maskedCommand, ...launch.maskedArgs],
    env_names: launch.envNames,
    cwd: launch.maskedCwd,
    port: ports.port,
    ws_port: ports.wsPort,
    endpoint: endpointOf(definition, ports.port),
    version: null,
    server_name: null,
    protocol: null,
    spec_hash: request.specHash,
    started_at: isoNow(host),
    ready_at: null,
    last_exit: previous?.last_exit ?? null,
    next_attempt: null,
    owner_pid: request.ownerPid,
    parent_pid_at_start: host.processes.selfPid,
    supervisor: previous?.supervisor ?? null,
    restarts: previous?.restarts ?? 0,
    log: folder.paths.log,
  };
  await folder.write(draft);
  await folder.event("spawning", { record: draft });
  // Nothing of the server is left where it may be spawned: its old sessions are nobody's.
  await folder.removeSessions();
  if (launch.session !== null) await folder.writeSession(launch.session.file, launch.session.payload);
  let child: DetachedChild;
  try {
    child = await host.processes.spawnDetached({
      command: launch.command,
      args: launch.args,
      cwd: launch.cwd,
      env: launch.env,
      logFile: folder.paths.log,
    });
  } catch (error) {
    if (error instanceof HostError) {
      await folder.removeSessions();
      return { kind: "failed", error, record: draft };
    }
    throw error;
  }
  const startTime = await childStartToken(host, child.pid);
  const record: ServerRecord = {
    ...draft,
    pid: child.pid,
    start_token: startTime,
    pgid: host.system === "windows" ? null : child.pid,
    launcher_pid: child.pid,
    launcher_start_token: startTime,
  };
  await folder.write(record);
  await folder.event("spawned", { pid: child.pid, start_token: startTime, record });
  return { kind: "spawned", record, child };
}

/** The value of FOSTER_TOKEN for a new start. */
export async function newInstanceToken(world: World, key: string): Promise<string> {
  return `${await world.state.id()}:${key}:${world.host.random.hex(16)}`;
}
