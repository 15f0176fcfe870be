/**
 * What Windows' tools print, turned into facts. None of it depends on the language that Windows speaks.
 *
 * @module
 */
import { isObject } from "../../../base/json.ts";
import type {
  Listener,
  PortRange,
  ProcessFacts,
  ProcessUsage,
  RunResult,
  Signal,
  SignalResult,
} from "../../host.ts";
import { fieldsOf, linesOf, pidOf, wholeNumber } from "../../../base/text.ts";

/** One process as CIM knows it; a property that was not asked for, or may not be read, is null. */
export interface CimProcess {
  pid: number;
  parentPid: number | null;
  /** ISO 8601, universal time, milliseconds. */
  createdAt: string | null;
  commandLine: string | null;
  executable: string | null;
  /** The program's file, without its folder. */
  name: string | null;
  workingSetBytes: number | null;
  cpuMs: number | null;
}

/**
 * Reads processes out of PowerShell's JSON: an array, one object, or an array that an old PowerShell wrapped. Null
 * where it is none of them; our scripts print an empty array when there is no such process, so an empty text is null.
 */
export function parseCimProcesses(text: string): CimProcess[] | null {
  const values = parseArray(text.replace(/^\ufeff/, ""));
  if (values === null) return null;
  const processes: CimProcess[] = [];
  for (const value of values) {
    const process = parseCimProcess(value);
    if (process === null) return null;
    processes.push(process);
  }
  return processes;
}

function parseArray(text: string): unknown[] | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  if (Array.isArray(value)) return value;
  if (!isObject(value)) return null;
  return Array.isArray(value["value"]) ? value["value"] : [value];
}

function parseCimProcess(value: unknown): CimProcess | null {
  if (!isObject(value)) return null;
  const pid = numberOf(value["ProcessId"]);
  if (pid === null) return null;
  const kernelTime = numberOf(value["KernelModeTime"]);
  const userTime = numberOf(value["UserModeTime"]);
  return {
    pid,
    parentPid: numberOf(value["ParentProcessId"]),
    createdAt: parseCreation(value["CreationDate"]),
    commandLine: textOf(value["CommandLine"]),
    executable: textOf(value["ExecutablePath"]),
    name: textOf(value["Name"]),
    workingSetBytes: numberOf(value["WorkingSetSize"]),
    // Both in units of 100 ns.
    cpuMs: kernelTime === null || userTime === null ? null : Math.floor((kernelTime + userTime) / 10_000),
  };
}

