/**
 * Servers as a table, and what their outcomes mean for the exit code.
 *
 * @module
 */
import { duration } from "../base/text.ts";
import { type Outcome, type OutcomeKind, rowDocument, type ServerRow } from "../lifecycle/row.ts";
import type { SupervisorRow } from "../lifecycle/observe/supervisor.ts";
import type { StateLabel } from "../registry/state_label.ts";
import { EXIT, type ExitCode } from "./exit_codes.ts";
import type { Output, Tone } from "./output.ts";

/** The first failure's code, in the order given. */
export function exitCodeOf(outcomes: readonly Outcome[]): ExitCode {
  for (const { kind } of outcomes) if (kind !== "done") return EXIT[kind];
  return EXIT.done;
}

export function toneOf(state: StateLabel): Tone {
  switch (state) {
    case "ready":
      return "good";
    case "spawning":
    case "stopping":
    case "guarded":
      return "warn";
    case "stopped":
    case "uninitialized":
      return "dim";
    case "incompatible":
    case "crashed":
    case "no_command":
    case "port_excluded":
    case "foreign_port":
      return "bad";
  }
}

/** The state in a table for people; `isServed`: a supervisor runs, so that a request starts what sleeps. */
export function stateText(
  { state, on_demand }: { state: StateLabel; on_demand?: boolean },
  { isServed }: { isServed: boolean },
): string {
  return on_demand === true && state === "stopped" && isServed ? "stopped (on demand)" : state;
}

/** The supervisor in one line, for people. */
export function supervisorLine(row: SupervisorRow): string {
  const memory = row.memory_bytes === null ? "" : `, ${Math.round(row.memory_bytes / (1024 * 1024))} MiB`;
  const servers = row.servers === 1 ? "1 server" : `${row.servers} servers`;
  return `supervisor: pid ${row.pid}, foster ${row.version}, up ${
    duration(row.uptime_ms)
  }, keeps ${servers}${memory}${row.ends_with === null ? "" : `; the system ends it with ${row.ends_with}`}`;
}

/** The answer of `up`, `down`, `restart`, `recover` and `handoff`: JSON, or one line per server and the reasons. */
export function printOutcomes(output: Output, outcomes: readonly Outcome[]): ExitCode {
  if (output.json) output.document({ servers: outcomes.map(({ row }) => rowDocument(row)) });
  else outcomes.forEach((outcome) => printOutcome(output, outcome));
  return exitCodeOf(outcomes);
}

/** For people, where the label of the state says less or nothing of how it ended. */
const OUTCOME_WORDS: Partial<Record<OutcomeKind, string>> = {
  failed: "failed",
  usage: "wrong name, definition or environment",
  no_command: "no command",
  port_excluded: "port reserved",
  foreign_port: "port held",
  not_ready: "not ready",
  refused: "refused",
  interrupted: "interrupted",
};
/** Advice comes before a longer message, below which nobody would find it. */
const LONG_MESSAGE = 240;

function printOutcome(output: Output, { kind, row }: Outcome): void {
  if (kind === "done") {
    output.line(doneLine(output, row));
    output.indented(row.message);
    return;
  }
  const word = OUTCOME_WORDS[kind] ?? row.state;
  output.line(`${output.paint("✗", "bad")} ${row.name}  ${output.paint(word, toneOf(row.state))}`);
  const { message, hint } = row;
  if (hint === "") return output.problem(message);
  const isAdviceFirst = message.length > LONG_MESSAGE && !message.includes("\n");
  for (const line of isAdviceFirst ? [hint, `  ${message}`] : [message, `  ${hint}`]) output.problem(line);
}

function doneLine(output: Output, row: ServerRow): string {
  const parts = [`${output.paint("✓", "good")} ${row.name}`, output.paint(row.state, toneOf(row.state))];
  if (row.state === "ready" || row.state === "spawning") {
    parts.push(row.endpoint ?? "");
    if (row.adoption === "external") parts.push("external");
    else if (row.pid !== null) parts.push(`pid ${row.pid}`);
    const { name, version, protocol } = row.server;
    if (name !== null) parts.push([name, version].filter((part) => part !== null).join(" "));
    if (protocol !== null) parts.push(`MCP ${protocol}`);
    parts.push(row.startup_path === "" ? "" : `${row.startup_path} in ${row.elapsed_ms} ms`);
  }
  return parts.filter((part) => part !== "").join("  ");
}
