/**
 * What foster remembers of one server, as it stands in `record.json`.
 *
 * @module
 */
import {
  decodeJson,
  type Decoder,
  type Fields,
  flag,
  integer,
  list,
  nullable,
  object,
  oneOf,
  openObject,
  optional,
  text,
} from "../base/decode.ts";
import { STATE_CODES, type StateLabel } from "./state_label.ts";
import {
  absolutePath,
  identity,
  loopbackEndpoint,
  pid,
  pidOrZero,
  port,
  type ProcessIdentity,
  SAID_LIMIT,
  serverName,
  startToken,
  time,
} from "./values.ts";

export type { ProcessIdentity } from "./values.ts";

export const RECORD_SCHEMA = 1;

export type Want = "up" | "down";
export type StartedBy = "up" | "run" | "connect";

export interface LastExit {
  /** Null when a signal ended it or when nobody saw how it ended. */
  code: number | null;
  signal: string | null;
  /** ISO 8601, UTC. */
  at: string;
}

/** Times are ISO 8601 in UTC. Never holds the value of an environment variable, the instance token excepted. */
export interface ServerRecord {
  schema: typeof RECORD_SCHEMA;
  key: string;
  name: string;
  /** The definition file, null for a preset. */
  config: string | null;
  want: Want;
  state: StateLabel;
  started_by: StartedBy;
  /** The process that listens; the launcher itself until that one is known. */
  pid: number | null;
  start_token: string | null;
  pgid: number | null;
  /** What foster spawned: `npx`, `uvx`, a shell or the server itself. */
  launcher_pid: number | null;
  launcher_start_token: string | null;
  /** The instance token `<state folder id>:<key>:<random>` that the child carries as FOSTER_TOKEN. */
  token: string;
  /**
   * The PID namespace that its pids are of; null on systems without, and in what 0.1 wrote, which counts as written
   * in this one.
   */
  pid_namespace: string | null;
  /** The MCP revision that it was last spoken to in, null where it is not known. */
  revision: string | null;
  /** Whether a request started it: it ends when nobody uses it any more. */
  on_demand: boolean;
  /** The launch tier that it was started by; null where it is not known. */
  launch_tier: string | null;
  executable: string;
  argv: string[];
  env_names: string[];
  cwd: string;
  port: number;
  ws_port: number | null;
  endpoint: string;
  version: string | null;
  server_name: string | null;
  protocol: string | null;
  spec_hash: string;
  started_at: string;
  ready_at: string | null;
  last_exit: LastExit | null;
  next_attempt: string | null;
  owner_pid: number | null;
  parent_pid_at_start: number | null;
  supervisor: ProcessIdentity | null;
  restarts: number;
  log: string;
}

/** `copies/<id>.json`: one process of a stdio server, written before its spawn. It has no port and no endpoint. */
export interface CopyRecord extends ServerRecord {
  /** Its id, which is the file's name. */
  copy: string;
  /** What its client calls itself; null for a shared one. */
  client: string | null;
  /** Whether all clients use this one. */
  shared: boolean;
  /** The supervisor whose pipes it has. */
  owner: ProcessIdentity | null;
  /** Name of its session file, as `sessionFile()` of its folder takes it; null where it has none. */
  session: string | null;
}

export type Decoded =
  | { kind: "record"; record: ServerRecord }
  /** `unreadable`: the system did not let it be read, which says nothing of what stands in it. */
  | { kind: "corrupt"; why: string; unreadable?: true };

/** What servers say of themselves is cut, so that whatever foster writes it can read again. */
export function encodeRecord(record: ServerRecord | CopyRecord): string {
  const cut = (said: string | null) => said === null ? null : said.slice(0, SAID_LIMIT);
  const { version, server_name, protocol } = record;
  const kept = { version: cut(version), server_name: cut(server_name), protocol: cut(protocol) };
  return JSON.stringify({ ...record, ...kept }, null, 2) + "\n";
}

const states = Object.keys(STATE_CODES) as StateLabel[];

const lastExit: Decoder<LastExit> = object({
  code: nullable(integer()),
  signal: nullable(text()),
  at: time,
});

/** Of {@link ServerRecord.token}: an empty part would be carried by processes that are not the server's. */
export const instanceToken = text(/^[^:\s]{1,64}:[^:\s]{1,128}:[^:\s]{1,128}$/);

/** Of {@link ServerRecord.pid_namespace}: part of a file's name. */
export const pidNamespace = text(/^[0-9]{1,20}$/);

const fields: Fields<ServerRecord> = {
  schema: oneOf(RECORD_SCHEMA),
  key: text(),
  name: serverName,
  config: nullable(absolutePath),
  want: oneOf("up", "down"),
  state: oneOf(...states),
  started_by: oneOf("up", "run", "connect"),
  pid: nullable(pid),
  start_token: nullable(startToken),
  pgid: nullable(pid),
  launcher_pid: nullable(pid),
  launcher_start_token: nullable(startToken),
  token: instanceToken,
  pid_namespace: optional(nullable(pidNamespace), null),
  revision: optional(nullable(text()), null),
  on_demand: optional(flag, false),
  launch_tier: optional(nullable(text()), null),
  executable: absolutePath,
  argv: list(text()),
  env_names: list(text()),
  cwd: absolutePath,
  port,
  ws_port: nullable(port),
  endpoint: text(),
  version: nullable(text()),
  server_name: nullable(text()),
  protocol: nullable(text()),
  spec_hash: text(),
  started_at: time,
  ready_at: nullable(time),
  last_exit: nullable(lastExit),
  next_attempt: nullable(time),
  owner_pid: nullable(pidOrZero),
  parent_pid_at_start: nullable(pidOrZero),
  supervisor: nullable(identity),
  restarts: integer(0),
  log: absolutePath,
};

const anyRecord = openObject(fields);
const anyCopy = openObject<CopyRecord>({
  ...fields,
  port: oneOf(0),
  endpoint: oneOf(""),
  copy: text(/^[A-Za-z0-9_-]{1,128}$/),
  client: nullable(text()),
  shared: flag,
  owner: nullable(identity),
  session: optional(nullable(text(/^[0-9a-f]{1,64}$/)), null),
});

/** Reads a record strictly: anything missing, of another type or without sense makes the whole of it untrusted. */
export function decodeRecord(source: string, key: string): Decoded {
  const decoded = decodeJson(source, anyRecord);
  if (decoded.kind === "malformed") return { kind: "corrupt", why: decoded.why };
  const { value } = decoded;
  const why = whyNotOf(value, key) ??
    (loopbackEndpoint(value.port)(value.endpoint) ? null : malformed("endpoint"));
  return why === null ? { kind: "record", record: value } : { kind: "corrupt", why };
}

/** As {@link decodeRecord}, for the file of a copy; `id` is what its name says. */
export function decodeCopy(
  source: string,
  { key, id }: { key: string; id: string },
): { kind: "record"; record: CopyRecord } | { kind: "corrupt"; why: string } {
  const decoded = decodeJson(source, anyCopy);
  if (decoded.kind === "malformed") return { kind: "corrupt", why: decoded.why };
  const why = whyNotOf(decoded.value, key) ??
    (decoded.value.copy === id ? null : "its name is not that of its copy");
  return why === null ? { kind: "record", record: decoded.value } : { kind: "corrupt", why };
}

function whyNotOf({ key, token }: ServerRecord, wanted: string): string | null {
  if (key !== wanted) return "it belongs to another server";
  return token.split(":")[1] === wanted ? null : malformed("token");
}

function malformed(name: keyof ServerRecord): string {
  return `"${name}" is missing or malformed`;
}
