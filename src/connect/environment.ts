/**
 * Says in whose environment a shared server runs, where that makes a difference for this client. Names only, no values.
 *
 * @module
 */
import type { ServerDefinition } from "../definitions/definition.ts";
import { TOKEN_VARIABLE } from "../definitions/launch/environment.ts";
import { unsetVariables } from "../definitions/variables.ts";
import type { World } from "../lifecycle/world.ts";
import { recordIn } from "../registry/store.ts";
import type { ServerSource } from "../relay/server_source.ts";

/** The same source, which compares the environment of each process that it gives with this client's. */
export function comparingEnvironment(
  source: ServerSource,
  { world, definition }: { world: World; definition: ServerDefinition },
): ServerSource {
  let compared: number | null = null;
  return {
    async acquire(request) {
      const acquired = await source.acquire(request);
      const pid = acquired.kind === "there" ? acquired.server.identity.pid : null;
      if (pid !== null && pid !== compared) {
        compared = pid;
        // It is talk: nothing waits for it, and nothing fails with it.
        compare(world, definition, pid).catch(() => {});
      }
      return acquired;
    },
    fate: (identity) => source.fate(identity),
    reason: () => source.reason(),
  };
}

async function compare(world: World, definition: ServerDefinition, pid: number): Promise<void> {
  const { env, processes } = world.host;
  const { name } = definition;
  const tier = definition.launch[0]?.tier ?? "";
  const needed = unsetVariables(definition, { tier, env: () => undefined });
  for (const variable of needed) {
    if (env.get(variable) === undefined) world.warn(`"${name}": \${env:${variable}} is not set`);
  }
  const record = recordIn(await world.state.server(definition.key).read());
  if (record?.pid !== pid) return;
  const carries = async (entry: string) => (await processes.carrying(entry, [pid])).includes(pid);
  // Where another process's environment can't be read nothing can be said of it.
  if (!await carries(`${TOKEN_VARIABLE}=${record.token}`)) return;
  const others: string[] = [];
  for (const variable of needed) {
    const value = env.get(variable);
    if (value !== undefined && !await carries(`${variable}=${value}`)) others.push(variable);
  }
  if (others.length === 0) return;
  world.warn(
    `"${name}" runs with another value of ${
      others.join(", ")
    } than this client's: foster restart "${name}" from ` +
      `here gives it this one, "sharing": "session" in its definition gives each client a server of its own`,
  );
}
