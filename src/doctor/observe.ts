/**
 * Gathers what `doctor` judges of servers and processes: the files of the state folder, and the processes that they
 * name or that carry its instance token. Reads only, follows no link, and no single bad file hides the others.
 *
 * @module
 */
import { fileKind } from "../base/text.ts";
import { basename, join } from "node:path";
import {
  type Host,
  HostError,
  type PortObservation,
  type ProcessFacts,
  type ProcessObservation,
} from "../host/host.ts";
import { recordVerdict } from "../lifecycle/observe/list.ts";
import { isOver } from "../registry/identity.ts";
import { readOwnText } from "../registry/own_text.ts";
import { statePaths } from "../registry/paths.ts";
import {
  decodeLease,
  decodePrivateCopy,
  type Lease,
  pidOfFileName,
  privateCopiesFolder,
  type PrivateCopy,
  processesFolder,
  type ProcessRecord,
  readProcessFile,
  readProcessRecord,
} from "../registry/process_files.ts";
import { type CopyRecord, decodeCopy, type ProcessIdentity, type ServerRecord } from "../registry/record.ts";
import { readSupervisorFile } from "../registry/supervisor_files.ts";
import type { StateFolder } from "../registry/store.ts";
import { quoted } from "./findings.ts";

/** A managed server. */
export interface ManagedServer {
  key: string;
  path: string;
  record: ServerRecord;
}

/** One process of a server that speaks stdio. */
export interface CopyFile {
  key: string;
  path: string;
  record: CopyRecord;
}

/** A server that `foster register` watches over. */
export interface RegisteredServer {
  path: string;
  record: ProcessRecord;
}

export interface LeaseFile {
  key: string;
  path: string;
  lease: Lease;
}

/** A client's private copy of a server, which `foster connect` of 0.1 keeps without a record. */
export interface PrivateFile {
  key: string;
  path: string;
  child: PrivateCopy;
}

/** A file or folder that can't be trusted. */
export interface BadFile {
  kind: "record" | "copy" | "process_record" | "lease" | "private" | "folder";
  path: string;
  /** The server that it is about, null where it is about none. */
  key: string | null;
  why: string;
}

export interface StateFiles {
  managed: ManagedServer[];
  copies: CopyFile[];
  registered: RegisteredServer[];
  leases: LeaseFile[];
  privates: PrivateFile[];
  bad: BadFile[];
}

/** A process with this state folder's instance token. */
export interface Carrier {
  pid: number;
  /** `<state folder id>:<key>:<random>` */
  token: string;
}

/** What a process runs, as far as it can be read. */
export interface ProcessProgram {
  executable: string | null;
  argv: readonly string[] | null;
}

export interface ServersObservation extends StateFiles {
  selfPid: number;
  /** As its own file has it; null without one. */
  supervisor: ProcessIdentity | null;
  /** Every process that a record, a lease or an instance token points to. */
  seen: ReadonlyMap<number, ProcessObservation>;
  /** All processes of the machine; null where there is no list. */
  list: readonly ProcessFacts[] | null;
  programs: ReadonlyMap<number, ProcessProgram>;
  /** Real paths of the recorded executables, where those exist. */
  realPaths: ReadonlyMap<string, string>;
  carriers: readonly Carrier[];
  /** Recorded ports of servers that are gone, on which somebody listens, or may listen. */
  heldPorts: ReadonlySet<number>;
}

type ObserveHost = Pick<Host, "files" | "processes">;

/** The variable with the instance token, as it stands in an environment. */
const TOKEN_PREFIX = "FOSTER_TOKEN=";
const ID_LIMIT_BYTES = 1024;

