import { dirname, join } from "node:path";
import { userFolders } from "../base/user_folders.ts";
import type { Host } from "../host/host.ts";

type PidFileHost = Pick<Host, "env" | "files" | "processes" | "system">;

/**
 * Writes this process's pid to `path`, creating the folders above it and replacing a stale file; `~` is the home
 * folder. Returns the function that removes it again, only where it still names this process.
 *
 * @throws HostError where it can't be written
 */
export async function holdPidFile(host: PidFileHost, path: string): Promise<() => Promise<void>> {
  const file = expandHome(host, path);
  const text = `${host.processes.selfPid}\n`;
  await host.files.makeDir(dirname(file), 0o700);
  await host.files.writeAtomic(file, text, 0o600);
  return async () => {
    if ((await host.files.readText(file)) === text) await host.files.remove(file);
  };
}

function expandHome(host: Pick<Host, "env" | "system">, path: string): string {
  if (path !== "~" && !path.startsWith("~/") && !path.startsWith("~\\")) return path;
  const { home } = userFolders(host);
  return home === null ? path : join(home, path.slice(1));
}
