/**
 * The files at the top of the state folder that a supervisor keeps: where it is reached, what is enrolled with it, and
 * the sessions of its gateway. Each has a `schema`; one of an unknown schema is left alone and not used.
 *
 * @module
 */
import { join } from "node:path";
import {
  decodeJson,
  type Decoder,
  type DecodeResult,
  flag,
  integer,
  list,
  Malformed,
  nullable,
  object,
  oneOf,
  optional,
  text,
} from "../base/decode.ts";
import { isObject } from "../base/json.ts";
import type { Host } from "../host/host.ts";
import { type OwnText, readOwnText } from "./own_text.ts";
import { FILE_MODE, FOLDER_MODE, statePaths } from "./paths.ts";
import { pidNamespace } from "./record.ts";
import {
  absolutePath,
  anyPid,
  identity,
  loopbackEndpoint,
  port,
  type ProcessIdentity,
  SAID_LIMIT,
  serverName,
  startToken,
  time,
} from "./values.ts";

type FilesHost = Pick<Host, "files">;

/** A file that is there and can be used, none, or why it is not used. */
export type StateFile<T> = { kind: "file"; value: T } | { kind: "none" } | { kind: "unusable"; why: string };

const loopback = text((value) => {
  if (!URL.canParse(value)) return false;
  return loopbackEndpoint(Number(new URL(value).port))(value);
});

const keyText = text(/^[a-z0-9._-]{1,128}$/);

async function read<T>(host: FilesHost, path: string, decode: Decoder<T>): Promise<StateFile<T>> {
  const file: OwnText = await readOwnText(host, path);
  switch (file.kind) {
    case "none":
      return file;
    case "bad":
      if (file.unreadable !== undefined) throw file.unreadable;
      return { kind: "unusable", why: file.why };
    case "text": {
      const decoded: DecodeResult<T> = decodeJson(file.text, decode);
      return decoded.kind === "value"
        ? { kind: "file", value: decoded.value }
        : { kind: "unusable", why: decoded.why };
    }
  }
}

async function write({ files }: FilesHost, path: string, value: object): Promise<void> {
  await files.writeAtomic(path, JSON.stringify(value, null, 2) + "\n", FILE_MODE);
}

// ------------------------------------------------------------------------------------------------- supervisor.json

/** Who supervises, and where it is reached. */
export interface SupervisorFile extends ProcessIdentity {
  schema: 1;
  pid_namespace: string | null;
  version: string;
  /** Tells builds of one version apart: the commit, null from source. */
  build: string | null;
  /** Revision of the way verbs speak to it. */
  control: number;
  /** The gateway's address, `http://127.0.0.1:PORT`. */
  endpoint: string;
  /** ISO 8601, UTC. */
  since: string;
  /** What the system ends it with, e.g. `session-3.scope`; null where it stays. */
  ends_with: string | null;
}

const supervisorFile: Decoder<SupervisorFile> = object({
  schema: oneOf(1),
  pid: anyPid,
  start_token: startToken,
  pid_namespace: nullable(pidNamespace),
  version: text(/^\d+\.\d+\.\d+[\w.+-]{0,64}$/),
  build: nullable(text(/^[\w.+-]{1,64}$/)),
  control: integer(1),
  endpoint: loopback,
  since: time,
  ends_with: optional(nullable(text((value) => value.length <= SAID_LIMIT)), null),
});

export function readSupervisorFile(host: FilesHost, stateFolder: string): Promise<StateFile<SupervisorFile>> {
  return read(host, statePaths(stateFolder).supervisor, supervisorFile);
}

/** Only for the holder of supervisor.lock. @throws HostError */
export function writeSupervisorFile(
  host: FilesHost,
  stateFolder: string,
  value: SupervisorFile,
): Promise<void> {
  return write(host, statePaths(stateFolder).supervisor, value);
}

// --------------------------------------------------------------------------------------------------- enrolled.json

export interface EnrolledServer {
  name: string;
  key: string;
  /** What enrolled it last. */
  by: "up" | "run" | "connect" | "serve" | "attach";
  /** `down --stay` took it away: requests are answered with an error until the next `up`. */
  stays_down: boolean;
  /** Folder of the verb that enrolled it: a preset begins there. Null where it does not matter. */
  folder: string | null;
  /** How long a server that was started for clients stays without them; null for ever. */
  idle_ms: number | null;
  timeout_ms: number | null;
  /** The server ends with this process. */
  owner: ProcessIdentity | null;
}

/** One definition file with those of its servers that are enrolled. */
export interface EnrolledFile {
  /** Real path; null for presets. */
  path: string | null;
  /** Of the text that was enrolled, 64 hexadecimal digits: a `.mcp.json` that changed since was not brought in. */
  sha256: string | null;
  servers: EnrolledServer[];
}

/** How `serve` asked the gateway to listen. */
export interface GatewaySettings {
  /** False with `--no-token`. */
  token: boolean;
  /** Address that it listens on. */
  listen: string;
  /** Host names that it answers to besides its own. */
  hosts: string[];
}

export interface Enrolled {
  schema: 1;
  /** `serve` asked the supervisor to stay although nothing is left for it to do. */
  stay: boolean;
  /** The gateway's port, chosen once; null until then. */
  port: number | null;
  /** Kept for as long as `stay`, so that whoever brings the supervisor back opens no less and no more; null: as usual. */
  gateway: GatewaySettings | null;
  files: EnrolledFile[];
}

export const NOTHING_ENROLLED: Enrolled = { schema: 1, stay: false, port: null, gateway: null, files: [] };

