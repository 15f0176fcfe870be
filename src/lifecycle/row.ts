/**
 * One server as every verb shows it.
 *
 * @module
 */
import type { ServerRecord } from "../registry/record.ts";
import { STATE_CODES, type StateLabel } from "../registry/state_label.ts";
import type { ProofKind } from "./observe/proof.ts";

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
  state_code: number;
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

/** How a verb ended for one server; the names are those of the exit codes. */
export type OutcomeKind =
  | "done"
  | "no"
  | "crashed"
  | "noCommand"
  | "portExcluded"
  | "incompatible"
  | "foreignPort"
  | "notReady"
  | "refused"
  | "exhausted"
  | "guarded"
  | "interrupted";

export interface Outcome {
  kind: OutcomeKind;
  row: ServerRow;
}

export function emptyRow(name: string, key: string): ServerRow {
  return {
    name,
    key,
    state: "uninitialized",
    state_code: STATE_CODES.uninitialized,
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
    state_code: STATE_CODES[state],
    adoption: record.pid === null ? null : "managed",
    endpoint: record.endpoint,
    port: record.port,
    ws_port: record.ws_port,
    pid: record.pid,
    server: { name: record.server_name, version: record.version, protocol: record.protocol },
    log: record.log,
  };
}
