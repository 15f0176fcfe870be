/**
 * Processes and listeners of a Linux machine, as /proc shows them.
 *
 * @module
 */
import {
  HostError,
  type PortObservation,
  type ProcessFacts,
  type ProcessObservation,
  type ProcessUsage,
} from "../../host.ts";
import { type ProcAccess, procLimitBytes, type Reading } from "./access.ts";
import { DirectProc } from "./direct.ts";
import { HelperProc } from "./helpers.ts";
import {
  parseConnections,
  parseListeningPorts,
  parseListenSockets,
  parseNulList,
  parseUnitPath,
  type SocketOwner,
  type StatFields,
} from "./proc.ts";
import type { ReaderTools, SystemReader } from "../reader.ts";

/**
 * Reads /proc directly where `tools` allows it, through helper programs otherwise. The functions may be taken out of
 * the reader, e.g. spread into a host.
 */
export function createLinuxReader(tools: ReaderTools): SystemReader {
  const reader = new LinuxReader(
    tools.direct === null ? new HelperProc(tools.run) : new DirectProc(tools.direct, tools.selfPid),
    tools.selfPid,
  );
  return {
    pidNamespace: () => reader.pidNamespace(),
    unitPath: () => reader.unitPath(),
    inspect: (pids) => reader.inspect(pids),
    list: () => reader.list(),
    argv: (pid) => reader.argv(pid),
    paths: (pid) => reader.paths(pid),
    usage: (pids) => reader.usage(pids),
    carrying: (entry, pids) => reader.carrying(entry, pids),
    carryingPrefix: (prefix, pids) => reader.carryingPrefix(prefix, pids),
    listeners: (port, likely) => reader.listeners(port, likely),
    listeningPorts: () => reader.listeningPorts(),
    // Helper programs name the owners of listening sockets alone.
    foreignConnections: (port) =>
      tools.direct === null ? Promise.resolve(null) : reader.foreignConnections(port),
    reservedRanges: () => Promise.resolve([]),
  };
}

class LinuxReader implements Omit<SystemReader, "reservedRanges"> {
  readonly #proc: ProcAccess;
  readonly #selfPid: number;
  #namespace: Promise<string> | null = null;
  /** Tells this run of the system from every other: pids and ticks begin anew with it. */
  #bootId: Promise<Reading<string>> | null = null;

  constructor(proc: ProcAccess, selfPid: number) {
    this.#proc = proc;
    this.#selfPid = selfPid;
  }

