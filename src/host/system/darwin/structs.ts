/**
 * What macOS' kernel writes into the buffers of sysctl and libproc. Offsets are those of Apple's headers (sys/sysctl.h,
 * sys/proc_info.h), the same for both processors. Null for whatever can't be what it should be.
 *
 * @module
 */
import type { Listener, ProcessFacts } from "../../host.ts";

/** `struct kinfo_proc`, and what it is asked for by: sysctl's `kern.proc.all` and `kern.proc.pid`. */
export const KINFO = { bytes: 648, kern: 1, proc: 14, all: 0, pid: 1 } as const;
/** `kern.procargs2`: the arguments and the environment of a process. */
export const PROCARGS = { kern: 1, procargs2: 49, limitBytes: 1024 * 1024 } as const;
/** Flavors of proc_pidinfo, each with the size of its struct. */
export const PIDINFO = {
  files: { flavor: 1, bytes: 8 },
  task: { flavor: 4, bytes: 96 },
  folders: { flavor: 9, bytes: 2352 },
} as const;
/** A flavor of proc_pidfdinfo: `struct socket_fdinfo`. */
export const SOCKET = { flavor: 3, bytes: 792 } as const;
export const PATH_BYTES = 4096;

export interface KernelFacts extends ProcessFacts {
  /** The real user id. */
  userId: number;
  /** Milliseconds since the Unix epoch. */
  startedAt: number;
}

const ZOMBIE = 5;

/** One `struct kinfo_proc`. */
export function decodeFacts(bytes: Uint8Array<ArrayBuffer>): KernelFacts | null {
  if (bytes.length !== KINFO.bytes) return null;
  const view = viewOf(bytes);
  const seconds = view.getBigInt64(0, true);
  const microseconds = view.getInt32(8, true);
  const status = bytes[36] ?? 0;
  const pid = view.getInt32(40, true);
  const parentPid = view.getInt32(560, true);
  const groupId = view.getInt32(564, true);
  if (pid < 0 || parentPid < 0 || groupId < 0 || status < 1 || status > ZOMBIE) return null;
  if (seconds < 0n || seconds > LAST_SECOND || microseconds < 0 || microseconds > 999_999) return null;
  const startedAt = Number(seconds) * 1000;
  return {
    pid,
    parentPid,
    groupId,
    userId: view.getUint32(392, true),
    zombie: status === ZOMBIE,
    startTime: `ps:${lstart(startedAt)}.${String(microseconds).padStart(6, "0")}`,
    startedAt: startedAt + microseconds / 1000,
  };
}

/** The end of the year 9999. */
const LAST_SECOND = 253_402_300_799n;
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A time as `ps -o lstart=` prints it in the C locale and in UTC, with single blanks. */
function lstart(at: number): string {
  const date = new Date(at);
  const clock = date.toISOString().slice(11, 19);
  const day = DAYS[date.getUTCDay()];
  const month = MONTHS[date.getUTCMonth()];
  return `${day} ${month} ${date.getUTCDate()} ${clock} ${date.getUTCFullYear()}`;
}

/** Every `struct kinfo_proc` of a list but the kernel's own pid 0; null where one of them can't be understood. */
export function decodeFactsList(bytes: Uint8Array<ArrayBuffer>): KernelFacts[] | null {
  if (bytes.length === 0 || bytes.length % KINFO.bytes !== 0) return null;
  const all: KernelFacts[] = [];
  for (let at = 0; at < bytes.length; at += KINFO.bytes) {
    const facts = decodeFacts(bytes.subarray(at, at + KINFO.bytes));
    if (facts === null) return null;
    if (facts.pid > 0) all.push(facts);
  }
  return all;
}

/** The working folder in a `struct proc_vnodepathinfo`. */
export function decodeFolder(bytes: Uint8Array<ArrayBuffer>): string | null {
  return bytes.length === PIDINFO.folders.bytes ? absolutePath(bytes.subarray(152, 152 + 1024)) : null;
}

/** A path that ends with a NUL, or with the buffer where `isWhole`. */
export function absolutePath(bytes: Uint8Array<ArrayBuffer>, isWhole = false): string | null {
  const end = bytes.indexOf(0);
  if (end < 0 && !isWhole) return null;
  const path = textOf(end < 0 ? bytes : bytes.subarray(0, end));
  return path.startsWith("/") ? path : null;
}

export interface TaskUsage {
  residentBytes: number;
  /** In the kernel's own unit. */
  cpuTicks: bigint;
}

/** A `struct proc_taskinfo`. */
export function decodeUsage(bytes: Uint8Array<ArrayBuffer>): TaskUsage | null {
  if (bytes.length !== PIDINFO.task.bytes) return null;
  const view = viewOf(bytes);
  const residentBytes = Number(view.getBigUint64(8, true));
  return { residentBytes, cpuTicks: view.getBigUint64(16, true) + view.getBigUint64(24, true) };
}

const SOCKET_FILE = 2;

