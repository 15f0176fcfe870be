/**
 * Servers that speak stdio: the gateway has their processes, so that the verbs ask the supervisor for them.
 *
 * @module
 */
import type { ServerDefinition } from "../definitions/definition.ts";
import { type Enrolments, lastFailure, type ListedRow, listUnrecorded } from "../lifecycle/observe/list.ts";
import { allowUnset, lostVariables } from "../lifecycle/start/variables_set.ts";
import { busyElsewhere, emptyRow, type Outcome, plainOutcome, restOutcome } from "../lifecycle/row.ts";
import type { World } from "../lifecycle/world.ts";
import type { PinAnswer, RestOptions } from "../supervisor/control_wire.ts";
import { UsageError } from "./args.ts";
import type { Target } from "./targets.ts";
import type { Context } from "./verb.ts";

const SLACK_MS = 5000;

/** For options that only a server that listens can follow. @throws UsageError */
export function refuseForStdio(
  { name }: Pick<ServerDefinition, "name">,
  { port, version }: { port: number | "auto" | null; version: string | null },
): void {
  const option = port !== null ? "port" : version !== null ? "version" : null;
  if (option === null) return;
  throw new UsageError(
    `"${name}" speaks stdio: --${option} is for servers that listen`,
    option === "port" ? "" : `its definition says which version it wants: "version"`,
  );
}

/** Another start may end a process before it starts one: that comes on top of the start's own time. */
const TURN_SLACK_MS = 15_000;

/** One start or restart of a server at a time: the next one finds what the one before left. */
export async function inTurn(
  world: World,
  definition: ServerDefinition,
  { timeoutMs, act, waits = true }: {
    timeoutMs: number | null;
    act(): Promise<Outcome>;
    /** False: no start of another foster is waited for. */
    waits?: boolean;
  },
): Promise<Outcome> {
  const folder = world.state.server(definition.key);
  const waitMs = waits ? (timeoutMs ?? definition.ready.timeoutMs) + TURN_SLACK_MS : 0;
  const lock = await folder.lock({ waitMs, signal: world.signal });
  if (lock === null) return busyElsewhere(definition, folder);
  try {
    return await act();
  } finally {
    lock.release();
  }
}

/** Starts a process with its handshake done; `stays`: false ends one again that was not there before. */
export async function pinServer(
  world: World,
  definition: ServerDefinition,
  { timeoutMs, ownerPid = null, stays = true }: {
    timeoutMs: number | null;
    /** The server ends with this process. */
    ownerPid?: number | null;
    stays?: boolean;
  },
): Promise<PinAnswer> {
  const { ownEnvironment, withSupervisor } = await import("../supervisor/ensure.ts");
  const { enrolledServer } = await import("../supervisor/enrol.ts");
  const server = await enrolledServer(world, definition, {
    startedBy: "up",
    idleMs: null,
    timeoutMs,
    ownerPid,
  });
  const waitMs = (timeoutMs ?? definition.ready.timeoutMs) + SLACK_MS;
  return await withSupervisor(world, async (supervisor): Promise<PinAnswer> => {
    if (supervisor.kind === "live") {
      const environment = ownEnvironment(world);
      return await supervisor.control.pin({ server, environment, timeoutMs, stays }, waitMs);
    }
    const message =
      `Cannot start "${definition.name}": a stdio server needs the supervisor: ${supervisor.why}`;
    const outcome = plainOutcome(definition, world.state.server(definition.key), {
      kind: "no",
      state: "crashed",
      message,
    });
    return { ...outcome, tools: [] };
  });
}

