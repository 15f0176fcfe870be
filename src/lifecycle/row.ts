/**
 * One server as every verb shows it, and how a verb ended for it.
 *
 * @module
 */
import type { ServerRecord } from "../registry/record.ts";
import { STATE_CODES, type StateLabel } from "../registry/state_label.ts";
import type { ServerFolder } from "../registry/store.ts";
import type { ProofKind } from "./observe/proof.ts";

/** How a verb can end for one server: its exit code, and the state that the server is shown in unless more is known. */
export const OUTCOMES = {
  done: { exit: 0, state: "ready" },
  /** The answer is no: not stopped, not ready, the port still held. */
  no: { exit: 1, state: "stopped" },
  /** The system kept foster from doing it: a folder that may not be written to, a full disk. */
  failed: { exit: 1, state: "uninitialized" },
  /** The name or its definition is wrong. */
  usage: { exit: 2, state: "uninitialized" },
  crashed: { exit: 10, state: "crashed" },
  no_command: { exit: 11, state: "no_command" },
  port_excluded: { exit: 12, state: "port_excluded" },
  incompatible: { exit: 13, state: "incompatible" },
  foreign_port: { exit: 14, state: "foreign_port" },
  not_ready: { exit: 15, state: "spawning" },
  refused: { exit: 16, state: "uninitialized" },
  exhausted: { exit: 17, state: "crashed" },
  guarded: { exit: 18, state: "guarded" },
  interrupted: { exit: 130, state: "uninitialized" },
} as const satisfies Record<string, { exit: number; state: StateLabel }>;

export type OutcomeKind = keyof typeof OUTCOMES;

export interface Outcome {
  kind: OutcomeKind;
  row: ServerRow;
}

/** What is said to people, with what to type next; both may be "". */
export interface Explanation {
  message: string;
  hint: string;
}

export type StartupPath =
  | ""
  | "guarded"
  | "adopted"
  | "spawned"
  | "crashed"
  | "reserved"
  | "no_command"
  | "incompatible"
  | "free";

export interface Recovered {
  proof: ProofKind;
  killed: number[];
}

/** Durations in ms; what is not known is null. */
export interface ServerRow {
  name: string;
  key: string;
  state: StateLabel;
  startup_path: StartupPath;
  adoption: "managed" | "external" | null;
  endpoint: string | null;
  port: number | null;
  ws_port: number | null;
  pid: number | null;
  server: { name: string | null; version: string | null; protocol: string | null };
  expected_version: string | null;
  recovered: Recovered | null;
  elapsed_ms: number;
  message: string;
  hint: string;
  can_recover_incompatible: boolean;
  connection_blocked: boolean;
  log: string;
}

/** A row as JSON shows it: with the number of its state. */
export function rowDocument<R extends ServerRow>(row: R): R & { state_code: number } {
  const { name, key, state, ...rest } = row;
  return { name, key, state, state_code: STATE_CODES[state], ...rest } as R & { state_code: number };
}

export function emptyRow(name: string, key: string): ServerRow {
  return {
    name,
    key,
    state: "uninitialized",
    startup_path: "",
    adoption: null,
    endpoint: null,
    port: null,
    ws_port: null,
    pid: null,
    server: { name: null, version: null, protocol: null },
    expected_version: null,
    recovered: null,
    elapsed_ms: 0,
    message: "",
    hint: "",
    can_recover_incompatible: false,
    connection_blocked: false,
    log: "",
  };
}

/** What a record alone tells. */
export function rowOfRecord(record: ServerRecord, state: StateLabel = record.state): ServerRow {
  return {
    ...emptyRow(record.name, record.key),
    state,
    adoption: record.pid === null ? null : "managed",
    endpoint: record.endpoint,
    port: record.port,
    ws_port: record.ws_port,
    pid: record.pid,
    server: { name: record.server_name, version: record.version, protocol: record.protocol },
    log: record.log,
  };
}

/** An outcome of which no more is known than what is said. */
export function plainOutcome(
  { name }: { name: string },
  folder: Pick<ServerFolder, "key" | "paths">,
  { kind, state = OUTCOMES[kind].state, message, hint = "" }: {
    kind: OutcomeKind;
    state?: StateLabel;
    message: string;
    hint?: string;
  },
): Outcome {
  return { kind, row: { ...emptyRow(name, folder.key), state, message, hint, log: folder.paths.log } };
}

/** Another foster has the lock. */
export function busyElsewhere(
  { name }: { name: string },
  folder: Pick<ServerFolder, "key" | "paths">,
): Outcome {
  const message = `"${name}" is being started or stopped by another foster`;
  return plainOutcome({ name }, folder, { kind: "guarded", message, hint: `foster status "${name}"` });
}

/** The outcome of a restart: somebody else's server can be used, but not restarted. */
export function refusedExternal(outcome: Outcome): Outcome {
  const { row } = outcome;
  if (row.adoption !== "external") return outcome;
  const message = `external, left alone: "${row.name}" was not started by foster`;
  return { kind: "refused", row: { ...row, message, hint: "restart it where it was started" } };
}

/** The outcome of letting all processes of a stdio server go; `why` where it is known why some are left. */
export function restOutcome(
  { name }: { name: string },
  folder: Pick<ServerFolder, "key" | "paths">,
  { before, left, why = null }: {
    /** The processes that it had. */
    before: readonly (number | null)[];
    left: readonly (number | null)[];
    why?: string | null;
  },
): Outcome {
  const killed = before.filter((pid) => !left.includes(pid)).flatMap((pid) => pid ?? []);
  const recovered: Recovered | null = killed.length === 0 ? null : { proof: "managed_record", killed };
  if (left.length === 0) {
    const message = before.length > 0 ? "" : "it was not running";
    const { kind, row } = plainOutcome({ name }, folder, { kind: "done", state: "stopped", message });
    return { kind, row: { ...row, recovered } };
  }
  const message = `"${name}": ${why ?? `pid ${left.join(", ")} could not be ended`}`;
  const { kind, row } = plainOutcome({ name }, folder, {
    kind: "no",
    state: "stopping",
    message,
    hint: `foster status "${name}"`,
  });
  return { kind, row: { ...row, recovered } };
}
