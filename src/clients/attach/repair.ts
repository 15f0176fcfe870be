/**
 * Whether the entries that attach wrote still start what they are for, and how those that do not are mended.
 *
 * @module
 */
import { canonicalJson, sha256Hex } from "../../base/hash.ts";
import { isObject } from "../../base/json.ts";
import type { Host } from "../../host/host.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { type Client, type HttpEntry, type Places, settingsFiles } from "../client.ts";
import { entryIn } from "../edit_entries.ts";
import { clientOf } from "../known/mod.ts";
import { parseSettings, readSettings } from "../settings.ts";
import { changeFile, type FileHost, restoreFile } from "./file.ts";
import { type KeptEntry, type KeptFile, keptSettings, listKept } from "./kept.ts";
import { inPlaceOf } from "./plan.ts";
import type { ConnectCommand } from "./targets.ts";

export interface KeptCheck {
  kept: KeptFile;
  entry: KeptEntry;
  client: Client;
  /**
   * `vanished`: its server is no longer defined; `gone`: the entry is not there; `changed`: somebody else changed it;
   * `stale`: it starts another command than it would be given now.
   */
  kind: "fits" | "stale" | "vanished" | "gone" | "changed";
  /** What the entry would be now; null where its server vanished. */
  value: Record<string, unknown> | null;
}

export interface CheckOptions {
  stateFolder: string;
  connect: ConnectCommand;
  /** How a server is reached over HTTP right now; null where no gateway is there. */
  http: ((server: ServerDefinition) => Omit<HttpEntry, "name">) | null;
  /** The server of this name in a definition file, or among the presets; null where there is none. */
  find(config: string | null, name: string): Promise<ServerDefinition | "unknown" | null>;
}

/** Every entry that is kept; only looks. @throws HostError */
export async function checkKept(
  host: Pick<Host, "files">,
  { stateFolder, connect, http, find }: CheckOptions,
): Promise<KeptCheck[]> {
  const checks: KeptCheck[] = [];
  for (const kept of (await listKept({ host, stateFolder })).kept) {
    const settings = await settingsOf(host, kept);
    for (const entry of kept.entries) {
      const client = clientOf(entry.clients[0] ?? "");
      const server = await find(entry.config, entry.server);
      if (client === null || server === "unknown") continue;
      const there = entryIn(settings, { at: entry.at, isList: entry.is_list, name: entry.name });
      const value = server === null || !isObject(there)
        ? null
        : valueNow(client, { name: entry.name, path: kept.path, there }, { server, connect, http });
      checks.push({ kept, entry, client, value, kind: kindOf(there, entry, { value, server }) });
    }
  }
  return checks;
}

export interface Repaired {
  check: KeptCheck;
  /** Why the entry is left as it is; null where it was mended. */
  problem: string | null;
}

/** Renews stale entries, and gives back what stood in the place of vanished ones. @throws HostError */
export async function repairKept(
  host: FileHost,
  checks: readonly KeptCheck[],
  { places, stateFolder, find }: { places: Places } & Pick<CheckOptions, "stateFolder" | "find">,
): Promise<Repaired[]> {
  const repaired: Repaired[] = [];
  for (const check of checks) {
    const { kept, entry, client, kind, value } = check;
    if (kind === "vanished") {
      const remains = (each: KeptEntry) =>
        each.name === entry.name && each.at.join("\0") === entry.at.join("\0") ? null : each;
      const { problem } = await restoreFile(host, kept.path, { stateFolder, remains });
      repaired.push({ check, problem });
      continue;
    }
    const server = kind === "stale" ? await find(entry.config, entry.server) : null;
    if (server === null || server === "unknown" || value === null) continue;
    const files = await settingsFiles(client, places);
    const known = files.find(({ path, at }) => path === kept.path && at.join("\0") === entry.at.join("\0"));
    const wanted = [{ name: entry.name, server, value, replaces: true }];
    const file = known ?? keptSettings(kept, entry);
    const { problem } = await changeFile(host, { client, file, wanted }, stateFolder);
    repaired.push({ check, problem });
  }
  return repaired;
}

/** Undefined where the file is gone or can't be read. */
async function settingsOf(host: Pick<Host, "files">, kept: KeptFile): Promise<unknown> {
  try {
    const read = await readSettings(host, kept.path);
    return read === null ? undefined : await parseSettings(read.text, keptSettings(kept, null));
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    return undefined;
  }
}

function kindOf(
  there: unknown,
  entry: KeptEntry,
  { value, server }: { value: Record<string, unknown> | null; server: ServerDefinition | null },
): KeptCheck["kind"] {
  if (there === undefined) return "gone";
  const now = canonicalJson(there);
  if (value !== null && now === canonicalJson(value)) return "fits";
  if (sha256Hex(now) !== entry.written) return "changed";
  return server === null ? "vanished" : "stale";
}

function valueNow(
  client: Client,
  { name, path, there }: { name: string; path: string; there: Readonly<Record<string, unknown>> },
  { server, connect, http }: Pick<CheckOptions, "connect" | "http"> & { server: ServerDefinition },
): Record<string, unknown> {
  const isHttp = ["url", "httpUrl", "serverUrl", "uri"].some((key) => key in there);
  if (isHttp && client.httpEntry !== null) {
    return http === null
      ? { ...there }
      : inPlaceOf(there, inShape(client.httpEntry({ name, ...http(server) }, path), there));
  }
  const fresh = client.connectEntry({ name, command: connect.command, args: connect.argsFor(server) });
  return inPlaceOf(there, inShape(fresh, there));
}

/** opencode's newer form is without `enabled`. */
function inShape(
  value: Record<string, unknown>,
  was: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== "enabled" || key in was));
}
