/**
 * Puts servers under the supervisor.
 *
 * @module
 */
import { PLAIN_START, type StartOptions, startServer } from "../lifecycle/start/start.ts";
import { type Outcome, plainOutcome } from "../lifecycle/row.ts";
import type { World } from "../lifecycle/world.ts";
import type { StartedBy } from "../registry/record.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import type { ControlClient } from "./control_client.ts";
import { enrolledServer } from "./enrol.ts";
import type { SupervisedServer } from "./enrolment.ts";
import { ownEnvironment, withSupervisor } from "./ensure.ts";

export interface SuperviseOptions {
  startedBy: StartedBy;
  /** How long a server without clients stays; null for ever. */
  idleMs: number | null;
  timeoutMs: number | null;
  ownerPid?: number | null;
  /** The server runs already: it is kept, and nothing is started that was taken away meanwhile. */
  adoptOnly?: boolean;
  /** True returns once the server is enrolled: it is then still `spawning`. */
  noWait?: boolean;
}

const SLACK_MS = 20_000;

/** The server, ready, under the supervisor: as it is kept already, or started or adopted by it. */
export async function ensureSupervised(
  world: World,
  definition: ServerDefinition,
  options: SuperviseOptions,
): Promise<Outcome> {
  const server = await enrolledServer(world, definition, options);
  return await withSupervisor(
    world,
    (supervisor) =>
      supervisor.kind === "without"
        ? withoutSupervisor(world, definition, options, supervisor.why)
        : enrol(world, { definition, options, server, control: supervisor.control }),
  );
}

async function enrol(
  world: World,
  { definition, options, server, control }: {
    definition: ServerDefinition;
    options: SuperviseOptions;
    server: SupervisedServer;
    control: ControlClient;
  },
): Promise<Outcome> {
  const folder = world.state.server(definition.key);
  let outcome: Outcome | null = null;
  const waitMs = (options.timeoutMs ?? definition.ready.timeoutMs) + SLACK_MS;
  await control.enrol({
    server,
    adoptOnly: options.adoptOnly === true,
    environment: ownEnvironment(world),
    follow: false,
  }, {
    signal: world.signal,
    timeoutMs: waitMs,
    onLine(line) {
      switch (line.type) {
        case "accepted":
          return options.noWait !== true;
        case "progress":
          world.progress(definition.name, line.text);
          return true;
        case "outcome":
          outcome = line.outcome;
          return false;
        case "news":
        case "end":
          return true;
      }
    },
  });
  return outcome ??
    plainOutcome(definition, folder, { kind: "done", state: "spawning", message: "", hint: "" });
}

/** Needs nothing but locks and records, as every verb. */
async function withoutSupervisor(
  world: World,
  definition: ServerDefinition,
  options: SuperviseOptions,
  why: string,
): Promise<Outcome> {
  world.warn(`"${definition.name}" is not supervised: ${why}`);
  const start: StartOptions = {
    ...PLAIN_START,
    startedBy: options.startedBy,
    timeoutMs: options.timeoutMs,
    waitForReady: options.noWait !== true,
  };
  return await startServer(world, definition, start);
}
