/**
 * Observes a server's record, processes and port. Changes nothing.
 *
 * @module
 */
import { basename } from "node:path";
import type { Host, Listener, PortObservation, ProcessFacts, ProcessObservation } from "../../host/host.ts";
import { isOver, type Verdict, verdict } from "../../registry/identity.ts";
import type { ServerRecord } from "../../registry/record.ts";
import type { ServerFolder } from "../../registry/store.ts";
import { hasSignature, type Signature, spawnMainParent } from "./signature.ts";
import { findOwned, listenerPidsOf, type Liveness, liveness, type Owned } from "./ownership.ts";

const SIGNATURE_WALK = 5;

type ObserveHost = Pick<Host, "processes" | "net" | "system">;

/** A process that listens on the port. */
export interface Holder {
  pid: number;
  /** Null where its start time can't be read: it can't be signalled then. */
  startTime: string | null;
  owned: boolean;
  /** Its command line, or that of a near ancestor, carries the signature. */
  signed: boolean;
  /** Whether its socket is the one that answers at the wanted address: an exact match, else a wildcard. */
  serves: boolean;
  parentPid: number;
  groupId: number;
}

export type PortState =
  | { kind: "free" }
  /** `unnamed`: sockets whose process can't be seen, another user's for example. */
  | { kind: "held"; holders: Holder[]; unnamed: number };

export interface Observation {
  record: ServerRecord | null;
  /** The identity of the recorded listener. */
  process: Verdict;
  liveness: Liveness;
  owned: Owned[];
  /** Pids that listen on the recorded or the wanted ports. */
  listenerPids: Set<number>;
  port: PortState;
  /** The pid file's process: alive, not ours to trust by itself. 0 where there is none. */
  pidFilePid: number;
  /** Carriers of the instance token of a start that ended before it knew its child: ours as soon as one of them listens. */
  pending: number[];
}

/** What was seen a moment ago; `at` is monotonic. */
export interface RecentObservation {
  observed: Observation;
  at: number;
}

export interface ObserveOptions {
  folder: ServerFolder;
  record: ServerRecord | null;
  hostname: string;
  /** The port that the server is wanted on, null to ask about the record only. */
  port: number | null;
  signature: Signature;
  /** Also find processes beyond the recorded one where that explains the port alone, those that share its socket too. */
  thorough: boolean;
  /** All processes as they were a moment ago; asked of the system where it is left out. */
  recentProcesses?: () => Promise<readonly ProcessFacts[]>;
}

export async function observe(host: ObserveHost, options: ObserveOptions): Promise<Observation> {
  const seen = await observeOnce(host, options);
  const nameless = seen.port.kind === "held" && seen.port.holders.length === 0;
  // The second observation finds a listener that appeared between the two checks of the first.
  return nameless ? await observeOnce(host, options) : seen;
}

async function observeOnce(
  host: ObserveHost,
  options: ObserveOptions,
  likely: number | null = options.thorough ? null : options.record?.pid ?? null,
): Promise<Observation> {
  const { folder, record, port } = options;
  const ports = [...new Set([port, record?.port ?? null].filter((value) => value !== null))];
  const listening = new Map<number, PortObservation>();
  for (const each of ports) {
    listening.set(each, relevant(await host.processes.listeners(each, likely), options.hostname));
  }
  const listenerPids = new Set<number>();
  for (const seen of listening.values()) for (const pid of listenerPidsOf(seen)) listenerPids.add(pid);

  const pidFilePid = record === null ? 0 : await folder.pidFile(Date.parse(record.started_at));
  const asked = [record?.pid, record?.launcher_pid, pidFilePid, ...listenerPids];
  const seen = await host.processes.inspect([
    ...new Set(asked.filter((pid) => pid != null && pid > 0) as number[]),
  ]);
  const process = record === null
    ? { kind: "gone" } as const
    : verdict(record.pid === null ? undefined : seen.get(record.pid), record.start_token);

  const explained = process.kind === "ours" && [...listenerPids].every((pid) => pid === record?.pid);
  // The shortcut holds only if the recorded process is the sole listener; else all of them are looked for.
  if (!explained && likely !== null && listenerPids.has(likely)) {
    return await observeOnce(host, options, null);
  }

  const signed = await findSigned(host, [...listenerPids, pidFilePid], options.signature);
  let owned: Owned[] = [];
  if (record !== null) {
    const shallow = explained && !options.thorough || isNothingLeft(host, { record, seen, listening });
    const list = options.recentProcesses ?? (() => host.processes.list());
    const processes = shallow ? [] : await list();
    owned = findOwned({
      record,
      seen,
      processes,
      listenerPids: listenerPidsOf(listening.get(record.port) ?? { kind: "unknown", why: "" }),
      carriers: shallow ? new Set() : await findCarriers(host, {
        record,
        processes,
        listenerPids,
        earlierTokens: (await folder.overrides()).tokens,
      }),
      workerParents: shallow ? new Map() : await findWorkerParents(host, { record, processes, listenerPids }),
      signedPidFile: pidFilePid > 0 && signed.has(pidFilePid) ? pidFilePid : null,
    });
  }
  return {
    record,
    process,
    liveness: record === null ? { kind: "dead" } : liveness(record, seen, owned),
    owned,
    listenerPids,
    port: port === null
      ? { kind: "free" }
      : await observePort(host, { port, hostname: options.hostname, listening, seen, owned, signed }),
    pidFilePid: isAlive(seen.get(pidFilePid)) ? pidFilePid : 0,
    pending: record !== null && isUnknownChild(record) && owned.length === 0
      ? await host.processes.carrying(`FOSTER_TOKEN=${record.token}`)
      : [],
  };
}

