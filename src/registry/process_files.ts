/**
 * The small files that say which process uses or is what: leases of clients, private copies of `foster connect`, and
 * servers that `foster register` watches over. Each is named by its process's pid and holds its start time, so that it
 * outlives nobody: whoever is gone or another process by now is told from whoever is still there.
 *
 * @module
 */
import { join } from "node:path";
import {
  decodeJson,
  decodeJsonOrNull,
  type Decoder,
  integer,
  Malformed,
  nullable,
  object,
  oneOf,
  optional,
  text,
} from "../base/decode.ts";
import type { Host } from "../host/host.ts";
import { verdict } from "./identity.ts";
import { type OwnText, type OwnTextLimits, readOwnText } from "./own_text.ts";
import { FILE_MODE, FOLDER_MODE, type ServerPaths } from "./paths.ts";
import {
  absolutePath,
  anyPid,
  identity,
  pid,
  pidOrZero,
  type ProcessIdentity,
  startToken,
} from "./values.ts";

/** Larger than any such file; more is not worth reading. */
const LIMIT_BYTES = 64 * 1024;

/** The pid that a file is about, null where it is no such file. */
export function pidOfFileName(name: string): number | null {
  const digits = /^([1-9]\d{0,9})\.json$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

export function readProcessFile(
  host: Pick<Host, "files">,
  path: string,
  { ownerUid = null }: Partial<Pick<OwnTextLimits, "ownerUid">> = {},
): Promise<OwnText> {
  return readOwnText(host, path, { limitBytes: LIMIT_BYTES, ownerUid });
}

async function write(
  { files }: Pick<Host, "files">,
  { folder, pid, text }: { folder: string; pid: number; text: string },
): Promise<string> {
  await files.makeDir(folder, FOLDER_MODE);
  const path = join(folder, `${pid}.json`);
  await files.writeAtomic(path, text, FILE_MODE);
  return path;
}

// --------------------------------------------------------------------------------------------------------- leases

/** A client that uses a server right now. */
export interface Lease extends ProcessIdentity {
  /** ISO 8601, UTC. */
  since: string;
  /** Since when its oldest call is in flight, where one is for a while already; ISO 8601, UTC. */
  call_since?: string;
}

export interface LeaseCount {
  live: Lease[];
  /** File names of leases whose client is gone, or that can't be read. */
  dead: string[];
  /** Clients that can't be told apart from others right now: counted as live. */
  unknown: number;
}

/** Since when is for people to read: a client is not given up for it. */
const lease: Decoder<Lease> = object({
  pid: anyPid,
  start_token: startToken,
  since: text(),
  call_since: optional(text(), undefined),
});

/** Reads a lease, null where it is none. */
export function decodeLease(source: string): Lease | null {
  return decodeJsonOrNull(source, lease);
}

export async function readLeases(
  host: Pick<Host, "files" | "processes">,
  folder: string,
): Promise<LeaseCount> {
  const count: LeaseCount = { live: [], dead: [], unknown: 0 };
  const entries = (await host.files.list(folder) ?? []).filter(({ name }) => name.endsWith(".json"));
  const leases: { name: string; lease: Lease }[] = [];
  for (const { name } of entries) {
    const file = await readProcessFile(host, join(folder, name));
    if (file.kind === "bad" && file.unreadable !== undefined) {
      count.unknown++;
      continue;
    }
    const lease = file.kind === "text" ? decodeLease(file.text) : null;
    if (lease === null) count.dead.push(name);
    else leases.push({ name, lease });
  }
  const processes = await host.processes.inspect(leases.map(({ lease }) => lease.pid));
  for (const { name, lease } of leases) {
    switch (verdict(processes.get(lease.pid), lease.start_token).kind) {
      case "ours":
        count.live.push(lease);
        break;
      case "gone":
      case "recycled":
        count.dead.push(name);
        break;
      case "unknown":
        count.unknown++;
    }
  }
  return count;
}

/** Returns where it stands. @throws HostError */
export function writeLease(host: Pick<Host, "files">, folder: string, lease: Lease): Promise<string> {
  return write(host, { folder, pid: lease.pid, text: JSON.stringify(lease) + "\n" });
}

// -------------------------------------------------------------------------------------------------- private copies

/** A server's private copy, which `foster connect` of 0.1 keeps without a record. */
export interface PrivateCopy extends ProcessIdentity {
  /** The `foster connect` that it belongs to. */
  owner: ProcessIdentity;
}

const privateCopy: Decoder<PrivateCopy> = object({ pid, start_token: startToken, owner: identity });

export function privateCopiesFolder({ folder }: Pick<ServerPaths, "folder">): string {
  return join(folder, "children");
}

/** Reads the file of a private copy, null where it is something else. */
export function decodePrivateCopy(source: string): PrivateCopy | null {
  return decodeJsonOrNull(source, privateCopy);
}

// ---------------------------------------------------------------------------------------------- registered servers

export const PROCESS_RECORD_SCHEMA = 1;

export type RegisteredTransport = "stdio" | "http";

/** `processes/<pid>.json`: a server that foster does not manage, kept by `foster register` for as long as it lives. */
export interface ProcessRecord {
  schema: typeof PROCESS_RECORD_SCHEMA;
  pid: number;
  /** Null where it could not be read: the process then can't be told from another with its pid. */
  start_token: string | null;
  executable: string;
  cwd: string;
  started_unix_millis: number;
  /** Of the register, not of the server: the client that wanted the server. Older records have none. */
  parent_pid_at_start: number | null;
  process_group_id: number | null;
  transport: RegisteredTransport;
  bind: string | null;
  http_path: string | null;
  /** The `foster register` that watches over it. */
  register: ProcessIdentity | null;
}

export type ProcessRecordDecoded =
  | { kind: "record"; record: ProcessRecord }
  | { kind: "corrupt"; why: string };

const processRecord: Decoder<ProcessRecord> = object({
  schema: (value) => {
    if (value === undefined || value === PROCESS_RECORD_SCHEMA) return PROCESS_RECORD_SCHEMA;
    throw new Malformed("", "another version of foster wrote it");
  },
  pid,
  start_token: optional(nullable(startToken), null),
  executable: text((path) => path !== ""),
  cwd: absolutePath,
  started_unix_millis: integer(0),
  parent_pid_at_start: optional(nullable(pidOrZero), null),
  process_group_id: optional(nullable(pidOrZero), null),
  transport: oneOf("stdio", "http"),
  bind: optional(nullable(text()), null),
  http_path: optional(nullable(text()), null),
  register: optional(nullable(identity), null),
});

export function processesFolder(stateFolder: string): string {
  return join(stateFolder, "processes");
}

export function encodeProcessRecord(record: ProcessRecord): string {
  return JSON.stringify(record, null, 2) + "\n";
}

/** Reads a record strictly; `named` is the pid in the file's name. */
export function decodeProcessRecord(source: string, named: number): ProcessRecordDecoded {
  const decoded = decodeJson(source, processRecord);
  if (decoded.kind === "malformed") return { kind: "corrupt", why: decoded.why };
  if (decoded.value.pid !== named) return { kind: "corrupt", why: "its name is not that of its pid" };
  return { kind: "record", record: decoded.value };
}

export async function readProcessRecord(
  host: Pick<Host, "files">,
  path: string,
  { pid, ownerUid = null }: { pid: number; ownerUid?: number | null },
): Promise<ProcessRecordDecoded | { kind: "none" }> {
  const file = await readProcessFile(host, path, { ownerUid });
  switch (file.kind) {
    case "none":
      return file;
    case "bad":
      return { kind: "corrupt", why: file.why };
    case "text":
      return decodeProcessRecord(file.text, pid);
  }
}

/** Returns where it stands. @throws HostError */
export async function writeProcessRecord(
  host: Pick<Host, "files">,
  stateFolder: string,
  record: ProcessRecord,
): Promise<string> {
  await host.files.makeDir(stateFolder, FOLDER_MODE);
  const folder = processesFolder(stateFolder);
  return await write(host, { folder, pid: record.pid, text: encodeProcessRecord(record) });
}

/**
 * Removes the record of this very process; one that another register wrote for a later process of the same pid stays.
 * True if it was there. @throws HostError
 */
export async function removeProcessRecord(
  host: Pick<Host, "files">,
  path: string,
  record: Pick<ProcessRecord, "pid" | "start_token" | "started_unix_millis">,
): Promise<boolean> {
  const stored = await readProcessRecord(host, path, { pid: record.pid });
  if (stored.kind !== "record") return false;
  const { start_token, started_unix_millis } = stored.record;
  if (start_token !== record.start_token || started_unix_millis !== record.started_unix_millis) return false;
  return await host.files.remove(path);
}
