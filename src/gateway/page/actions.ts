/**
 * What the page's buttons do: the verbs `up`, `down` and `restart`, by the same functions of the lifecycle.
 *
 * @module
 */
import type { ServerDefinition } from "../../definitions/definition.ts";
import { type Outcome, plainOutcome, refusedExternal, restOutcome } from "../../lifecycle/row.ts";
import { stopServer } from "../../lifecycle/stop/down.ts";
import type { World } from "../../lifecycle/world.ts";
import type { PinMessage } from "../../supervisor/control_wire.ts";
import type { SupervisedServer } from "../../supervisor/enrolment.ts";
import { definitionOf, type Supervisor } from "../../supervisor/supervisor.ts";
import type { Hosting } from "../hosting.ts";

export const ACTIONS = ["start", "stop", "restart"] as const;
export type Action = typeof ACTIONS[number];

export interface ActionOptions {
  supervisor: Supervisor;
  hosting: Hosting;
  pin(message: PinMessage): Promise<Outcome>;
  rest(keys: readonly string[], options: { stays: boolean }): Promise<void>;
  /** A server that was started is not kept down any more. */
  noteUp(key: string): Promise<void>;
}

/** Never rejects: what goes wrong is the outcome. */
export async function act(
  world: World,
  options: ActionOptions,
  { action, server }: { action: Action; server: SupervisedServer },
): Promise<Outcome> {
  const folder = world.state.server(server.key);
  try {
    await folder.check();
    switch (action) {
      case "start":
        return await start(world, options, server);
      case "stop":
        return await stop(world, options, server);
      case "restart":
        return await restart(world, options, server);
    }
  } catch (error) {
    const message = `"${server.name}": ${error instanceof Error ? error.message : String(error)}`;
    return plainOutcome(server, folder, { kind: "failed", message });
  }
}

async function start(world: World, options: ActionOptions, server: SupervisedServer): Promise<Outcome> {
  const definition = await definitionOf(world, server);
  if (definition.transport === "stdio") return await pin(options, server);
  const outcome = await options.hosting.bringUp(server);
  if (outcome.kind === "done") await options.noteUp(server.key);
  return outcome;
}

async function stop(world: World, options: ActionOptions, server: SupervisedServer): Promise<Outcome> {
  const { name, key } = server;
  const definition = await definitionOf(world, server).catch(() => null);
  if (await isStdio(world, { key, definition })) return await rest(world, options, server);
  // The supervisor lets go before anything is signalled.
  await options.supervisor.release(key);
  return await stopServer(world, { name, key, definition, named: true, handoff: false });
}

async function restart(world: World, options: ActionOptions, server: SupervisedServer): Promise<Outcome> {
  const definition = await definitionOf(world, server);
  if (definition.transport === "stdio") {
    const ended = await rest(world, options, server);
    return ended.kind === "done" ? await pin(options, server) : ended;
  }
  const outcome = await options.supervisor.restart(server);
  if (outcome.kind === "done") await options.noteUp(server.key);
  return refusedExternal(outcome);
}

async function pin({ pin }: ActionOptions, server: SupervisedServer): Promise<Outcome> {
  return await pin({ server, environment: null, timeoutMs: null, stays: true });
}

async function rest(
  world: World,
  { rest }: ActionOptions,
  { name, key }: SupervisedServer,
): Promise<Outcome> {
  const folder = world.state.server(key);
  const before = (await folder.copies()).map(({ pid }) => pid);
  await rest([key], { stays: false });
  const left = (await folder.copies()).map(({ pid }) => pid);
  return restOutcome({ name }, folder, { before, left });
}

async function isStdio(
  { state }: World,
  { key, definition }: { key: string; definition: ServerDefinition | null },
): Promise<boolean> {
  if (definition !== null) return definition.transport === "stdio";
  return (await state.server(key).copies()).length > 0;
}
