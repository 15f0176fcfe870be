import { dirname, join, resolve } from "@std/path";
import type { Host } from "../../host/host.ts";
import type { DevSource } from "./child_environment.ts";
import type { ServerDefinition } from "../definition.ts";
import { withinReach } from "../within_reach.ts";

type SourceHost = Pick<Host, "files" | "env" | "system">;

/** How many folders above the definition's may hold the checkout. */
const LEVELS_UP = 5;

/**
 * Looks for the checkout that `devSource` names, from the definition's folder upward, and for the entries of the
 * inherited PYTHONPATH that have the package too. Null where the definition has none or the checkout is not there.
 */
export async function findDevSource(
  host: SourceHost,
  definition: Pick<ServerDefinition, "devSource" | "baseFolder">,
): Promise<DevSource | null> {
  if (definition.devSource === null) return null;
  const steps = definition.devSource.marker.split("/").filter((step) => step !== "");
  // The package's own folder and the file in it: `pkg/__init__.py`.
  const inPackage = steps.slice(-2).join("/");
  let folder = definition.baseFolder;
  for (let level = 0; level <= LEVELS_UP; level++) {
    if (await exists(host, join(folder, ...steps))) {
      return {
        root: join(folder, ...steps.slice(0, -2)),
        replaced: await holders(host, { definition, inPackage }),
      };
    }
    if (dirname(folder) === folder) break;
    folder = dirname(folder);
  }
  return null;
}

async function holders(
  host: SourceHost,
  { definition, inPackage }: { definition: Pick<ServerDefinition, "baseFolder">; inPackage: string },
): Promise<string[]> {
  const entries = (host.env.get("PYTHONPATH") ?? "").split(host.system === "windows" ? ";" : ":");
  const found: string[] = [];
  for (const entry of entries) {
    if (entry.trim() !== "" && await exists(host, resolve(definition.baseFolder, entry, inPackage))) {
      found.push(entry);
    }
  }
  return found;
}

async function exists({ files }: Pick<Host, "files">, path: string): Promise<boolean> {
  return await withinReach(files.realPath(path), null) !== null;
}
