/**
 * Where things are in the state folder.
 *
 * @module
 */
import { isAbsolute, join, resolve } from "node:path";
import { userFolders } from "../base/user_folders.ts";
import type { Host } from "../host/host.ts";
import { StateFolderError } from "./safe_folder.ts";

export const FOLDER_MODE = 0o700;
export const FILE_MODE = 0o600;

/**
 * The state folder, absolute: the flag, else FOSTER_STATE_DIR, both seen from the caller's folder, else the system's
 * usual place.
 *
 * @throws StateFolderError where nothing says where the user's own folder is
 */
export function stateFolderPath(
  host: Pick<Host, "env" | "system">,
  { flag, callerFolder }: { flag: string | null; callerFolder(): string },
): string {
  const { env, system } = host;
  const chosen = flag || env.get("FOSTER_STATE_DIR");
  if (chosen) return isAbsolute(chosen) ? chosen : resolve(callerFolder(), chosen);
  const { state } = userFolders({ env, system });
  if (isAbsolute(state)) return join(state, "foster");
  const name = system === "windows" ? "USERPROFILE" : "HOME";
  const home = env.get(name);
  throw new StateFolderError(
    home ? `${name} is not an absolute path: ${JSON.stringify(home)}` : `${name} is not set`,
    "it says where the state folder is: set it, or choose a state folder with --state-dir or FOSTER_STATE_DIR",
  );
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
    /** What attach wrote into clients' settings, and what stood there before. */
    attached: at("attached"),
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