export async function observeServers(host: ObserveHost, state: StateFolder): Promise<ServersObservation> {
  const ownerUid = await ownerOf(host, state.path);
  // Before the records: a server that starts in between is then in neither.
  const carriers = await findCarriers(host, { state, ownerUid });
  const files = await new FilesReader(host, { state, ownerUid }).all();
  const supervisor = await supervisorOf(host, state);
  const named = [...pidsOf(files), ...carriers.map(({ pid }) => pid)];
  const pids = [...new Set(supervisor === null ? named : [...named, supervisor.pid])];
  const [seen, list] = await Promise.all([
    host.processes.inspect(pids),
    unlessRefused(() => host.processes.list(), null),
  ]);
  const asked = [
    ...serverPids(files),
    ...files.privates.map(({ child }) => child.pid),
    ...carriers.map(({ pid }) => pid),
  ];
  const alive = [...new Set(asked)].filter((pid) => seen.get(pid)?.kind === "seen");
  const programs = new Map(
    await Promise.all(alive.map(async (pid) => [pid, await programOf(host, pid)] as const)),
  );
  const executables = [...files.managed, ...files.registered].map(({ record }) => record.executable);
  const realPaths = await realPathsOf(host, executables);
  const gone = files.managed.filter(({ record }) => isOver(recordVerdict(record, seen)));
  const heldPorts = await heldAmong(host, gone.map(({ record }) => record.port));
  const { selfPid } = host.processes;
  return { selfPid, supervisor, ...files, seen, list, programs, realPaths, carriers, heldPorts };
}

async function supervisorOf(host: ObserveHost, state: StateFolder): Promise<ProcessIdentity | null> {
  const file = await unlessRefused(() => readSupervisorFile(host, state.path), null);
  return file?.kind === "file" ? file.value : null;
}

async function heldAmong({ processes }: ObserveHost, ports: readonly number[]): Promise<Set<number>> {
  if (ports.length === 0) return new Set();
  const listening = await processes.listeningPorts();
  if (listening !== null) return new Set(ports.filter((port) => listening.has(port)));
  const held = new Set<number>();
  for (const port of new Set(ports)) if (isHeld(await processes.listeners(port))) held.add(port);
  return held;
}

/** Whether a process listens, or may listen, on a port. */
export function isHeld(found: PortObservation): boolean {
  return found.kind === "unknown" || found.listeners.length + found.unnamed > 0;
}

/** `pid 812 (python3)`; never the whole command line, which may hold secrets. */
export function processName(pid: number, program: ProcessProgram | undefined): string {
  const path = program?.executable ?? program?.argv?.[0];
  return path ? `pid ${pid} (${quoted(basename(path)).slice(1, -1)})` : `pid ${pid}`;
}

/** Of what the system may refuse to say. */
async function unlessRefused<T, Instead>(ask: () => Promise<T>, instead: Instead): Promise<T | Instead> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof HostError) return instead;
    throw error;
  }
}

/** What a process runs: its file, and its command line where the two may differ. */
async function programOf({ processes }: ObserveHost, pid: number): Promise<ProcessProgram> {
  const [{ executable }, argv] = await Promise.all([processes.paths(pid), processes.argv(pid)]);
  return { executable, argv };
}

function ownerOf({ files }: ObserveHost, folder: string): Promise<number | null> {
  return unlessRefused(async () => {
    const real = await files.realPath(folder);
    return real === null ? null : (await files.stat(real))?.uid ?? null;
  }, null);
}

async function findCarriers(
  host: ObserveHost,
  { state, ownerUid }: { state: StateFolder; ownerUid: number | null },
): Promise<Carrier[]> {
  const limits = { limitBytes: ID_LIMIT_BYTES, ownerUid };
  const file = await readOwnText(host, statePaths(state.path).id, limits);
  const id = file.kind === "text" ? file.text.trim() : "";
  // Anything else would find other people's processes.
  if (!/^[\da-f]{8,64}$/.test(id)) return [];
  const found = await unlessRefused(() => host.processes.carryingPrefix(`${TOKEN_PREFIX}${id}:`), []);
  return found.map(({ pid, entry }) => ({ pid, token: entry.slice(TOKEN_PREFIX.length) }));
}

function serverPids({ managed, copies, registered }: StateFiles): number[] {
  const pids = [
    ...[...managed, ...copies].flatMap(({ record }) => [record.pid, record.launcher_pid]),
    ...registered.map(({ record }) => record.pid),
  ];
  return pids.filter((pid) => pid !== null);
}

function pidsOf(files: StateFiles): number[] {
  const pids = [
    ...serverPids(files),
    ...files.managed.flatMap(({ record }) => [record.supervisor?.pid, record.parent_pid_at_start]),
    ...files.copies.map(({ record }) => record.owner?.pid),
    ...files.registered.flatMap(({ record }) => [record.register?.pid, record.parent_pid_at_start]),
    ...files.leases.map(({ lease }) => lease.pid),
    ...files.privates.flatMap(({ child }) => [child.pid, child.owner.pid]),
  ];
  return pids.flatMap((pid) => pid != null && pid > 0 ? [pid] : []);
}

