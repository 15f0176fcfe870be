/**
 * What `doctor` looks at to judge records and processes. Reads only, follows no link in the state folder, and no
 * single bad file hides the others.
 *
 * @module
 */
import { basename, join } from "@std/path";
import { type Host, HostError, type ProcessFacts, type ProcessSeen } from "../host/host.ts";
import { quoted } from "./doctor.ts";
import { decodeLease, type Lease } from "./leases.ts";
import {
  pidOfRecordName,
  processesFolder,
  type ProcessRecord,
  readOwnFile,
  readProcessRecord,
} from "./process_records.ts";
import type { ProcessIdentity, ServerRecord } from "./record.ts";
import type { StateFolder } from "./store.ts";

export type LookHost = Pick<Host, "files" | "processes">;

export interface ManagedSeen {
  key: string;
  path: string;
  record: ServerRecord;
}

export interface RegisteredSeen {
  path: string;
  record: ProcessRecord;
}

export interface LeaseSeen {
  key: string;
  path: string;
  lease: Lease;
}

/** A client's private copy of a server, which `foster connect` keeps without a record. */
export interface PrivateSeen {
  key: string;
  path: string;
  child: PrivateCopy;
}

export interface PrivateCopy extends ProcessIdentity {
  /** The `foster connect` that it belongs to. */
  owner: ProcessIdentity;
}

/** A file or folder that can't be trusted. */
export interface BadSeen {
  kind: "record" | "process_record" | "lease" | "private" | "folder";
  path: string;
  /** The server whose it is, null where it is nobody's. */
  key: string | null;
  why: string;
}

/** A process with this state folder's cookie. */
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

export interface ProcessesSeen {
  selfPid: number;
  managed: ManagedSeen[];
  registered: RegisteredSeen[];
  leases: LeaseSeen[];
  privates: PrivateSeen[];
  bad: BadSeen[];
  /** Every process that a record, a lease or a cookie points to. */
  seen: ReadonlyMap<number, ProcessSeen>;
  /** All processes of the machine; null where there is no list. */
  list: readonly ProcessFacts[] | null;
  programs: ReadonlyMap<number, ProgramSeen>;
  /** Real paths of the recorded executables, where those exist. */
  realPaths: ReadonlyMap<string, string>;
  carriers: readonly Carrier[];
}

/** The variable with the cookie, as it stands in an environment. */
const COOKIE = "FOSTER_TOKEN=";
const SMALL_LIMIT_BYTES = 16 * 1024;
const ID_LIMIT_BYTES = 1024;

