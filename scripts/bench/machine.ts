/**
 * Ports, processes and time, as the benchmark looks at them.
 *
 * @module
 */
import { callerEnvironment } from "../caller_environment.ts";

export type Command = readonly [string, ...string[]];

const OPEN_TIMEOUT_MS = 30_000;
const COMMAND_TIMEOUT_MS = 120_000;

export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

export async function isOpen(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

/** @throws Error when it stays closed */
export async function opened(port: number): Promise<void> {
  const until = performance.now() + OPEN_TIMEOUT_MS;
  while (!await isOpen(port)) {
    if (performance.now() > until) throw new Error(`port ${port} stays closed`);
    await pause(0);
  }
}

/** Started with what a bare child needs, and heard by nobody. */
export function quiet([command, ...args]: Command, { cwd }: { cwd: string }): Deno.ChildProcess {
  const env = { HOME: cwd, ...callerEnvironment() };
  const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
  return new Deno.Command(command, { args, cwd, env, clearEnv: true, ...streams }).spawn();
}

/** What it wrote. @throws Error that ends with its last words */
export async function ended(
  [command, ...args]: Command,
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
): Promise<string> {
  const signal = AbortSignal.timeout(COMMAND_TIMEOUT_MS);
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd, env, signal }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout).trim();
  const lastWords = decoder.decode(stderr).trimEnd().split("\n").at(-1);
  throw new Error(`${command} ${args[0] ?? ""} failed: ${lastWords}`);
}

/** What /proc counts in, whatever the kernel's own clock does. */
const TICK_MS = 10;

/** Of all its threads, those that ended included; with the children that it waited for, where those count. Linux only. */
export async function cpuMs(pid: number, { withChildren = false } = {}): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, withChildren ? 15 : 13).reduce((sum, field) => sum + Number(field), 0) * TICK_MS;
}

/** All that is in memory of a process, and what of it is its own and no page of a file. Linux only. */
export async function memoryMib(pid: number): Promise<{ resident: number; own: number }> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const mib = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024;
  return { resident: mib("VmRSS"), own: mib("RssAnon") };
}

/**
 * What only this process has, and its share of all pages that it uses. Linux only. Pages of a program that was built a
 * moment ago count as dirty until they are on the disk: those are the file's, not the process's.
 */
export async function sharedMemoryMib(pid: number): Promise<{ own: number; proportional: number }> {
  const text = await Deno.readTextFile(`/proc/${pid}/smaps_rollup`);
  const mib = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) / 1024;
  return { own: mib("Anonymous"), proportional: mib("Pss") };
}

/** How many files and connections a process has open. Linux only. */
export async function openFiles(pid: number): Promise<number> {
  return (await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`))).length;
}

export async function residentMib(pid: number): Promise<number> {
  return (await memoryMib(pid)).resident;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
