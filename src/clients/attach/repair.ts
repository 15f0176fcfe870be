/**
 * Whether the entries that attach wrote still start what they are for, and how those that do not are mended.
 *
 * @module
 */
import { canonicalJson } from "../../base/hash.ts";
import { isObject } from "../../base/json.ts";
import type { Host } from "../../host/host.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import type { Client, HttpEntry, Places } from "../client.ts";
import { entryIn } from "../edit_entries.ts";
import { clientOf } from "../known/mod.ts";
import { parseSettings, readSettings } from "../settings.ts";
import { changeFile, restoreFile } from "./file.ts";
import { type KeptEntry, type KeptFile, keptSettings, listKept, readKept } from "./kept.ts";
import { carriedFrom, type ConnectCommand } from "./targets.ts";

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
  for (const kept of await listKept({ host, stateFolder })) {
    const settings = await settingsOf(host, kept);
    for (const entry of kept.entries) {
      const client = clientOf(entry.client);
      const server = await find(entry.config, entry.server);
      if (client === null || server === "unknown") continue;
      const value = server === null ? null : valueNow(client, entry, { server, connect, http });
      checks.push({ kept, entry, client, value, kind: kindOf(settings, entry, value) });
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
  host: Pick<Host, "files" | "clock" | "program">,
  checks: readonly KeptCheck[],
  { places, stateFolder, find }: { places: Places } & Pick<CheckOptions, "stateFolder" | "find">,
): Promise<Repaired[]> {
  const repaired: Repaired[] = [];
  for (const check of checks) {
    const { kept, entry, client, kind, value } = check;
    if (kind === "vanished") {
      // An earlier repair may have changed what is kept of the file.
      const now = await readKept({ host, stateFolder }, kept.path) ?? kept;
      const isWanted = (each: KeptEntry) =>
        each.name === entry.name && each.at.join("\0") === entry.at.join("\0");
      const { problem } = await restoreFile(host, now, { stateFolder, isWanted });
      repaired.push({ check, problem });
      continue;
    }
    const server = kind === "stale" ? await find(entry.config, entry.server) : null;
    if (server === null || server === "unknown" || value === null) continue;
    const files = await client.files(places);
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
  settings: unknown,
  entry: KeptEntry,
  value: Record<string, unknown> | null,
): KeptCheck["kind"] {
  const there = entryIn(settings, { at: entry.at, isList: entry.is_list, name: entry.name });
  if (there === undefined) return "gone";
  const now = canonicalJson(there);
  if (value !== null && now === canonicalJson(value)) return "fits";
  if (now !== entry.written) return "changed";
  return value === null ? "vanished" : "stale";
}

function valueNow(
  client: Client,
  { name, written }: KeptEntry,
  { server, connect, http }: Pick<CheckOptions, "connect" | "http"> & { server: ServerDefinition },
): Record<string, unknown> {
  const earlier: unknown = JSON.parse(written);
  const was = isObject(earlier) ? earlier : {};
  const isHttp = ["url", "httpUrl", "serverUrl", "uri"].some((key) => key in was);
  if (isHttp && client.httpEntry !== null) {
    return http === null ? was : inShape(client.httpEntry({ name, ...http(server) }), was);
  }
  const fresh = client.connectEntry({ name, command: connect.command, args: connect.argsFor(server) });
  return inShape({ ...fresh, ...carriedFrom(was) }, was);
}

/** opencode's newer form is without `enabled`. */
function inShape(
  value: Record<string, unknown>,
  was: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== "enabled" || key in was));
}
