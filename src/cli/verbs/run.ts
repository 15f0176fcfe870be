import type { LoopEvent } from "../../supervisor/loop_events.ts";
import { ServerLoop } from "../../supervisor/server_loop.ts";
import type { StartedBy } from "../../registry/record.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { rowDocument } from "../../lifecycle/row.ts";
import { type Args, UsageError } from "../args.ts";
import { EXIT } from "../exit_codes.ts";
import type { Output } from "../output.ts";
import { readOwner } from "../owner.ts";
import { exitCodeOf } from "../rows.ts";
import { refuseStdio } from "../stdio_servers.ts";
import { findDefinition } from "../targets.ts";
import type { Context, Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

const STARTERS: readonly StartedBy[] = ["up", "run", "connect"];

export const run: Verb = {
  name: "run",
  summary: "keep a server up on the same endpoint through crashes and hangs",
  usage: "NAME [--owner-pid N]",
  details:
    "Stays in the foreground. Ctrl-C stops the server and exits 0. The budget is the definition's restart.",
  options: [
    { name: "owner-pid", kind: "number", value: "N", summary: "end both when this process ends" },
    { name: "timeout", kind: "duration", value: "D", summary: "how long a start may take" },
    {
      name: "idle",
      kind: "duration",
      value: "D",
      summary: "end a server that connect started after so long without clients",
    },
    { name: "adopt", kind: "flag", summary: "only if it runs: what was taken away is not started again" },
    { name: "started-by", kind: "text", value: "VERB", summary: "whom the record names as starter (run)" },
  ],
  examples: [
    ["run demo", "restarts the demo whenever it ends"],
    ["run demo --json", "the same, with one JSON object per event"],
  ],
  async run(context, args) {
    const definition = await findDefinition(context, args.oneName());
    refuseStdio(definition);
    const { output } = context;
    const ownerPid = await readOwner(context, args);
    const loop = new ServerLoop(worldOf(context), {
      definition,
      startedBy: starterOf(args),
      timeoutMs: args.duration("timeout"),
      ownerPid,
      idleMs: args.duration("idle"),
      adoptOnly: args.flag("adopt"),
      isOwner: true,
      reload: () => reloaded(context, { name: definition.name, config: args.text("config") }),
      onEvent: (event) => show(output, event),
    });
    const end = await loop.run();
    if (end.kind === "stopped") return EXIT.done;
    const { kind, row } = end.outcome;
    if (output.json) output.event({ type: "outcome", kind, row: rowDocument(row) });
    else {
      output.problem(row.message);
      if (row.hint !== "") output.problem(`  ${row.hint}`);
    }
    return exitCodeOf([end.outcome]);
  },
};

/** The definition as its file has it now. @throws DefinitionError, UsageError where it is there no more */
async function reloaded(
  { host, callerFolder }: Context,
  { name, config }: { name: string; config: string | null },
): Promise<ServerDefinition> {
  const { loadDefinitions } = await import("../../definitions/load.ts");
  const definition = (await loadDefinitions(host, { configFlag: config, callerFolder })).find(name);
  if (definition === null) throw new UsageError(`"${name}" has no definition any more`);
  return definition;
}

function starterOf(args: Args): StartedBy {
  const said = args.text("started-by") ?? "run";
  const starter = STARTERS.find((each) => each === said);
  if (starter === undefined) {
    throw new UsageError(`--started-by ${said}: it is one of ${STARTERS.join(", ")}`);
  }
  return starter;
}

function show(output: Output, event: LoopEvent): void {
  if (output.json) {
    // The line that a detached supervisor is waited for by.
    if (event.type === "ready") output.event({ type: "outcome", kind: "done", row: rowDocument(event.row) });
    output.event("row" in event ? { ...event, row: rowDocument(event.row) } : event);
    return;
  }
  output.line(describe(event));
}

function describe(event: LoopEvent): string {
  switch (event.type) {
    case "ready":
      return `ready: ${event.row.endpoint} pid ${event.row.pid} (${event.row.startup_path})`;
    case "adopted":
      return `another foster restarted it: now pid ${event.pid}`;
    case "probe_failed":
      return `does not answer (${event.misses}): ${event.reason}`;
    case "exited":
      return `ended: ${event.reason}`;
    case "restarting": {
      const wait = event.delay_ms === 0 ? "" : ` in ${event.delay_ms} ms`;
      return `restarting${wait} (${event.attempt}): ${event.reason}`;
    }
    case "start_failed":
      return `did not start: ${event.row.message}`;
    case "problem":
      return `trouble: ${event.message}`;
    case "exhausted":
    case "refused":
      return event.message;
    case "stopped":
      return `stopped: ${event.reason}`;
  }
}
