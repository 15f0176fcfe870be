import { dirname, isAbsolute, join, relative } from "node:path";
import { type Host, withinReach } from "../host/host.ts";

const TASK_FILES = ["deno.json", "deno.jsonc", "package.json"];

/**
 * The folder that the caller works in. A task runner's INIT_CWD is where its user stands; it counts only where foster is
 * that task's own command, in the folder of the package: a terminal that some task started long ago inherits it too.
 */
export async function findCallerFolder(host: Pick<Host, "env" | "files" | "program">): Promise<string> {
  const { env, files, program: { folder } } = host;
  const stood = env.get("INIT_CWD") ?? "";
  if (stood === folder || !isAbsolute(stood)) return folder;
  // `deno task -c` of foster's own project, from any folder: the task runner went there by itself.
  if (join(folder, "src", "cli", "caller_folder.ts") === import.meta.filename) return stood;
  if (!isBelow(stood, folder)) return folder;
  const packageFile = env.get("npm_package_json");
  if (packageFile) return dirname(packageFile) === folder ? stood : folder;
  for (const name of TASK_FILES) {
    if (await withinReach(files.stat(join(folder, name)), null) !== null) return stood;
  }
  return folder;
}

function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !/^\.\.[\\/]/.test(way) && !isAbsolute(way);
}
