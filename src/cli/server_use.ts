/**
 * What only the supervisor knows of a server: who speaks with it, and what goes on there.
 *
 * @module
 */
import type { World } from "../lifecycle/world.ts";
import type { ServerUse } from "../supervisor/control_wire.ts";

/** How often the supervisor is asked; it gives a task up after an hour without a word. */
const LOOK_MS = 500;

/** By key; empty where no supervisor answers. */
export async function serverUse(
  { host, state }: Pick<World, "host" | "state">,
): Promise<Map<string, ServerUse>> {
  const { findSupervisor } = await import("../supervisor/control_client.ts");
  try {
    const found = await findSupervisor(host, state.path);
    if (found.kind !== "live") return new Map();
    const { use = [] } = await found.control.state();
    return new Map(use.map((each) => [each.key, each]));
  } catch {
    return new Map();
  }
}

/** Waits until no task is open at the server, and says so before. @throws the signal's reason */
export async function awaitTasks(world: World, { name, key }: { name: string; key: string }): Promise<void> {
  const open = async () => (await serverUse(world)).get(key)?.open_tasks ?? 0;
  const first = await open();
  if (first === 0) return;
  const what = first === 1 ? "a task" : `${first} tasks`;
  world.warn(
    `"${name}" works on ${what}, which a new process knows nothing of: waiting for the end of it (Ctrl-C, or --force, does not)`,
  );
  while (await open() > 0) await world.host.clock.sleep(LOOK_MS, world.signal);
}

/** The revisions on both sides, for people: a line for the server, and one for each kind of client. */
export function revisionLines({ speaks, clients }: ServerUse): [string, string | null][] {
  const counted = new Map<string, number>();
  for (const { name, revision, translated, sessions } of clients) {
    const who = name ?? (sessions > 1 ? `clients of ${sessions} kinds` : "clients");
    const how = translated ? "foster translates" : "as it is";
    const line = `${who}: MCP ${revision}, ${how}`;
    counted.set(line, (counted.get(line) ?? 0) + 1);
  }
  return [
    ["speaks", speaks.length === 0 ? null : `MCP ${speaks.join(" and ")}`],
    ...[...counted].map(([line, count]): [string, string] => [
      "client",
      count === 1 ? line : `${line} (${count} sessions)`,
    ]),
  ];
}
