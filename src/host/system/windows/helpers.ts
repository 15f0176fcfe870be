/**
 * Looks at processes and ports of Windows through PowerShell's CIM, `tasklist`, `netstat` and `netsh`.
 *
 * @module
 */
import { endingOf, possiblePids } from "../helper.ts";
import {
  HostError,
  type PortObservation,
  type PortRange,
  type Processes,
  type ProcessFacts,
  type ProcessObservation,
  type ProcessUsage,
  type RunResult,
  type Signal,
  type SignalResult,
} from "../../host.ts";
import type { ReaderTools, SystemReader } from "../reader.ts";
import { splitCommandLine } from "./argv.ts";
import {
  type CimProcess,
  decideTaskkill,
  isTrueTree,
  linkParents,
  parseCimProcesses,
  parseListenerLines,
  parseNetstat,
  parseReservedRanges,
  taskkillArguments,
  tasklistDenies,
  usageOf,
} from "./parse.ts";
import {
  commandScript,
  identityScript,
  listenersScript,
  powerShellArguments,
  powerShells,
  usageScript,
} from "./scripts.ts";

const TOOL_TIMEOUT_MS = 10_000;
// The first PowerShell after a boot takes seconds to load.
const POWERSHELL_TIMEOUT_MS = 30_000;
/** Without these, which the cleared helper environment lacks, neither PowerShell nor Windows' sockets start up. */
const SYSTEM_VARIABLES = [
  "SystemRoot",
  "SystemDrive",
  "windir",
  "TEMP",
  "TMP",
  "USERPROFILE",
  "APPDATA",
  "LOCALAPPDATA",
  "ProgramData",
  "ProgramFiles",
];
const RANGES_TTL_MS = 2000;
/** WMI refuses conditions with too many terms: beyond this all processes are asked for instead. */
const CONDITION_LIMIT = 50;

type CimAnswer = { kind: "processes"; processes: CimProcess[] } | { kind: "failed"; why: string };

/** The reader for a runtime without system calls. */
export function createHelperReader(tools: ReaderTools): SystemReader & Pick<Processes, "signal"> {
  const ranges = new RangeCache(tools);
  return {
    listeningPorts: () => Promise.resolve(null),
    foreignConnections: () => Promise.resolve(null),
    pidNamespace: () => Promise.resolve(null),
    unitPath: () => Promise.resolve(null),
    inspect: (pids) => inspect(tools, pids),
    list: () => list(tools),
    argv: async (pid) => {
      const process = await command(tools, pid);
      return process?.commandLine == null ? null : splitCommandLine(process.commandLine);
    },
    // No tool of Windows shows another process's working folder.
    paths: async (pid) => ({ executable: (await command(tools, pid))?.executable ?? null, cwd: null }),
    usage: (pids) => readUsage(tools, pids),
    // Nor another process's environment.
    carrying: () => Promise.resolve([]),
    carryingPrefix: () => Promise.resolve([]),
    listeners: (port) => findListeners(tools, port),
    signal: (target, signal) => send(tools, { target, signal }),
    reservedRanges: () => ranges.read(),
  };
}

async function inspect(
  tools: ReaderTools,
  pids: readonly number[],
): Promise<Map<number, ProcessObservation>> {
  const seen = new Map<number, ProcessObservation>(pids.map((pid) => [pid, { kind: "gone" }]));
  const wanted = possiblePids(pids);
  if (wanted.length === 0) return seen;
  const asked = await askIdentities(tools, [...wanted, tools.selfPid]);
  if (asked.kind === "failed") {
    for (const pid of wanted) seen.set(pid, await seenWithoutCim(tools, { pid, why: asked.why }));
    return seen;
  }
  const present = new Set(asked.processes.map((process) => process.pid));
  const facts = linkParents(asked.processes);
  for (const pid of wanted) {
    const found = facts.get(pid);
    if (found !== undefined) seen.set(pid, { kind: "seen", facts: found });
    else if (present.has(pid)) seen.set(pid, { kind: "unknown", why: `pid ${pid} has no creation time` });
  }
  return seen;
}

/** Without CIM there is no identity, but `tasklist` still shows whether the pid is in use. */
async function seenWithoutCim(
  tools: ReaderTools,
  { pid, why }: { pid: number; why: string },
): Promise<ProcessObservation> {
  return await mayLive(tools, pid) ? { kind: "unknown", why } : { kind: "gone" };
}

async function list(tools: ReaderTools): Promise<ProcessFacts[]> {
  const asked = await askIdentities(tools, null);
  if (asked.kind === "failed") throw new HostError("failed", `Cannot list the processes: ${asked.why}`);
  return [...linkParents(asked.processes).values()];
}

async function command(tools: ReaderTools, pid: number): Promise<CimProcess | null> {
  if (possiblePids([pid]).length === 0) return null;
  const asked = await askCim(tools, commandScript(pid));
  if (asked.kind === "failed") return null;
  return asked.processes.find((process) => process.pid === pid) ?? null;
}

async function readUsage(tools: ReaderTools, pids: readonly number[]): Promise<Map<number, ProcessUsage>> {
  const usage = new Map<number, ProcessUsage>();
  const wanted = possiblePids(pids);
  for (let from = 0; from < wanted.length; from += CONDITION_LIMIT) {
    const asked = await askCim(tools, usageScript(wanted.slice(from, from + CONDITION_LIMIT)));
    if (asked.kind === "failed") continue;
    for (const [pid, used] of usageOf(asked.processes)) usage.set(pid, used);
  }
  return usage;
}

