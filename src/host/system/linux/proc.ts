/**
 * What the files in Linux' /proc say. Pure: text in, facts out, null where the text is not what it should be.
 *
 * @module
 */

export interface StatFields {
  pid: number;
  zombie: boolean;
  parentPid: number;
  groupId: number;
  /** Since boot, in clock ticks. Kept as text: the number only ever serves to be compared. */
  startTicks: string;
  cpuMs: number;
}

/** A listening TCP socket. */
export interface ListenSocket {
  address: string;
  inode: string;
}

/** One of a process's open files, as the helper programs name it. */
export interface SocketOwner {
  pid: number;
  inode: string;
}

/** The kernel shows ticks of 1/100 s to programs whatever its own clock does. */
const tickMs = 10;

/** Fields counted from the one after the program's name. */
const field = { state: 0, parent: 1, group: 2, userTime: 11, systemTime: 12, start: 19 };

/**
 * One process's `/proc/<pid>/stat`. The program's name stands in parentheses and may itself contain spaces, newlines
 * and parentheses, so only the last closing one ends it.
 */
export function parseStat(text: string): StatFields | null {
  const pid = /^(\d+) \(/.exec(text)?.[1];
  const end = text.lastIndexOf(")");
  if (pid === undefined || end < 0 || !/^ [A-Za-z] [-\d ]+\n?$/.test(text.slice(end + 1))) return null;
  const rest = text.slice(end + 2).trimEnd().split(" ");
  const startTicks = rest[field.start];
  // Not at the very end: the last word of a text that was cut off may be cut itself.
  if (startTicks === undefined || !/^\d+$/.test(startTicks) || rest.length === field.start + 1) return null;
  return {
    pid: Number(pid),
    zombie: /[ZXx]/.test(rest[field.state] ?? ""),
    parentPid: Number(rest[field.parent]),
    groupId: Number(rest[field.group]),
    startTicks,
    cpuMs: (Number(rest[field.userTime]) + Number(rest[field.systemTime])) * tickMs,
  };
}

/**
 * The stat files of `pids`, one after the other in one text. Null unless there is exactly one line for each, in order:
 * a newline in a program's name makes one line too many, and can make a part of it look like another process's line.
 */
export function parseStatLines(text: string, pids: readonly number[]): StatFields[] | null {
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.length !== pids.length) return null;
  const parsed = lines.map(parseStat);
  const complete = parsed.filter((each, index) => each !== null && each.pid === pids[index]);
  return complete.length === pids.length ? complete.filter((each) => each !== null) : null;
}

/**
 * Resident bytes by pid from one or more `/proc/<pid>/status` texts. Taken from here, not from stat, because stat
 * counts in pages, whose size differs between machines. The kernel escapes newlines in names in this file.
 */
export function parseResident(text: string): Map<number, number> {
  const resident = new Map<number, number>();
  for (const block of text.split(/^(?=Name:\t)/m)) {
    const pid = /^Pid:\s+(\d+)$/m.exec(block)?.[1];
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(block)?.[1];
    // Kernel threads have no memory of their own.
    if (pid !== undefined) resident.set(Number(pid), Number(kilobytes ?? 0) * 1024);
  }
  return resident;
}

/** The listening sockets of `port` in `/proc/net/tcp` and `/proc/net/tcp6`, or both in one text. */
export function parseListenSockets(text: string, port: number): ListenSocket[] {
  const listening = "0A";
  const sockets: ListenSocket[] = [];
  for (const line of text.split("\n")) {
    const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
    const [address = "", hexPort = ""] = local.split(":");
    if (state !== listening || parseInt(hexPort, 16) !== port || !/^\d+$/.test(inode)) continue;
    const readable = parseAddress(address);
    if (readable !== null) sockets.push({ address: readable, inode });
  }
  return sockets;
}

/** As {@link parseListenSockets}: every port with a listening socket. */
export function parseListeningPorts(text: string): Set<number> {
  const ports = new Set<number>();
  for (const [, port = ""] of text.matchAll(/^ *\d+: [\dA-F]+:([\dA-F]{4}) [\dA-F]+:[\dA-F]{4} 0A /gm)) {
    ports.add(parseInt(port, 16));
  }
  return ports;
}

/**
 * The established connections of a port, in a text as {@link parseListenSockets} reads it: how many its listeners
 * accepted, and the sockets at the other end that are of this machine.
 */
export function parseConnections(text: string, port: number): { accepted: number; outgoing: string[] } {
  const established = "01";
  const outgoing: string[] = [];
  let accepted = 0;
  for (const line of text.split("\n")) {
    const [, local = "", remote = "", state, , , , , , inode = ""] = line.trim().split(/\s+/);
    if (state !== established) continue;
    if (portOf(local) === port) accepted++;
    if (portOf(remote) === port && /^\d+$/.test(inode)) outgoing.push(inode);
  }
  return { accepted, outgoing };
}

