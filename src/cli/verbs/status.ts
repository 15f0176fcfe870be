import { describeExit } from "../../lifecycle/messages.ts";
import { copyUptime, type Enrolments } from "../../lifecycle/observe/list.ts";
import { inspectServer, type StatusRow } from "../../lifecycle/observe/status.ts";
import { observeSupervisor } from "../../lifecycle/observe/supervisor.ts";
import { slug } from "../../definitions/hash.ts";
import { statePaths } from "../../registry/paths.ts";
import { type Explanation, rowDocument } from "../../lifecycle/row.ts";
import { readEnrolments } from "../enrolments.ts";
import { EXIT, type ExitCode } from "../exit_codes.ts";
import type { Output } from "../output.ts";
import { duration } from "../../base/text.ts";
import { supervisorLine, toneOf } from "../rows.ts";
import { hasCopies, stdioRow } from "../stdio_servers.ts";
import {
  findTarget,
  hasLabel,
  knownTargets,
  LABEL_OPTION,
  labelsByKey,
  refuseLabels,
  type Target,
  wantedDefinitions,
} from "../targets.ts";
import type { Context, Verb } from "../verb.ts";
import { revisionLines, serverUse } from "../server_use.ts";
import type { ServerUse } from "../../supervisor/control_wire.ts";
import { worldOf } from "../worlds.ts";
import { type Args, UsageError } from "../args.ts";

export const status: Verb = {
  name: "status",
  summary: "one server in depth, with a live probe",
  usage: "[NAME…] [--label L]",
  details:
    "Without a name: every server of the definition file that has an endpoint, else every server with a record.\n" +
    "Exit code 0 when all are ready, 1 otherwise. Starts and ends nothing.",
  options: [LABEL_OPTION],
  examples: [
    ["status demo", "process, endpoint, version and readiness of the demo"],
    ["status demo --json", "the same for programs"],
  ],
  async run(context, args) {
    const world = worldOf(context);
    const targets = await targetsOf(context, args);
    let read: Promise<Enrolments> | null = null;
    const enrolments = () => read ??= readEnrolments(context);
    const rows = await Promise.all(
      targets.map(async ({ problem, ...target }): Promise<StatusRow> => {
        const row = await inspectServer(world, target);
        if (problem !== undefined) return { ...row, key: target.name, state: "uninitialized", ...problem };
        if (target.record !== null || !await isStdio(context, target)) return row;
        const own = await stdioRow(context, { ...target, enrolments: await enrolments() });
        const { expected_version } = row;
        return { ...row, ...own, expected_version, uptime_ms: copyUptime(own, context.host.clock.now()) };
      }),
    );
    const supervisor = await observeSupervisor(context.host, context.state);
    const use = supervisor === null ? new Map<string, ServerUse>() : await serverUse(world);
    const attached = await attachedClients(context);
    const clientsOf = (key: string) => attached.get(key) ?? [];
    const labelsOf = (index: number) => targets[index]?.definition?.labels ?? [];
    if (context.output.json) {
      context.output.document({
        servers: rows.map((row, index) => ({
          ...rowDocument(row),
          labels: labelsOf(index),
          attached: clientsOf(row.key),
          revisions: revisionsOf(use.get(row.key)),
        })),
        supervisor,
      });
    } else {
      rows.forEach((row, index) =>
        printStatus(context.output, row, {
          labels: labelsOf(index),
          attached: clientsOf(row.key),
          isServed: supervisor !== null,
          use: use.get(row.key) ?? null,
        })
      );
      if (supervisor !== null) context.output.talk(supervisorLine(supervisor));
    }
    const failed = rows.findIndex((row) => !isAsItShouldBe(row));
    if (failed === -1) return EXIT.done;
    return (targets[failed]?.problem === undefined ? EXIT.no : EXIT.usage) satisfies ExitCode;
  },
};

/** One that sleeps is: a request starts it. */
function isAsItShouldBe({ state, on_demand }: StatusRow): boolean {
  return state === "ready" || (state === "stopped" && on_demand === true);
}

/** Which revision each side speaks, and whether foster translates; null where nothing is known of it. */
function revisionsOf(use: ServerUse | undefined) {
  if (use === undefined) return null;
  const { speaks, clients, open_tasks } = use;
  return { server: speaks, clients, translates: clients.some(({ translated }) => translated), open_tasks };
}

