/**
 * Which entries a client prefers to those that attach writes: a project's own wins over the user's in that project.
 *
 * @module
 */
import { type Host, withinReach } from "../../host/host.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import { type Client, type Places, type Scope, type SettingsFile, settingsFiles } from "../client.ts";
import { entriesFor, parseSettings, readSettings } from "../settings.ts";
import { connectsTo } from "./plan.ts";

/** An entry of somebody else's that the client takes in place of foster's of the same name. */
export interface WinningEntry {
  name: string;
  path: string;
  at: readonly string[];
  /** Whether the client waits for the user's approval before it takes it. */
  isPending: boolean;
}

const RANK: Record<Scope, number> = { local: 0, project: 1, user: 2 };

/** In the caller's folder; none for a file that counts elsewhere, or can't be read. @throws HostError */
export async function winningEntries(
  host: Pick<Host, "files">,
  { client, places, file, names }: {
    client: Client;
    places: Places;
    file: Pick<SettingsFile, "path" | "at">;
    names: readonly string[];
  },
): Promise<WinningEntry[]> {
  if (client.prefersProject !== true) return [];
  const files = await settingsFiles(client, places);
  const target = await fileLike(host, files, file);
  if (target === null) return [];
  const winners = new Map<string, WinningEntry>();
  const before = files.filter((each) => RANK[each.scope] < RANK[target.scope])
    .toSorted((a, b) => RANK[a.scope] - RANK[b.scope]);
  for (const each of before) {
    for (const { name, value } of await entriesIn(host, client, each)) {
      if (!names.includes(name) || winners.has(name) || connectsTo(value) !== null) continue;
      const approval = each.scope === "project" ? await approvalOf(client, places, name) : "approved";
      if (approval === "refused") continue;
      winners.set(name, { name, path: each.path, at: each.at, isPending: approval === "pending" });
    }
  }
  return [...winners.values()];
}

/** In words, and what to type. */
export function describeWinner(client: Client, { path, isPending }: WinningEntry): string {
  const condition = isPending ? ` once ${client.title} has your approval for it` : "";
  return `the entry of that name in ${path} wins over foster's here${condition}`;
}

export function winnerHint({ id }: Client): string {
  return `foster attach ${id} --import takes that one over, foster detach ${id} takes foster's out again`;
}

async function approvalOf(client: Client, places: Places, name: string) {
  try {
    return await client.approval?.(places, name) ?? "approved";
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    return "pending";
  }
}

async function fileLike(
  host: Pick<Host, "files">,
  files: readonly SettingsFile[],
  { path, at }: Pick<SettingsFile, "path" | "at">,
): Promise<SettingsFile | null> {
  for (const each of files) {
    if (!each.at.every((key, index) => at[index] === key)) continue;
    if (each.path === path || await withinReach(host.files.realPath(each.path), null) === path) return each;
  }
  return null;
}

async function entriesIn(host: Pick<Host, "files">, client: Client, file: SettingsFile) {
  try {
    const read = await readSettings(host, file.path);
    return read === null ? [] : entriesFor(await parseSettings(read.text, file), client, file) ?? [];
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    return [];
  }
}
