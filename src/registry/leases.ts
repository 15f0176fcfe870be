/**
 * Leases: which clients use a server right now, one file per client with its identity.
 *
 * @module
 */
import { join } from "@std/path";
import type { Host } from "../host/host.ts";
import { verdict } from "./identity.ts";
import { FILE_MODE, FOLDER_MODE } from "./paths.ts";
import type { ProcessIdentity } from "./record.ts";

export interface Lease extends ProcessIdentity {
  /** ISO 8601, UTC. */
  since: string;
  /** Since when its oldest call is in flight, where one is for a while already. */
  call_since?: string;
}

export interface LeasesSeen {
  live: Lease[];
  /** File names of leases whose client is gone, or that can't be read. */
  dead: string[];
  /** Clients that can't be told apart from others right now: counted as live. */
  unknown: number;
}

type LeaseHost = Pick<Host, "files" | "processes">;

/** Reads a lease, null where it is none. */
export function decodeLease(text: string): Lease | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return null;
    const { pid, start_token, since, call_since } = value as Record<string, unknown>;
    if (typeof pid !== "number" || typeof start_token !== "string" || typeof since !== "string") return null;
    return { pid, start_token, since, ...(typeof call_since === "string" ? { call_since } : {}) };
  } catch {
    return null;
  }
}

export async function readLeases(host: LeaseHost, folder: string): Promise<LeasesSeen> {
  const seen: LeasesSeen = { live: [], dead: [], unknown: 0 };
  const entries = (await host.files.list(folder) ?? []).filter((entry) => entry.name.endsWith(".json"));
  const leases: { name: string; lease: Lease }[] = [];
  for (const { name, kind } of entries) {
    const lease = kind === "file" ? decodeLease(await host.files.readText(join(folder, name)) ?? "") : null;
    if (lease === null) seen.dead.push(name);
    else leases.push({ name, lease });
  }
  const processes = await host.processes.inspect(leases.map(({ lease }) => lease.pid));
  for (const { name, lease } of leases) {
    switch (verdict(processes.get(lease.pid), lease.start_token).kind) {
      case "ours":
        seen.live.push(lease);
        break;
      case "gone":
      case "recycled":
        seen.dead.push(name);
        break;
      case "unknown":
        seen.unknown++;
    }
  }
  return seen;
}

export async function writeLease(host: LeaseHost, folder: string, lease: Lease): Promise<string> {
  await host.files.makeDir(folder, FOLDER_MODE);
  const path = join(folder, `${lease.pid}.json`);
  await host.files.writeAtomic(path, JSON.stringify(lease) + "\n", FILE_MODE);
  return path;
}
