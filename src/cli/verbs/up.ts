import { PLAIN_START, type StartOptions, startServer } from "../../lifecycle/start/start.ts";
import type { Outcome } from "../../lifecycle/row.ts";
import { allowUnset } from "../../lifecycle/start/variables_set.ts";
import type { World } from "../../lifecycle/world.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { type Args, UsageError } from "../args.ts";
import { bringIn } from "../brought_in.ts";
import { githubOutput, githubOutputFile } from "../github_output.ts";
import { readOwner } from "../owner.ts";
import { portOf } from "../port.ts";
import { runForEach } from "../each_server.ts";
import { printOutcomes } from "../rows.ts";
import { inTurn, pinServer, refuseForStdio } from "../stdio_servers.ts";
import { noteStaysDown, reviveBeside, tellEnvironment } from "../supervision.ts";
import { LABEL_OPTION, wantedServers } from "../targets.ts";
import type { Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

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
    { name: "port", kind: "text", value: "N|auto", summary: "this port, until down; auto: a new one, kept" },
    { name: "version", kind: "text", value: "V", summary: "this version, until down" },
    {
      name: "allow-unset",
      kind: "flag",
      summary: "also without a variable that the server that ran last had",
    },
    { name: "no-wait", kind: "flag", summary: "return once the spawn is recorded" },
    { name: "github-output", kind: "flag", summary: "write endpoint, pid and log to $GITHUB_OUTPUT" },
  ],
  examples: [
    ["up demo", "starts the server inside foster, or finds it running"],
    ["up everything --json", "starts the reference server and prints where it is"],
  ],
  async run(context, args) {
    await bringIn(context, args.names);
    const wanted = await wantedServers(context, args);
    const outputFile = args.flag("github-output") ? githubOutputFile(context) : null;
    const options = { ...optionsOf(args, wanted.length), ownerPid: await readOwner(context, args) };
    const world = worldOf(context);
    const start = async (definition: ServerDefinition): Promise<Outcome> => {
      if (definition.transport === "stdio") return await startStdio(world, definition, options);
      return isSupervised(args, definition)
        ? await startSupervised(world, definition, options)
        : await startServer(world, definition, options);
    };
    const revived = reviveBeside(world);
    const outcomes = await runForEach(
      context,
      wanted.map(({ name, find }) => ({ name, run: async () => await start(await find()) })),
    );
    await revived;
    await tellEnvironment(world, outcomes.map(({ row }) => row.key));
    const up = outcomes.filter(({ kind }) => kind === "done").map(({ row }) => row.key);
    await noteStaysDown(world, { keys: up, staysDown: false });
    if (outputFile !== null) await context.host.files.append(outputFile, githubOutput(outcomes), 0o600);
    return printOutcomes(context.output, outcomes);
  },
};

async function startStdio(
  world: World,
  definition: ServerDefinition,
  options: StartOptions,
): Promise<Outcome> {
  refuseForStdio(definition, options);
  if (options.allowUnset) {
    await allowUnset({ host: world.host, folder: world.state.server(definition.key), definition });
  }
  const { timeoutMs, waitForReady } = options;
  const act = () => pinServer(world, definition, options);
  return await inTurn(world, definition, { timeoutMs, waits: waitForReady, act });
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
  const { ensureSupervised } = await import("../../supervisor/supervise.ts");
  const { ensureSupervisor } = await import("../../supervisor/ensure.ts");
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
function optionsOf(args: Args, count: number): StartOptions {
  const port = portOf(args);
  if (port !== null && count > 1) throw new UsageError("--port is for one server at a time");
  return {
    ...PLAIN_START,
    timeoutMs: args.duration("timeout"),
    port,
    version: args.text("version"),
    recover: args.flag("recover"),
    allowUnset: args.flag("allow-unset"),
    waitForReady: !args.flag("no-wait"),
  };
}
