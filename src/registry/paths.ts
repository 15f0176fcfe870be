/**
 * Where things are in the state folder.
 *
 * @module
 */
import { join } from "@std/path";
import { userFolders } from "../base/user_folders.ts";
import type { Host } from "../host/host.ts";

export const FOLDER_MODE = 0o700;
export const FILE_MODE = 0o600;

/** The state folder: the flag, else FOSTER_STATE_DIR, else the system's usual place. */
export function stateFolderPath(host: Pick<Host, "env" | "system">, flag: string | null): string {
  const { env, system } = host;
  const chosen = flag ?? env.get("FOSTER_STATE_DIR");
  if (chosen) return chosen;
  return join(userFolders({ env, system }).state, "foster");
}

/** Files and folders at the top of the state folder. */
export function statePaths(stateFolder: string) {
  const at = (name: string) => join(stateFolder, name);
  return {
    id: at("id"),
    servers: at("servers"),
    processes: at("processes"),
    sessions: at("sessions"),
    ports: at("ports.json"),
    enrolled: at("enrolled.json"),
    supervisor: at("supervisor.json"),
    /** Held by the one supervisor for as long as it lives; the file is never unlinked. */
    supervisorLock: at("supervisor.lock"),
    /** Held by who starts a supervisor, until it answers. */
    supervisorStartLock: at("supervisor.start.lock"),
    supervisorLog: at("supervisor.log"),
    /** What clients of the gateway show. */
    gatewayToken: at("gateway.token"),
    /** What foster's own verbs show the supervisor; no client's settings hold it. */
    controlToken: at("control.token"),
  };
}

export interface ServerPaths {
  folder: string;
  record: string;
  pidFile: string;
  log: string;
  crashLog: string;
  events: string;
  lock: string;
  leases: string;
  /** One record for each process of a stdio server. */
  copies: string;
  /** Present while a `down` wants a start in progress to give up. */
  stopRequest: string;
  /** What `--port` and `--version` said, and the parts of the definition's hash. */
  overrides: string;
}

export function serverPaths(stateFolder: string, key: string): ServerPaths {
  const folder = join(stateFolder, "servers", key);
  return {
    folder,
    record: join(folder, "record.json"),
    pidFile: join(folder, "server.pid"),
    log: join(folder, "server.log"),
    crashLog: join(folder, "crash.log"),
    events: join(folder, "events.ndjson"),
    lock: join(folder, "lock"),
    leases: join(folder, "leases"),
    copies: join(folder, "copies"),
    stopRequest: join(folder, "stop.request"),
    overrides: join(folder, "launch.json"),
  };
}
