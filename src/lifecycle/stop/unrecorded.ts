/**
 * What `down` finds of a server that has no record.
 *
 * @module
 */
import type { ServerFolder } from "../../registry/store.ts";
import { type ServerDefinition, withOverrides } from "../../definitions/definition.ts";
import { askHolder } from "../observe/live.ts";
import { describeHolders } from "../observe/observe.ts";
import { findOtherServer } from "../observe/other_server.ts";
import { observeWantedPort } from "../observe/ports.ts";
import { describeServer } from "../messages.ts";
import { type Outcome, plainOutcome } from "../row.ts";
import type { World } from "../world.ts";

/** Nothing of ours: at most somebody else's server of that name is there, which is left alone. */
export async function downUnrecorded(
  world: World,
  folder: ServerFolder,
  { name, definition, named }: { name: string; definition: ServerDefinition | null; named: boolean },
): Promise<Outcome> {
  const stopped = (message: string) =>
    plainOutcome({ name }, folder, { kind: "done", state: "stopped", message });
  const effective = definition === null ? null : withOverrides(definition, await folder.overrides());
  const found = await observeWantedPort(world, { definition: effective, record: null });
  if (effective === null || found === null || found.observed.port.kind === "free") {
    return stopped("it was not running");
  }
  const { port, endpoint } = found;
  const holders = await describeHolders(world.host, found.observed.port);
  const other = await findOtherServer(world, { key: folder.key, port: found.observed.port });
  if (other !== null) {
    const outcome = stopped(`it was not running; port ${port} is held by ${describeServer(other, holders)}`);
    return { ...outcome, row: { ...outcome.row, hint: `foster down ${other.key} ends that one` } };
  }
  const foreign =
    `it was not running; port ${port} is held by ${holders || "a process that can't be seen"}, ` +
    `which foster did not start`;
  if (effective.identity.name === null) return stopped(foreign);
  const live = await askHolder(world.host, { definition: effective, endpoint, signal: world.signal });
  if (live.name !== effective.identity.name) return stopped(foreign);
  const outcome = plainOutcome({ name }, folder, {
    kind: named ? "refused" : "done",
    state: "ready",
    message: `external, left alone: "${name}" (${
      holders || "its process can't be seen"
    }) was not started by foster`,
    hint: `stop it where it was started; foster up "${name}" then starts foster's own`,
  });
  return { ...outcome, row: { ...outcome.row, adoption: "external", port } };
}