/**
 * Whether the search of all processes for what is ours can find nothing: neither the recorded processes nor their group
 * are there, and nobody listens. Only what descends from those, is in the group or is on the port can be ours.
 */
function isNothingLeft(
  { processes, system }: ObserveHost,
  { record, seen, listening }: {
    record: ServerRecord;
    seen: ReadonlyMap<number, ProcessObservation>;
    listening: ReadonlyMap<number, PortObservation>;
  },
): boolean {
  // Windows has no groups, and there a worker that outlives its parent may be ours.
  if (system === "windows") return false;
  for (const port of listening.values()) {
    if (port.kind === "unknown" || port.listeners.length + port.unnamed > 0) return false;
  }
  const { pid, start_token, launcher_pid, launcher_start_token, pgid } = record;
  const recorded = [[pid, start_token], [launcher_pid, launcher_start_token]] as const;
  for (const [each, startTime] of recorded) {
    if (each !== null && !isOver(verdict(seen.get(each), startTime))) return false;
  }
  return pgid === null || pgid <= 1 || !processes.mayHaveMembers(pgid);
}

/**
 * A start that was cut off before it knew its child, or given up, also when a `down` came upon it since. A record that
 * was ready once does not count: a browser that the server opened carries its instance token as well.
 */
function isUnknownChild({ state, pid, launcher_pid, ready_at }: ServerRecord): boolean {
  const isUndecided = state === "spawning" || (state === "stopping" && ready_at === null);
  return isUndecided && pid === null && launcher_pid === null;
}

function isAlive(seen: ProcessObservation | undefined): boolean {
  return seen?.kind === "unknown" || (seen?.kind === "seen" && !seen.facts.zombie);
}

/** Held by processes that are not ours; a holder without a visible process is not ours either. */
export function isForeign(port: PortState): port is Extract<PortState, { kind: "held" }> {
  return port.kind === "held" && !port.holders.some((holder) => holder.owned);
}

/** Leaves out sockets on other interfaces: those never stand in the way of a loopback server. */
function relevant(seen: PortObservation, hostname: string): PortObservation {
  if (seen.kind === "unknown") return seen;
  const listeners = seen.listeners.filter(({ address }) => isInTheWay(address, hostname));
  return { ...seen, listeners };
}

const WILDCARDS: readonly string[] = ["*", "0.0.0.0", "::", ""];

/** Whether a socket there keeps a server from listening, or its clients from reaching it. */
export function isInTheWay(address: string, hostname: string): boolean {
  return isWildcard(address) || servedBy(hostname).includes(bareAddress(address));
}

export function isWildcard(address: string): boolean {
  return WILDCARDS.includes(bareAddress(address));
}

/** The addresses that a connection to the name may reach: whoever says "localhost" may mean either loopback address. */
function servedBy(hostname: string): readonly string[] {
  return hostname === "localhost" ? ["127.0.0.1", "::1", "localhost"] : [hostname, "localhost"];
}

function bareAddress(address: string): string {
  return address.replace(/^\[|\]$/g, "").replace(/%.*$/, "").replace(/^::ffff:/i, "").toLowerCase();
}

/** Whose sockets a connection to the address reaches: the kernel prefers an exact match to a wildcard. */
function servingPids(listeners: readonly Listener[], hostname: string): Set<number> {
  const exact = listeners.filter(({ address }) => servedBy(hostname).includes(bareAddress(address)));
  const serving = exact.length > 0 ? exact : listeners.filter(({ address }) => isWildcard(address));
  return new Set(serving.map(({ pid }) => pid));
}

async function findCarriers(
  host: Pick<Host, "processes">,
  { record, processes, listenerPids, earlierTokens }: {
    record: ServerRecord;
    processes: readonly ProcessFacts[];
    listenerPids: ReadonlySet<number>;
    earlierTokens: readonly string[];
  },
): Promise<Set<number>> {
  const candidates = processes
    .filter((facts) => listenerPids.has(facts.pid) || (record.pgid !== null && facts.groupId === record.pgid))
    .map((facts) => facts.pid);
  const carriers = new Set<number>();
  if (candidates.length === 0) return carriers;
  for (const token of [record.token, ...earlierTokens]) {
    for (const pid of await host.processes.carrying(`FOSTER_TOKEN=${token}`, candidates)) carriers.add(pid);
  }
  return carriers;
}

