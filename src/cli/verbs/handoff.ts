import { stopServer } from "../../lifecycle/stop/down.ts";
import { PLAIN_START, startServer } from "../../lifecycle/start/start.ts";
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
    if (stopped.kind !== "done" || !args.flag("up")) return printOutcomes(context.output, [stopped]);
    const started = await startServer(world, await findDefinition(context, name), PLAIN_START);
    const recovered = started.row.recovered ?? stopped.row.recovered;
    return printOutcomes(context.output, [{ ...started, row: { ...started.row, recovered } }]);
  },
};
