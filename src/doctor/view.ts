/**
 * What `doctor` saw of processes, for people: the few columns that they need, or all of them.
 *
 * @module
 */
import type { ShellHint } from "../base/shell_hint.ts";
import { duration } from "../base/text.ts";
import type { Finding } from "./findings.ts";
import type { ProcessRow } from "./rows.ts";

const COLUMNS: readonly (readonly [heading: string, field: keyof ProcessRow])[] = [
  ["PID", "pid"],
  ["SERVER", "server"],
  ["VERDICT", "verdict"],
  ["ALIVE", "alive"],
  ["EXECUTABLE_MATCH", "executable_match"],
  ["TRANSPORT", "transport"],
  ["BIND", "bind"],
  ["HTTP_PATH", "http_path"],
  ["CWD", "cwd"],
  ["STARTED_UNIX_MILLIS", "started_unix_millis"],
  ["PARENT_PID_AT_START", "parent_pid_at_start"],
  ["CURRENT_PARENT_PID", "current_parent_pid"],
  ["PARENT_ALIVE_AT_START", "parent_alive_at_start"],
  ["PROCESS_GROUP_ID", "process_group_id"],
  ["CURRENT_PROCESS_GROUP_ID", "current_process_group_id"],
  ["STALE_CLIENT", "stale_client"],
  ["RECORD", "record"],
];

/** Fits a terminal of 80 columns. The first row is the heading. */
export function processTable(rows: readonly ProcessRow[], now: number): string[][] {
  return [
    ["PID", "SERVER", "TRANSPORT", "STATE", "AGE", "PROBLEM"],
    ...rows.map((row) => [
      cell(row.pid),
      row.server === null ? "(registered)" : shortened(cell(row.server)),
      row.transport,
      STATE[row.verdict],
      row.alive === true && row.started_unix_millis !== null
        ? duration(Math.max(0, now - row.started_unix_millis))
        : "-",
      problemOf(row),
    ]),
  ];
}

/** Every field but the children, which have lines of their own. */
export function allFields(rows: readonly ProcessRow[]): string[][] {
  return [
    COLUMNS.map(([heading]) => heading),
    ...rows.map((row) => COLUMNS.map(([, field]) => cell(row[field]))),
  ];
}

export function childLines(rows: readonly ProcessRow[]): string[] {
  return rows.filter(({ child_pids }) => child_pids.length > 0)
    .map(({ pid, child_pids }) => `pid ${pid}: child_pids=${child_pids.join(",")}`);
}

const STATE: Record<ProcessRow["verdict"], string> = {
  ours: "running",
  recycled: "gone",
  gone: "gone",
  unknown: "unknown",
};

/** As much of a key as leaves room for the other columns. */
const SERVER_COLUMNS = 20;

function shortened(text: string): string {
  return text.length <= SERVER_COLUMNS ? text : `${text.slice(0, SERVER_COLUMNS - 1)}…`;
}

function problemOf(row: ProcessRow): string {
  switch (row.verdict) {
    case "gone":
      return row.pid === null ? "start never finished" : "record is left over";
    case "recycled":
      return "pid was given away";
    case "unknown":
      return "can't be told";
    case "ours":
      // Pid and start time agree: it is the recorded process, whatever it calls itself or runs by now.
      return row.stale_client ? "its client is gone" : "-";
  }
}

/** One line for all processes that merely look like servers: there may be many, and nothing is wrong with them. */
export function foldLookalikes(findings: readonly Finding[], shell: ShellHint): Finding[] {
  const alike = findings.filter(({ code }) => code === "branded");
  const [first] = alike;
  if (first === undefined) return [...findings];
  const processes = alike.length === 1 ? "1 process looks" : `${alike.length} processes look`;
  const message = `${processes} like a server by the command line alone, which proves nothing: ` +
    `${shell.foster("doctor", "processes", "--verbose")} lists ${alike.length === 1 ? "it" : "them"}`;
  return findings.flatMap((finding) => {
    if (finding.code !== "branded") return [finding];
    return finding === first ? [{ ...first, message, fix: "" }] : [];
  });
}

function cell(value: ProcessRow[keyof ProcessRow]): string {
  if (value === null) return "-";
  if (typeof value === "boolean") return value ? "yes" : "no";
  const text = String(value);
  // A folder may have any name, but a row is one line.
  return /^[\u0020-\u007e]*$/.test(text) ? text : JSON.stringify(text);
}