/** The clients in whose settings attach wrote each server, by its key. */
async function attachedClients({ host, state }: Context): Promise<Map<string, string[]>> {
  const clients = new Map<string, string[]>();
  if (await host.files.stat(statePaths(state.path).attached) === null) return clients;
  const { listKept } = await import("../../clients/attach/kept.ts");
  for (const { entries } of (await listKept({ host, stateFolder: state.path })).kept) {
    for (const { key, clients: own } of entries) {
      clients.set(key, [...new Set([...clients.get(key) ?? [], ...own])]);
    }
  }
  return clients;
}

interface ShownTarget extends Target {
  /** Why nothing is known of a name among several. */
  problem?: Explanation;
}

async function targetsOf(context: Context, args: Args): Promise<ShownTarget[]> {
  refuseLabels(args);
  const names = [...new Set(args.names)];
  const [only] = names;
  if (only !== undefined) {
    if (names.length === 1) return [await findTarget(context, only)];
    // A file that is broken is the trouble of all of them.
    await context.definitions();
    return await Promise.all(names.map((name) => targetOrProblem(context, name)));
  }
  const isFile = (await context.definitions()).inFile.length > 0;
  const inFile = isFile ? await wantedDefinitions(context, args) : [];
  if (inFile.length > 0) {
    const all = await Promise.all(inFile.map(({ name }) => findTarget(context, name)));
    return all;
  }
  const labels = args.texts("label");
  const ownLabels = labels.length === 0 ? new Map() : await labelsByKey(context);
  const known = (await knownTargets(context)).filter(({ key }) => hasLabel(ownLabels.get(key) ?? [], labels));
  if (known.length === 0) {
    throw new UsageError("which server? None has a record", "foster up NAME starts one");
  }
  return known;
}

async function targetOrProblem(context: Context, name: string): Promise<ShownTarget> {
  try {
    return await findTarget(context, name);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const { message, hint } = error;
    return { name, key: slug(name), definition: null, record: null, problem: { message, hint } };
  }
}

async function isStdio(context: Context, { definition, key }: Target): Promise<boolean> {
  return definition === null ? await hasCopies(context, key) : definition.transport === "stdio";
}

function printStatus(
  output: Output,
  row: StatusRow,
  { labels, attached, isServed, use }: {
    labels: readonly string[];
    attached: readonly string[];
    isServed: boolean;
    use: ServerUse | null;
  },
): void {
  const { server } = row;
  const restarts = row.restarts === 0
    ? null
    : `${row.restarts}${row.supervised ? "" : " (not supervised now)"}`;
  const lines: [string, string | null][] = [
    [
      "state",
      output.paint(row.state, toneOf(row.state)) + (row.adoption === null ? "" : ` (${row.adoption})`),
    ],
    ["endpoint", row.endpoint],
    ["websocket", row.ws_port === null ? null : `port ${row.ws_port}`],
    ["server", [server.name, server.version].filter((part) => part).join(" ") || null],
    ["protocol", server.protocol],
    ["expected", row.expected_version],
    ["process", row.pid === null ? null : `pid ${row.pid} (${row.process})`],
    ["uptime", row.uptime_ms === null ? null : duration(row.uptime_ms)],
    ["supervised", row.supervised ? "yes" : null],
    ["restarts", restarts],
    ["last exit", row.last_exit === null ? null : `${describeExit(row.last_exit)} at ${row.last_exit.at}`],
    ["next attempt", row.next_attempt],
    [
      "processes",
      row.copies === undefined || row.copies.length < 2 ? null : row.copies.map(({ pid }) => pid).join(", "),
    ],
    [
      "on demand",
      row.on_demand !== true ? null : `a request starts it${isServed ? "" : ", once a supervisor runs"}`,
    ],
    ["clients", row.leases === 0 ? null : String(row.leases)],
    ...(use === null ? [] : revisionLines(use)),
    ["open tasks", use === null || use.open_tasks === 0 ? null : String(use.open_tasks)],
    ["log", row.log],
    ["attached", attached.length === 0 ? null : attached.join(", ")],
    ["labels", labels.length === 0 ? null : labels.join(", ")],
    ["key", row.key],
  ];
  output.line(row.name);
  for (const [label, value] of lines) if (value !== null) output.line(`  ${label.padEnd(12)} ${value}`);
  output.indented(row.message);
  if (row.hint !== "") output.line(`  ${output.paint(row.hint, "dim")}`);
}
