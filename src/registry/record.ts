/**
 * What foster remembers of one server, as it stands in `record.json`.
 *
 * @module
 */
import { isStateLabel, type StateLabel } from "./state_label.ts";

export const RECORD_SCHEMA = 1;

export type Want = "up" | "down";
export type StartedBy = "up" | "run" | "connect";

export interface ProcessIdentity {
  pid: number;
  start_token: string;
}

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

export type Decoded =
  | { kind: "record"; record: ServerRecord }
  /** `unreadable`: the system did not let it be read, which says nothing of what stands in it. */
  | { kind: "corrupt"; why: string; unreadable?: true };

export function encodeRecord(record: ServerRecord): string {
  return JSON.stringify(record, null, 2) + "\n";
}

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === "string";
const whole: Check = (value) => Number.isSafeInteger(value);
const texts: Check = (value) => Array.isArray(value) && value.every(text);
const orNull = (check: Check): Check => (value) => value === null || check(value);
const oneOf = (...values: unknown[]): Check => (value) => values.includes(value);
const shape = (fields: Record<string, Check>): Check => (value) =>
  typeof value === "object" && value !== null &&
  Object.entries(fields).every(([name, check]) => check((value as Record<string, unknown>)[name]));

const FIELDS: Record<keyof ServerRecord, Check> = {
  schema: oneOf(RECORD_SCHEMA),
  key: text,
  name: text,
  config: orNull(text),
  want: oneOf("up", "down"),
  state: (value) => typeof value === "string" && isStateLabel(value),
  started_by: oneOf("up", "run", "connect"),
  pid: orNull(whole),
  start_token: orNull(text),
  pgid: orNull(whole),
  launcher_pid: orNull(whole),
  launcher_start_token: orNull(text),
  token: text,
  executable: text,
  argv: texts,
  env_names: texts,
  cwd: text,
  port: whole,
  ws_port: orNull(whole),
  endpoint: text,
  version: orNull(text),
  server_name: orNull(text),
  protocol: orNull(text),
  spec_hash: text,
  started_at: text,
  ready_at: orNull(text),
  last_exit: orNull(shape({ code: orNull(whole), signal: orNull(text), at: text })),
  next_attempt: orNull(text),
  owner_pid: orNull(whole),
  parent_pid_at_start: orNull(whole),
  supervisor: orNull(shape({ pid: whole, start_token: text })),
  restarts: whole,
  log: text,
};

/** Reads a record strictly: anything missing or of another type makes the whole of it untrusted. */
export function decodeRecord(source: string, key: string): Decoded {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    return { kind: "corrupt", why: "it is not JSON" };
  }
  if (typeof value !== "object" || value === null) return { kind: "corrupt", why: "it is not an object" };
  const fields = value as Record<string, unknown>;
  for (const [name, check] of Object.entries(FIELDS)) {
    if (!check(fields[name])) return { kind: "corrupt", why: `"${name}" is missing or malformed` };
  }
  if (fields.key !== key) return { kind: "corrupt", why: "it belongs to another server" };
  return { kind: "record", record: fields as unknown as ServerRecord };
}
