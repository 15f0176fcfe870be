/**
 * Looks at processes and ports of Windows through system calls. What can't be looked at is unknown, never gone.
 *
 * @module
 */
import { possiblePids } from "../helper.ts";
import {
  type ExitWatch,
  HostError,
  type PortObservation,
  type Processes,
  type ProcessFacts,
  type ProcessObservation,
  type ProcessUsage,
} from "../../host.ts";
import type { SystemReader } from "../reader.ts";
import { splitCommandLine } from "./argv.ts";
import type { Jobs } from "./jobs.ts";
import { ACCESS, type Native, type OpenProcess } from "./native.ts";
import { type CimProcess, isConsoleHost, linkParents, usageOf } from "./parse.ts";
import {
  type AddressFamily,
  isoOf,
  type ListenRow,
  PARAMETERS_BYTES,
  parseEnvironment,
  parseParameters,
  parseUnicodeString,
  type Span,
  utf16Text,
  viewOf,
} from "./structures.ts";

const TEXT_LIMIT_BYTES = 1024 * 1024;
const FAMILIES: readonly AddressFamily[] = ["ipv4", "ipv6"];

export type DirectReader = Omit<SystemReader, "reservedRanges"> & Pick<Processes, "watchExit">;

export interface DirectParts {
  native: Native;
  jobs: Jobs;
  /** A process that every honest look must find. */
  selfPid: number;
}

/** The functions may be taken out of the reader, e.g. spread into a host. */
export function createDirectReader({ native, jobs, selfPid }: DirectParts): DirectReader {
  const all = (): CimProcess[] => {
    const processes = native.processes();
    if (processes.some(({ pid }) => pid === selfPid)) return processes;
    throw new HostError("failed", "Cannot list the processes: Windows does not show foster's own process");
  };
  return {
    listeningPorts: () => later(() => new Set(rows(native, null).map(({ port }) => port))),
    foreignConnections: (port) => later(() => foreignConnections(native, { port, pid: selfPid })),
    pidNamespace: () => Promise.resolve(null),
    unitPath: () => Promise.resolve(null),
    inspect: (pids) => later(() => inspect({ native, jobs, all }, pids)),
    list: () => later(() => withGroups(jobs, all())),
    argv: (pid) => later(() => argvOf(native, pid)),
    paths: (pid) => later(() => pathsOf(native, pid)),
    usage: (pids) =>
      later((): Map<number, ProcessUsage> => {
        if (pids.length === 0) return new Map();
        const asked = new Set(pids);
        return usageOf(all().filter(({ pid }) => asked.has(pid)));
      }),
    carrying: (entry, pids) =>
      later(() =>
        possiblePids(pids ?? all().map(({ pid }) => pid))
          .filter((pid) => environmentOf(native, pid).includes(entry))
      ),
    carryingPrefix: (prefix, pids) =>
      later(() =>
        possiblePids(pids ?? all().map(({ pid }) => pid)).flatMap((pid) =>
          environmentOf(native, pid).filter((entry) => entry.startsWith(prefix)).map((entry) => ({
            pid,
            entry,
          }))
        )
      ),
    listeners: (port) => later(() => listenersOn(native, port)),
    watchExit: (pid, startTime) => later(() => watchExit(native, pid, startTime)),
  };
}

function later<T>(look: () => T): Promise<T> {
  return new Promise((resolve) => resolve(look()));
}

// ------------------------------------------------------------------------------------------------------ processes

interface InspectParts extends Pick<DirectParts, "native" | "jobs"> {
  all(): CimProcess[];
}

function inspect(parts: InspectParts, pids: readonly number[]): Map<number, ProcessObservation> {
  const seen = new Map<number, ProcessObservation>(pids.map((pid) => [pid, { kind: "gone" }]));
  // Only what may not be opened needs the list: it shows those processes too.
  let listed: Map<number, ProcessFacts> | null = null;
  const fromList = (pid: number) => {
    const facts = (listed ??= linkParents(parts.all())).get(pid);
    return facts ?? null;
  };
  for (const pid of possiblePids(pids)) {
    try {
      seen.set(pid, observe(parts, { pid, fromList }));
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      seen.set(pid, { kind: "unknown", why: error.message });
    }
  }
  return seen;
}

