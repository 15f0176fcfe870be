/**
 * `processes/<pid>.json`: servers that foster does not manage, kept by `foster register` for as long as they live.
 *
 * @module
 */
import { join } from "@std/path";
import { type Host, HostError } from "../host/host.ts";
import { FILE_MODE, FOLDER_MODE } from "./paths.ts";
import type { ProcessIdentity } from "./record.ts";

export const PROCESS_RECORD_SCHEMA = 1;

export type RegisteredTransport = "stdio" | "http";

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

/** Larger than any such record; more is not worth reading. */
const LIMIT_BYTES = 64 * 1024;

/** A file of the state folder as it may be read: never through a link, never more than `limitBytes`. */
export type OwnFile =
  | { kind: "text"; text: string }
  | { kind: "none" }
  | { kind: "bad"; why: string };

export interface OwnFileLimits {
  limitBytes: number;
  /** The user that the state folder belongs to; a file of another user is not trusted. Null asks nothing. */
  ownerUid: number | null;
}

export async function readOwnFile(
  { files }: Pick<Host, "files">,
  path: string,
  { limitBytes, ownerUid }: OwnFileLimits,
): Promise<OwnFile> {
  try {
    const stat = await files.stat(path);
    if (stat === null) return { kind: "none" };
    if (stat.kind !== "file") return { kind: "bad", why: `it is a ${stat.kind}` };
    if (ownerUid !== null && stat.uid !== null && stat.uid !== ownerUid) {
      return { kind: "bad", why: `it belongs to another user (${stat.uid})` };
    }
    if (stat.sizeBytes > limitBytes) return { kind: "bad", why: `it is ${stat.sizeBytes} bytes large` };
    const text = await files.readText(path);
    return text === null ? { kind: "none" } : { kind: "text", text };
  } catch (error) {
    if (error instanceof HostError) return { kind: "bad", why: error.message };
    throw error;
  }
}

export function processesFolder(stateFolder: string): string {
  return join(stateFolder, "processes");
}

export function processRecordPath(stateFolder: string, pid: number): string {
  return join(processesFolder(stateFolder), `${pid}.json`);
}

export function encodeProcessRecord(record: ProcessRecord): string {
  return JSON.stringify(record, null, 2) + "\n";
}

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === "string";
const pidNumber: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const absentOr = (check: Check): Check => (value) => value === undefined || value === null || check(value);

const FIELDS: Record<keyof ProcessRecord, Check> = {
  schema: absentOr((value) => value === PROCESS_RECORD_SCHEMA),
  pid: (value) => pidNumber(value) && value !== 0,
  start_token: absentOr(text),
  executable: text,
  cwd: text,
  started_unix_millis: pidNumber,
  parent_pid_at_start: absentOr(pidNumber),
  process_group_id: absentOr(pidNumber),
  transport: (value) => value === "stdio" || value === "http",
  bind: absentOr(text),
  http_path: absentOr(text),
  register: absentOr((value) => {
    if (typeof value !== "object" || value === null) return false;
    const { pid, start_token } = value as Record<string, unknown>;
    return pidNumber(pid) && text(start_token);
  }),
};

/** Reads a record strictly; `pid` is what the file's name says. */
export function decodeProcessRecord(source: string, pid: number): ProcessRecordDecoded {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    return { kind: "corrupt", why: "it is not JSON" };
  }
  if (typeof value !== "object" || value === null) return { kind: "corrupt", why: "it is not an object" };
  const fields = value as Partial<ProcessRecord>;
  for (const [name, check] of Object.entries(FIELDS)) {
    if (check((value as Record<string, unknown>)[name])) continue;
    const why = name === "schema"
      ? "another version of foster wrote it"
      : `"${name}" is missing or malformed`;
    return { kind: "corrupt", why };
  }
  if (fields.pid !== pid) return { kind: "corrupt", why: `its name is not that of its pid` };
  const none = { start_token: null, parent_pid_at_start: null, process_group_id: null };
  const later = { schema: PROCESS_RECORD_SCHEMA, bind: null, http_path: null, register: null };
  return { kind: "record", record: { ...later, ...none, ...fields } as ProcessRecord };
}

/** The pid that a file of the folder is about, null where it is no record. */
export function pidOfRecordName(name: string): number | null {
  const digits = /^([1-9]\d{0,9})\.json$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

export async function readProcessRecord(
  host: Pick<Host, "files">,
  path: string,
  { pid, ownerUid = null }: { pid: number; ownerUid?: number | null },
): Promise<ProcessRecordDecoded | { kind: "none" }> {
  const file = await readOwnFile(host, path, { limitBytes: LIMIT_BYTES, ownerUid });
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
  { files }: Pick<Host, "files">,
  stateFolder: string,
  record: ProcessRecord,
): Promise<string> {
  await files.makeDir(stateFolder, FOLDER_MODE);
  await files.makeDir(processesFolder(stateFolder), FOLDER_MODE);
  const path = processRecordPath(stateFolder, record.pid);
  await files.writeAtomic(path, encodeProcessRecord(record), FILE_MODE);
  return path;
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
