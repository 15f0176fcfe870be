/**
 * The record of a process that is about to be launched: nothing is known of the process itself.
 *
 * @module
 */
import type { ServerDefinition } from "../../definitions/definition.ts";
import type { Host } from "../../host/host.ts";
import { RECORD_SCHEMA, type ServerRecord } from "../../registry/record.ts";
import type { ServerFolder } from "../../registry/store.ts";
import { isoNow } from "../world.ts";
import type { ResolvedCommand } from "./command.ts";

export interface Launched {
  folder: Pick<ServerFolder, "key" | "paths">;
  definition: Pick<ServerDefinition, "name" | "source">;
  command: ResolvedCommand;
}

/** What a server with an endpoint and a process of a stdio server have each in their own way. */
type Own = Pick<
  ServerRecord,
  | "state"
  | "started_by"
  | "on_demand"
  | "port"
  | "ws_port"
  | "endpoint"
  | "spec_hash"
  | "last_exit"
  | "owner_pid"
  | "supervisor"
  | "restarts"
>;

/** Its fields stand in the order in which the file has them. */
export function launchedRecord(
  host: Pick<Host, "clock" | "processes">,
  { folder, definition: { name, source }, command }: Launched,
  own: Own,
): ServerRecord {
  return {
    schema: RECORD_SCHEMA,
    key: folder.key,
    name,
    config: source.kind === "file" ? source.file : null,
    want: "up",
    state: own.state,
    started_by: own.started_by,
    pid: null,
    start_token: null,
    pgid: null,
    launcher_pid: null,
    launcher_start_token: null,
    token: command.instanceToken,
    pid_namespace: null,
    revision: null,
    on_demand: own.on_demand,
    launch_tier: command.tier,
    executable: command.maskedCommand,
    argv: [command.maskedCommand, ...command.maskedArgs],
    env_names: command.envNames,
    cwd: command.maskedCwd,
    port: own.port,
    ws_port: own.ws_port,
    endpoint: own.endpoint,
    version: null,
    server_name: null,
    protocol: null,
    spec_hash: own.spec_hash,
    started_at: isoNow(host),
    ready_at: null,
    last_exit: own.last_exit,
    next_attempt: null,
    owner_pid: own.owner_pid,
    parent_pid_at_start: host.processes.selfPid,
    supervisor: own.supervisor,
    restarts: own.restarts,
    log: folder.paths.log,
  };
}