/** Windows alone has no process groups, and forgets the parent of a worker that outlives it. */
async function findWorkerParents(
  host: ObserveHost,
  { record, processes, listenerPids }: {
    record: ServerRecord;
    processes: readonly ProcessFacts[];
    listenerPids: ReadonlySet<number>;
  },
): Promise<Map<number, number>> {
  const found = new Map<number, number>();
  if (host.system !== "windows") return found;
  for (const { pid, parentPid } of processes) {
    const isChild = parentPid > 0 && (parentPid === record.pid || parentPid === record.launcher_pid);
    if (!isChild && !listenerPids.has(pid)) continue;
    const parent = spawnMainParent(await host.processes.argv(pid) ?? []);
    if (parent !== null) found.set(pid, parent);
  }
  return found;
}

/** Which of the pids carry the signature themselves or through one of their nearest ancestors. */
async function findSigned(
  host: Pick<Host, "processes">,
  pids: readonly number[],
  signature: Signature,
): Promise<Set<number>> {
  const signed = new Set<number>();
  if (signature.names.length === 0) return signed;
  for (const pid of pids) if (pid > 1 && await hasSignedAncestry(host, pid, signature)) signed.add(pid);
  return signed;
}

async function hasSignedAncestry(
  host: Pick<Host, "processes">,
  pid: number,
  signature: Signature,
): Promise<boolean> {
  let current = pid;
  for (let hops = 0; hops < SIGNATURE_WALK && current > 1; hops++) {
    if (hasSignature(await host.processes.argv(current), signature)) return true;
    const seen = (await host.processes.inspect([current])).get(current);
    if (seen?.kind !== "seen") return false;
    current = seen.facts.parentPid;
  }
  return false;
}

async function observePort(
  host: Pick<Host, "net" | "processes">,
  found: {
    port: number;
    hostname: string;
    listening: ReadonlyMap<number, PortObservation>;
    seen: ReadonlyMap<number, ProcessObservation>;
    owned: readonly Owned[];
    signed: ReadonlySet<number>;
  },
): Promise<PortState> {
  const listening = found.listening.get(found.port);
  if (
    listening?.kind === "known" && listening.listeners.length + listening.unnamed > 0 &&
    !await isBesides(host, { ...found, seen: listening })
  ) {
    const pids = new Set(listening.listeners.map((listener) => listener.pid));
    const serving = servingPids(listening.listeners, found.hostname);
    const holders = [...pids].map((pid) => {
      const process = found.seen.get(pid);
      const facts = process?.kind === "seen" ? process.facts : null;
      return {
        pid,
        startTime: facts?.startTime ?? null,
        owned: found.owned.some((each) => each.pid === pid),
        signed: found.signed.has(pid),
        serves: serving.has(pid),
        parentPid: facts?.parentPid ?? 0,
        groupId: facts?.groupId ?? 0,
      };
    });
    return { kind: "held", holders, unnamed: listening.unnamed };
  }
  // Nobody was found, or nobody can be found: a port that can't be bound, or that answers, is held all the same.
  if (!await host.net.canBind(found.hostname, found.port)) return { kind: "held", holders: [], unnamed: 1 };
  if (listening?.kind !== "known" && await host.net.dial(found.hostname, found.port, 200) === "open") {
    return { kind: "held", holders: [], unnamed: 1 };
  }
  return { kind: "free" };
}

/**
 * Whether all that listens does so for the other family of addresses, is not ours, and leaves this one to whoever binds it:
 * a socket on `::` may or may not take IPv4 along.
 */
async function isBesides(
  host: Pick<Host, "net">,
  { seen: { listeners, unnamed }, hostname, port, owned }: {
    seen: Extract<PortObservation, { kind: "known" }>;
    hostname: string;
    port: number;
    owned: readonly Owned[];
  },
): Promise<boolean> {
  const other = hostname === "127.0.0.1" ? "::" : hostname === "::1" ? "0.0.0.0" : null;
  if (other === null || unnamed > 0) return false;
  const isOther = listeners.every(({ pid, address }) =>
    bareAddress(address) === other && !owned.some((each) => each.pid === pid)
  );
  return isOther && await host.net.canBind(hostname, port);
}

const NAMED = 4;

/** `pid 812 (python3)`, several joined by "and"; "" where nobody can be named. */
export async function describeHolders(host: Pick<Host, "processes">, port: PortState): Promise<string> {
  if (port.kind === "free") return "";
  const named = [];
  for (const { pid } of port.holders.slice(0, NAMED)) named.push(await describeProcess(host, pid));
  if (port.holders.length > NAMED) named.push(`${port.holders.length - NAMED} more`);
  return named.join(" and ");
}

/** `pid 812 (python3)`. The program's name only: a command line may hold secrets. */
export async function describeProcess(host: Pick<Host, "processes">, pid: number): Promise<string> {
  const { executable } = await host.processes.paths(pid);
  const program = executable ?? (await host.processes.argv(pid))?.[0] ?? null;
  return program === null ? `pid ${pid}` : `pid ${pid} (${basename(program)})`;
}
