/**
 * What the one supervisor of a state folder keeps at its top: who it is, what it is to keep, its secrets.
 *
 * @module
 */
import { join } from "@std/path";
import { type Host, HostError } from "../host/host.ts";
import { isObject } from "../base/json.ts";
import { FILE_MODE, FOLDER_MODE } from "./paths.ts";
import type { ProcessIdentity, StartedBy } from "./record.ts";

export const SUPERVISOR_SCHEMA = 1;

export interface SupervisorPaths {
  /** Held by the supervisor for as long as it lives; never unlinked. */
  lock: string;
  /** Held by whoever starts one, until it answers. */
  startLock: string;
  record: string;
  log: string;
  gatewayToken: string;
  controlToken: string;
  enrolled: string;
}

export function supervisorPaths(stateFolder: string): SupervisorPaths {
  return {
    lock: join(stateFolder, "supervisor.lock"),
    startLock: join(stateFolder, "supervisor.start.lock"),
    record: join(stateFolder, "supervisor.json"),
    log: join(stateFolder, "supervisor.log"),
    gatewayToken: join(stateFolder, "gateway.token"),
    controlToken: join(stateFolder, "control.token"),
    enrolled: join(stateFolder, "enrolled.json"),
  };
}

/** `supervisor.json`. */
export interface SupervisorRecord extends ProcessIdentity {
  schema: typeof SUPERVISOR_SCHEMA;
  /** Linux: the PID namespace that `pid` is a number of; null elsewhere and where it can't be read. */
  pid_namespace: string | null;
  version: string;
  /** The commit that it was built from; null where it runs from source. */
  build: string | null;
  /** Where verbs reach it. */
  control: string;
  /** The gateway's address; null where its port is somebody else's. */
  endpoint: string | null;
  /** ISO 8601, UTC. */
  since: string;
  /** Whether it left the session, group and cgroup of who started it; why not, where it could not. */
  detached: string | null;
}

/** One server that the next supervisor keeps as well. */
export interface EnrolledServer {
  key: string;
  name: string;
  /** The definition file; null for a preset. */
  config: string | null;
  /** Folder of the verb that enrolled it: presets begin there. */
  folder: string;
  by: StartedBy | "serve";
  idle_ms: number | null;
  timeout_ms: number | null;
  owner: ProcessIdentity | null;
}

/** `enrolled.json`. */
export interface Enrolled {
  schema: typeof SUPERVISOR_SCHEMA;
  /** The gateway's port, chosen once. */
  port: number | null;
  /** Whether `serve` asked the supervisor to stay without anything to do. */
  stay: boolean;
  servers: EnrolledServer[];
}

export const NOTHING_ENROLLED: Enrolled = {
  schema: SUPERVISOR_SCHEMA,
  port: null,
  stay: false,
  servers: [],
};

type FilesHost = Pick<Host, "files" | "random">;

/** Null where there is none, or none that this foster understands. */
export async function readSupervisorRecord(
  { files }: Pick<Host, "files">,
  stateFolder: string,
): Promise<SupervisorRecord | null> {
  return decodeSupervisorRecord(await readSmall(files, supervisorPaths(stateFolder).record));
}

export async function writeSupervisorRecord(
  { files }: Pick<Host, "files">,
  stateFolder: string,
  record: SupervisorRecord,
): Promise<void> {
  await files.writeAtomic(supervisorPaths(stateFolder).record, encode(record), FILE_MODE);
}

export function decodeSupervisorRecord(text: string | null): SupervisorRecord | null {
  const value = parsed(text);
  if (value === null) return null;
  const { pid, start_token, version, control, since } = value;
  if (!Number.isSafeInteger(pid) || typeof start_token !== "string" || typeof control !== "string") {
    return null;
  }
  if (typeof version !== "string" || typeof since !== "string" || !isLoopbackUrl(control)) return null;
  return {
    schema: SUPERVISOR_SCHEMA,
    pid: pid as number,
    start_token,
    pid_namespace: textOrNull(value.pid_namespace),
    version,
    build: textOrNull(value.build),
    control,
    endpoint: textOrNull(value.endpoint),
    since,
    detached: textOrNull(value.detached),
  };
}