/** The numbers of the sockets among the open files of a list of `struct proc_fdinfo`. */
export function decodeSockets(bytes: Uint8Array<ArrayBuffer>): number[] {
  const view = viewOf(bytes);
  const sockets: number[] = [];
  for (let at = 0; at + PIDINFO.files.bytes <= bytes.length; at += PIDINFO.files.bytes) {
    if (view.getUint32(at + 4, true) === SOCKET_FILE) sockets.push(view.getInt32(at, true));
  }
  return sockets;
}

const TCP_KIND = 2;
const TCP_PROTOCOL = 6;
const TCP_LISTENS = 1;
const TCP_ESTABLISHED = 4;
const INET = 2;
const INET6 = 30;
const IS_IPV6 = 2;
/** Each an int that holds the 16 bits in network order. */
const REMOTE_PORT = 264;
const LOCAL_PORT = 268;

/** Port and address of a `struct socket_fdinfo`; null unless it is a TCP socket that listens. */
export function decodeListener(
  bytes: Uint8Array<ArrayBuffer>,
): Pick<Listener, "address"> & { port: number } | null {
  if (bytes.length !== SOCKET.bytes) return null;
  const port = isTcp(bytes, TCP_LISTENS) ? viewOf(bytes).getUint16(LOCAL_PORT, false) : 0;
  if (port === 0) return null;
  const ipv4 = [...bytes.subarray(324, 328)].join(".");
  switch (viewOf(bytes).getInt32(184, true)) {
    case INET:
      return { port, address: ipv4 };
    case INET6:
      // One that was bound to an IPv4 address is of that family alone.
      return { port, address: ((bytes[288] ?? 0) & IS_IPV6) === 0 ? ipv4 : ipv6(bytes.subarray(312, 328)) };
  }
  return null;
}

/** Both ports of a `struct socket_fdinfo`; null unless it is a TCP socket that is connected. */
export function decodeConnection(bytes: Uint8Array<ArrayBuffer>): { local: number; remote: number } | null {
  if (bytes.length !== SOCKET.bytes || !isTcp(bytes, TCP_ESTABLISHED)) return null;
  const view = viewOf(bytes);
  return { local: view.getUint16(LOCAL_PORT, false), remote: view.getUint16(REMOTE_PORT, false) };
}

function isTcp(bytes: Uint8Array<ArrayBuffer>, state: number): boolean {
  const view = viewOf(bytes);
  return view.getInt32(256, true) === TCP_KIND && view.getInt32(180, true) === TCP_PROTOCOL &&
    view.getInt32(344, true) === state;
}

/** As the other tools write it, its longest run of zeros shortened. */
function ipv6(bytes: Uint8Array<ArrayBuffer>): string {
  const view = viewOf(bytes);
  const words = Array.from({ length: 8 }, (_, index) => view.getUint16(2 * index, false));
  const isMapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
  if (isMapped) return [...bytes.subarray(12)].join(".");
  return new URL(`http://[${words.map((word) => word.toString(16)).join(":")}]/`).hostname.slice(1, -1);
}

export interface ArgumentsAndEnvironment {
  /** What the program was called by; it may be relative. */
  executable: string;
  argv: string[];
  /** Empty where the kernel keeps it back, as it does with Apple's own programs. */
  environment: string[];
}

const ARGUMENT_LIMIT = 100_000;

/** What the kernel adds after the environment. A NUL stands between only where the environment does not end aligned. */
const KERNELS_OWN =
  /^(?:executable_(?:path|file|cdhash|boothash)|pfz|stack_guard|malloc_entropy|ptr_munge|main_stack|dyld_(?:file|flags|hw_tpro)|subsystem_root_path|arm64e_abi|th_port|security_config)=/;

/** What `kern.procargs2` gives: a count, the program's path, NULs, the arguments, the environment. */
export function decodeArguments(bytes: Uint8Array<ArrayBuffer>): ArgumentsAndEnvironment | null {
  if (bytes.length < 4) return null;
  const count = viewOf(bytes).getInt32(0, true);
  if (count < 0 || count > ARGUMENT_LIMIT) return null;
  let at = 4;
  const next = (): string | null => {
    const end = bytes.indexOf(0, at);
    if (end < 0) return null;
    const text = textOf(bytes.subarray(at, end));
    at = end + 1;
    return text;
  };
  const executable = next();
  if (executable === null || executable === "") return null;
  while (bytes[at] === 0) at += 1;
  const argv: string[] = [];
  while (argv.length < count) {
    const argument = next();
    if (argument === null) return null;
    argv.push(argument);
  }
  // A program that shows a title of its own has written it over its arguments, and NULs over what was left of them.
  while (bytes[at] === 0) at += 1;
  const environment: string[] = [];
  for (let entry = next(); entry !== null && entry !== ""; entry = next()) {
    if (KERNELS_OWN.test(entry)) break;
    environment.push(entry);
  }
  return { executable, argv, environment };
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function textOf(bytes: Uint8Array<ArrayBuffer>): string {
  return decoder.decode(bytes);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
