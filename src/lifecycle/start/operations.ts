/**
 * `up`, `restart`, `recover`: one start under the server's lock.
 *
 * @module
 */
import type { StartedBy } from "../../registry/record.ts";
import type { ServerFolder } from "../../registry/store.ts";
import { type ServerDefinition, withOverrides } from "../../definitions/definition.ts";
import { isForeign, look } from "../observe/observe.ts";
import { heldPortHint } from "../messages.ts";
import { joinHints, overridesHint } from "../messages_kept.ts";
import { endpointOf, resolvePorts } from "../observe/ports.ts";
import { emptyRow, type Outcome } from "../row.ts";
import { STATE_CODES, type StateLabel } from "../../registry/state_label.ts";
import { PORT_WAIT_MS } from "../stop/stop.ts";
import { bringUp } from "./up.ts";
import { describeHolders } from "../observe/holders.ts";
import type { World } from "../world.ts";

export interface StartOptions {
  startedBy: StartedBy;
  /** Null for the definition's own. */
  timeoutMs: number | null;
  ownerPid: number | null;
  /** Kept until `down`; null leaves what was kept before. */
  port: number | null;
  version: string | null;
  /** The server's own word is proof enough to replace it. */
  recover: boolean;
  restart: "no" | "yes" | "force";
  /** False returns once the spawn is recorded, and at once where another foster holds the start. */
  waitForReady: boolean;
}

export const PLAIN_START: StartOptions = {
  startedBy: "up",
  timeoutMs: null,
  ownerPid: null,
  port: null,
  version: null,
  recover: false,
  restart: "no",
  waitForReady: true,
};

/** Another foster may end a server before it starts it: that comes on top of the start's own time. */
const LOCK_SLACK_MS = 15_000;

export async function startServer(
  world: World,
  definition: ServerDefinition,
  options: StartOptions,
): Promise<Outcome> {
  const folder = world.state.server(definition.key);
  const timeoutMs = options.timeoutMs ?? definition.ready.timeoutMs;
  const askedAt = world.host.clock.now();
  try {
    const lock = await folder.lock({
      waitMs: options.waitForReady ? timeoutMs + LOCK_SLACK_MS : 0,
      signal: world.signal,
      giveUp: () => folder.isAskedToStop(askedAt),
    });
    if (lock === null && await folder.isAskedToStop(askedAt)) return stoppedByDown(definition, folder);
    if (lock === null) {
      return busyElsewhere(definition, folder);
    }
    try {
      if (await folder.isAskedToStop(askedAt)) return stoppedByDown(definition, folder);
      return await startUnderLock(world, folder, { definition, options, timeoutMs });
    } finally {
      lock.release();
    }
  } catch (error) {
    if (!world.signal.aborted) throw error;
    const message = `"${definition.name}": interrupted`;
    return plainOutcome(definition, folder, {
      kind: "interrupted",
      state: "uninitialized",
      message,
      hint: "",
    });
  }
}

/** Another foster has the lock. */
export function busyElsewhere({ name }: Pick<ServerDefinition, "name">, folder: ServerFolder): Outcome {
  return plainOutcome({ name }, folder, {
    kind: "guarded",
    state: "guarded",
    message: `"${name}" is being started or stopped by another foster`,
    hint: `foster status "${name}"`,
  });
}

function stoppedByDown(definition: ServerDefinition, folder: ServerFolder): Outcome {
  const message = `"${definition.name}": stopped by foster down before it started`;
  return plainOutcome(definition, folder, { kind: "no", state: "stopped", message, hint: "" });
}

/** As {@link startServer}, for a caller that holds the lock already. */
export async function startUnderLock(
  world: World,
  folder: ServerFolder,
  { definition, options, timeoutMs }: {
    definition: ServerDefinition;
    options: StartOptions;
    timeoutMs: number;
  },
): Promise<Outcome> {
  const kept = await folder.overrides();
  const overrides = { port: options.port ?? kept.port, version: options.version ?? kept.version };
  const effective = withOverrides(definition, overrides);
  if (options.restart === "force") {
    const refused = await refuseForce(world, folder, {
      definition: effective,
      overriddenPort: options.port === null ? kept.port : null,
    });
    if (refused !== null) return refused;
  }
  return await bringUp(world, folder, {
    definition: effective,
    overrides,
    startedBy: options.startedBy,
    timeoutMs,
    userAsked: options.recover,
    restart: options.restart !== "no",
    ownerPid: options.ownerPid,
    waitForReady: options.waitForReady,
    portWaitMs: options.recover || options.restart === "force" ? PORT_WAIT_MS.asked : PORT_WAIT_MS.drift,
  });
}

/** A forced restart needs a listener that is ours; a free port needs no force. */
async function refuseForce(
  world: World,
  folder: ServerFolder,
  { definition, overriddenPort }: { definition: ServerDefinition; overriddenPort: number | null },
): Promise<Outcome | null> {
  const { name } = definition;
  const { port } = await resolvePorts(world, definition);
  const seen = await look(world.host, {
    folder,
    record: await folder.readOrHeal(),
    hostname: definition.host,
    port,
    brand: { names: definition.brand, flags: definition.brandFlags },
    thorough: true,
  });
  if (!isForeign(seen.port)) return null;
  const holders = await describeHolders(world.host, seen.port);
  return plainOutcome(definition, folder, {
    kind: "refused",
    state: "uninitialized",
    message: `Refused to restart "${name}": nothing proves that the holder of port ${port} ` +
      `(${holders || "not visible from here"}) is foster's`,
    hint: definition.identity.name === null
      ? heldPortHint(name, { endpoint: endpointOf(definition, port), overriddenPort, isNamed: false })
      : joinHints(
        overridesHint(name, { port: overriddenPort }),
        `foster recover "${name}" if it is the same server; else stop that process`,
      ),
  });
}

export function plainOutcome(
  definition: Pick<ServerDefinition, "name">,
  folder: Pick<ServerFolder, "key" | "paths">,
  { kind, state, message, hint }: {
    kind: Outcome["kind"];
    state: StateLabel;
    message: string;
    hint: string;
  },
): Outcome {
  const row = emptyRow(definition.name, folder.key);
  return {
    kind,
    row: { ...row, state, state_code: STATE_CODES[state], message, hint, log: folder.paths.log },
  };
}
