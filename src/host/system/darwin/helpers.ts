/**
 * Looks at processes and ports of macOS through `ps`, `lsof` and `netstat`.
 *
 * @module
 */
import { endingOf, possiblePids } from "../helper.ts";
import {
  countListening,
  decideSeen,
  foundNothing,
  parseLsofListeners,
  parsePaths,
  parseProcessTable,
  parseUsage,
  PROCESS_COLUMNS,
  splitArguments,
} from "./parse.ts";
import {
  HostError,
  type PortObservation,
  type ProcessFacts,
  type ProcessObservation,
  type ProcessUsage,
  type RunOptions,
  type RunResult,
} from "../../host.ts";
import type { ReaderTools, SystemReader } from "../reader.ts";
import { linesOf } from "../../../base/text.ts";

const PS: RunOptions = { timeoutMs: 5000 };
// A dead network drive can hold lsof up for long.
const LSOF: RunOptions = { timeoutMs: 10_000 };
/** For text only, never for dates: in the C locale ps and lsof garble what is not ASCII. Every Mac has this one. */
const UTF8 = { LC_ALL: "en_US.UTF-8" };

type HelperOutcome = { kind: "ran"; result: RunResult } | { kind: "failed"; why: string };

export type HelperReader =
  & Pick<SystemReader, "inspect" | "list" | "argv" | "paths" | "usage">
  & {
    listeners(port: number): Promise<PortObservation>;
    /** How many sockets listen, whoever they belong to, all of them unnamed. */
    countListening(port: number): Promise<PortObservation>;
  };

export function createHelperReader(tools: ReaderTools): HelperReader {
  return {
    inspect: (pids) => inspect(tools, pids),
    list: () => list(tools),
    argv: (pid) => readArguments(tools, pid),
    paths: (pid) => readPaths(tools, pid),
    usage: (pids) => readUsage(tools, pids),
    listeners: (port) => findListeners(tools, port),
    countListening: (port) => countSockets(tools, port),
  };
}

async function inspect(
  tools: ReaderTools,
  pids: readonly number[],
): Promise<Map<number, ProcessObservation>> {
  const seen = new Map<number, ProcessObservation>(pids.map((pid) => [pid, { kind: "gone" }]));
  // ps refuses the whole question over one number that can't be a pid.
  const asked = possiblePids(pids);
  if (asked.length === 0) return seen;
  const { selfPid } = tools;
  const ran = await attempt(
    tools,
    ["ps", ...PROCESS_COLUMNS, "-p", [...new Set([...asked, selfPid])].join(",")],
    PS,
  );
  const answers = ran.kind === "ran"
    ? decideSeen(asked, ran.result, selfPid)
    : new Map(asked.map((pid): [number, ProcessObservation] => [pid, { kind: "unknown", why: ran.why }]));
  for (const [pid, answer] of answers) seen.set(pid, answer);
  return seen;
}

async function list(tools: ReaderTools): Promise<ProcessFacts[]> {
  const result = await tools.run("ps", ["-A", ...PROCESS_COLUMNS], PS);
  const { rows } = parseProcessTable(result.stdout);
  if (result.code !== 0 || !rows.has(tools.selfPid) || !result.stdout.endsWith("\n")) {
    throw new HostError("failed", `Cannot list the processes: ${endingOf("ps", result)}`);
  }
  return [...rows.values()];
}

async function readArguments(tools: ReaderTools, pid: number): Promise<string[] | null> {
  const [args, command] = await Promise.all(
    ["args=", "comm="].map((column) =>
      attempt(tools, ["ps", "-ww", "-o", column, "-p", String(pid)], { ...PS, env: UTF8 })
    ),
  );
  if (args?.kind !== "ran" || args.result.code !== 0) return null;
  const named = command?.kind === "ran" && command.result.code === 0 ? command.result.stdout : "";
  return splitArguments(args.result.stdout, named);
}

async function readPaths(
  tools: ReaderTools,
  pid: number,
): Promise<{ executable: string | null; cwd: string | null }> {
  const lsof = await attempt(tools, ["lsof", "-a", "-p", String(pid), "-d", "cwd,txt", "-Fpfn"], {
    ...LSOF,
    env: UTF8,
  });
  const paths = lsof.kind === "ran" ? parsePaths(lsof.result.stdout, pid) : { executable: null, cwd: null };
  if (paths.executable !== null) return paths;
  // The first argument: what the program was called by, which need not be what it is, so it comes second.
  const ps = await attempt(tools, ["ps", "-ww", "-o", "comm=", "-p", String(pid)], { ...PS, env: UTF8 });
  const name = ps.kind === "ran" && ps.result.code === 0 ? linesOf(ps.result.stdout)[0]?.trim() ?? "" : "";
  return { ...paths, executable: name.startsWith("/") ? name : null };
}

async function readUsage(tools: ReaderTools, pids: readonly number[]): Promise<Map<number, ProcessUsage>> {
  const asked = possiblePids(pids);
  if (asked.length === 0) return new Map();
  const ran = await attempt(
    tools,
    ["ps", "-o", "pid=", "-o", "rss=", "-o", "time=", "-p", asked.join(",")],
    PS,
  );
  return ran.kind === "ran" ? parseUsage(ran.result.stdout) : new Map();
}

async function findListeners(tools: ReaderTools, port: number): Promise<PortObservation> {
  const ran = await attempt(tools, ["lsof", "-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-Fpftn"], LSOF);
  if (ran.kind === "failed") return { kind: "unknown", why: ran.why };
  const listeners = parseLsofListeners(ran.result.stdout, port);
  if (listeners.length > 0) return { kind: "known", listeners, unnamed: 0 };
  if (!foundNothing(ran.result)) return { kind: "unknown", why: endingOf("lsof", ran.result) };
  // lsof shows only this user's processes; netstat shows everybody's sockets, but no owners.
  return await countSockets(tools, port);
}

async function countSockets(tools: ReaderTools, port: number): Promise<PortObservation> {
  const netstat = await attempt(tools, ["netstat", "-an", "-p", "tcp"], LSOF);
  if (netstat.kind === "failed") return { kind: "unknown", why: netstat.why };
  const unnamed = netstat.result.code === 0 ? countListening(netstat.result.stdout, port) : null;
  return unnamed === null
    ? { kind: "unknown", why: `netstat shows no sockets: ${endingOf("netstat", netstat.result)}` }
    : { kind: "known", listeners: [], unnamed };
}

async function attempt(
  tools: ReaderTools,
  [program, ...args]: [string, ...string[]],
  options: RunOptions,
): Promise<HelperOutcome> {
  try {
    return { kind: "ran", result: await tools.run(program, args, options) };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { kind: "failed", why: `${program} could not be run: ${error.message}` };
  }
}