function portOf(end: string): number {
  return parseInt(end.split(":")[1] ?? "", 16);
}

/** An address as /proc/net shows it: 32-bit words in hex, each in the byte order of a little-endian machine. */
export function parseAddress(hex: string): string | null {
  if (!/^(?:[\dA-F]{8}|[\dA-F]{32})$/i.test(hex)) return null;
  const bytes: number[] = [];
  for (let word = 0; word < hex.length; word += 8) {
    for (const at of [6, 4, 2, 0]) bytes.push(parseInt(hex.slice(word + at, word + at + 2), 16));
  }
  if (bytes.length === 4) return bytes.join(".");
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return mapped ? `::ffff:${bytes.slice(12).join(".")}` : shortIpv6(bytes);
}

/** `cmdline` or `environ`: entries that each end with NUL; the last one may lack it where a program wrote over it. */
export function parseNulList(text: string): string[] {
  const entries = text.split("\0");
  if (entries.at(-1) === "") entries.pop();
  return entries;
}

/** The names in /proc that are processes. */
export function pidsAmong(names: readonly string[]): number[] {
  return names.filter((name) => /^[1-9]\d*$/.test(name)).map(Number);
}

/**
 * Owners of sockets from `ss -ltnpeH`. Null where a line can't be trusted: a program's name stands in it in quotes, and
 * one with a quote in it could pretend to be another process. (A name has 15 bytes, too few to fake a whole entry.)
 */
export function parseSs(text: string, inodes: readonly string[]): SocketOwner[] | null {
  const owners: SocketOwner[] = [];
  for (const line of text.split("\n")) {
    // Sockets of other users' processes come without the column.
    if (!line.includes(" users:")) continue;
    const [, users = "", inode = ""] = / users:(\(.*\))(?: uid:\d+)? ino:(\d+) sk:/.exec(line) ?? [];
    if (!/^\((?:\("[^"]*",pid=\d+,fd=\d+\),?)+\)$/.test(users)) return null;
    if (!inodes.includes(inode)) continue;
    for (const [, pid] of users.matchAll(/",pid=(\d+),fd=\d+\)/g)) owners.push({ pid: Number(pid), inode });
  }
  return owners;
}

/** Owners of sockets from `lsof -Fpd`: a line `p<pid>` for each process, then `d<inode>` for each of its sockets. */
export function parseLsof(text: string, inodes: readonly string[]): SocketOwner[] {
  const owners: SocketOwner[] = [];
  let pid = 0;
  for (const line of text.split("\n")) {
    const [, kind, value = ""] = /^([pd])(\d+)$/.exec(line) ?? [];
    if (kind === "p") pid = Number(value);
    if (kind === "d" && pid > 0 && inodes.includes(value)) owners.push({ pid, inode: value });
  }
  return owners;
}

/** Owners of sockets from lines like `/proc/12/fd socket:[345]`. */
export function parseFdLinks(text: string, inodes: readonly string[]): SocketOwner[] {
  const owners: SocketOwner[] = [];
  for (const line of text.split("\n")) {
    const [, pid, inode = ""] = /^\/proc\/(\d+)\/fd socket:\[(\d+)\]$/.exec(line) ?? [];
    if (pid !== undefined && inodes.includes(inode)) owners.push({ pid: Number(pid), inode });
  }
  return owners;
}

/** The longest run of zeros is left out, the first of several. */
function shortIpv6(bytes: readonly number[]): string {
  const groups = Array.from({ length: 8 }, (_, at) => (bytes[at * 2] ?? 0) * 256 + (bytes[at * 2 + 1] ?? 0));
  let best = { at: 0, length: 0 };
  for (let at = 0; at < groups.length; at += 1) {
    let length = 0;
    while (groups[at + length] === 0) length += 1;
    if (length > best.length) best = { at, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.length < 2) return hex.join(":");
  return `${hex.slice(0, best.at).join(":")}::${hex.slice(best.at + best.length).join(":")}`;
}

/** The systemd unit in `/proc/<pid>/cgroup`: of the unified hierarchy, or of systemd's own beside older ones. */
export function parseUnitPath(text: string): string | null {
  const paths = (name: string) =>
    text.split("\n").flatMap((line) => {
      const [, own, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
      return own === name && path !== undefined && path !== "/" ? [path] : [];
    });
  return paths("name=systemd")[0] ?? paths("")[0] ?? null;
}