const enrolledServer: Decoder<EnrolledServer> = object({
  name: serverName,
  key: keyText,
  by: oneOf("up", "run", "connect", "serve", "attach"),
  stays_down: optional(flag, false),
  folder: optional(nullable(absolutePath), null),
  idle_ms: optional(nullable(integer(0)), null),
  timeout_ms: optional(nullable(integer(0)), null),
  owner: optional(nullable(identity), null),
});

const enrolled: Decoder<Enrolled> = object({
  schema: oneOf(1),
  stay: flag,
  port: nullable(port),
  gateway: optional(
    nullable(object<GatewaySettings>({
      token: flag,
      listen: text(/^[\w.:%-]{1,255}$/),
      hosts: list(text(/^[^\s/]{1,255}$/)),
    })),
    null,
  ),
  files: list(object<EnrolledFile>({
    path: nullable(absolutePath),
    sha256: nullable(text(/^[0-9a-f]{64}$/)),
    servers: list(enrolledServer),
  })),
});

export function readEnrolled(host: FilesHost, stateFolder: string): Promise<StateFile<Enrolled>> {
  return read(host, statePaths(stateFolder).enrolled, enrolled);
}

/** @throws HostError */
export function writeEnrolled(host: FilesHost, stateFolder: string, value: Enrolled): Promise<void> {
  return write(host, statePaths(stateFolder).enrolled, value);
}

/** Notes that the user let servers of this very text of a file be started. @throws HostError */
export async function noteBroughtIn(
  host: FilesHost,
  stateFolder: string,
  { path, sha256 }: { path: string; sha256: string },
): Promise<void> {
  const stored = await readEnrolled(host, stateFolder);
  // One of a later foster, or one that can't be read, is left alone.
  if (stored.kind === "unusable") return;
  const { files, ...rest } = stored.kind === "file" ? stored.value : NOTHING_ENROLLED;
  const known = files.find((file) => file.path === path);
  if (known?.sha256 === sha256) return;
  const others = files.filter((file) => file !== known);
  await host.files.makeDir(stateFolder, FOLDER_MODE);
  await writeEnrolled(host, stateFolder, {
    ...rest,
    files: [...others, { path, sha256, servers: known?.servers ?? [] }],
  });
}

/** Notes for enrolled servers whether they stay down until the next `up`. @throws HostError */
export async function setStaysDown(
  host: FilesHost,
  stateFolder: string,
  { keys, staysDown }: { keys: ReadonlySet<string>; staysDown: boolean },
): Promise<void> {
  const stored = await readEnrolled(host, stateFolder);
  if (stored.kind !== "file") return;
  const isDue = ({ key, stays_down }: EnrolledServer) => keys.has(key) && stays_down !== staysDown;
  if (!stored.value.files.some(({ servers }) => servers.some(isDue))) return;
  const files = stored.value.files.map((file) => ({
    ...file,
    servers: file.servers.map((server) => isDue(server) ? { ...server, stays_down: staysDown } : server),
  }));
  await writeEnrolled(host, stateFolder, { ...stored.value, files });
}

// ------------------------------------------------------------------------------------------------------- sessions/

/** One client's session, as a later supervisor goes on with it. No body of a call is in it, no environment value. */
export interface SessionFile {
  schema: 1;
  id: string;
  key: string;
  /** The client's revision. */
  revision: string;
  /** The parameters of the client's own initialize or discovery. */
  initialize: Record<string, unknown>;
  /** The log level that the client set. */
  level: string | null;
  subscriptions: string[];
  /** The server's own session id. */
  server_session: string | null;
  since: string;
  used_at: string;
}

const json: Decoder<Record<string, unknown>> = (value) => {
  if (isObject(value)) return value;
  throw new Malformed();
};

const sessionFile: Decoder<SessionFile> = object({
  schema: oneOf(1),
  id: text(/^[A-Za-z0-9_-]{16,128}$/),
  key: keyText,
  revision: text((value) => value.length <= SAID_LIMIT),
  initialize: json,
  level: nullable(text((value) => value.length <= SAID_LIMIT)),
  subscriptions: list(text()),
  server_session: nullable(text()),
  since: time,
  used_at: time,
});

export function sessionFilePath(stateFolder: string, id: string): string {
  return join(statePaths(stateFolder).sessions, `${id}.json`);
}

/** Reads a session; one whose file is named otherwise is not used. */
export async function readSessionFile(
  host: FilesHost,
  stateFolder: string,
  id: string,
): Promise<StateFile<SessionFile>> {
  const file = await read(host, sessionFilePath(stateFolder, id), sessionFile);
  if (file.kind === "file" && file.value.id !== id) {
    return { kind: "unusable", why: "its name is not that of its session" };
  }
  return file;
}

/** The ids of all sessions that have a file. */
export async function sessionIds(host: FilesHost, stateFolder: string): Promise<string[]> {
  const entries = await host.files.list(statePaths(stateFolder).sessions) ?? [];
  return entries.flatMap(({ name }) => /^([A-Za-z0-9_-]{16,128})\.json$/.exec(name)?.[1] ?? []).sort();
}

/** @throws HostError */
export async function writeSessionFile(
  host: FilesHost,
  stateFolder: string,
  value: SessionFile,
): Promise<void> {
  await host.files.makeDir(statePaths(stateFolder).sessions, FOLDER_MODE);
  await write(host, sessionFilePath(stateFolder, value.id), value);
}

export async function removeSessionFile(host: FilesHost, stateFolder: string, id: string): Promise<boolean> {
  return await host.files.remove(sessionFilePath(stateFolder, id));
}