type FromList = (pid: number) => ProcessFacts | null;

function observe(
  { native, jobs }: InspectParts,
  { pid, fromList }: { pid: number; fromList: FromList },
): ProcessObservation {
  const opened = native.open(pid, ACCESS.query | ACCESS.synchronize);
  switch (opened.kind) {
    case "gone":
      return { kind: "gone" };
    case "failed":
      return { kind: "unknown", why: `pid ${pid} can't be opened: ${opened.why}` };
    case "denied": {
      const facts = fromList(pid);
      if (facts !== null) return { kind: "seen", facts };
      return { kind: "unknown", why: `Windows does not let foster look at pid ${pid}` };
    }
  }
  const { process } = opened;
  try {
    const [ended, basic, created] = [process.hasEnded(), process.basic(), process.createdAt()];
    if (ended === true) return { kind: "gone" };
    if (ended === null || basic === null || created === null) {
      return { kind: "unknown", why: `pid ${pid} does not tell when it was created` };
    }
    // Windows opens a process by any number that differs in the last two bits alone.
    if (basic.pid !== pid) return { kind: "gone" };
    const createdAt = isoOf(created);
    if (createdAt === null) return { kind: "unknown", why: `pid ${pid} has no creation time` };
    const facts: ProcessFacts = {
      pid,
      startTime: `cim:${createdAt}`,
      parentPid: liveParent(native, { child: { pid, createdAt }, parentPid: basic.parentPid, fromList }),
      groupId: 0,
      zombie: false,
    };
    if (process.mayBeInJob()) facts.groupId = jobs.groupOf(facts);
    return { kind: "seen", facts };
  } finally {
    process.close();
  }
}

/** As `linkParents` decides it: a parent counts while it lives and is not younger than its child. */
function liveParent(
  native: Native,
  { child, parentPid, fromList }: {
    child: { pid: number; createdAt: string };
    parentPid: number;
    fromList: FromList;
  },
): number {
  if (parentPid === 0 || parentPid === child.pid) return 0;
  const createdAt = createdAtOf(native, { pid: parentPid, fromList });
  return createdAt !== null && createdAt <= child.createdAt ? parentPid : 0;
}

/** Null where there is no such process. */
function createdAtOf(native: Native, { pid, fromList }: { pid: number; fromList: FromList }): string | null {
  const opened = native.open(pid, ACCESS.query | ACCESS.synchronize);
  if (opened.kind === "gone") return null;
  if (opened.kind !== "open") return fromList(pid)?.startTime.slice("cim:".length) ?? null;
  const { process } = opened;
  try {
    const created = process.createdAt();
    return process.hasEnded() === true || created === null ? null : isoOf(created);
  } finally {
    process.close();
  }
}

function withGroups(jobs: Jobs, all: readonly CimProcess[]): ProcessFacts[] {
  const processes = [...linkParents(all).values()];
  const groups = jobs.groups(processes);
  for (const process of all) if (isConsoleHost(process)) groups.delete(process.pid);
  return processes.map((facts) => ({ ...facts, groupId: groups.get(facts.pid) ?? 0 }));
}

function watchExit(native: Native, pid: number, startTime: string): ExitWatch | null {
  const opened = native.open(pid, ACCESS.query | ACCESS.synchronize);
  if (opened.kind !== "open") return null;
  const { process } = opened;
  if (startTimeOf(process) === startTime && process.hasEnded() === false) {
    return { ended: () => process.hasEnded() === true, close: () => process.close() };
  }
  process.close();
  return null;
}

/** As records have it; null where it can't be read. */
export function startTimeOf(process: OpenProcess): string | null {
  const created = process.createdAt();
  const createdAt = created === null ? null : isoOf(created);
  return createdAt === null ? null : `cim:${createdAt}`;
}

// ------------------------------------------------------------------------------------- what a process was started with

function argvOf(native: Native, pid: number): string[] | null {
  const line = opened(native, { pid, access: ACCESS.query }, (process) => {
    const text = process.text("commandLine");
    return text === null ? null : parseUnicodeString(text);
  }) ?? textOf(native, pid, "commandLine");
  return line === null || line === "" ? null : splitCommandLine(line);
}

