/**
 * One row for each record that `doctor` saw: what was recorded beside what is.
 *
 * @module
 */
import type { ProcessFacts, ProcessObservation, System } from "../host/host.ts";
import { recordVerdict, verdictOf } from "../lifecycle/observe/list.ts";
import type { Verdict } from "../registry/identity.ts";
import type { ManagedServer, RegisteredServer, ServersObservation } from "./observe.ts";
import type { RegisteredTransport } from "../registry/process_files.ts";

export type Match = "yes" | "no" | "unknown";

export interface ProcessRow {
  pid: number | null;
  /** Null where it can't be told. */
  alive: boolean | null;
  executable_match: Match;
  transport: RegisteredTransport;
  bind: string | null;
  http_path: string | null;
  cwd: string;
  started_unix_millis: number | null;
  parent_pid_at_start: number | null;
  current_parent_pid: number | null;
  /** Whether that parent lives now. */
  parent_alive_at_start: boolean | null;
  process_group_id: number | null;
  current_process_group_id: number | null;
  stale_client: boolean;
  /** The record's file. */
  record: string;
  /** Key of a managed server, null for one that was registered. */
  server: string | null;
  verdict: Verdict["kind"];
  child_pids: number[];
}

type Seen = Pick<ServersObservation, "seen" | "list" | "programs" | "realPaths">;

/** By pid; rows without one come last. */
export function processRows(seen: ServersObservation, system: System): ProcessRow[] {
  const rows = [
    ...seen.managed.map((each) => managedRow(each, seen, system)),
    ...seen.registered.map((each) => registeredRow(each, seen, system)),
  ];
  return rows.sort((a, b) => (a.pid ?? Infinity) - (b.pid ?? Infinity));
}

function managedRow(managed: ManagedServer, seen: Seen, system: System): ProcessRow {
  const { record, key, path } = managed;
  const judged = recordVerdict(record, seen.seen);
  const facts = judged.kind === "ours" ? factsOf(seen.seen.get(record.pid ?? 0)) : null;
  const url = URL.canParse(record.endpoint) ? new URL(record.endpoint) : null;
  // The executable is the launcher's.
  const launched = verdictOf([record.launcher_pid, record.launcher_start_token], seen.seen);
  const match = launched.kind === "ours"
    ? executableMatch(record.executable, { pid: record.launcher_pid ?? 0, seen, system })
    : "unknown";
  const startedAt = Date.parse(record.started_at);
  return {
    pid: record.pid,
    alive: aliveOf(judged),
    executable_match: match,
    transport: "http",
    bind: url?.host ?? null,
    http_path: url?.pathname ?? null,
    cwd: record.cwd,
    started_unix_millis: Number.isNaN(startedAt) ? null : startedAt,
    parent_pid_at_start: record.parent_pid_at_start,
    current_parent_pid: facts?.parentPid ?? null,
    parent_alive_at_start: isThere(record.parent_pid_at_start, seen),
    process_group_id: record.pgid,
    current_process_group_id: groupOf(facts),
    stale_client: false,
    record: path,
    server: key,
    verdict: judged.kind,
    child_pids: childrenOf(facts?.pid ?? null, seen),
  };
}

function registeredRow({ record, path }: RegisteredServer, seen: Seen, system: System): ProcessRow {
  const judged = verdictOf([record.pid, record.start_token], seen.seen);
  const facts = judged.kind === "ours" ? factsOf(seen.seen.get(record.pid)) : null;
  const parent = facts === null ? null : currentParent(record, facts, seen);
  const stillTold = judged.kind === "ours" || judged.kind === "unknown";
  return {
    pid: record.pid,
    alive: aliveOf(judged),
    executable_match: stillTold
      ? executableMatch(record.executable, { pid: record.pid, seen, system })
      : "unknown",
    transport: record.transport,
    bind: record.bind,
    http_path: record.http_path,
    cwd: record.cwd,
    started_unix_millis: record.started_unix_millis,
    parent_pid_at_start: record.parent_pid_at_start,
    current_parent_pid: parent,
    parent_alive_at_start: isThere(record.parent_pid_at_start, seen),
    process_group_id: record.process_group_id,
    current_process_group_id: groupOf(facts),
    stale_client: isStaleClient({
      alive: judged.kind === "ours",
      transport: record.transport,
      recordedParent: record.parent_pid_at_start,
      currentParent: parent,
    }),
    record: path,
    server: null,
    verdict: judged.kind,
    child_pids: childrenOf(facts?.pid ?? null, seen),
  };
}

/** A live stdio server whose client is no longer its parent. A parent that can't be told is no other parent. */
export function isStaleClient(
  { alive, transport, recordedParent, currentParent }: {
    alive: boolean;
    transport: RegisteredTransport;
    recordedParent: number | null;
    currentParent: number | null;
  },
): boolean {
  if (!alive || transport !== "stdio" || recordedParent === null || recordedParent <= 1) return false;
  return currentParent !== null && currentParent !== recordedParent;
}

/** The register's parent stands for the client; where the register is gone, whoever took its server over. */
function currentParent(
  { register }: RegisteredServer["record"],
  facts: ProcessFacts,
  seen: Seen,
): number | null {
  if (register === null) return facts.parentPid;
  switch (verdictOf([register.pid, register.start_token], seen.seen).kind) {
    case "ours":
      return factsOf(seen.seen.get(register.pid))?.parentPid ?? null;
    case "gone":
    case "recycled":
      return facts.parentPid;
    case "unknown":
      return null;
  }
}

/** A script counts as its own program: its interpreter's command line names it. */
function executableMatch(
  recorded: string,
  { pid, seen, system }: { pid: number; seen: Seen; system: System },
): Match {
  const program = seen.programs.get(pid);
  if (program === undefined) return "unknown";
  const same = (path: string) =>
    isSamePath(path, recorded, system) ||
    isSamePath(path, seen.realPaths.get(recorded) ?? recorded, system);
  if (program.executable !== null && same(program.executable)) return "yes";
  if (program.argv?.slice(0, 2).some(same)) return "yes";
  // One that renamed itself, as npm does, has one word with blanks in it: what it was started as can't be told.
  if (program.argv?.[0]?.includes(" ") && program.argv.slice(1).every((word) => word === "")) {
    return "unknown";
  }
  return program.executable === null || program.argv === null ? "unknown" : "no";
}

function isSamePath(a: string, b: string, system: System): boolean {
  return system === "windows" ? a.toLowerCase() === b.toLowerCase() : a === b;
}

function aliveOf({ kind }: Verdict): boolean | null {
  switch (kind) {
    case "ours":
      return true;
    case "gone":
    case "recycled":
      return false;
    case "unknown":
      return null;
  }
}

function factsOf(seen: ProcessObservation | undefined): ProcessFacts | null {
  return seen?.kind === "seen" && !seen.facts.zombie ? seen.facts : null;
}

function groupOf(facts: ProcessFacts | null): number | null {
  return facts === null || facts.groupId === 0 ? null : facts.groupId;
}

function isThere(pid: number | null, { seen }: Seen): boolean | null {
  if (pid === null) return null;
  const found = seen.get(pid);
  if (found === undefined || found.kind === "unknown") return null;
  return found.kind === "seen" && !found.facts.zombie;
}

function childrenOf(pid: number | null, { list }: Seen): number[] {
  if (pid === null || list === null) return [];
  return list.filter((facts) => facts.parentPid === pid && !facts.zombie).map((facts) => facts.pid)
    .sort((a, b) => a - b);
}