  pidNamespace(): Promise<string | null> {
    this.#namespace ??= this.#proc.link("/proc/self/ns/pid").then((link) => {
      const number = /^pid:\[(\d{1,20})\]$/.exec(link ?? "")?.[1];
      if (number === undefined) {
        throw new HostError("failed", "Cannot tell the PID namespace: no /proc/self/ns/pid");
      }
      return number;
    });
    return this.#namespace;
  }

  async unitPath(): Promise<string | null> {
    // A helper program that reads it is in the same unit.
    const groups = await this.#proc.text("/proc/self/cgroup", procLimitBytes);
    return groups.kind === "found" ? parseUnitPath(groups.value) : null;
  }

  async inspect(pids: readonly number[]): Promise<Map<number, ProcessObservation>> {
    const asked = [...new Set(pids)];
    const possible = asked.filter((pid) => Number.isSafeInteger(pid) && pid > 0);
    if (possible.length === 0) return new Map(asked.map((pid) => [pid, { kind: "gone" }]));
    const [boot, stats] = await Promise.all([this.#boot(), this.#proc.stats(possible)]);
    return new Map(asked.map((pid) => [pid, seen(stats.get(pid) ?? { kind: "gone" }, boot)]));
  }

  async list(): Promise<ProcessFacts[]> {
    const [boot, pids] = await Promise.all([this.#boot(), this.#proc.pids()]);
    if (boot.kind !== "found") throw new HostError("failed", `Cannot list the processes: ${whyNot(boot)}`);
    const stats = [...(await this.#proc.stats(pids)).values()];
    const unknown = stats.find((stat) => stat.kind === "unknown");
    const known = stats.filter((stat) => stat.kind === "found");
    if (!known.some(({ value }) => value.pid === this.#selfPid)) {
      const why = unknown?.why ?? "/proc does not show foster's own process";
      throw new HostError("failed", `Cannot list the processes: ${why}`);
    }
    return known.map((stat) => facts(stat.value, boot.value));
  }

  async argv(pid: number): Promise<string[] | null> {
    const text = await this.#proc.text(`/proc/${pid}/cmdline`, procLimitBytes);
    // Zombies and kernel threads have an empty one.
    return text.kind === "found" && text.value !== "" ? parseNulList(text.value) : null;
  }

  async paths(pid: number): Promise<{ executable: string | null; cwd: string | null }> {
    const links = [this.#proc.link(`/proc/${pid}/exe`), this.#proc.link(`/proc/${pid}/cwd`)];
    const [executable = null, cwd = null] = await Promise.all(links);
    return { executable: withoutDeleted(executable), cwd: withoutDeleted(cwd) };
  }

  async usage(pids: readonly number[]): Promise<Map<number, ProcessUsage>> {
    if (pids.length === 0) return new Map();
    const [stats, resident] = await Promise.all([this.#proc.stats(pids), this.#proc.resident(pids)]);
    const usage = new Map<number, ProcessUsage>();
    for (const [pid, stat] of stats) {
      const residentBytes = resident.get(pid);
      if (stat.kind !== "found" || stat.value.zombie || residentBytes === undefined) continue;
      usage.set(pid, { residentBytes, cpuMs: stat.value.cpuMs });
    }
    return usage;
  }

  async carrying(entry: string, pids?: readonly number[]): Promise<number[]> {
    const entries = await this.#entries(entry, pids);
    return [...new Set(entries.filter((each) => each.entry === entry).map((each) => each.pid))];
  }

  async carryingPrefix(
    prefix: string,
    pids?: readonly number[],
  ): Promise<{ pid: number; entry: string }[]> {
    return (await this.#entries(prefix, pids)).filter((each) => each.entry.startsWith(prefix));
  }

  async listeners(port: number, likely: number | null = null): Promise<PortObservation> {
    const tables = await this.#socketTables();
    if (tables.kind === "unknown") return tables;
    const sockets = parseListenSockets(tables.text, port);
    if (sockets.length === 0) return { kind: "known", listeners: [], unnamed: 0 };
    const owners = await this.#proc.owners(sockets.map((socket) => socket.inode), { port, likely });
    if (owners.kind !== "found") return { kind: "unknown", why: whyNot(owners) };
    return named(sockets, owners.value);
  }

  async listeningPorts(): Promise<ReadonlySet<number> | null> {
    const tables = await this.#socketTables();
    return tables.kind === "unknown" ? null : parseListeningPorts(tables.text);
  }

  async foreignConnections(port: number): Promise<number | null> {
    const tables = await this.#socketTables();
    if (tables.kind === "unknown") return null;
    const { accepted, outgoing } = parseConnections(tables.text, port);
    if (accepted === 0) return 0;
    const owners = await this.#proc.owners(outgoing, { port, likely: this.#selfPid });
    if (owners.kind !== "found") return null;
    const own = owners.value.filter(({ pid }) => pid === this.#selfPid);
    return Math.max(0, accepted - new Set(own.map(({ inode }) => inode)).size);
  }

  async #socketTables(): Promise<{ kind: "found"; text: string } | { kind: "unknown"; why: string }> {
    const tables = await Promise.all(
      ["/proc/net/tcp", "/proc/net/tcp6"].map((path) => this.#proc.table(path)),
    );
    const unknown = tables.find((table) => table.kind === "unknown");
    if (unknown !== undefined) return unknown;
    // A kernel without IPv6 has no second table, but none has neither.
    const texts = tables.filter((table) => table.kind === "found").map((table) => table.value);
    if (texts.length === 0) return { kind: "unknown", why: "/proc/net/tcp is missing" };
    if (texts.some((text) => !/^\s*sl\s+local_address/.test(text))) {
      return { kind: "unknown", why: "/proc/net/tcp is no table of sockets" };
    }
    return { kind: "found", text: texts.join("\n") };
  }

  /** Environment entries that begin with `needle`; processes that can't be read have none. */
  async #entries(needle: string, pids?: readonly number[]): Promise<{ pid: number; entry: string }[]> {
    const among = await this.#proc.narrow(pids ?? await this.#proc.pids(), needle);
    const entries: { pid: number; entry: string }[] = [];
    for (const pid of among) {
      const text = await this.#proc.text(`/proc/${pid}/environ`, procLimitBytes);
      if (text.kind !== "found") continue;
      for (const entry of parseNulList(text.value)) {
        if (entry.startsWith(needle)) entries.push({ pid, entry });
      }
    }
    return entries;
  }

  async #boot(): Promise<Reading<string>> {
    this.#bootId ??= this.#readBoot();
    const boot = await this.#bootId;
    if (boot.kind !== "found") this.#bootId = null;
    return boot;
  }

  async #readBoot(): Promise<Reading<string>> {
    const paths = ["/proc/sys/kernel/random/boot_id", "/proc/self/status"];
    const [boot, own] = await Promise.all(paths.map((path) => this.#proc.text(path, procLimitBytes)));
    // A process has one pid for each namespace below that of the /proc it is read from.
    if (own?.kind === "found" && /^NSpid:\s+\d+\s+\d/m.test(own.value)) {
      return { kind: "unknown", why: "/proc shows the processes of another PID namespace" };
    }
    const id = boot?.kind === "found" ? boot.value.trim() : "";
    if (/^[\da-f-]{36}$/.test(id)) return { kind: "found", value: id };
    return { kind: "unknown", why: `the boot id can't be read: ${whyNot(boot ?? { kind: "gone" })}` };
  }
}

function seen(stat: Reading<StatFields>, boot: Reading<string>): ProcessObservation {
  if (stat.kind !== "found") return stat;
  if (boot.kind !== "found") return { kind: "unknown", why: whyNot(boot) };
  return { kind: "seen", facts: facts(stat.value, boot.value) };
}

function facts(stat: StatFields, bootId: string): ProcessFacts {
  return {
    pid: stat.pid,
    startTime: `proc:${bootId}:${stat.startTicks}`,
    parentPid: stat.parentPid,
    groupId: stat.groupId,
    zombie: stat.zombie,
  };
}

function named(
  sockets: readonly { address: string; inode: string }[],
  owners: readonly SocketOwner[],
): PortObservation {
  const listeners = new Map<string, { pid: number; address: string }>();
  let unnamed = 0;
  for (const { address, inode } of sockets) {
    const holders = owners.filter((owner) => owner.inode === inode);
    if (holders.length === 0) unnamed += 1;
    for (const { pid } of holders) listeners.set(`${pid} ${address}`, { pid, address });
  }
  return {
    kind: "known",
    listeners: [...listeners.values()].sort((a, b) => a.pid - b.pid || a.address.localeCompare(b.address)),
    unnamed,
  };
}

/** The kernel marks files that were replaced or removed since, as an update of the program does. */
function withoutDeleted(path: string | null): string | null {
  return path === null ? null : path.replace(/ \(deleted\)$/, "");
}

function whyNot(found: Reading<unknown>): string {
  switch (found.kind) {
    case "found":
      return "it could not be understood";
    case "gone":
      return "there is no such file";
    case "unknown":
      return found.why;
  }
}
