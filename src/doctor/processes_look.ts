/**
 * What `doctor` looks at to judge records and processes: the files of the state folder, and the processes that they
 * name or that carry its instance token.
 *
 * @module
 */
import { basename, join } from "@std/path";
import { type Host, HostError, type ProcessFacts, type ProcessObservation } from "../host/host.ts";
import { quoted } from "./findings.ts";
import { type FilesSeen, lookAtFiles } from "./files_look.ts";
import { readOwnFile } from "../registry/process_records.ts";
import type { StateFolder } from "../registry/store.ts";

export type LookHost = Pick<Host, "files" | "processes">;

/** A process with this state folder's instance token. */
export interface Carrier {
  pid: number;
  /** `<state folder id>:<key>:<random>` */
  token: string;
}

/** What a process runs, as far as it can be read. */
export interface ProgramSeen {
  executable: string | null;
  argv: readonly string[] | null;
}

export interface ProcessesSeen extends FilesSeen {
  selfPid: number;
  /** Every process that a record, a lease or a instance token points to. */
  seen: ReadonlyMap<number, ProcessObservation>;
  /** All processes of the machine; null where there is no list. */
  list: readonly ProcessFacts[] | null;
  programs: ReadonlyMap<number, ProgramSeen>;
  /** Real paths of the recorded executables, where those exist. */
  realPaths: ReadonlyMap<string, string>;
  carriers: readonly Carrier[];
}

/** The variable with the instance token, as it stands in an environment. */
const TOKEN_PREFIX = "FOSTER_TOKEN=";
const ID_LIMIT_BYTES = 1024;

export async function lookAtProcesses(host: LookHost, state: StateFolder): Promise<ProcessesSeen> {
  const ownerUid = await ownerOf(host, state.path);
  // Before the records: a server that starts in between is then in neither.
  const carriers = await findCarriers(host, { state, ownerUid });
  const files = await lookAtFiles(host, { state, ownerUid });
  const pids = [...new Set([...pidsOf(files), ...carriers.map(({ pid }) => pid)])];
  const [seen, list] = await Promise.all([host.processes.inspect(pids), listOrNull(host)]);
  const asked = [
    ...programPids(files),
    ...files.privates.map(({ child }) => child.pid),
    ...carriers.map(({ pid }) => pid),
  ];
  const alive = [...new Set(asked)].filter((pid) => seen.get(pid)?.kind === "seen");
  const programs = new Map(
    await Promise.all(alive.map(async (pid) => [pid, await programOf(host, pid)] as const)),
  );
  const executables = [...files.managed, ...files.registered].map(({ record }) => record.executable);
  const realPaths = await realPathsOf(host, executables);
  return { selfPid: host.processes.selfPid, ...files, seen, list, programs, realPaths, carriers };
}

/** What a process runs: its file, and its command line where the two may differ. */
async function programOf({ processes }: LookHost, pid: number): Promise<ProgramSeen> {
  const [{ executable }, argv] = await Promise.all([processes.paths(pid), processes.argv(pid)]);
  return { executable, argv };
}

/** `pid 812 (python3)`; never the whole command line, which may hold secrets. */
export function processName(pid: number, program: ProgramSeen | undefined): string {
  const path = program?.executable ?? program?.argv?.[0];
  return path ? `pid ${pid} (${quoted(basename(path)).slice(1, -1)})` : `pid ${pid}`;
}

async function ownerOf({ files }: LookHost, folder: string): Promise<number | null> {
  try {
    const real = await files.realPath(folder);
    return real === null ? null : (await files.stat(real))?.uid ?? null;
  } catch (error) {
    if (error instanceof HostError) return null;
    throw error;
  }
}

async function findCarriers(
  host: LookHost,
  { state, ownerUid }: { state: StateFolder; ownerUid: number | null },
): Promise<Carrier[]> {
  const file = await readOwnFile(host, join(state.path, "id"), { limitBytes: ID_LIMIT_BYTES, ownerUid });
  const id = file.kind === "text" ? file.text.trim() : "";
  // Anything else would find other people's processes.
  if (!/^[\da-f]{8,64}$/.test(id)) return [];
  try {
    const found = await host.processes.carryingPrefix(`${TOKEN_PREFIX}${id}:`);
    return found.map(({ pid, entry }) => ({ pid, token: entry.slice(TOKEN_PREFIX.length) }));
  } catch (error) {
    if (error instanceof HostError) return [];
    throw error;
  }
}

async function listOrNull({ processes }: LookHost): Promise<ProcessFacts[] | null> {
  try {
    return await processes.list();
  } catch (error) {
    if (error instanceof HostError) return null;
    throw error;
  }
}

function programPids({ managed, registered }: FilesSeen): number[] {
  const pids = [
    ...managed.flatMap(({ record }) => [record.pid, record.launcher_pid]),
    ...registered.map(({ record }) => record.pid),
  ];
  return pids.filter((pid) => pid !== null);
}

function pidsOf(files: FilesSeen): number[] {
  const pids = [
    ...programPids(files),
    ...files.managed.flatMap(({ record }) => [record.supervisor?.pid, record.parent_pid_at_start]),
    ...files.registered.flatMap(({ record }) => [record.register?.pid, record.parent_pid_at_start]),
    ...files.leases.map(({ lease }) => lease.pid),
    ...files.privates.flatMap(({ child }) => [child.pid, child.owner.pid]),
  ];
  return pids.flatMap((pid) => pid != null && pid > 0 ? [pid] : []);
}

async function realPathsOf({ files }: LookHost, paths: readonly string[]): Promise<Map<string, string>> {
  const real = new Map<string, string>();
  for (const path of new Set(paths)) {
    const found = await files.realPath(path).catch(() => null);
    if (found !== null) real.set(path, found);
  }
  return real;
}
