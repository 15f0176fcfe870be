/**
 * Children through Node's interface, which both engines have.
 *
 * @module
 */
import type { ChildProcess, StdioOptions } from "node:child_process";
import type { ExitStatus, SpawnOptions } from "../../host.ts";

export interface StartOptions extends Omit<SpawnOptions, "cwd"> {
  /** Foster's own where it is left out. */
  cwd: string | undefined;
}

export interface Started {
  process: ChildProcess;
  pid: number;
  exited: Promise<ExitStatus>;
}

/**
 * Resolves once the child runs. Loads `node:child_process` at the first call only: most verbs start nothing.
 * @throws what the engine throws
 */
export async function startChild(
  options: StartOptions,
  how: { detached: boolean; stdio: StdioOptions },
): Promise<Started> {
  const { spawn } = await import("node:child_process");
  const child = spawn(options.command, [...options.args], {
    cwd: options.cwd,
    env: options.env,
    detached: how.detached,
    stdio: how.stdio,
    windowsHide: true,
  });
  const exited = new Promise<ExitStatus>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.on("error", reject);
  });
  if (child.pid === undefined) throw new Error("it got no pid");
  return { process: child, pid: child.pid, exited };
}