async function findListeners(tools: ReaderTools, port: number): Promise<PortObservation> {
  const netstat = await readNetstat(tools, port);
  if (netstat.kind === "known") return netstat;
  // Where netstat says nothing, or speaks another language, PowerShell answers: slower, and in no language.
  const asked = await askPowerShell(tools, listenersScript(port));
  if (asked.kind === "failed") return { kind: "unknown", why: `${netstat.why}; ${asked.why}` };
  const listeners = parseListenerLines(asked.stdout);
  return listeners === null
    ? { kind: "unknown", why: `${netstat.why}; PowerShell did not come to the end of its answer` }
    : { kind: "known", listeners, unnamed: 0 };
}

async function readNetstat(tools: ReaderTools, port: number): Promise<PortObservation> {
  const outputs: string[] = [];
  try {
    for (const protocol of ["TCP", "TCPv6"]) {
      const result = await run(tools, ["netstat", "-ano", "-p", protocol]);
      if (result.code !== 0) return { kind: "unknown", why: endingOf("netstat", result) };
      outputs.push(result.stdout);
    }
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { kind: "unknown", why: `netstat could not be run: ${error.message}` };
  }
  const { listeners, unnamed, readable } = parseNetstat(outputs.join("\n"), port);
  return readable
    ? { kind: "known", listeners, unnamed }
    : { kind: "unknown", why: "netstat shows no listening sockets at all" };
}

async function send(
  tools: ReaderTools,
  { target, signal }: { target: number; signal: Signal },
): Promise<SignalResult> {
  const asked = await askIdentities(tools, null);
  const tree = asked.kind === "processes" && isTrueTree(asked.processes, Math.abs(target));
  const result = await run(tools, ["taskkill", ...taskkillArguments(target, { signal, tree })]);
  const stillThere = result.code !== 0 && await mayLive(tools, Math.abs(target));
  return decideTaskkill(result, { signal, stillThere });
}

/** Whether the process lives; an answer that did not come counts as yes. */
async function mayLive(tools: ReaderTools, pid: number): Promise<boolean> {
  try {
    const result = await run(tools, ["tasklist", "/FI", `PID eq ${pid}`, "/NH", "/FO", "CSV"]);
    return result.code !== 0 || !tasklistDenies(result.stdout);
  } catch (error) {
    if (error instanceof HostError) return true;
    throw error;
  }
}

/** Windows' reserved port ranges, asked for at most every two seconds. */
class RangeCache {
  readonly #tools: ReaderTools;
  #known: { ranges: PortRange[]; readAt: number } | null = null;

  constructor(tools: ReaderTools) {
    this.#tools = tools;
  }

  async read(): Promise<PortRange[]> {
    const now = this.#tools.monotonic();
    if (this.#known !== null && now - this.#known.readAt <= RANGES_TTL_MS) return this.#known.ranges;
    this.#known = null;
    const result = await this.#ask();
    // Not to know of a reservation must not stop a server: the bind itself will tell.
    if (result?.code !== 0) return [];
    this.#known = { ranges: parseReservedRanges(result.stdout), readAt: now };
    return this.#known.ranges;
  }

  async #ask(): Promise<RunResult | null> {
    try {
      const query = ["interface", "ipv4", "show", "excludedportrange", "protocol=tcp"];
      return await run(this.#tools, ["netsh", ...query]);
    } catch (error) {
      if (error instanceof HostError) return null;
      throw error;
    }
  }
}

/** Asked for `pids`, or for all. Only an answer that shows foster itself has looked at all. */
async function askIdentities(tools: ReaderTools, pids: readonly number[] | null): Promise<CimAnswer> {
  const all = pids === null || pids.length > CONDITION_LIMIT;
  const asked = await askCim(tools, identityScript(all ? null : [...new Set(pids)]));
  if (asked.kind === "failed" || asked.processes.some(({ pid }) => pid === tools.selfPid)) return asked;
  return { kind: "failed", why: "PowerShell does not show foster's own process" };
}

async function askCim(tools: ReaderTools, script: string): Promise<CimAnswer> {
  const asked = await askPowerShell(tools, script);
  if (asked.kind === "failed") return asked;
  const processes = parseCimProcesses(asked.stdout);
  if (processes === null) {
    return { kind: "failed", why: "PowerShell printed something that is not a process list" };
  }
  return { kind: "processes", processes };
}

async function askPowerShell(
  tools: ReaderTools,
  script: string,
): Promise<{ kind: "answered"; stdout: string } | { kind: "failed"; why: string }> {
  let why = "";
  for (const program of powerShells(tools.env("SystemRoot"))) {
    try {
      const result = await run(tools, [program, ...powerShellArguments(script)], {
        timeoutMs: POWERSHELL_TIMEOUT_MS,
      });
      if (result.code === 0) return { kind: "answered", stdout: result.stdout };
      return { kind: "failed", why: endingOf("PowerShell", result) };
    } catch (error) {
      // Only a PowerShell that is not there, or may not be run, is a reason to try the next one.
      if (!(error instanceof HostError)) throw error;
      why = `PowerShell could not be run: ${error.message}`;
      if (error.code === "timeout") break;
    }
  }
  return { kind: "failed", why };
}

function run(
  tools: ReaderTools,
  [program, ...args]: readonly [string, ...string[]],
  { timeoutMs } = { timeoutMs: TOOL_TIMEOUT_MS },
): Promise<RunResult> {
  const env: Record<string, string> = {};
  for (const name of SYSTEM_VARIABLES) {
    const value = tools.env(name);
    if (value !== undefined) env[name] = value;
  }
  return tools.run(program, args, { timeoutMs, env });
}
