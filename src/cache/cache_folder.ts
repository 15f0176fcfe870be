/**
 * Where uv keeps its cache.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { userFolders } from "../base/user_folders.ts";
import type { Host } from "../host/host.ts";
import { findCommand } from "../definitions/launch/find_command.ts";
import { toolEnvironment } from "./tools.ts";

type FolderHost = Pick<Host, "env" | "engine" | "files" | "program" | "system"> & {
  processes: Pick<Host["processes"], "run">;
};

const UV_TIMEOUT_MS = 10_000;

/** The folder asked for, else what uv says, else UV_CACHE_DIR, else the system's usual place. Absolute. */
export async function cacheFolder(host: FolderHost, asked: string | null): Promise<string> {
  const here = host.program.folder;
  if (asked !== null) return resolve(here, asked);
  const said = await saidByUv(host);
  if (said !== null) return resolve(here, said);
  const chosen = host.env.get("UV_CACHE_DIR");
  return chosen ? resolve(here, chosen) : await usualCacheFolder(host);
}

/** Where uv keeps it unless told otherwise. */
async function usualCacheFolder(host: Pick<Host, "env" | "files" | "system">): Promise<string> {
  const { home, cache } = userFolders(host);
  switch (host.system) {
    case "windows":
      return join(cache, "uv", "cache");
    case "darwin": {
      // Where older versions kept it: used for as long as it is there.
      const older = join(home ?? ".", "Library", "Caches", "uv");
      return await host.files.stat(older) === null ? join(cache, "uv") : older;
    }
    case "linux":
      return join(cache, "uv");
  }
}

/** Settings files may name a folder too, so uv itself knows best. Null where it can't be asked. */
async function saidByUv(host: FolderHost): Promise<string | null> {
  const uv = await findCommand(host, "uv", { cwd: host.program.folder });
  if (!("path" in uv)) return null;
  // UV_NO_CACHE would make it answer with a folder of its own for this one run.
  const { UV_NO_CACHE: _, ...env } = toolEnvironment(host, host.env.all());
  try {
    const options = { timeoutMs: UV_TIMEOUT_MS, cwd: host.program.folder, env };
    const { code, stdout } = await host.processes.run(uv.path, ["cache", "dir", "--color", "never"], options);
    const said = stdout.replace(/\r?\n$/, "");
    return code === 0 && said !== "" ? said : null;
  } catch {
    // Refused, broken or too slow: the variable and the usual place are left.
    return null;
  }
}
