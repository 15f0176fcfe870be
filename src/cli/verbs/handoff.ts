import { stopServer } from "../../lifecycle/stop/down.ts";
import { PLAIN_START, startServer } from "../../lifecycle/start/start.ts";
import type { Outcome } from "../../lifecycle/row.ts";
import { printOutcomes } from "../rows.ts";
import { isStdioServer, pinServer, restServer } from "../stdio_servers.ts";
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
    const target = await findTarget(context, args.oneName());
    const { name, key, definition } = target;
    const isStdio = await isStdioServer(context, target);
    await releaseServers(world, [key]);
    const stopped = isStdio
      ? await restServer(world, target, { stays: false })
      : await stopServer(world, { name, key, definition, named: true, handoff: true });
    if (!args.flag("up")) return printOutcomes(context.output, [stopped]);
    if (stopped.kind !== "done") return printOutcomes(context.output, [notStarted(stopped)]);
    const next = definition ?? await findDefinition(context, key);
    const started = next.transport === "stdio"
      ? await pinServer(world, next, { timeoutMs: null })
      : await startServer(world, next, PLAIN_START);
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
