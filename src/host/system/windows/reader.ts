/**
 * Looks at Windows through system calls where the engine has them, through helper programs otherwise. Both give the same
 * verdicts.
 *
 * @module
 */
import type { TryBind } from "../../can_bind.ts";
import type { Ffi } from "../../ffi.ts";
import type { DetachedChild, DetachedOptions, ExitStatus, Processes } from "../../host.ts";
import type { ReaderTools, SystemReader } from "../reader.ts";
import { createDirectReader, isListening } from "./direct.ts";
import { askConsole, createSignal, type EndParts } from "./end.ts";
import { createHelperReader } from "./helpers.ts";
import { Jobs } from "./jobs.ts";
import { Native } from "./native.ts";
import { adopt, spawnHidden, type WindowsSpawnParts } from "./spawn.ts";

export type WindowsReader = SystemReader & Pick<Processes, "signal" | "watchExit">;

/** What Windows does through system calls alone; null where only the engine can. */
export interface WindowsStarts {
  spawnHidden(options: DetachedOptions): DetachedChild;
  adopt(pid: number, exited: Promise<ExitStatus>): number | null;
  askConsole(pid: number, startTime: string): number;
  isListening(hostname: string, port: number): boolean;
}

export type WindowsTools =
  & ReaderTools
  & Pick<EndParts, "selfCommand" | "environment">
  & Pick<WindowsSpawnParts, "clock">
  & { tryBind: TryBind };

export function createWindowsReader(
  tools: WindowsTools,
): { reader: WindowsReader; starts: WindowsStarts | null } {
  const helpers = createHelperReader(tools);
  if (tools.ffi === null) {
    return { reader: { ...helpers, watchExit: () => Promise.resolve(null) }, starts: null };
  }
  const parts = {
    ...tools,
    ...nativeParts(tools.ffi),
    shell: `${tools.env("SystemRoot") ?? "C:\\Windows"}\\System32\\cmd.exe`,
  };
  const direct = createDirectReader(parts);
  return {
    reader: {
      ...direct,
      signal: createSignal(parts),
      reservedRanges: async (among) =>
        await mayBeReserved(tools, parts.native, among) ? await helpers.reservedRanges() : [],
    },
    starts: {
      spawnHidden: (options) => spawnHidden(parts, options),
      adopt: (pid, exited) => adopt(parts, pid, exited),
      askConsole: (pid, startTime) => askConsole(parts, pid, startTime),
      isListening: (hostname, port) => isListening(parts.native, hostname, port),
    },
  };
}

/** No system call tells the ranges, and a program that does takes long: a port that can be bound is not in one. */
async function mayBeReserved(
  { tryBind }: Pick<WindowsTools, "tryBind">,
  native: Native,
  among: readonly number[] | undefined,
): Promise<boolean> {
  if (among === undefined) return true;
  for (const port of among) {
    if (isListening(native, "localhost", port)) continue;
    if (await tryBind("127.0.0.1", port).catch(() => "taken") === "taken") return true;
  }
  return false;
}

function nativeParts(ffi: Ffi): { native: Native; jobs: Jobs } {
  const native = new Native(ffi);
  return { native, jobs: new Jobs(native) };
}
