import { stopServer } from "../../lifecycle/stop/down.ts";
import type { Outcome } from "../../lifecycle/row.ts";
import type { World } from "../../lifecycle/world.ts";
import type { ProcessFacts } from "../../host/host.ts";
import { recordIn } from "../../registry/store.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import { type Args, UsageError } from "../args.ts";
import { runForEach, type ServerAction } from "../each_server.ts";
import { printOutcomes } from "../rows.ts";
import { isStdioServer, restServer } from "../stdio_servers.ts";
import { endIdleSupervisor, noteStaysDown, releaseServers, tellStaysDown } from "../supervision.ts";
import { sweepAfterStop } from "../sweep_after_stop.ts";
import {
  definitionsInScope,
  findRecorded,
  findTarget,
  hasLabel,
  knownDefinition,
  LABEL_OPTION,
  labelsByKey,
  refuseLabels,
  type Target,
} from "../targets.ts";
import type { Context, Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

export const down: Verb = {
  name: "down",
  summary: "take servers away; only what is provably foster's own is ended",
  usage: "[NAME…] [--all] [--label L] [--stay]",
  details:
    "Without a name: every server of the definition file. With --all: every server of the state folder.\n" +
    "A server that somebody else started is left alone (exit code 16 when it was named).",
  options: [{ name: "all", kind: "flag", summary: "every server of the state folder" }, {
    name: "stay",
    kind: "flag",
    summary: "until the next up, whatever clients ask for",
  }, LABEL_OPTION],
  examples: [
    ["down demo", "stops the demo and frees its port"],
    ["down --all", "stops every server that foster runs"],
  ],
  async run(context, args) {
    // One sweep for all of them, at the end.
    const world: World = { ...worldOf(context), afterEnd: undefined };
    const named = args.names.length > 0;
    if (named && args.flag("all")) throw new UsageError("either names or --all");
    if (!args.flag("all")) refuseLabels(args);
    const recentProcesses = processesOnceIn(world.host, LISTED_FOR_MS);
    const stop = async ({ name, key, definition, record }: Target): Promise<Outcome> => {
      // What stands in a folder of somebody else is no reason to do anything, and often can't be read.
      await context.state.server(key).check();
      const isStdio = await isStdioServer(context, { key, definition, record });
      if (isStdio) return await restServer(world, { name, key, definition }, { stays: args.flag("stay") });
      // Told first: a request that comes upon the end would start it again.
      if (args.flag("stay")) await tellStaysDown(world, { keys: [key], staysDown: true });
      await releaseServers(world, [key]);
      return await stopServer(world, { name, key, definition, named, handoff: false, recentProcesses });
    };
    const outcomes = await runForEach(
      context,
      named
        ? [...new Set(args.names)].map((name) => {
          const action: ServerAction = {
            name,
            run: async () => {
              const target = await findRecorded(context, name);
              action.key = target.key;
              return await stop(target);
            },
          };
          return action;
        })
        : (await targetsOf(context, args)).map((target) => ({ ...target, run: () => stop(target) })),
    );
    if (args.flag("stay")) {
      await noteStaysDown(world, { keys: outcomes.map(({ row }) => row.key), staysDown: true });
    }
    const staying = args.flag("all") ? await endIdleSupervisor(world) : null;
    await sweepAfterStop(context, outcomes);
    if (args.flag("all") && outcomes.length === 0) context.output.talk("No server to stop.");
    const code = printOutcomes(context.output, outcomes);
    if (staying !== null) {
      const does = args.flag("stay") ? "runs" : "runs, and starts servers that are asked for";
      context.output.talk(`The gateway still ${does} (pid ${staying}): foster serve --stop ends it.`);
    }
    return code;
  },
};

/** How old a list of all processes may be where many servers are looked at. */
const LISTED_FOR_MS = 100;

/** One list of processes for all that ask within so long. */
function processesOnceIn({ processes, clock }: World["host"], ms: number): () => Promise<ProcessFacts[]> {
  let list: Promise<ProcessFacts[]> | null = null;
  let until = 0;
  return () => {
    if (list === null || clock.monotonic() >= until) {
      list = processes.list();
      until = clock.monotonic() + ms;
    }
    return list;
  };
}

type Find = (name: string) => ServerDefinition | null;

async function targetsOf(context: Context, args: Args): Promise<Target[]> {
  if (args.flag("all")) {
    await context.state.check();
    const find = await definitionsIfReadable(context);
    const labels = args.texts("label");
    const ownLabels = labels.length === 0 ? new Map() : await labelsByKey(context);
    const records = (await context.state.records()).filter(({ key }) =>
      hasLabel(ownLabels.get(key) ?? [], labels)
    );
    const recorded = await Promise.all(records.map(async ({ key, stored }) => {
      const record = recordIn(stored);
      const name = record?.name ?? key;
      const found = record === null ? null : find(name);
      const definition = found?.key === key
        ? found
        : await knownDefinition(context, { name, key, config: record?.config ?? null });
      return { name, key, record, definition };
    }));
    const copies = (await copyTargets(context, new Set(records.map(({ key }) => key)), find)).filter((
      { key },
    ) => hasLabel(ownLabels.get(key) ?? [], labels));
    const targets = [...recorded, ...copies];
    if (!args.flag("stay") || labels.length > 0) return targets;
    return [...targets, ...await sleepingTargets(context, new Set(targets.map(({ key }) => key)), find)];
  }
  const definitions = await definitionsInScope(context, args);
  return await Promise.all(definitions.map(({ name }) => findTarget(context, name)));
}

/** Stdio servers with a process; they have no record. */
async function copyTargets(context: Context, recorded: ReadonlySet<string>, find: Find): Promise<Target[]> {
  const targets: Target[] = [];
  for (const key of await context.state.keys()) {
    const [copy] = recorded.has(key) ? [] : await context.state.server(key).copies();
    if (copy === undefined) continue;
    const definition = find(copy.name);
    targets.push({
      name: copy.name,
      key,
      record: null,
      definition: definition?.key === key ? definition : null,
    });
  }
  return targets;
}

/** Servers that run nothing now and that a request would start. */
async function sleepingTargets(context: Context, known: ReadonlySet<string>, find: Find): Promise<Target[]> {
  const { readEnrolled } = await import("../../registry/supervisor_files.ts");
  const read = await readEnrolled(context.host, context.state.path);
  const enrolled = read.kind === "file" ? read.value.files.flatMap(({ servers }) => servers) : [];
  return enrolled.filter(({ key }) => !known.has(key)).map(({ name, key }) => {
    const definition = find(name);
    return { name, key, record: null, definition: definition?.key === key ? definition : null };
  });
}

/** A broken definition file must not keep a server from being stopped: its record says enough. */
async function definitionsIfReadable({ definitions, output }: Context): Promise<Find> {
  try {
    return (await definitions()).find;
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    output.talk(`${error.message}\n  going by the records alone`);
    return () => null;
  }
}
