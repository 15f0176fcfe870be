import { PLAIN_START, startServer } from "../../lifecycle/operations.ts";
import { printOutcomes } from "../rows.ts";
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
      summary: "only if a listener on its port is provably foster's; wait longer",
    },
    { name: "timeout", kind: "duration", value: "D", summary: "how long to wait until ready" },
  ],
  examples: [
    ["restart demo", "a new process on the same port"],
    ["restart demo --force", "the same, and refused (16) when the listener is not foster's"],
  ],
  async run(context, args) {
    const definition = await findDefinition(context, args.oneName());
    const outcome = await startServer(worldOf(context), definition, {
      ...PLAIN_START,
      timeoutMs: args.duration("timeout"),
      restart: args.flag("force") ? "force" : "yes",
    });
    return printOutcomes(context.output, [outcome]);
  },
};
