/**
 * Where a command is: on PATH, then in the places that programs started from a desktop do not have on theirs.
 *
 * @module
 */
import { isAbsolute, join, resolve } from "node:path";
import { userFolders } from "../../base/user_folders.ts";
import { type Host, withinReach } from "../../host/host.ts";

type FindHost = Pick<Host, "files" | "env" | "system">;

export type CommandFound =
  | {
    path: string;
    /** False where only an absolute path reaches it: what it starts by name will not be found either. */
    onPath: boolean;
  }
  | {
    /** Every path or folder that was looked at, in order. */
    tried: string[];
  };

/** Looks for `command`: one with a slash from `cwd`, a bare name in the folders of {@link searchFolders}. */
export async function findCommand(
  host: FindHost,
  command: string,
  { cwd }: { cwd: string },
): Promise<CommandFound> {
  if (isPath(host, command)) {
    const candidates = withExtensions(host, resolve(cwd, command));
    const path = await firstExecutable(host, candidates);
    return path === null ? { tried: candidates } : { path, onPath: true };
  }
  const { path: onPath, extra } = await searchFolders(host, cwd);
  for (const folder of [...onPath, ...extra]) {
    const path = await firstExecutable(host, withExtensions(host, join(folder, command)));
    if (path !== null) return { path, onPath: onPath.includes(folder) };
  }
  return { tried: [...onPath, ...extra] };
}

function isPath({ system }: FindHost, command: string): boolean {
  return command.includes("/") || (system === "windows" && command.includes("\\")) || isAbsolute(command);
}

/** The folders of PATH, and those searched after them, each once. */
async function searchFolders(host: FindHost, cwd: string): Promise<{ path: string[]; extra: string[] }> {
  const { env, system } = host;
  const entries = (env.get("PATH") ?? "").split(system === "windows" ? ";" : ":");
  const path = [...new Set(entries.filter((entry) => entry !== "").map((entry) => resolve(cwd, entry)))];
  const extra = [...homeFolders(host), ...commonFolders(host), ...await nvmFolders(host)];
  return { path, extra: [...new Set(extra)].filter((folder) => !path.includes(folder)) };
}

function homeFolders(host: FindHost): string[] {
  const folder = userFolders(host).home;
  if (folder === null) return [];
  return [".local/bin", ".cargo/bin", ".bun/bin", ".deno/bin"].map((each) => join(folder, each));
}

function commonFolders({ system }: FindHost): string[] {
  return system === "windows" ? [] : ["/opt/homebrew/bin", "/usr/local/bin"];
}

/** What nvm has switched to, else its newest version. */
async function nvmFolders(host: FindHost): Promise<string[]> {
  const current = host.env.get("NVM_BIN");
  if (current) return [current];
  const folder = userFolders(host).home;
  const root = host.env.get("NVM_DIR") || (folder === null ? null : join(folder, ".nvm"));
  if (root === null || host.system === "windows") return [];
  const versions = join(root, "versions", "node");
  const entries = await withinReach(host.files.list(versions), null) ?? [];
  const newest = newestVersion(entries.map(({ name }) => name));
  return newest === null ? [] : [join(versions, newest, "bin")];
}

/** The highest of names such as `v22.1.0`; others do not count. */
export function newestVersion(names: readonly string[]): string | null {
  const versions = names.filter((name) => /^v\d+(\.\d+)*$/.test(name));
  return versions.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1) ?? null;
}

/** On Windows a command without one of PATHEXT's extensions is tried with each of them. */
function withExtensions({ env, system }: FindHost, path: string): string[] {
  if (system !== "windows") return [path];
  const extensions = (env.get("PATHEXT") || ".COM;.EXE;.BAT;.CMD").toLowerCase().split(";").filter(Boolean);
  const lower = path.toLowerCase();
  if (extensions.some((extension) => lower.endsWith(extension))) return [path];
  return extensions.map((extension) => path + extension);
}

async function firstExecutable({ files }: FindHost, paths: readonly string[]): Promise<string | null> {
  for (const path of paths) {
    if (await withinReach(files.isExecutable(path), false)) return path;
  }
  return null;
}