function numberOf(value: unknown): number | null {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? value : null;
  return typeof value === "string" ? wholeNumber(value) : null;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/**
 * A creation time in any of the forms that PowerShells print, as ISO 8601 in universal time with milliseconds. Finer
 * digits are cut off, because not every form has them and the same process must never get two identities.
 */
export function parseCreation(value: unknown): string | null {
  if (isObject(value)) return parseCreation(value["value"]);
  if (typeof value !== "string") return null;
  const json = /^\/Date\((-?\d+)(?:[+-]\d{4})?\)\/$/.exec(value);
  if (json !== null) return iso(Number(json[1]));
  const round = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,7}))?(Z|[+-]\d{2}:\d{2})$/.exec(value);
  if (round !== null) {
    const [, seconds = "", fraction = "", zone = ""] = round;
    return iso(Date.parse(`${seconds}.${fraction.padEnd(3, "0").slice(0, 3)}${zone}`));
  }
  const cim = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\.(\d{3})\d{3}([+-])(\d{3})$/.exec(value);
  if (cim === null) return null;
  const [, year, month, day, hour, minute, second, milliseconds, sign, offset] = cim;
  const local = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${milliseconds}Z`);
  return iso(local - Number(`${sign}${offset}`) * 60_000);
}

function iso(ms: number): string | null {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/**
 * Identities and parents by pid. Windows never updates a parent's pid and gives it away again once that parent has
 * ended, so a parent counts only while it lives and is not younger than its child; else it is 0. Processes without a
 * creation time, which have no identity, are left out.
 */
export function linkParents(processes: readonly CimProcess[]): Map<number, ProcessFacts> {
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  const facts = new Map<number, ProcessFacts>();
  for (const process of byPid.values()) {
    if (process.createdAt === null || process.pid === 0) continue;
    facts.set(process.pid, {
      pid: process.pid,
      startTime: `cim:${process.createdAt}`,
      parentPid: liveParent(process, byPid),
      groupId: 0,
      zombie: false,
    });
  }
  return facts;
}

/** Windows starts one for each console, as a child of the first program on it: it is no part of what that does. */
export function isConsoleHost({ name }: Pick<CimProcess, "name">): boolean {
  return name?.toLowerCase() === "conhost.exe";
}

function liveParent(child: CimProcess, byPid: ReadonlyMap<number, CimProcess>): number {
  if (isConsoleHost(child)) return 0;
  const parent = byPid.get(child.parentPid ?? 0);
  if (parent === undefined || parent.pid === child.pid) return 0;
  if (parent.createdAt === null || child.createdAt === null) return parent.pid;
  return parent.createdAt <= child.createdAt ? parent.pid : 0;
}

/** Memory and CPU time by pid, of the processes that have both. */
export function usageOf(processes: readonly CimProcess[]): Map<number, ProcessUsage> {
  const usage = new Map<number, ProcessUsage>();
  for (const { pid, workingSetBytes, cpuMs } of processes) {
    if (workingSetBytes !== null && cpuMs !== null) usage.set(pid, { residentBytes: workingSetBytes, cpuMs });
  }
  return usage;
}

/**
 * Whether `tasklist /NH /FO CSV`, asked for one process, says that there is none: in a line of translated words. A table
 * never says so, nor does an empty text.
 */
export function tasklistDenies(text: string): boolean {
  const lines = linesOf(text);
  return lines.length > 0 && !lines.some((line) => line.startsWith('"'));
}

/** The last line of our script for listeners: without it an empty answer would pass for "nobody". */
export const LISTENERS_END = "end";

export interface NetstatTable {
  listeners: Listener[];
  /** Listening sockets whose process is gone or hidden. */
  unnamed: number;
  /** False where no row says LISTENING: Windows translates the word, and an answer of "nobody" then means nothing. */
  readable: boolean;
}

/** Reads the listeners on `port` out of `netstat -ano`, each process once for each address. */
export function parseNetstat(text: string, port: number): NetstatTable {
  const table: NetstatTable = { listeners: [], unnamed: 0, readable: false };
  for (const line of linesOf(text)) {
    const fields = fieldsOf(line);
    const [, local = "", , state] = fields;
    if (fields.length < 5 || state !== "LISTENING") continue;
    table.readable = true;
    if (!local.endsWith(`:${port}`)) continue;
    const pid = pidOf(fields.at(-1));
    if (pid === null) table.unnamed++;
    else addListener(table.listeners, { pid, address: local.slice(0, -`:${port}`.length) });
  }
  return table;
}

/** Reads what our script for listeners prints; null where the line is missing that ends it. */
export function parseListenerLines(text: string): Listener[] | null {
  const lines = linesOf(text);
  if (lines.at(-1)?.trim() !== LISTENERS_END) return null;
  const listeners: Listener[] = [];
  for (const line of lines) {
    const [pidText, address = ""] = fieldsOf(line);
    const pid = pidOf(pidText);
    if (pid !== null) addListener(listeners, { pid, address });
  }
  return listeners;
}

function addListener(listeners: Listener[], { pid, address }: Listener): void {
  const bare = address.replace(/^\[(.*)\]$/, "$1");
  if (listeners.some((known) => known.pid === pid && known.address === bare)) return;
  listeners.push({ pid, address: bare });
}

/** Reads the ranges out of `netsh interface ipv4 show excludedportrange`, whatever the language of its headings. */
export function parseReservedRanges(text: string): PortRange[] {
  const ranges: PortRange[] = [];
  for (const line of linesOf(text)) {
    const [firstText, lastText] = fieldsOf(line);
    const first = pidOf(firstText);
    const last = pidOf(lastText);
    if (first !== null && last !== null && first <= last && last <= 65_535) ranges.push([first, last]);
  }
  return ranges;
}

/**
 * Whether what Windows takes for the tree of a process really descends from it. A process keeps its parent's pid when
 * that has ended, and the pid may have been given to another process: `taskkill /T` would then end a foreign tree.
 */
export function isTrueTree(processes: readonly CimProcess[], pid: number): boolean {
  const linked = linkParents(processes);
  const tree = new Set([pid]);
  for (let size = 0; size < tree.size;) {
    size = tree.size;
    for (const process of processes) {
      if (process.parentPid === null || !tree.has(process.parentPid) || process.pid === pid) continue;
      if (linked.get(process.pid)?.parentPid !== process.parentPid) return false;
      tree.add(process.pid);
    }
  }
  return true;
}

/** Arguments for `taskkill`: the tree of the process where that is wanted, and by force for SIGKILL only. */
export function taskkillArguments(
  target: number,
  { signal, tree }: { signal: Signal; tree: boolean },
): string[] {
  const args = ["/PID", String(Math.abs(target)), ...(tree ? ["/T"] : [])];
  return signal === "SIGKILL" ? [...args, "/F"] : args;
}

/**
 * What the end of `taskkill` means for a process that is still there afterwards, or is not. A program without a window
 * can only be ended by force: that it was asked in vain counts as sent.
 */
export function decideTaskkill(
  result: RunResult,
  { signal, stillThere }: { signal: Signal; stillThere: boolean },
): SignalResult {
  if (result.code === 0) return "sent";
  if (!stillThere) return "gone";
  return signal === "SIGKILL" || /access is denied/i.test(result.stderr) ? "denied" : "sent";
}
