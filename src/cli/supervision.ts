/**
 * What verbs do about the supervisor besides their own work. None of it is needed for that work: nothing here fails a
 * verb, and nothing is loaded where there never was a supervisor.
 *
 * @module
 */
import type { World } from "../lifecycle/world.ts";
import type { StaysDownMessage } from "../supervisor/control_wire.ts";
import { readEnrolled, readSupervisorFile, setStaysDown } from "../registry/supervisor_files.ts";
import { statePaths } from "../registry/paths.ts";

/** Brings back a supervisor that was killed, beside what the verb does. */
export async function reviveBeside(world: World): Promise<void> {
  if (!await hasFile(world, "enrolled")) return;
  const { reviveSupervisor } = await import("../supervisor/ensure.ts");
  await reviveSupervisor(world).catch(() => {});
}

/** The environment of this verb is that of the servers' next starts. */
export async function tellEnvironment(world: World, keys: readonly string[]): Promise<void> {
  if (!await hasFile(world, "supervisor")) return;
  const { findSupervisor } = await import("../supervisor/control_client.ts");
  const { ownEnvironment } = await import("../supervisor/ensure.ts");
  const found = await findSupervisor(world.host, world.state.path).catch(() => null);
  if (found?.kind !== "live") return;
  const environment = ownEnvironment(world);
  for (const key of keys) await found.control.setEnvironment(key, environment).catch(() => {});
}

/** The supervisor lets go before anything is signalled; within 2 s, or the verb goes on without it. */
export async function releaseServers(world: World, keys: readonly string[]): Promise<void> {
  if (keys.length === 0 || !await hasFile(world, "supervisor")) return;
  const { findSupervisor } = await import("../supervisor/control_client.ts");
  const found = await findSupervisor(world.host, world.state.path).catch(() => null);
  if (found?.kind === "live") await found.control.release(keys).catch(() => {});
}

/** Whether requests to servers are refused until the next `up`: noted by the supervisor, which writes that down itself. */
export async function tellStaysDown(world: World, message: StaysDownMessage): Promise<boolean> {
  if (message.keys.length === 0 || !await hasFile(world, "supervisor")) return false;
  const { findSupervisor } = await import("../supervisor/control_client.ts");
  const found = await findSupervisor(world.host, world.state.path).catch(() => null);
  if (found?.kind !== "live") return false;
  return await found.control.noteStaysDown(message).then(() => true, () => false);
}

/** As {@link tellStaysDown}, written down here where no supervisor does it. @throws HostError */
export async function noteStaysDown(world: World, message: StaysDownMessage): Promise<void> {
  if (await tellStaysDown(world, message)) return;
  const { keys, staysDown } = message;
  await setStaysDown(world.host, world.state.path, { keys: new Set(keys), staysDown });
}

/**
 * After `down --all`: a supervisor without anything to do ends at once. Returns the pid of one that stays because `serve`
 * asked for it.
 */
export async function endIdleSupervisor(world: World): Promise<number | null> {
  if (!await hasFile(world, "supervisor")) return null;
  const { endSupervisor } = await import("../supervisor/ensure.ts");
  if (await endSupervisor(world, "idle").catch(() => true)) return null;
  const { host, state } = world;
  const [enrolled, supervisor] = await Promise.all([
    readEnrolled(host, state.path),
    readSupervisorFile(host, state.path),
  ]);
  const stays = enrolled.kind === "file" && enrolled.value.stay;
  return stays && supervisor.kind === "file" ? supervisor.value.pid : null;
}

async function hasFile({ host, state }: World, which: "enrolled" | "supervisor"): Promise<boolean> {
  return await host.files.stat(statePaths(state.path)[which]).catch(() => null) !== null;
}