/** What is enrolled; nothing where the file is missing, and null where it is of an unknown schema or broken. */
export async function readEnrolled(
  { files }: Pick<Host, "files">,
  stateFolder: string,
): Promise<Enrolled | null> {
  const text = await readSmall(files, supervisorPaths(stateFolder).enrolled);
  return text === null ? NOTHING_ENROLLED : decodeEnrolled(text);
}

export async function writeEnrolled(
  { files }: Pick<Host, "files">,
  stateFolder: string,
  enrolled: Enrolled,
): Promise<void> {
  await files.writeAtomic(supervisorPaths(stateFolder).enrolled, encode(enrolled), FILE_MODE);
}

export function decodeEnrolled(text: string): Enrolled | null {
  const value = parsed(text);
  if (value === null || !Array.isArray(value.servers)) return null;
  const port = Number.isSafeInteger(value.port) ? value.port as number : null;
  const servers = value.servers.flatMap((each) => {
    const server = decodeEnrolledServer(each);
    return server === null ? [] : [server];
  });
  return { schema: SUPERVISOR_SCHEMA, port, stay: value.stay === true, servers };
}

const ENROLLERS = ["up", "run", "connect", "serve"] as const;

/** Null where anything that matters is missing. */
export function decodeEnrolledServer(value: unknown): EnrolledServer | null {
  if (!isObject(value)) return null;
  const { key, name, folder } = value;
  const by = ENROLLERS.find((each) => each === value.by);
  if (typeof key !== "string" || typeof name !== "string" || typeof folder !== "string" || by === undefined) {
    return null;
  }
  return {
    key,
    name,
    config: textOrNull(value.config),
    folder,
    by,
    idle_ms: wholeOrNull(value.idle_ms),
    timeout_ms: wholeOrNull(value.timeout_ms),
    owner: identityOrNull(value.owner),
  };
}

/** The secret of a file: 32 random bytes in hex, made on first use. */
export async function secretOf(host: FilesHost, path: string): Promise<string> {
  const known = await secretIn(host, path);
  if (known !== null) return known;
  const made = host.random.hex(32);
  try {
    await host.files.writeNew(path, made + "\n", FILE_MODE);
    return made;
  } catch (error) {
    if (!(error instanceof HostError && error.code === "exists")) throw error;
    // Another foster was first, or what stands there is no secret.
    const theirs = await secretIn(host, path);
    if (theirs !== null) return theirs;
    await host.files.writeAtomic(path, made + "\n", FILE_MODE);
    return made;
  }
}

/** Null where there is none: to be told by who may not make one. */
export async function secretIn({ files }: Pick<Host, "files">, path: string): Promise<string | null> {
  const text = (await readSmall(files, path))?.trim() ?? "";
  return /^[0-9a-f]{64}$/.test(text) ? text : null;
}

/** Makes the state folder where it is missing. */
export async function prepareSupervisorFolder(
  { files }: Pick<Host, "files">,
  stateFolder: string,
): Promise<void> {
  await files.makeDir(stateFolder, FOLDER_MODE);
}

function encode(value: object): string {
  return JSON.stringify(value, null, 2) + "\n";
}

const LIMIT_BYTES = 1024 * 1024;

async function readSmall(files: Host["files"], path: string): Promise<string | null> {
  const stat = await files.stat(path);
  if (stat === null || stat.kind !== "file" || stat.sizeBytes > LIMIT_BYTES) return null;
  return await files.readText(path);
}

function parsed(text: string | null): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text ?? "null");
    return isObject(value) && value.schema === SUPERVISOR_SCHEMA ? value : null;
  } catch {
    return null;
  }
}

/** Control is never looked for on another machine, whatever the file says. */
function isLoopbackUrl(text: string): boolean {
  return /^http:\/\/127\.0\.0\.1:\d{1,5}\/?$/.test(text);
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function wholeOrNull(value: unknown): number | null {
  return Number.isSafeInteger(value) ? value as number : null;
}

function identityOrNull(value: unknown): ProcessIdentity | null {
  if (!isObject(value)) return null;
  const { pid, start_token } = value;
  return Number.isSafeInteger(pid) && typeof start_token === "string"
    ? { pid: pid as number, start_token }
    : null;
}
