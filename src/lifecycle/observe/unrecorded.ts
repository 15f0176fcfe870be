/**
 * What `down` finds of a server that has no record.
 *
 * @module
 */
import { STATE_CODES } from "../../registry/state_label.ts";
import type { ServerFolder } from "../../registry/store.ts";
import { type ServerDefinition, withOverrides } from "../../definitions/definition.ts";
import type { DownRequest } from "../stop/down.ts";
import { describeHolders } from "./holders.ts";
import { askHolder } from "./live.ts";
import { type Look, look } from "./observe.ts";
import { plainOutcome } from "../start/operations.ts";
import { endpointOf, resolvePorts } from "./ports.ts";
import { emptyRow, type Outcome } from "../row.ts";
import type { World } from "../world.ts";

/** Nothing of ours: at most somebody else's server of that name is there, which is left alone. */
export async function downUnrecorded(
  world: World,
  folder: ServerFolder,
  request: Pick<DownRequest, "name" | "definition" | "named">,
): Promise<Outcome> {
  const { name, definition } = request;
  const stopped = (message: string): Outcome => {
    const row = emptyRow(name, folder.key);
    return {
      kind: "done",
      row: { ...row, state: "stopped", state_code: STATE_CODES.stopped, message, log: folder.paths.log },
    };
  };
  if (definition === null || definition.transport === "stdio") return stopped("it was not running");
  const seen = await lookAtPort(world, folder, definition);
  if (seen.look.port.kind === "free") return stopped("it was not running");
  const holders = await describeHolders(world.host, seen.look.port);
  const foreign =
    `it was not running; port ${seen.port} is held by ${holders || "a process that can't be seen"}, ` +
    `which foster did not start`;
  if (definition.identity.name === null) return stopped(foreign);
  const live = await askHolder(world.host, {
    definition,
    endpoint: endpointOf(definition, seen.port),
    timeoutMs: definition.ready.probeTimeoutMs,
    signal: world.signal,
  });
  if (live.name !== definition.identity.name) return stopped(foreign);
  const outcome = plainOutcome(request, folder, {
    kind: request.named ? "refused" : "done",
    state: "ready",
    message: `external, left alone: "${name}" (${
      holders || "its process can't be seen"
    }) was not started by foster`,
    hint: `stop it where it was started; foster up "${name}" then starts foster's own`,
  });
  return { ...outcome, row: { ...outcome.row, adoption: "external", port: seen.port } };
}

async function lookAtPort(
  world: World,
  folder: ServerFolder,
  definition: ServerDefinition,
): Promise<{ look: Look; port: number }> {
  const { port } = await resolvePorts(world, withOverrides(definition, await folder.overrides()));
  const seen = await look(world.host, {
    folder,
    record: null,
    hostname: definition.host,
    port,
    brand: { names: definition.brand, flags: definition.brandFlags },
    thorough: false,
  });
  return { look: seen, port };
}
