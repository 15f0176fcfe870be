import {
  type Finding,
  inOrder,
  needsAttention,
  type Section,
  SECTIONS,
  Typed,
} from "../../registry/doctor.ts";
import { cleanUp } from "../../registry/doctor_cleanup.ts";
import type { ProcessRow } from "../../registry/doctor_process_rows.ts";
import type { Stale } from "../../registry/doctor_processes.ts";
import { type Args, UsageError } from "../args.ts";
import { examine } from "../doctor_examine.ts";
import { EXIT } from "../exit_codes.ts";
import type { Output, Tone } from "../output.ts";
import type { Context, Verb } from "../verb.ts";

export const doctor: Verb = {
  name: "doctor",
  summary: "what is wrong with records, processes, ports and caches, and what to type",
  usage: `[${SECTIONS.join("|")}] [--cleanup-stale-records]`,
  details:
    "Reads only and ends nothing. Without a section all of them. Exit code 1 when anything is worth a warning.\n" +
    "--cleanup-stale-records lists first, then removes the records of processes that are gone: nothing else.",
  options: [{
    name: "cleanup-stale-records",
    kind: "flag",
    summary: "remove records and leases whose process is gone",
  }],
  examples: [
    ["doctor", "everything, each finding with what to type"],
    ["doctor processes --cleanup-stale-records", "removes what dead processes left in the state folder"],
  ],
  async run(context, args) {
    const sections = sectionsOf(args);
    const found = await examine(context, { sections, typed: typedFor(context, args) });
    const findings = inOrder(found.findings);
    print(context.output, { findings, rows: found.rows });
    if (!args.flag("cleanup-stale-records")) return needsAttention(findings) ? EXIT.no : EXIT.done;
    const allRemoved = await removeStale(context, found.stale);
    const left = findings.filter(({ code }) => !allRemoved || !CLEANED.includes(code));
    return needsAttention(left) ? EXIT.no : EXIT.done;
  },
};

/** The findings that are no more once all that is stale was removed. */
const CLEANED = ["stale_record", "unfinished_start", "dead_lease"];

function sectionsOf(args: Args): readonly Section[] {
  const [name, more] = args.names;
  const cleanup = args.flag("cleanup-stale-records");
  if (name === undefined) return SECTIONS;
  const section = SECTIONS.find((each) => each === name);
  if (section === undefined || more !== undefined) {
    throw new UsageError(
      `${args.names.join(" ")} is no section of doctor`,
      `they are: ${SECTIONS.join(", ")}`,
    );
  }
  if (cleanup && section !== "processes") {
    throw new UsageError(`--cleanup-stale-records is about processes, not ${section}`);
  }
  return [section];
}

function typedFor({ host }: Context, args: Args): Typed {
  return new Typed({ system: host.system, stateDir: args.text("state-dir"), config: args.text("config") });
}

/** Whether all that was stale is removed. */
async function removeStale(
  { host, state, signal, output }: Context,
  stale: readonly Stale[],
): Promise<boolean> {
  let all = true;
  for await (const { removed, message } of cleanUp(host, { state, stale, signal })) {
    all &&= removed;
    output.problem(message);
  }
  return all;
}

const TONE: Record<Finding["level"], Tone> = { info: "dim", warn: "warn", error: "bad" };

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

function print(
  output: Output,
  { findings, rows }: { findings: readonly Finding[]; rows: readonly ProcessRow[] },
): void {
  if (output.json) {
    output.document({ findings, processes: rows });
    return;
  }
  if (rows.length > 0) {
    output.table([
      COLUMNS.map(([heading]) => heading),
      ...rows.map((row) => COLUMNS.map(([, field]) => cell(row[field]))),
    ]);
    for (const { pid, child_pids } of rows) {
      if (child_pids.length > 0) output.line(`pid ${pid}: child_pids=${child_pids.join(",")}`);
    }
    output.line();
  }
  if (findings.length === 0) output.line("nothing to find fault with");
  for (const { level, section, message, fix } of findings) {
    output.line(`${output.paint(level.padEnd(5), TONE[level])}  ${section}  ${message}`);
    if (fix !== "") output.line(`       ${fix}`);
  }
}

function cell(value: ProcessRow[keyof ProcessRow]): string {
  if (value === null) return "-";
  if (typeof value === "boolean") return value ? "yes" : "no";
  const text = String(value);
  // A folder may have any name, but a row is one line.
  return /^[\u0020-\u007e]*$/.test(text) ? text : JSON.stringify(text);
}
