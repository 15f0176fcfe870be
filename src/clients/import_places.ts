/**
 * Where other MCP programs keep their settings, and what stands in them.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { userFolders } from "../base/user_folders.ts";
import { basename, dirname, join } from "@std/path";
import type { Host } from "../host/host.ts";

/** How a program writes its servers down: each has its own variables. */
export type ImportForm = "mcpServers" | "servers" | "context_servers";

export interface ImportEntry {
  name: string;
  form: ImportForm;
  value: Readonly<Record<string, unknown>>;
}

/** The servers of one settings file; null where it has no list of servers at all. */
export function entriesOf(settings: unknown): ImportEntry[] | null {
  if (!isObject(settings)) return null;
  const nested = isObject(settings["mcp"]) ? settings["mcp"] : {};
  const lists: [ImportForm, unknown][] = [
    ["mcpServers", settings["mcpServers"]],
    ["servers", settings["servers"] ?? nested["servers"]],
    ["context_servers", settings["context_servers"]],
  ];
  const found = lists.filter((list): list is [ImportForm, Record<string, unknown>] => isObject(list[1]));
  if (found.length === 0) return null;
  return found.flatMap(([form, servers]) =>
    Object.entries(servers).flatMap(([name, value]) => isObject(value) ? [{ name, form, value }] : [])
  );
}

/** The folder that a settings file speaks of, null for one that belongs to the user and not to a project. */
export function projectOf(file: string, home: string | null): string | null {
  const folder = dirname(file);
  const inside = [".cursor", ".vscode", ".zed"].includes(basename(folder));
  const project = inside ? dirname(folder) : basename(file) === ".mcp.json" ? folder : null;
  return project === home ? null : project;
}

/** The known places, the project's first. */
export function knownPlaces({ env, system }: Pick<Host, "env" | "system">, folder: string): string[] {
  const project = [".mcp.json", ".cursor/mcp.json", ".vscode/mcp.json", ".zed/settings.json"]
    .map((each) => join(folder, each));
  const { home, settings } = userFolders({ env, system });
  if (home === null || settings === null) return project;
  const zed = system === "windows" ? join(settings, "Zed") : join(home, ".config", "zed");
  return [
    ...project,
    join(home, ".claude.json"),
    join(settings, "Claude", "claude_desktop_config.json"),
    join(home, ".cursor", "mcp.json"),
    join(settings, "Code", "User", "mcp.json"),
    join(zed, "settings.json"),
  ].filter((path, index, all) => all.indexOf(path) === index);
}
