/**
 * Looks at processes and ports of macOS, which has no /proc: through its own calls where the engine can make them and
 * they prove right, through helper programs otherwise. Both give the same answers.
 *
 * @module
 */
import type { Processes } from "../../host.ts";
import type { ReaderTools, SystemReader } from "../reader.ts";
import type { DirectReader } from "./direct.ts";
import { createHelperReader, type HelperReader } from "./helpers.ts";
import type { OwnProcess } from "./self_check.ts";

export interface DarwinParts {
  tools: ReaderTools;
  /** Asked at the first look. */
  own(): OwnProcess;
  /** kill(2), or the program of that name. */
  kill: Processes["signal"];
}

export function createDarwinReader(
  { tools, own, kill }: DarwinParts,
): SystemReader & Pick<Processes, "signal" | "watchExit"> {
  const helpers = createHelperReader(tools);
  let direct: Promise<DirectReader | null> | null = null;
  const reader = () => direct ??= openDirect({ tools, own, kill }, helpers);
  return {
    listeningPorts: () => Promise.resolve(null),
    foreignConnections: async (port) => (await reader())?.foreignConnections(port) ?? null,
    pidNamespace: () => Promise.resolve(null),
    unitPath: () => Promise.resolve(null),
    inspect: async (pids) => await (await reader() ?? helpers).inspect(pids),
    list: async () => await (await reader() ?? helpers).list(),
    argv: async (pid) => await (await reader() ?? helpers).argv(pid),
    paths: async (pid) => await (await reader() ?? helpers).paths(pid),
    usage: async (pids) => await (await reader() ?? helpers).usage(pids),
    carrying: async (entry, pids) => (await reader())?.carrying(entry, pids) ?? [],
    carryingPrefix: async (prefix, pids) => (await reader())?.carryingPrefix(prefix, pids) ?? [],
    listeners: async (port) => await (await reader() ?? helpers).listeners(port),
    reservedRanges: () => Promise.resolve([]),
    async signal(target, signal, startTime) {
      const known = await reader();
      return known === null ? await kill(target, signal) : await known.signal(target, signal, startTime);
    },
    watchExit: async (pid, startTime) => (await reader())?.watchExit(pid, startTime) ?? null,
  };
}

/** Null where there are no calls, or where they do not say of foster itself what is known of it. */
async function openDirect(
  { tools: { ffi }, own, kill }: DarwinParts,
  helpers: HelperReader,
): Promise<DirectReader | null> {
  if (ffi === null) return null;
  const [{ DarwinCalls }, { selfCheck }, { DirectReader }] = await Promise.all([
    import("./calls.ts"),
    import("./self_check.ts"),
    import("./direct.ts"),
  ]);
  try {
    const calls = new DarwinCalls(ffi);
    const self = own();
    const reliable = selfCheck(calls, self);
    return reliable.facts ? new DirectReader({ calls, reliable, own: self, helpers, kill }) : null;
  } catch {
    // No such library, or a call that it does not have.
    return null;
  }
}
