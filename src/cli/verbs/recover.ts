import { PLAIN_START, startServer } from "../../lifecycle/start/start.ts";
import type { Outcome } from "../../lifecycle/row.ts";
import { printOutcomes } from "../rows.ts";
import { inTurn, pinServer } from "../stdio_servers.ts";
import { reviveBeside, tellEnvironment } from "../supervision.ts";
import { findDefinition } from "../targets.ts";
import type { Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

export const recover: Verb = {
  name: "recover",
  summary: "replace the server that holds the port when it says itself that it is the one",
  usage: "NAME",
  details: "Where nothing is to be recovered it does what up does. Without any proof it is refused (16).",
  options: [{ name: "timeout", kind: "duration", value: "D", summary: "how long to wait until ready" }],
  examples: [
    ["recover demo", "an older demo that somebody left on the port makes way"],
    ["recover demo --json", "the same, with the ended pids under recovered"],
  ],
  async run(context, args) {
    const definition = await findDefinition(context, args.oneName());
    const world = worldOf(context);
    // It has no port that somebody else could hold.
    if (definition.transport === "stdio") {
      const timeoutMs = args.duration("timeout");
      const act = () => pinServer(world, definition, { timeoutMs });
      const outcome = await inTurn(world, definition, { timeoutMs, act });
      return printOutcomes(context.output, [outcome]);
    }
    const revived = reviveBeside(world);
    const outcome = await startServer(world, definition, {
      ...PLAIN_START,
      timeoutMs: args.duration("timeout"),
      recover: true,
    });
    await revived;
    await tellEnvironment(world, [definition.key]);
    return printOutcomes(context.output, [refusedWithoutProof(outcome)]);
  },
};

/** The holder is not ours and nothing speaks for it: that is a refusal, not a diagnosis. */
function refusedWithoutProof(outcome: Outcome): Outcome {
  switch (outcome.kind) {
    case "incompatible":
    case "foreign_port":
      return outcome.row.recovered === null ? { ...outcome, kind: "refused" } : outcome;
    default:
      return outcome;
  }
}
