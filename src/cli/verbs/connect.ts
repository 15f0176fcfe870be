import { runConnect } from "../../connect/connect.ts";
import { TOKEN_VARIABLE } from "../../definitions/launch/environment.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { refuseClient } from "../../connect/refusal.ts";
import { type Args, UsageError } from "../args.ts";
import { EXIT } from "../exit_codes.ts";
import { describeFailure } from "../problems.ts";
import { findTrustedDefinition } from "../brought_in.ts";
import type { Context, Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

const DEFAULT_IDLE_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 60_000;

export const connect: Verb = {
  name: "connect",
  summary: "a server for clients that only speak stdio, alive across its restarts",
  usage: "NAME [OPTIONS]",
  details:
    "For the configuration of an MCP client. All clients share one server, which is started when it is " +
    "needed\nand ends when the last of them is gone. stdout carries the protocol and nothing else.",
  options: [
    {
      name: "idle",
      kind: "text",
      value: "D",
      summary: "how long the server outlives its last client (30s), or never",
    },
    {
      name: "timeout",
      kind: "duration",
      value: "D",
      summary: "how long a request waits for the server (60s)",
    },
  ],
  examples: [
    ["connect demo", "the server inside foster, over stdio"],
    ["connect docs --idle never", "the same for a server of the definition file, which then stays"],
  ],
  async run(context, args) {
    const definition = await definitionFor(context, args);
    await runConnect(worldOf(context), {
      definition,
      idleMs: idleOf(args),
      timeoutMs: args.duration("timeout") ?? DEFAULT_TIMEOUT_MS,
    });
    return EXIT.done;
  },
};

/** @throws UsageError, DefinitionError, which the client hears first */
async function definitionFor(context: Context, args: Args): Promise<ServerDefinition> {
  const name = args.oneName();
  try {
    const definition = await findTrustedDefinition(context, name);
    await refuseOwnServer(context, definition);
    return definition;
  } catch (error) {
    const { message, hint } = describeFailure(error, false);
    await refuseClient(context.host, { message, hint }, context.signal);
    throw error;
  }
}

/** A definition whose command is a client of itself would start one after the other. @throws UsageError */
async function refuseOwnServer({ host, state }: Context, { name, key }: ServerDefinition): Promise<void> {
  const instanceToken = host.env.get(TOKEN_VARIABLE);
  if (!instanceToken?.startsWith(`${await state.id()}:${key}:`)) return;
  throw new UsageError(
    `"${name}" is started by the command of "${name}" itself: it would go on like that without end`,
    `in its definition, "command" has to be the server, not foster connect`,
  );
}

/** @throws UsageError */
function idleOf(args: Args): number | null {
  const text = args.text("idle");
  if (text === "never") return null;
  return args.duration("idle") ?? DEFAULT_IDLE_MS;
}
