import { observeSupervisor, type SupervisorRow } from "../../lifecycle/observe/supervisor.ts";
import { supervisorLine } from "../rows.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import { UsageError } from "../args.ts";
import { readEnrolments } from "../enrolments.ts";
import { EXIT, type ExitCode } from "../exit_codes.ts";
import { type TopRow, TopSampler } from "../top/sample.ts";
import { tableLines } from "../top/view.ts";
import type { Context, Verb } from "../verb.ts";

const INTERVAL_MS = 2000;
const MIN_INTERVAL_MS = 100;
/** Between the two looks that a single answer takes: CPU time is a difference. */
const GAP_MS = 200;

export const top: Verb = {
  name: "top",
  summary: "a live table of all servers, with keys to restart and stop them",
  usage: "[--once] [--interval D]",
  details: "On a terminal: arrows or j k choose, r restarts, s stops, l shows the log, q quits.\n" +
    "Elsewhere: the table once. With --json: one object per refresh. It checks each server that listens at every refresh.",
  options: [
    { name: "once", kind: "flag", summary: "print the table and end" },
    { name: "interval", kind: "duration", value: "D", summary: "time between two refreshes (2s)" },
  ],
  examples: [
    ["top --once", "how all servers are right now"],
    ["top --json --once", "the same for programs"],
  ],
  async run(context, args) {
    const { host, output, state } = context;
    if (args.names.length > 0) throw new UsageError(`top shows every server: ${args.names.join(", ")}`);
    const intervalMs = args.duration("interval") ?? INTERVAL_MS;
    if (intervalMs < MIN_INTERVAL_MS) {
      throw new UsageError(`--interval must be at least ${MIN_INTERVAL_MS}ms`);
    }
    const find = await definitionsByKey(context);
    const sampler = new TopSampler(host, state, { find, enrolments: () => readEnrolments(context) });
    const once = args.flag("once");
    if (!once && !output.json && host.terminal.stdoutIsTerminal) {
      const { showTop } = await import("../top/screen.ts");
      return await showTop(context, sampler, { intervalMs, find });
    }
    try {
      return await print(context, sampler, once || !output.json ? null : intervalMs);
    } finally {
      await sampler.close();
    }
  },
};

/** Once where there is no interval, else for ever. */
async function print(
  context: Context,
  sampler: TopSampler,
  intervalMs: number | null,
): Promise<ExitCode> {
  const { host: { clock }, signal } = context;
  if ((await sampler.sample(signal)).length > 0) await clock.sleep(GAP_MS, signal);
  while (true) {
    const rows = await sampler.sample(signal);
    signal.throwIfAborted();
    printRows(context, rows, await observeSupervisor(context.host, context.state));
    if (intervalMs === null) return EXIT.done;
    await clock.sleep(intervalMs, signal);
  }
}

function printRows(
  { host, output }: Context,
  rows: readonly TopRow[],
  supervisor: SupervisorRow | null,
): void {
  const now = host.clock.now();
  if (output.json) {
    output.event({ type: "top", at: new Date(now).toISOString(), servers: rows, supervisor });
    return;
  }
  if (rows.length === 0) {
    output.talk("No servers. foster up NAME starts one; foster presets lists what is built in.");
    return;
  }
  const look = { columns: null, selected: null, now };
  for (const line of tableLines(rows, { ...look, paint: (text, tone) => output.paint(text, tone) })) {
    output.line(line.trimEnd());
  }
  if (supervisor !== null) output.talk(supervisorLine(supervisor));
}

/** A broken definition file takes nothing from the table but how a server wants to be checked. */
async function definitionsByKey(
  { definitions, output }: Context,
): Promise<(key: string) => ServerDefinition | null> {
  try {
    const { names, find } = await definitions();
    const byKey = new Map(
      names().flatMap((name) => {
        const definition = find(name);
        return definition === null ? [] : [[definition.key, definition] as const];
      }),
    );
    return (key) => byKey.get(key) ?? null;
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    output.talk(error.message);
    return () => null;
  }
}
