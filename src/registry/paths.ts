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

export interface ServerPaths {
  folder: string;
  record: string;
  pidFile: string;
  log: string;
  crashLog: string;
  events: string;
  lock: string;
  leases: string;
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
    stopRequest: join(folder, "stop.request"),
    overrides: join(folder, "launch.json"),
  };
}
