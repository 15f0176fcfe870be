/**
 * systemd's units: which of them would take the supervisor with them, and the way out.
 *
 * @module
 */
import { findCommand } from "../definitions/launch/find_command.ts";
import type { Host } from "../host/host.ts";

/**
 * The unit whose end is the end of every process in it: a service, or the session of a login. Null for what stays, as
 * the scope of a desktop's program and foster's own service. `path` as {@link Host} has it.
 */
export function unitThatEnds(path: string | null): string | null {
  const unit = path?.split("/").findLast((part) => /\.(?:service|scope)$/.test(part)) ?? null;
  if (unit === null || /^(?:user@|foster)/.test(unit)) return null;
  return /\.service$|^session-.*\.scope$/.test(unit) ? unit : null;
}

/**
 * What runs a command as itself, but in a scope of its own below the user's service manager. Null where nothing has to be
 * left, or nothing can be.
 */
export async function outOfUnit(
  host: Pick<Host, "files" | "env" | "system" | "processes">,
  cwd: string,
): Promise<readonly [string, ...string[]] | null> {
  if (unitThatEnds(await host.processes.unitPath()) === null) return null;
  // Where the user's service manager is reached.
  if (host.env.get("XDG_RUNTIME_DIR") === undefined) return null;
  const found = await findCommand(host, "systemd-run", { cwd });
  if (!("path" in found) || await host.processes.mayRun(found.path) !== null) return null;
  return [found.path, "--user", "--scope", "--quiet", "--collect", "--"];
}
