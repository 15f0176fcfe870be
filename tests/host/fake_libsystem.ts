/**
 * macOS' libSystem on any system: answers out of a list of processes, in the very bytes that the kernel writes. The
 * offsets are those that Apple's headers gave a C compiler for arm64 and x86_64.
 *
 * @module
 */
import type { Ffi, FfiSignature, FfiValue } from "../../src/host/ffi.ts";

export interface MacProcess {
  pid: number;
  parentPid: number;
  groupId: number;
  userId: number;
  /** 1 idle, 2 running, 3 sleeping, 4 stopped, 5 zombie. */
  status: number;
  /** Since the Unix epoch. */
  startedAtUs: bigint;
  path: string | null;
  folder: string | null;
  argv: string[];
  /** Null of Apple's own programs: the kernel gives arguments alone. */
  environment: string[] | null;
  listening: { port: number; address: string }[];
  /** Established ones. */
  connections?: { local: number; remote: number }[];
  residentBytes: number;
  cpuTicks: bigint;
}

type Bytes = Uint8Array<ArrayBuffer>;

export class FakeLibSystem implements Ffi {
  /** Whose processes foster may read; 0 may read all. */
  userId = 501;
  /** Ticks to nanoseconds. */
  timebase: readonly [number, number] = [125, 3];
  /** Changes what a call wrote, or refuses it with null. */
  fault: (call: string, written: Bytes) => Bytes | null = (_, written) => written;
  readonly asked: string[] = [];
  readonly #processes: () => readonly MacProcess[];

  constructor(processes: () => readonly MacProcess[]) {
    this.#processes = processes;
  }

  open<K extends string>(libraries: readonly string[], calls: Readonly<Record<K, FfiSignature>>) {
    if (!libraries.includes("/usr/lib/libSystem.B.dylib")) throw new Error("no such library");
    const known: Record<string, (...args: FfiValue[]) => number> = {
      sysctl: (name, count, to, length) => this.#sysctl(name as Bytes, { count, to, length }),
      proc_pidinfo: (pid, flavor, _, to) => this.#write("proc_pidinfo", this.#pidinfo(pid, flavor), to),
      proc_pidfdinfo: (pid, file, flavor, to) =>
        this.#write("proc_pidfdinfo", flavor === 3 ? this.#socket(pid, file) : null, to),
      proc_pidpath: (pid, to) => this.#write("proc_pidpath", this.#path(pid), to),
      mach_timebase_info: (to) => {
        new Uint32Array((to as Bytes).buffer).set(this.timebase);
        return 0;
      },
    };
    for (const name of Object.keys(calls)) if (known[name] === undefined) throw new Error(`no ${name}`);
    return known as Record<K, (...args: FfiValue[]) => number>;
  }

  #sysctl(
    name: Bytes,
    { count, to, length }: {
      count: FfiValue | undefined;
      to: FfiValue | undefined;
      length: FfiValue | undefined;
    },
  ): number {
    const path = [...new Int32Array(name.buffer)].slice(0, Number(count));
    this.asked.push(`sysctl ${path.join(".")}`);
    const found = this.#named(path);
    const written = found === null ? null : this.fault("sysctl", found);
    if (written === null) return -1;
    const size = new DataView((length as Bytes).buffer);
    if (to !== null) {
      if (size.getBigUint64(0, true) < BigInt(written.length)) return -1;
      (to as Bytes).set(written);
    }
    size.setBigUint64(0, BigInt(written.length), true);
    return 0;
  }

  #named([kern, what, which, pid]: readonly number[]): Bytes | null {
    if (kern !== 1) return null;
    if (what === 49) {
      const process = this.#find(which);
      return process !== undefined && process.status !== 5 && this.#mayRead(process)
        ? procArgs(process)
        : null;
    }
    if (what !== 14) return null;
    const all = this.#processes();
    return joined((which === 0 ? all : all.filter((each) => each.pid === pid)).map(kinfo));
  }

  #pidinfo(pid: FfiValue, flavor: FfiValue | undefined): Bytes | null {
    const process = this.#find(pid);
    if (process === undefined || process.status === 5 || !this.#mayRead(process)) return null;
    switch (flavor) {
      case 1:
        // The standard files, then the sockets.
        return joined(
          [0, 1, 2].map((file) => fdInfo(file, 1)).concat(
            socketsOf(process).map((_, index) => fdInfo(index + 3, 2)),
          ),
        );
      case 4:
        return taskInfo(process);
      case 9:
        return process.folder === null ? null : vnodePaths(process.folder);
    }
    return null;
  }

  #socket(pid: FfiValue, file: FfiValue | undefined): Bytes | null {
    const process = this.#find(pid);
    const socket = process === undefined ? undefined : socketsOf(process)[Number(file) - 3];
    return socket === undefined ? null : socketInfo(socket);
  }

  #path(pid: FfiValue): Bytes | null {
    const path = this.#find(pid)?.path ?? null;
    return path === null ? null : encode(path);
  }

  #write(call: string, bytes: Bytes | null, to: FfiValue | undefined): number {
    this.asked.push(call);
    const written = bytes === null ? null : this.fault(call, bytes);
    if (written === null) return 0;
    const buffer = to as Bytes;
    const fits = written.subarray(0, buffer.length);
    buffer.set(fits);
    return fits.length;
  }

  #find(pid: FfiValue | undefined): MacProcess | undefined {
    return this.#processes().find((each) => each.pid === pid);
  }

  #mayRead({ userId }: MacProcess): boolean {
    return this.userId === 0 || this.userId === userId;
  }
}

