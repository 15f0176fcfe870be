/**
 * `stop.command`: what a definition has run before its server is signalled.
 *
 * @module
 */
import { HostError } from "../../host/host.ts";
import type { ServerRecord } from "../../registry/record.ts";
import type { ServerFolder } from "../../registry/store.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import { findCommand } from "../../definitions/launch/find_command.ts";
import { resolveStopCommand } from "../../definitions/launch/values.ts";
import type { World } from "../world.ts";

/** `docker stop` alone gives a container ten seconds. */
const TIMEOUT_MS = 30_000;

/** Runs it; true where it ended well. Null where the definition has none, or is not known. */
export function stopCommandOf(
  world: World,
  folder: ServerFolder,
  { definition, record }: { definition: ServerDefinition | null; record: ServerRecord | null },
): (() => Promise<boolean>) | null {
  if (definition === null || record === null || definition.stop.command === null) return null;
  return async () => {
    try {
      await run(world, folder, { definition, record });
      return true;
    } catch (error) {
      if (!(error instanceof HostError || error instanceof DefinitionError)) throw error;
      world.warn(`"${definition.name}": its stop.command failed: ${error.message}`);
      return false;
    }
  };
}

/** @throws HostError, DefinitionError */
async function run(
  { host, state, commandOutputs }: World,
  folder: ServerFolder,
  { definition, record }: { definition: ServerDefinition; record: ServerRecord },
): Promise<void> {
  // The name of a container, say, holds what its start was given.
  const { session } = await folder.overrides();
  const facts = {
    port: record.port,
    wsPort: record.ws_port,
    pidFile: folder.paths.pidFile,
    sessionFile: null,
    sessionId: session?.id ?? null,
    stateDir: state.path,
    ownerPid: record.owner_pid,
    token: record.token,
    env: (name: string) => host.env.get(name),
  };
  const store = commandOutputs ?? new Map<string, string>();
  const resolved = await resolveStopCommand(host, definition, { facts, store });
  const [program = "", ...args] = resolved?.words ?? [];
  const shown = resolved?.maskedWords.join(" ") ?? "";
  const found = await findCommand(host, program, { cwd: definition.baseFolder });
  if (!("path" in found)) throw new HostError("not_found", `${resolved?.maskedWords[0]} was not found`);
  const options = { timeoutMs: TIMEOUT_MS, cwd: definition.baseFolder, env: host.env.all() };
  const { code, signal } = await host.processes.run(found.path, args, options);
  if (code !== 0) throw new HostError("failed", `${shown} ended with ${signal ?? `exit code ${code}`}`);
}