async function realPathsOf({ files }: ObserveHost, paths: readonly string[]): Promise<Map<string, string>> {
  const real = new Map<string, string>();
  for (const path of new Set(paths)) {
    const found = await unlessRefused(() => files.realPath(path), null);
    if (found !== null) real.set(path, found);
  }
  return real;
}

/** Reads the whole state folder, whatever stands in it. */
class FilesReader {
  readonly #host: Pick<Host, "files">;
  readonly #state: StateFolder;
  /** Whose files are trusted; null where files have no owner. */
  readonly #ownerUid: number | null;
  readonly #found: StateFiles = {
    managed: [],
    copies: [],
    registered: [],
    leases: [],
    privates: [],
    bad: [],
  };

  constructor(
    host: Pick<Host, "files">,
    { state, ownerUid }: { state: StateFolder; ownerUid: number | null },
  ) {
    this.#host = host;
    this.#state = state;
    this.#ownerUid = ownerUid;
  }

  async all(): Promise<StateFiles> {
    const { servers } = statePaths(this.#state.path);
    for (const { name, kind } of await this.#entries(servers)) {
      const path = join(servers, name);
      if (kind === "directory") await this.#server(name);
      else {this.#bad({
          kind: "folder",
          path,
          key: null,
          why: `it is a ${fileKind(kind)}, not a server's folder`,
        });}
    }
    await this.#registered();
    return this.#found;
  }

  async #server(key: string): Promise<void> {
    const { paths } = this.#state.server(key);
    const stored = await this.#state.server(key).read();
    const foreign = stored.kind === "record" ? await this.#foreignOwner(paths.record) : null;
    if (stored.kind === "corrupt" || foreign !== null) {
      const why = stored.kind === "corrupt" ? stored.why : foreign ?? "";
      this.#bad({ kind: "record", path: paths.record, key, why });
    } else if (stored.kind === "record") {
      this.#found.managed.push({ key, path: paths.record, record: stored.record });
    }
    for (const path of await this.#jsonFiles(paths.copies)) {
      const id = basename(path, ".json");
      const record = await this.#small({ kind: "copy", path, key }, (text) => {
        const decoded = decodeCopy(text, { key, id });
        return decoded.kind === "record" ? decoded.record : null;
      });
      if (record !== null) this.#found.copies.push({ key, path, record });
    }
    for (const path of await this.#jsonFiles(paths.leases)) {
      const lease = await this.#small({ kind: "lease", path, key }, decodeLease);
      if (lease !== null) this.#found.leases.push({ key, path, lease });
    }
    for (const path of await this.#jsonFiles(privateCopiesFolder(paths))) {
      const child = await this.#small({ kind: "private", path, key }, decodePrivateCopy);
      if (child !== null) this.#found.privates.push({ key, path, child });
    }
  }

  async #jsonFiles(folder: string): Promise<string[]> {
    const entries = await this.#entries(folder);
    return entries.filter(({ name }) => name.endsWith(".json")).map(({ name }) => join(folder, name));
  }

  /** One of the small files about a client or a process; null, and noted where it is not missing, when it can't be trusted. */
  async #small<T>(about: Omit<BadFile, "why">, decode: (text: string) => T | null): Promise<T | null> {
    const file = await readProcessFile(this.#host, about.path, { ownerUid: this.#ownerUid });
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
      const pid = pidOfFileName(name);
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
          this.#found.registered.push({ path, record: decoded.record });
      }
    }
  }

  async #foreignOwner(path: string): Promise<string | null> {
    const stat = await unlessRefused(() => this.#host.files.stat(path), null);
    const uid = stat?.uid ?? null;
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
      this.#bad({
        kind: "folder",
        path: folder,
        key: null,
        why: `it is a ${fileKind(stat.kind)}, not a folder`,
      });
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.#bad({ kind: "folder", path: folder, key: null, why: error.message });
    }
    return [];
  }

  #bad(bad: BadFile): void {
    this.#found.bad.push(bad);
  }
}
