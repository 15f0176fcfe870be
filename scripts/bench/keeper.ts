/**
 * A program that keeps the quick server up, in a process of its own, and how fast it does so. Linux only.
 *
 * @module
 */
import { type Command, isOpen, opened, pause, quiet } from "./machine.ts";
import { QUICK_SERVER } from "./quick_server.ts";

export interface Keeper {
  name: string;
  pid: number;
  port: number;
  stop(): Promise<void>;
}

/** Between two kills, so that no supervisor meets a server that it does not count as started. */
export const SETTLE_MS = { least: 600, most: 1600 };

/** Keeps the server for as long as `command` runs. @throws Error when the server does not come */
export async function keeperOf(
  name: string,
  { command, cwd, port }: { command: Command; cwd: string; port: number },
): Promise<Keeper> {
  const child = quiet(command, { cwd });
  const stop = async () => {
    child.kill("SIGTERM");
    await child.status;
  };
  try {
    await opened(port);
  } catch (error) {
    // What ended already cannot be stopped.
    await stop().catch(() => undefined);
    throw error;
  }
  return { name, pid: child.pid, port, stop };
}

/** Ends the server by force and measures until its port is open again. Milliseconds. */
export async function killOnce(keeper: Keeper): Promise<number> {
  const pid = await serverBelow(keeper);
  if (pid === null) throw new Error(`${keeper.name} has no server on port ${keeper.port}`);
  const startedAt = performance.now();
  Deno.kill(pid, "SIGKILL");
  while (await isOpen(keeper.port)) {
    // On a busy machine the next server may have the port before anybody saw it closed.
    const now = await serverBelow(keeper);
    if (now !== null && now !== pid) break;
    await pause(0);
  }
  await opened(keeper.port);
  const tookMs = performance.now() - startedAt;
  // Of differing length, so that a supervisor that looks once a second is met at every point of its second.
  await pause(SETTLE_MS.least + Math.random() * (SETTLE_MS.most - SETTLE_MS.least));
  return tookMs;
}

/** The child of the keeper that runs the server on its port. */
async function serverBelow({ pid, port }: Keeper): Promise<number | null> {
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const children = await Deno.readTextFile(`/proc/${pid}/task/${name}/children`).catch(() => "");
    for (const child of children.split(" ").filter(Boolean)) {
      const argv = await Deno.readTextFile(`/proc/${child}/cmdline`).catch(() => "");
      if (argv.includes(`${QUICK_SERVER}\0${port}\0`)) return Number(child);
    }
  }
  return null;
}
