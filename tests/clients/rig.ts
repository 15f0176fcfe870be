/**
 * A home with clients' settings, and attach and detach at work in it.
 *
 * @module
 */
import { assert } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import { changeFile, type FileWork, restoreFile } from "../../src/clients/attach/file.ts";
import { type KeptEntry, listKept } from "../../src/clients/attach/kept.ts";
import { targetFile, worksFor } from "../../src/clients/attach/targets.ts";
import { type Client, type Places, placesOf } from "../../src/clients/client.ts";
import { entriesFor, parseSettings, readSettings } from "../../src/clients/settings.ts";
import type { ServerDefinition } from "../../src/definitions/definition.ts";
import { define, inFolder, machine } from "../definitions/machine.ts";

export const RECORDED = fromFileUrl(new URL("../recorded/clients", import.meta.url));
export const NO_OVERRIDES = { readyTimeoutMs: null, probeTimeoutMs: null, intervalMs: null };

export const FILE = "/p/foster.json";
export const SERVERS = ["docs", "My Notes.v2"].map((name) => defined(name, FILE));

export function defined(name: string, file: string): ServerDefinition {
  return { ...define({}, { name }), source: { kind: "file", file, project: true } };
}

export interface Rig {
  host: ReturnType<typeof machine>;
  places: Places;
  folder: string;
  stateFolder: string;
}

export async function inHome(body: (rig: Rig) => Promise<void>): Promise<void> {
  await inFolder({ "p/.git/x": "", "home/x": "" }, async (folder) => {
    const host = machine({ HOME: `${folder}/home` });
    const places = await placesOf(host, `${folder}/p`);
    assert(places !== null);
    await body({ host, places, folder, stateFolder: `${folder}/state` });
  });
}

export async function recordedOf({ id }: Client): Promise<Uint8Array<ArrayBuffer>> {
  for await (const { name } of Deno.readDir(RECORDED)) {
    if (name.replace(/\.\w+$/, "") === id) return await Deno.readFile(join(RECORDED, name));
  }
  throw new Error(`nothing recorded of ${id}`);
}

/** The client's user file with what was recorded of it. */
export async function placed(
  client: Client,
  places: Places,
): Promise<{ path: string; bytes: Uint8Array<ArrayBuffer> }> {
  const file = await targetFile(client, places, "user");
  assert(file !== null);
  const bytes = await recordedOf(client);
  await Deno.mkdir(dirname(file.path), { recursive: true });
  await Deno.writeFile(file.path, bytes, { mode: 0o600 });
  return { path: file.path, bytes };
}

export function works(client: Client, places: Places, command = "/opt/foster"): Promise<FileWork[]> {
  return worksFor(client, places, {
    scope: "user",
    servers: SERVERS,
    connect: { command, argsFor: ({ name }) => ["connect", name, "--config", "/p/foster.json"] },
    http: null,
    imported: null,
  });
}

export async function change({ host, stateFolder }: Rig, all: readonly FileWork[]) {
  const results = [];
  for (const work of all) results.push(await changeFile(host, work, stateFolder));
  return results;
}

export async function keptOf({ host, stateFolder }: Pick<Rig, "host" | "stateFolder">) {
  return (await listKept({ host, stateFolder })).kept;
}

export async function restoreAll({ host, stateFolder }: Rig, clients: Client["id"][] | null = null) {
  const results = [];
  for (const { path } of await keptOf({ host, stateFolder })) {
    const remains = (entry: KeptEntry) => {
      const others = clients === null ? [] : entry.clients.filter((each) => !clients.includes(each));
      return others.length === 0 ? null : { ...entry, clients: others };
    };
    results.push(await restoreFile(host, path, { stateFolder, remains }));
  }
  return results;
}

export async function entriesOf(client: Client, { host, places }: Rig): Promise<string[]> {
  const file = await targetFile(client, places, "user");
  const settings = file === null ? null : await readSettings(host, file.path);
  if (file === null || settings === null) return [];
  const value = await parseSettings(settings.text, file);
  return (entriesFor(value, client, file) ?? []).map(({ name }) => name);
}
