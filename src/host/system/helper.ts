/**
 * Helper programs: the environment they run in, and what their end is called.
 *
 * @module
 */
import { linesOf } from "../../base/text.ts";
import { HostError, type RunResult, type Signal, type SignalResult, type System } from "../host.ts";
import type { ReaderTools } from "./reader.ts";

/** Windows programs can't open a socket, find a library or make a temporary file without these. */
const windowsNeeds = [
  "SystemRoot",
  "SystemDrive",
  "windir",
  "ComSpec",
  "PATHEXT",
  "TEMP",
  "TMP",
  "USERPROFILE",
];

/** PATH, a fixed language and time zone, and nothing else. */
export function helperEnvironment(
  get: (name: string) => string | undefined,
  system: System,
): Record<string, string> {
  const env: Record<string, string> = { PATH: get("PATH") ?? "", LC_ALL: "C", TZ: "UTC" };
  if (system !== "windows") return env;
  for (const name of windowsNeeds) {
    const value = get(name);
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/** How a helper program ended, with the first thing it complained of. */
export function endingOf(program: string, result: RunResult): string {
  const how = result.signal === null ? `with code ${result.code}` : `by ${result.signal}`;
  const complaint = linesOf(result.stderr)[0]?.trim();
  return complaint === undefined ? `${program} ended ${how}` : `${program} ended ${how}: ${complaint}`;
}

/** The numbers that can be a pid, each once. */
export function possiblePids(pids: readonly number[]): number[] {
  return [...new Set(pids.filter((pid) => Number.isSafeInteger(pid) && pid > 0))];
}

const killTimeoutMs = 10_000;

/** A signal through the `kill` program, for a runtime that may not send one itself. @throws HostError */
export async function signalThroughKill(
  run: ReaderTools["run"],
  target: number,
  signal: Signal,
): Promise<SignalResult> {
  // The `--` is vital: without it one takes `-123` for a signal and the pid -1.
  const args = ["-s", signal.slice("SIG".length), "--", String(target)];
  const result = await run("kill", args, { timeoutMs: killTimeoutMs });
  if (result.code === 0) return "sent";
  // The words are the C locale's.
  if (/no such process/i.test(result.stderr)) return "gone";
  if (/not permitted|permission denied/i.test(result.stderr)) return "denied";
  throw new HostError("failed", `Cannot send ${signal} to ${target}: ${endingOf("kill", result)}`);
}
