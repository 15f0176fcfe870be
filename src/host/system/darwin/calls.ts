/**
 * The calls of macOS' libSystem that foster looks with: sysctl and libproc.
 *
 * @module
 */
import type { Ffi } from "../../ffi.ts";
import type { ProcessUsage } from "../../host.ts";
import {
  absolutePath,
  type ArgumentsAndEnvironment,
  decodeArguments,
  decodeConnection,
  decodeFacts,
  decodeFactsList,
  decodeFolder,
  decodeListener,
  decodeSockets,
  decodeUsage,
  type KernelFacts,
  KINFO,
  PATH_BYTES,
  PIDINFO,
  PROCARGS,
  SOCKET,
} from "./structs.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What the kernel says of one process; null where it did not answer, or not in a form that is known. */
export type KernelAnswer = { kind: "seen"; facts: KernelFacts } | { kind: "gone" } | null;

const LIBRARIES = ["/usr/lib/libSystem.B.dylib", "libSystem.B.dylib"];

const SIGNATURES = {
  sysctl: ["i32", "ptr", "u32", "ptr", "ptr", "ptr", "u64"],
  proc_pidinfo: ["i32", "i32", "i32", "u64", "ptr", "i32"],
  proc_pidfdinfo: ["i32", "i32", "i32", "i32", "ptr", "i32"],
  proc_pidpath: ["i32", "i32", "ptr", "u32"],
  mach_timebase_info: ["i32", "ptr"],
} as const;

/** The processes of a machine are never many megabytes. */
const LIST_LIMIT_BYTES = 64 * 1024 * 1024;
const FILES_LIMIT_BYTES = 8 * 1024 * 1024;

export class DarwinCalls {
  readonly #calls: ReturnType<typeof open>;
  readonly #facts = new Uint8Array(KINFO.bytes);
  readonly #socket = new Uint8Array(SOCKET.bytes);
  readonly #length = new Uint8Array(8);
  /** Made at the first use: a mebibyte. */
  #arguments: Bytes | null = null;
  #files = new Uint8Array(1024 * PIDINFO.files.bytes);
  #millisPerTick: number | null = null;

  /** @throws Error where the library or one of its calls is missing */
  constructor(ffi: Ffi) {
    this.#calls = open(ffi);
  }

  facts(pid: number): KernelAnswer {
    const length = this.#sysctl([KINFO.kern, KINFO.proc, KINFO.pid, pid], this.#facts);
    if (length === null) return null;
    if (length === 0) return { kind: "gone" };
    const facts = decodeFacts(this.#facts.subarray(0, length));
    return facts?.pid === pid ? { kind: "seen", facts } : null;
  }

  /** Every process of the machine, whoever runs it. */
  list(): KernelFacts[] | null {
    const path = [KINFO.kern, KINFO.proc, KINFO.all];
    const size = this.#sysctl(path, null);
    if (size === null || size > LIST_LIMIT_BYTES) return null;
    // Some more may have been started by the second call.
    const bytes = new Uint8Array(size + 64 * KINFO.bytes);
    const length = this.#sysctl(path, bytes);
    return length === null ? null : decodeFactsList(bytes.subarray(0, length));
  }

  /** The path of the program that it runs. */
  path(pid: number): string | null {
    const bytes = new Uint8Array(PATH_BYTES);
    const length = Number(this.#calls.proc_pidpath(pid, bytes, bytes.length));
    return length > 0 && length <= bytes.length ? absolutePath(bytes.subarray(0, length), true) : null;
  }

  folder(pid: number): string | null {
    const bytes = new Uint8Array(PIDINFO.folders.bytes);
    return decodeFolder(bytes.subarray(0, this.#pidinfo(pid, PIDINFO.folders.flavor, bytes)));
  }

  arguments(pid: number): ArgumentsAndEnvironment | null {
    const bytes = this.#arguments ??= new Uint8Array(PROCARGS.limitBytes);
    const length = this.#sysctl([PROCARGS.kern, PROCARGS.procargs2, pid], bytes);
    return length === null ? null : decodeArguments(bytes.subarray(0, length));
  }

  usage(pid: number): ProcessUsage | null {
    const bytes = new Uint8Array(PIDINFO.task.bytes);
    const usage = decodeUsage(bytes.subarray(0, this.#pidinfo(pid, PIDINFO.task.flavor, bytes)));
    if (usage === null) return null;
    return { residentBytes: usage.residentBytes, cpuMs: Number(usage.cpuTicks) * this.#tickMs() };
  }

  /** Ports and addresses that it listens on; none of another user's process. */
  listening(pid: number): { port: number; address: string }[] {
    return this.#sockets(pid, decodeListener);
  }

  /** The ports of its TCP connections; none of another user's process. */
  connections(pid: number): { local: number; remote: number }[] {
    return this.#sockets(pid, decodeConnection);
  }

  #sockets<T>(pid: number, decode: (bytes: Bytes) => T | null): T[] {
    return decodeSockets(this.#openFiles(pid)).flatMap((file) => {
      const { flavor, bytes } = SOCKET;
      const length = Number(this.#calls.proc_pidfdinfo(pid, file, flavor, this.#socket, bytes));
      const found = length === bytes ? decode(this.#socket) : null;
      return found === null ? [] : [found];
    });
  }

  #openFiles(pid: number): Bytes {
    for (;;) {
      const length = this.#pidinfo(pid, PIDINFO.files.flavor, this.#files);
      // One that fills the buffer may have more.
      if (length < this.#files.length || this.#files.length >= FILES_LIMIT_BYTES) {
        return this.#files.subarray(0, length);
      }
      this.#files = new Uint8Array(2 * this.#files.length);
    }
  }

  /** How many bytes it wrote. */
  #pidinfo(pid: number, flavor: number, bytes: Bytes): number {
    const length = Number(this.#calls.proc_pidinfo(pid, flavor, 0n, bytes, bytes.length));
    return Math.max(0, Math.min(length, bytes.length));
  }

  /** How many bytes it wrote, or would write without a buffer; null where it refused. */
  #sysctl(path: readonly number[], bytes: Bytes | null): number | null {
    const name = new Uint8Array(Int32Array.from(path).buffer);
    const length = new DataView(this.#length.buffer);
    length.setBigUint64(0, BigInt(bytes?.length ?? 0), true);
    const code = Number(this.#calls.sysctl(name, path.length, bytes, this.#length, null, 0n));
    if (code !== 0) return null;
    const written = Number(length.getBigUint64(0, true));
    return bytes !== null && written > bytes.length ? null : written;
  }

  /** A tick is a nanosecond on Intel and 125/3 of one on Apple's own processors. */
  #tickMs(): number {
    if (this.#millisPerTick !== null) return this.#millisPerTick;
    const bytes = new Uint8Array(8);
    const code = Number(this.#calls.mach_timebase_info(bytes));
    const view = new DataView(bytes.buffer);
    const [over, under] = [view.getUint32(0, true), view.getUint32(4, true)];
    const nanoseconds = code === 0 && over > 0 && under > 0 ? over / under : 1;
    return this.#millisPerTick = nanoseconds / 1e6;
  }
}

function open(ffi: Ffi) {
  return ffi.open(LIBRARIES, SIGNATURES);
}
