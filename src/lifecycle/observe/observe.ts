/**
 * Looks at a server's record, processes and port, and says what is there. Changes nothing.
 *
 * @module
 */
import type { Host, Listener, PortObservation, ProcessFacts, ProcessObservation } from "../../host/host.ts";
import { type Verdict, verdict } from "../../registry/identity.ts";
import type { ServerRecord } from "../../registry/record.ts";
import type { ServerFolder } from "../../registry/store.ts";
import { type Brand, isBranded } from "./signature.ts";
import { findOwned, listenerPidsOf, type Liveness, liveness, type Owned } from "./ownership.ts";

const BRAND_WALK = 5;

type LookHost = Pick<Host, "processes" | "net" | "system">;

/** A process that listens on the port. */
export interface Holder {
  pid: number;
  /** Null where its start time can't be read: it can't be signalled then. */
  startTime: string | null;
  owned: boolean;
  branded: boolean;
  /** Whether its socket is the one that answers at the wanted address: an exact match, else a wildcard. */
  serves: boolean;
  parentPid: number;
  groupId: number;
}

export type PortSeen =
  | { kind: "free" }
  /** `unnamed`: sockets whose process can't be seen, another user's for example. */
  | { kind: "held"; holders: Holder[]; unnamed: number };

export interface Look {
  record: ServerRecord | null;
  /** The identity of the recorded listener. */
  process: Verdict;
  liveness: Liveness;
  owned: Owned[];
  /** Pids that listen on the recorded or the wanted ports. */
  listenerPids: Set<number>;
  port: PortSeen;
  /** The pid file's process: alive, not ours to trust by itself. 0 where there is none. */
  pidFilePid: number;
  /** Carriers of the instance token of a start that ended before it knew its child: ours as soon as one of them listens. */
  pending: number[];
}

export interface LookOptions {
  folder: ServerFolder;
  record: ServerRecord | null;
  hostname: string;
  /** The port that the server is wanted on, null to ask about the record only. */
  port: number | null;
  brand: Brand;
  /** Also find processes beyond the recorded one although that explains the port: those that share its socket, too. */
  thorough: boolean;
}

export async function look(host: LookHost, options: LookOptions): Promise<Look> {
  const seen = await lookOnce(host, options);
  const nameless = seen.port.kind === "held" && seen.port.holders.length === 0;
  // Who began to listen between the question for listeners and the try to bind has a name by now.
  return nameless ? await lookOnce(host, options) : seen;
}

async function lookOnce(
  host: LookHost,
  options: LookOptions,
  likely: number | null = options.thorough ? null : options.record?.pid ?? null,
): Promise<Look> {
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
  // Who shares the sockets of a process that is not the recorded one, or not alone, has to be known after all.
  if (!explained && likely !== null && listenerPids.has(likely)) return await lookOnce(host, options, null);

  const branded = await findBranded(host, [...listenerPids, pidFilePid], options.brand);
  let owned: Owned[] = [];
  if (record !== null) {
    const shallow = explained && !options.thorough;
    const processes = shallow ? [] : await host.processes.list();
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
      brandedPidFile: pidFilePid > 0 && branded.has(pidFilePid) ? pidFilePid : null,
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
      : await portSeen(host, { port, hostname: options.hostname, listening, seen, owned, branded }),
    pidFilePid: isAlive(seen.get(pidFilePid)) ? pidFilePid : 0,
    pending: record !== null && isUnknownChild(record) && owned.length === 0
      ? await host.processes.carrying(`FOSTER_TOKEN=${record.token}`)
      : [],
  };
}

/**
 * A start that was cut off before it knew its child, or given up, also when a `down` came upon it since. What a server
 * that was ready once leaves behind is another matter: a browser that it opened carries its instance token as well.
 */
function isUnknownChild({ state, pid, launcher_pid, ready_at }: ServerRecord): boolean {
  const isUndecided = state === "spawning" || (state === "stopping" && ready_at === null);
  return isUndecided && pid === null && launcher_pid === null;
}

function isAlive(seen: ProcessObservation | undefined): boolean {
  return seen?.kind === "unknown" || (seen?.kind === "seen" && !seen.facts.zombie);
}

/** Held, and by nobody that is ours; a holder that can't be named is not. */
export function isForeign(port: PortSeen): port is Extract<PortSeen, { kind: "held" }> {
  return port.kind === "held" && !port.holders.some((holder) => holder.owned);
}

/** Leaves out sockets on other interfaces: those never stand in the way of a loopback server. */
function relevant(seen: PortObservation, hostname: string): PortObservation {
  if (seen.kind === "unknown") return seen;
  const listeners = seen.listeners.filter(({ address }) => isInTheWay(address, hostname));
  return { ...seen, listeners };
}

const WILDCARDS: readonly string[] = ["*", "0.0.0.0", "::", ""];

function isInTheWay(address: string, hostname: string): boolean {
  const bare = bareAddress(address);
  return WILDCARDS.includes(bare) || servedBy(hostname).includes(bare);
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
  const serving = exact.length > 0
    ? exact
    : listeners.filter(({ address }) => WILDCARDS.includes(bareAddress(address)));
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

/** Which of the pids are branded by themselves or through one of their nearest ancestors. */
async function findBranded(
  host: Pick<Host, "processes">,
  pids: readonly number[],
  brand: Brand,
): Promise<Set<number>> {
  const branded = new Set<number>();
  if (brand.names.length === 0) return branded;
  for (const pid of pids) if (pid > 1 && await hasBrandedAncestry(host, pid, brand)) branded.add(pid);
  return branded;
}

async function hasBrandedAncestry(
  host: Pick<Host, "processes">,
  pid: number,
  brand: Brand,
): Promise<boolean> {
  let current = pid;
  for (let hops = 0; hops < BRAND_WALK && current > 1; hops++) {
    if (isBranded(await host.processes.argv(current), brand)) return true;
    const seen = (await host.processes.inspect([current])).get(current);
    if (seen?.kind !== "seen") return false;
    current = seen.facts.parentPid;
  }
  return false;
}

async function portSeen(
  host: Pick<Host, "net" | "processes">,
  found: {
    port: number;
    hostname: string;
    listening: ReadonlyMap<number, PortObservation>;
    seen: ReadonlyMap<number, ProcessObservation>;
    owned: readonly Owned[];
    branded: ReadonlySet<number>;
  },
): Promise<PortSeen> {
  const listening = found.listening.get(found.port);
  if (listening?.kind === "known" && listening.listeners.length + listening.unnamed > 0) {
    const pids = new Set(listening.listeners.map((listener) => listener.pid));
    const serving = servingPids(listening.listeners, found.hostname);
    const holders = [...pids].map((pid) => {
      const process = found.seen.get(pid);
      const facts = process?.kind === "seen" ? process.facts : null;
      return {
        pid,
        startTime: facts?.startTime ?? null,
        owned: found.owned.some((each) => each.pid === pid),
        branded: found.branded.has(pid),
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