export async function lookAtProcesses(host: LookHost, state: StateFolder): Promise<ProcessesSeen> {
  const ownerUid = await ownerOf(host, state.path);
  // Before the records: a server that starts in between is then in neither.
  const carriers = await findCarriers(host, { state, ownerUid });
  const files = await new FilesLook(host, state, ownerUid).all();
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

type FilesSeen = Pick<ProcessesSeen, "managed" | "registered" | "leases" | "privates" | "bad">;

class FilesLook {
  readonly #host: LookHost;
  readonly #state: StateFolder;
  readonly #ownerUid: number | null;
  readonly #seen: FilesSeen = { managed: [], registered: [], leases: [], privates: [], bad: [] };

  constructor(host: LookHost, state: StateFolder, ownerUid: number | null) {
    this.#host = host;
    this.#state = state;
    this.#ownerUid = ownerUid;
  }

  async all(): Promise<FilesSeen> {
    const servers = join(this.#state.path, "servers");
    for (const { name, kind } of await this.#entries(servers)) {
      const path = join(servers, name);
      if (kind === "directory") await this.#server(name);
      else this.#bad({ kind: "folder", path, key: null, why: `it is a ${kind}, not a server's folder` });
    }
    await this.#registered();
    return this.#seen;
  }

  async #server(key: string): Promise<void> {
    const { paths } = this.#state.slot(key);
    const stored = await this.#state.slot(key).read();
    const foreign = stored.kind === "record" ? await this.#foreignOwner(paths.record) : null;
    if (stored.kind === "corrupt" || foreign !== null) {
      const why = stored.kind === "corrupt" ? stored.why : foreign ?? "";
      this.#bad({ kind: "record", path: paths.record, key, why });
    } else if (stored.kind === "record") {
      this.#seen.managed.push({ key, path: paths.record, record: stored.record });
    }
    for (const path of await this.#records(paths.leases)) {
      const lease = await this.#small({ kind: "lease", path, key }, decodeLease);
      if (lease !== null) this.#seen.leases.push({ key, path, lease });
    }
    for (const path of await this.#records(join(paths.folder, "children"))) {
      const child = await this.#small({ kind: "private", path, key }, decodePrivateCopy);
      if (child !== null) this.#seen.privates.push({ key, path, child });
    }
  }

  async #records(folder: string): Promise<string[]> {
    const entries = await this.#entries(folder);
    return entries.filter(({ name }) => name.endsWith(".json")).map(({ name }) => join(folder, name));
  }

  /** One of the small files about a client; null, and noted where it is not missing, when it can't be trusted. */
  async #small<T>(about: Omit<BadSeen, "why">, decode: (text: string) => T | null): Promise<T | null> {
    const limits = { limitBytes: SMALL_LIMIT_BYTES, ownerUid: this.#ownerUid };
    const file = await readOwnFile(this.#host, about.path, limits);
    if (file.kind === "none") return null;
    const decoded = file.kind === "text" ? decode(file.text) : null;
    if (decoded === null) {
      this.#bad({ ...about, why: file.kind === "bad" ? file.why : "it can't be understood" });
    }
    return decoded;
  }

  async #registered(): Promise<void> {
    const folder = processesFolder(this.#state.path);
    for (const { name } of await this.#entries(folder)) {
      if (!name.endsWith(".json")) continue;
      const path = join(folder, name);
      const pid = pidOfRecordName(name);
      const decoded = pid === null
        ? { kind: "corrupt" as const, why: "its name is no pid" }
        : await readProcessRecord(this.#host, path, { pid, ownerUid: this.#ownerUid });
      switch (decoded.kind) {
        case "none":
          break;
        case "corrupt":
          this.#bad({ kind: "process_record", path, key: null, why: decoded.why });
          break;
        case "record":
          this.#seen.registered.push({ path, record: decoded.record });
      }
    }
  }

  async #foreignOwner(path: string): Promise<string | null> {
    const uid = (await this.#host.files.stat(path).catch(() => null))?.uid ?? null;
    if (uid === null || this.#ownerUid === null || uid === this.#ownerUid) return null;
    return `it belongs to another user (${uid})`;
  }

  /** Of a folder that is no link; a missing one is empty. */
  async #entries(folder: string) {
    try {
      const stat = await this.#host.files.stat(folder);
      if (stat === null) return [];
      if (stat.kind === "directory") {
        const entries = await this.#host.files.list(folder) ?? [];
        return entries.sort((a, b) => a.name < b.name ? -1 : 1);
      }
      this.#bad({ kind: "folder", path: folder, key: null, why: `it is a ${stat.kind}, not a folder` });
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.#bad({ kind: "folder", path: folder, key: null, why: error.message });
    }
    return [];
  }

  #bad(bad: BadSeen): void {
    this.#seen.bad.push(bad);
  }
}

/** Reads what `foster connect` wrote of a private copy, null where it is something else. */
export function decodePrivateCopy(text: string): PrivateCopy | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!isIdentity(value) || !("owner" in value) || !isIdentity(value.owner)) return null;
    return { pid: value.pid, start_token: value.start_token, owner: value.owner };
  } catch {
    return null;
  }
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return typeof value === "object" && value !== null && "pid" in value && Number.isSafeInteger(value.pid) &&
    "start_token" in value && typeof value.start_token === "string";
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
    const found = await host.processes.carryingPrefix(`${COOKIE}${id}:`);
    return found.map(({ pid, entry }) => ({ pid, token: entry.slice(COOKIE.length) }));
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
