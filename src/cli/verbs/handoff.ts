import { stopServer } from "../../lifecycle/stop/down.ts";
import { PLAIN_START, startServer } from "../../lifecycle/start/start.ts";
import type { Outcome } from "../../lifecycle/row.ts";
import { printOutcomes } from "../rows.ts";
import { refuseStdio } from "../stdio_servers.ts";
import { releaseServers } from "../supervision.ts";
import { findDefinition, findTarget } from "../targets.ts";
import type { Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

export const handoff: Verb = {
  name: "handoff",
  summary: "stop a server so that another version of it can start",
  usage: "NAME [--up]",
  options: [{ name: "up", kind: "flag", summary: "start it again at once" }],
  examples: [
    ["handoff demo", "stops the demo before it is updated"],
    ["handoff demo --up", "stops it and starts what its definition says now"],
  ],
  async run(context, args) {
    const world = worldOf(context);
    const { name, key, definition } = await findTarget(context, args.oneName());
    if (definition !== null) refuseStdio(definition);
    await releaseServers(world, [key]);
    const stopped = await stopServer(world, { name, key, definition, named: true, handoff: true });
    if (!args.flag("up")) return printOutcomes(context.output, [stopped]);
    if (stopped.kind !== "done") return printOutcomes(context.output, [notStarted(stopped)]);
    const started = await startServer(world, await findDefinition(context, name), PLAIN_START);
    return printOutcomes(context.output, [afterStop(started, stopped)]);
  },
};

/** The stop did not make room. */
function notStarted({ kind, row }: Outcome): Outcome {
  const again = `foster up ${JSON.stringify(row.name)} starts it once that is settled`;
  return {
    kind,
    row: {
      ...row,
      message: `${row.message}; it was not started again`,
      hint: row.hint === "" ? again : `${row.hint}; ${again}`,
    },
  };
}

/** What the start came to, with what the stop before it ended. */
function afterStop(started: Outcome, { row: { name, recovered } }: Outcome): Outcome {
  const { row } = started;
  const ended = recovered?.killed.length ?? 0;
  const message = started.kind === "done" || ended === 0
    ? row.message
    : `"${name}" was stopped; ${row.message}`;
  return { ...started, row: { ...row, message, recovered: row.recovered ?? recovered } };
}
