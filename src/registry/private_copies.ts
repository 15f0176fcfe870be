/**
 * Private copies of a server, which `foster connect` keeps without a record: one file per copy with its identity.
 *
 * @module
 */
import { join } from "@std/path";
import type { ServerPaths } from "./paths.ts";
import type { ProcessIdentity } from "./record.ts";

export interface PrivateCopy extends ProcessIdentity {
  /** The `foster connect` that it belongs to. */
  owner: ProcessIdentity;
}

export function privateCopiesFolder({ folder }: Pick<ServerPaths, "folder">): string {
  return join(folder, "children");
}

/** Reads the file of a private copy, null where it is something else. */
export function decodePrivateCopy(text: string): PrivateCopy | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!isIdentity(value) || !("owner" in value) || !isIdentity(value.owner)) return null;
    return { pid: value.pid, start_token: value.start_token, owner: value.owner };
  } catch {
    return null;
  }
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return typeof value === "object" && value !== null && "pid" in value && Number.isSafeInteger(value.pid) &&
    "start_token" in value && typeof value.start_token === "string";
}