function socketsOf({ listening, connections = [] }: MacProcess): Parameters<typeof socketInfo>[0][] {
  const connected = connections.map(({ local, remote }) => ({
    port: local,
    remotePort: remote,
    address: "127.0.0.1",
    state: 4,
  }));
  return [...listening, ...connected];
}

export function kinfo({ pid, parentPid, groupId, userId, status, startedAtUs }: MacProcess): Bytes {
  const { bytes, view } = struct(648);
  view.setBigInt64(0, startedAtUs / 1_000_000n, true);
  view.setInt32(8, Number(startedAtUs % 1_000_000n), true);
  view.setInt8(36, status);
  view.setInt32(40, pid, true);
  view.setUint32(392, userId, true);
  view.setUint32(420, userId, true);
  view.setInt32(560, parentPid, true);
  view.setInt32(564, groupId, true);
  return bytes;
}

export function procArgs({ path, argv, environment }: MacProcess): Bytes {
  const texts = [...argv, ...environment ?? [], ...environment === null ? [] : [""]].map((text) =>
    `${text}\0`
  );
  const body = encode(`${path ?? argv[0] ?? "?"}${"\0".repeat(7)}${texts.join("")}`);
  const { bytes, view } = struct(4 + body.length);
  view.setInt32(0, argv.length, true);
  bytes.set(body, 4);
  return bytes;
}

export function vnodePaths(folder: string): Bytes {
  const { bytes } = struct(2352);
  bytes.set(encode(folder).subarray(0, 1023), 152);
  return bytes;
}

export function taskInfo({ residentBytes, cpuTicks }: Pick<MacProcess, "residentBytes" | "cpuTicks">): Bytes {
  const { bytes, view } = struct(96);
  view.setBigUint64(8, BigInt(residentBytes), true);
  view.setBigUint64(16, cpuTicks / 2n, true);
  view.setBigUint64(24, cpuTicks - cpuTicks / 2n, true);
  return bytes;
}

export function fdInfo(file: number, type: number): Bytes {
  const { bytes, view } = struct(8);
  view.setInt32(0, file, true);
  view.setUint32(4, type, true);
  return bytes;
}

/** `state` 1 is LISTEN, 4 ESTABLISHED. */
export function socketInfo(
  { port, address, state = 1, remotePort = 0 }: {
    port: number;
    address: string;
    state?: number;
    remotePort?: number;
  },
): Bytes {
  const { bytes, view } = struct(792);
  const isIpv4 = !address.includes(":");
  view.setInt32(176, 1, true);
  view.setInt32(180, 6, true);
  view.setInt32(184, isIpv4 ? 2 : 30, true);
  view.setInt32(256, 2, true);
  view.setUint16(264, remotePort, false);
  view.setUint16(268, port, false);
  bytes[288] = isIpv4 ? 1 : address === "::" ? 3 : 2;
  if (isIpv4) bytes.set(address.split(".").map(Number), 324);
  else bytes.set(ipv6Bytes(address), 312);
  view.setInt32(344, state, true);
  return bytes;
}

function ipv6Bytes(address: string): number[] {
  const [head = "", tail] = address.split("::");
  const words = (text: string) => text === "" ? [] : text.split(":").map((word) => parseInt(word, 16));
  const [first, last] = [words(head), words(tail ?? "")];
  const all = [...first, ...Array(8 - first.length - last.length).fill(0), ...last];
  return all.flatMap((word: number) => [word >> 8, word & 0xff]);
}

function struct(size: number): { bytes: Bytes; view: DataView } {
  const bytes = new Uint8Array(size);
  return { bytes, view: new DataView(bytes.buffer) };
}

function encode(text: string): Bytes {
  return Uint8Array.from(new TextEncoder().encode(text));
}

function joined(parts: readonly Bytes[]): Bytes {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
