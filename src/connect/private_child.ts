/**
 * Keeps track of private children, so that none outlives the client it was started for.
 *
 * @module
 */
import { join } from "node:path";
import { climbLadder } from "../lifecycle/stop/ladder.ts";
import type { World } from "../lifecycle/world.ts";
import { verdict } from "../registry/identity.ts";
import {
  decodePrivateCopy,
  privateCopiesFolder,
  type PrivateCopy,
  readProcessFile,
  writePrivateCopy,
} from "../registry/process_files.ts";
import type { ServerFolder } from "../registry/store.ts";

/** A client waits for no more than two seconds in all. */
const GRACE_MS = 500;

/** Writes down whose child it is. Null where it is gone already. */
export async function recordChild(
  world: World,
  serverFolder: ServerFolder,
  pid: number,
): Promise<PrivateCopy | null> {
  const { processes } = world.host;
  const seen = await processes.inspect([pid, processes.selfPid]);
  const [child, self] = [seen.get(pid), seen.get(processes.selfPid)];
  if (child?.kind !== "seen" || self?.kind !== "seen") return null;
  const owner = { pid: processes.selfPid, start_token: self.facts.startTime };
  const known: PrivateCopy = { pid, start_token: child.facts.startTime, owner };
  await writePrivateCopy(world.host, serverFolder.paths, known);
  return known;
}

/** Ends a child with its group, gently first, and forgets it once it is gone. */
export async function endChild(world: World, serverFolder: ServerFolder, child: PrivateCopy): Promise<void> {
  const { pid, start_token } = child;
  const members = [{ pid, start_token }];
  const targets = world.host.system === "windows"
    ? { groups: [], processes: members }
    : { groups: [{ groupId: pid, members }], processes: [] };
  const { signaller } = world;
  const { survivors } = await climbLadder(world.host, { targets, signaller, graceMs: GRACE_MS });
  if (survivors.length === 0) await world.host.files.remove(fileOf(serverFolder, pid));
}

/** Ends children whose foster was killed and who did not notice. */
export async function endOrphans(world: World, serverFolder: ServerFolder): Promise<void> {
  const { files, processes } = world.host;
  const folder = privateCopiesFolder(serverFolder.paths);
  for (const { name } of await files.list(folder) ?? []) {
    const file = await readProcessFile(world.host, join(folder, name));
    const child = file.kind === "text" ? decodePrivateCopy(file.text) : null;
    if (child === null) continue;
    const seen = await processes.inspect([child.pid, child.owner.pid]);
    const owner = verdict(seen.get(child.owner.pid), child.owner.start_token).kind;
    if (owner !== "gone" && owner !== "recycled") continue;
    await endChild(world, serverFolder, child);
  }
}

function fileOf(serverFolder: ServerFolder, pid: number): string {
  return join(privateCopiesFolder(serverFolder.paths), `${pid}.json`);
}
