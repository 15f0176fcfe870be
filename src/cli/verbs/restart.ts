import { PLAIN_START, startServer } from "../../lifecycle/start/start.ts";
import { refusedExternal } from "../../lifecycle/row.ts";
import { recordIn } from "../../registry/store.ts";
import { printOutcomes } from "../rows.ts";
import { restartStdio } from "../stdio_servers.ts";
import { awaitTasks } from "../server_use.ts";
import { noteStaysDown, reviveBeside, tellEnvironment } from "../supervision.ts";
import { findDefinition } from "../targets.ts";
import type { Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

export const restart: Verb = {
  name: "restart",
  summary: "end a server and start it again on the same endpoint",
  usage: "NAME [--force]",
  options: [
    {
      name: "force",
      kind: "flag",
      summary: "only if a listener on its port is provably foster's; waits longer, but for no task",
    },
    {
      name: "allow-unset",
      kind: "flag",
      summary: "also without a variable that the server that ran last had",
    },
    { name: "timeout", kind: "duration", value: "D", summary: "how long to wait until ready" },
  ],
  examples: [
    ["restart demo", "a new process on the same port"],
    ["restart demo --force", "the same, and refused (16) when the listener is not foster's"],
  ],
  async run(context, args) {
    const definition = await findDefinition(context, args.oneName());
    const world = worldOf(context);
    if (!args.flag("force")) await awaitTasks(world, definition);
    if (definition.transport === "stdio") {
      return printOutcomes(context.output, [
        await restartStdio(world, definition, {
          timeoutMs: args.duration("timeout"),
          mayLack: args.flag("allow-unset"),
        }),
      ]);
    }
    const revived = reviveBeside(world);
    const outcome = await startServer(world, definition, {
      ...PLAIN_START,
      // Only `up` pins a server that clients started.
      startedBy: recordIn(await context.state.server(definition.key).read())?.started_by ?? "up",
      timeoutMs: args.duration("timeout"),
      restart: args.flag("force") ? "force" : "yes",
      allowUnset: args.flag("allow-unset"),
    });
    await revived;
    await tellEnvironment(world, [definition.key]);
    if (outcome.kind === "done") await noteStaysDown(world, { keys: [definition.key], staysDown: false });
    return printOutcomes(context.output, [refusedExternal(outcome)]);
  },
};
