import { basename } from "@std/path";
import type { Host } from "../../host/host.ts";
import type { PortSeen } from "./observe.ts";

const NAMED = 4;

/** `pid 812 (python3)`, several joined by "and"; "" where nobody can be named. */
export async function describeHolders(host: Pick<Host, "processes">, port: PortSeen): Promise<string> {
  if (port.kind === "free") return "";
  const named = [];
  for (const { pid } of port.holders.slice(0, NAMED)) named.push(await describeProcess(host, pid));
  if (port.holders.length > NAMED) named.push(`${port.holders.length - NAMED} more`);
  return named.join(" and ");
}

/** `pid 812 (python3)`. The program's name only: a command line may hold secrets. */
export async function describeProcess(host: Pick<Host, "processes">, pid: number): Promise<string> {
  const { executable } = await host.processes.paths(pid);
  const program = executable ?? (await host.processes.argv(pid))?.[0] ?? null;
  return program === null ? `pid ${pid}` : `pid ${pid} (${basename(program)})`;
}
