import { PLAIN_START, type StartOptions, startServer } from "../../lifecycle/start/start.ts";
import type { Outcome } from "../../lifecycle/row.ts";
import type { World } from "../../lifecycle/world.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { type Args, UsageError } from "../args.ts";
import { githubOutput, githubOutputFile } from "../github_output.ts";
import { readOwner } from "../owner.ts";
import { printOutcomes } from "../rows.ts";
import { isPassedOver, refuseStdio } from "../stdio_servers.ts";
import { reviveBeside, tellEnvironment } from "../supervision.ts";
import { LABEL_OPTION, wantedDefinitions } from "../targets.ts";
import type { Context, Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

const PORT = { min: 1024, max: 65535 };

export const up: Verb = {
  name: "up",
  summary: "make servers be there: spawned, adopted or recovered, on their ports, ready",
  usage: "[NAME…] [OPTIONS]",
  details:
    "Without a name: every server of the definition file that has an endpoint. Several start side by side.",
  options: [
    { name: "all", kind: "flag", summary: "every server of the definition file" },
    LABEL_OPTION,
    { name: "timeout", kind: "duration", value: "D", summary: "how long to wait until ready" },
    { name: "recover", kind: "flag", summary: "also replace a server that only its own word identifies" },
    { name: "supervise", kind: "flag", summary: "put it under the supervisor, which restarts it" },
    { name: "owner-pid", kind: "number", value: "N", summary: "end it when this process ends" },
    { name: "port", kind: "number", value: "N", summary: "this port, until down" },
    { name: "version", kind: "text", value: "V", summary: "this version, until down" },
    { name: "no-wait", kind: "flag", summary: "return once the spawn is recorded" },
    { name: "github-output", kind: "flag", summary: "write endpoint, pid and log to $GITHUB_OUTPUT" },
  ],
  examples: [
    ["up demo", "starts the server inside foster, or finds it running"],
    ["up everything --json", "starts the reference server and prints where it is"],
  ],
  async run(context, args) {
    const definitions = await startable(context, args);
    const outputFile = args.flag("github-output") ? githubOutputFile(context) : null;
    const options = { ...optionsOf(args, definitions), ownerPid: await readOwner(context, args) };
    const world = worldOf(context);
    const start = (definition: ServerDefinition): Promise<Outcome> =>
      isSupervised(args, definition)
        ? startSupervised(world, definition, options)
        : startServer(world, definition, options);
    const revived = reviveBeside(world);
    const outcomes = await Promise.all(definitions.map(start));
    await revived;
    await tellEnvironment(world, definitions.map(({ key }) => key));
    if (outputFile !== null) await context.host.files.append(outputFile, githubOutput(outcomes), 0o600);
    return printOutcomes(context.output, outcomes);
  },
};

/** @throws UsageError where one was named, or all there are, speak stdio */
async function startable(context: Context, args: Args): Promise<ServerDefinition[]> {
  const wanted = await wantedDefinitions(context, args);
  if (args.names.length > 0 || wanted.every(({ transport }) => transport === "stdio")) {
    wanted.forEach(refuseStdio);
    return wanted;
  }
  return wanted.filter((definition) => !isPassedOver(context.output, definition));
}

/** An owner that the server itself can't watch has to be watched by a supervisor. */
function isSupervised(args: Args, { ownerEnv }: ServerDefinition): boolean {
  return args.flag("supervise") || (args.text("owner-pid") !== null && ownerEnv === null);
}

/** The start's own options first, then the supervisor that keeps it. */
async function startSupervised(
  world: World,
  definition: ServerDefinition,
  options: StartOptions,
): Promise<Outcome> {
  const { ensureSupervised, ensureSupervisor } = await import("../../supervisor/supervise.ts");
  // It is there, or nearly, by the time that the server is ready.
  const supervisor = ensureSupervisor(world).catch(() => {});
  const started = await startServer(world, definition, options);
  await supervisor;
  if (started.kind !== "done" || started.row.adoption === "external") return started;
  const supervised = await ensureSupervised(world, definition, {
    startedBy: "up",
    idleMs: null,
    timeoutMs: options.timeoutMs,
    ownerPid: options.ownerPid,
    adoptOnly: true,
    noWait: !options.waitForReady,
  });
  return supervised.kind === "done" ? started : supervised;
}

/** @throws UsageError */
function optionsOf(args: Args, definitions: readonly ServerDefinition[]): StartOptions {
  const port = args.number("port", PORT);
  if (port !== null && definitions.length > 1) throw new UsageError("--port is for one server at a time");
  return {
    ...PLAIN_START,
    timeoutMs: args.duration("timeout"),
    port,
    version: args.text("version"),
    recover: args.flag("recover"),
    waitForReady: !args.flag("no-wait"),
  };
}