/** Lets all processes go; what a supervisor left behind that is gone is ended here, with proof. */
export async function restServer(
  world: World,
  { name, key, definition }: { name: string; key: string; definition: ServerDefinition | null },
  { stays, restarts }: RestOptions,
): Promise<Outcome> {
  const { ControlError, findSupervisor } = await import("../supervisor/control_client.ts");
  const folder = world.state.server(key);
  const before = (await folder.copies()).map(({ pid }) => pid);
  let found = await findSupervisor(world.host, world.state.path);
  const graceMs = definition?.stop.graceMs ?? 5000;
  if (found.kind === "live") {
    try {
      await found.control.rest([key], { stays, restarts, timeoutMs: graceMs + SLACK_MS });
    } catch (error) {
      // It ended while it was asked.
      if (!(error instanceof ControlError)) throw error;
      found = await findSupervisor(world.host, world.state.path);
      if (found.kind !== "none") throw error;
    }
  }
  if (found.kind !== "live") {
    const { Copies } = await import("../gateway/copies.ts");
    await new Copies(world, folder, { graceMs }).endOrphans();
  }
  const left = await folder.copies();
  const why = found.kind === "silent"
    ? `the supervisor (pid ${found.record.pid}) does not answer: ${found.why}`
    : null;
  return restOutcome({ name }, folder, { before, left: left.map(({ pid }) => pid), why });
}

/** Ends all processes, and starts one that stays. What can't be started again is not ended. */
export async function restartStdio(
  world: World,
  definition: ServerDefinition,
  { timeoutMs, mayLack = false }: {
    timeoutMs: number | null;
    /** Variables that the server that ran last had. */
    mayLack?: boolean;
  },
): Promise<Outcome> {
  const folder = world.state.server(definition.key);
  const variables = { host: world.host, folder, definition };
  if (mayLack) await allowUnset(variables);
  const lost = await lostVariables(variables);
  if (lost !== null) return plainOutcome(definition, folder, { kind: "usage", ...lost });
  return await inTurn(world, definition, { timeoutMs, act: () => restAndPin(world, definition, timeoutMs) });
}

async function restAndPin(
  world: World,
  definition: ServerDefinition,
  timeoutMs: number | null,
): Promise<Outcome> {
  const { name, key } = definition;
  const ended = await restServer(world, { name, key, definition }, { stays: false, restarts: true });
  if (ended.kind !== "done") return ended;
  const { kind, row } = await pinServer(world, definition, { timeoutMs });
  const { recovered } = ended.row;
  const message = kind === "done" && recovered !== null ? "restarted" : row.message;
  return { kind, row: { ...row, message, recovered } };
}

/** Whether it is the gateway that has the processes of a server. */
export async function isStdioServer(
  context: Pick<Context, "state">,
  { key, definition, record }: Pick<Target, "key" | "definition" | "record">,
): Promise<boolean> {
  return record === null && (definition?.transport === "stdio" || await hasCopies(context, key));
}

/** A server without a record, as its processes and enrolled.json tell. */
export async function stdioRow(
  { host, state }: Pick<Context, "host" | "state">,
  { name, key, enrolments }: { name: string; key: string; enrolments: Enrolments },
): Promise<ListedRow> {
  // Of the others nothing is read.
  const [row] = await listUnrecorded(host, {
    state: {
      keys: async () => (await state.keys()).filter((each) => each === key),
      server: (each) => state.server(each),
    },
    enrolments: { ...enrolments, servers: enrolments.servers.filter((server) => server.key === key) },
    recorded: new Set(),
  });
  const endpoint = enrolments.endpoint === null ? null : `${enrolments.endpoint}/mcp/${key}`;
  const known: ListedRow = row ??
    {
      ...emptyRow(name, key),
      state: "stopped",
      endpoint,
      process: "gone",
      on_demand: false,
      copies: [],
      log: state.server(key).paths.log,
    };
  if (known.state !== "stopped" || known.message !== "") return known;
  const message = await lastFailure(host, state.server(key));
  return message === "" ? known : { ...known, message, hint: `foster logs "${name}" shows what it said` };
}

/** Whether anything shows that this key is a stdio server's, where no definition says so. */
export async function hasCopies({ state }: Pick<Context, "state">, key: string): Promise<boolean> {
  return (await state.server(key).copies()).length > 0;
}