function pathsOf(native: Native, pid: number): { executable: string | null; cwd: string | null } {
  const executable = opened(native, { pid, access: ACCESS.query }, (process) => {
    const text = process.text("executable");
    return text === null ? null : parseUnicodeString(text);
  });
  const folder = textOf(native, pid, "folder") || null;
  // It ends with a backslash, which only a drive's own folder does elsewhere.
  const cwd = folder === null || /^[A-Za-z]:\\$/.test(folder) ? folder : folder.replace(/\\$/, "");
  return { executable: executable || null, cwd };
}

function environmentOf(native: Native, pid: number): string[] {
  const bytes = parameter(native, pid, "environment");
  return bytes === null ? [] : parseEnvironment(bytes);
}

function textOf(native: Native, pid: number, which: "folder" | "commandLine"): string | null {
  const bytes = parameter(native, pid, which);
  return bytes === null ? null : utf16Text(bytes);
}

/**
 * One of the texts in the process's own memory. Null where that may not be read, belongs to a program of 32 bits, or is
 * being taken down: none of it says that there is no process.
 */
function parameter(
  native: Native,
  pid: number,
  which: "folder" | "commandLine" | "environment",
): Uint8Array | null {
  return opened(native, { pid, access: ACCESS.query | ACCESS.vmRead }, (process) => {
    if (process.is32Bit() !== false) return null;
    const basic = process.basic();
    if (basic === null || basic.peb === 0n) return null;
    const pointer = process.memory(basic.peb + 0x20n, 8);
    const address = pointer === null ? 0n : viewOf(pointer).getBigUint64(0, true);
    const bytes = address === 0n ? null : process.memory(address, PARAMETERS_BYTES);
    return bytes === null ? null : read(process, parseParameters(bytes)[which]);
  });
}

function read(process: OpenProcess, { address, sizeBytes }: Span): Uint8Array | null {
  if (address === 0n || sizeBytes === 0 || sizeBytes > TEXT_LIMIT_BYTES) return null;
  return process.memory(address, sizeBytes);
}

function opened<T>(
  native: Native,
  { pid, access }: { pid: number; access: number },
  look: (process: OpenProcess) => T | null,
): T | null {
  if (possiblePids([pid]).length === 0) return null;
  const result = native.open(pid, access);
  if (result.kind !== "open") return null;
  try {
    return result.process.basic()?.pid === pid ? look(result.process) : null;
  } finally {
    result.process.close();
  }
}

// ---------------------------------------------------------------------------------------------------------- ports

function rows(native: Native, port: number | null): ListenRow[] {
  return FAMILIES.flatMap((family) => native.listeners(family, port));
}

/** Null where a table can't be had. */
function foreignConnections(native: Native, of: { port: number; pid: number }): number | null {
  try {
    return FAMILIES.reduce((before, family) => before + native.foreignConnections(family, of), 0);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return null;
  }
}

/** Whether a connection to the address would reach anybody; yes in doubt. */
export function isListening(native: Native, hostname: string, port: number): boolean {
  try {
    const reached = reachedBy(hostname);
    return FAMILIES.some((family) =>
      native.listeners(family, port).some(({ address }) => reached === null || reached.includes(address))
    );
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return true;
  }
}

/** The addresses whose listeners a connection reaches; null where a name may stand for several. */
function reachedBy(hostname: string): readonly string[] | null {
  const address = hostname.replace(/^\[(.*)\]$/, "$1");
  // A listener on all addresses of IPv6 may have those of IPv4 as well.
  if (/^127(?:\.\d{1,3}){3}$/.test(address)) return [address, "0.0.0.0", "::"];
  return address === "::1" ? ["::1", "::"] : null;
}

function listenersOn(native: Native, port: number): PortObservation {
  let found: ListenRow[];
  try {
    found = rows(native, port);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { kind: "unknown", why: error.message };
  }
  const named = found.filter(({ pid }) => pid !== 0);
  const unique = new Map(named.map(({ pid, address }) => [`${pid} ${address}`, { pid, address }]));
  return { kind: "known", listeners: [...unique.values()], unnamed: found.length - named.length };
}
