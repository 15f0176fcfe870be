/**
 * Just enough of ntdll, kernel32 and iphlpapi for a reader of Windows on any system: processes, handles, jobs, memory.
 *
 * @module
 */
import type { Ffi, FfiValue } from "../../src/host/ffi.ts";
import { utf16Bytes, viewOf } from "../../src/host/system/windows/structures.ts";

export interface WindowsProcess {
  pid: number;
  parentPid?: number;
  /** Milliseconds since the epoch. */
  createdMs: number;
  /** NTSTATUS of every try to open it; 0 lets it be opened. */
  openStatus?: number;
  /** Null: its creation time can't be read. */
  tellsTimes?: boolean;
  ended?: boolean;
  is32Bit?: boolean;
  /** Of its program's file. */
  name?: string;
  commandLine?: string;
  folder?: string;
  environment?: readonly string[];
  /** Reading its memory fails at that many bytes: it is being taken down. */
  memoryFails?: boolean;
  terminateStatus?: number;
}

export interface WindowsListener {
  port: number;
  pid: number;
  /** Four or sixteen bytes. */
  address: readonly number[];
}

/** An established connection. */
export interface WindowsConnection {
  local: number;
  remote: number;
  pid: number;
  family: "ipv4" | "ipv6";
}

export const DENIED = 0xc0000022;
const INVALID_CID = 0xc000000b;
const PARTIAL_COPY = 0x8000000d;
const NO_CLASS = 0xc0000003;
const TIMEOUT = 0x102;
const IN_JOB = 0x124;
const NOT_IN_JOB = 0x123;
const PEB = 0x10_0000n;
const PARAMETERS = 0x20_0000n;
const EPOCH_100NS = 116_444_736_000_000_000n;

type Call = (...args: FfiValue[]) => number | bigint;

export class FakeWindows {
  readonly processes = new Map<number, WindowsProcess>();
  readonly jobs = new Map<string, number[]>();
  listeners: WindowsListener[] = [];
  connections: WindowsConnection[] = [];
  /** Error code of the tables of sockets. */
  tableError = 0;
  /** Libraries in the order in which they were opened. */
  readonly opened: string[] = [];
  /** Pids that were terminated, and names of jobs that were. */
  readonly terminated: (number | string)[] = [];
  /** Called with each pid that a handle was opened for, before anything is asked of it. */
  onOpen: (pid: number) => void = () => {};
  readonly #handles = new Map<bigint, { process?: WindowsProcess; job?: string }>();
  #next = 4n;

  constructor(processes: readonly WindowsProcess[]) {
    for (const each of processes) this.processes.set(each.pid, each);
  }

  get openHandles(): number {
    return this.#handles.size;
  }

  readonly ffi: Ffi = {
    open: <K extends string>(libraries: readonly string[], calls: Readonly<Record<K, unknown>>) => {
      this.opened.push(...libraries);
      return Object.fromEntries(
        Object.keys(calls).map((name) => [name, this.#calls[name] ?? (() => 0)]),
      ) as Record<K, Call>;
    },
  };

  readonly #calls: Record<string, Call> = {
    NtQuerySystemInformation: (_kind, buffer) => this.#list(bytes(buffer)),
    NtOpenProcess: (handle, _access, _attributes, client) => {
      const pid = Number(viewOf(bytes(client)).getBigUint64(0, true));
      // Windows ignores the last two bits.
      const process = this.processes.get(pid & ~3);
      if (process === undefined) return INVALID_CID;
      if (process.openStatus) return process.openStatus;
      this.onOpen(process.pid);
      return this.#give(bytes(handle), { process });
    },
    NtClose: (handle) => this.#handles.delete(BigInt(handle as bigint)) ? 0 : 0xc0000008,
    NtWaitForSingleObject: (handle) => this.#process(handle).ended === true ? 0 : TIMEOUT,
    NtQueryInformationProcess: (handle, kind, buffer) =>
      this.#query(this.#process(handle), Number(kind), bytes(buffer)),
    NtReadVirtualMemory: (handle, address, buffer, _size, read) =>
      this.#read(this.#process(handle), BigInt(address as bigint), {
        into: bytes(buffer),
        read: bytes(read),
      }),
    NtTerminateProcess: (handle) => {
      const process = this.#process(handle);
      if (process.terminateStatus) return process.terminateStatus;
      this.terminated.push(process.pid);
      process.ended = true;
      return 0;
    },
    NtIsProcessInJob: (handle, job) => {
      const { pid } = this.#process(handle);
      const name = this.#handles.get(BigInt(job as bigint))?.job;
      const lists = name === undefined ? [...this.jobs.values()] : [this.jobs.get(name) ?? []];
      return lists.some((pids) => pids.includes(pid)) ? IN_JOB : NOT_IN_JOB;
    },
    NtQueryInformationJobObject: (job, _kind, buffer) => {
      const pids = this.jobs.get(this.#handles.get(BigInt(job as bigint))?.job ?? "") ?? [];
      const view = viewOf(bytes(buffer));
      view.setUint32(0, pids.length, true);
      view.setUint32(4, pids.length, true);
      pids.forEach((pid, index) => view.setBigUint64(8 + 8 * index, BigInt(pid), true));
      return 0;
    },
    NtTerminateJobObject: (job) => {
      const name = this.#handles.get(BigInt(job as bigint))?.job ?? "";
      this.terminated.push(name);
      return 0;
    },
    OpenJobObjectW: (_access, _inherit, name) => {
      const text = new TextDecoder("utf-16le").decode(bytes(name)).slice(0, -1);
      if (!this.jobs.has(text)) return 0n;
      const handle = new Uint8Array(8);
      this.#give(handle, { job: text });
      return viewOf(handle).getBigUint64(0, true);
    },
    GetExtendedTcpTable: (buffer, _size, _order, family, which) =>
      Number(which) === 4
        ? this.#connected(bytes(buffer), Number(family) === 2 ? "ipv4" : "ipv6")
        : this.#table(bytes(buffer), Number(family)),
  };

  #give(into: Uint8Array, what: { process?: WindowsProcess; job?: string }): number {
    this.#next += 4n;
    this.#handles.set(this.#next, what);
    viewOf(into).setBigUint64(0, this.#next, true);
    return 0;
  }

  #process(handle: FfiValue | undefined): WindowsProcess {
    const process = this.#handles.get(BigInt(handle as bigint))?.process;
    if (process === undefined) throw new Error("a handle that nobody holds");
    return process;
  }

  #list(into: Uint8Array): number {
    const view = viewOf(into);
    const all = [...this.processes.values()];
    const buffer = 0x7000_0000n;
    let at = 0;
    all.forEach((process, index) => {
      const threads = process.ended === true ? 0 : 3;
      const name = utf16Bytes(process.name ?? "program.exe");
      const nameAt = at + 256 + 80 * threads;
      const next = nameAt + 8 * Math.ceil(name.length / 8);
      view.setUint32(at, index === all.length - 1 ? 0 : next - at, true);
      view.setUint32(at + 4, threads, true);
      view.setBigInt64(at + 32, fileTime(process.createdMs), true);
      view.setBigInt64(at + 40, 20_000_000n, true);
      view.setUint16(at + 56, name.length - 2, true);
      view.setBigUint64(at + 64, buffer + BigInt(nameAt), true);
      view.setBigUint64(at + 80, BigInt(process.pid), true);
      view.setBigUint64(at + 88, BigInt(process.parentPid ?? 0), true);
      view.setBigUint64(at + 144, 4096n, true);
      into.set(name, nameAt);
      at = next;
    });
    return 0;
  }

  #query(process: WindowsProcess, kind: number, into: Uint8Array): number {
    const view = viewOf(into);
    switch (kind) {
      case 0:
        view.setBigUint64(8, PEB, true);
        view.setBigUint64(32, BigInt(process.pid), true);
        view.setBigUint64(40, BigInt(process.parentPid ?? 0), true);
        return 0;
      case 4:
        if (process.tellsTimes === false) return DENIED;
        view.setBigInt64(0, fileTime(process.createdMs), true);
        return 0;
      case 26:
        view.setBigUint64(0, process.is32Bit === true ? 1n : 0n, true);
        return 0;
    }
    return NO_CLASS;
  }

  #read(
    process: WindowsProcess,
    address: bigint,
    { into, read }: { into: Uint8Array; read: Uint8Array },
  ): number {
    const found = [...memoryOf(process)].find(([at, content]) =>
      address >= at && address < at + BigInt(content.length)
    );
    if (process.memoryFails === true || found === undefined) return PARTIAL_COPY;
    const [at, content] = found;
    const part = content.subarray(Number(address - at)).subarray(0, into.length);
    into.set(part);
    viewOf(read).setBigUint64(0, BigInt(part.length), true);
    return part.length < into.length ? PARTIAL_COPY : 0;
  }

  #connected(into: Uint8Array, family: "ipv4" | "ipv6"): number {
    if (this.tableError !== 0) return this.tableError;
    const rows = this.connections.filter((each) => each.family === family);
    const view = viewOf(into);
    // One more, which is being closed.
    view.setUint32(0, rows.length + 1, true);
    [...rows, { local: rows[0]?.local ?? 0, remote: 1, pid: 0 }].forEach(({ local, remote, pid }, index) => {
      const at = 4 + index * (family === "ipv4" ? 24 : 56);
      const state = index === rows.length ? 8 : 5;
      view.setUint32(at + (family === "ipv4" ? 0 : 48), state, true);
      view.setUint16(at + (family === "ipv4" ? 8 : 20), local, false);
      view.setUint16(at + (family === "ipv4" ? 16 : 44), remote, false);
      view.setUint32(at + (family === "ipv4" ? 20 : 52), pid, true);
    });
    return 0;
  }

  #table(into: Uint8Array, family: number): number {
    if (this.tableError !== 0) return this.tableError;
    const width = family === 2 ? 4 : 16;
    const rows = this.listeners.filter(({ address }) => address.length === width);
    const view = viewOf(into);
    view.setUint32(0, rows.length, true);
    rows.forEach(({ port, pid, address }, index) => {
      const at = 4 + index * (family === 2 ? 24 : 56);
      into.set(address, at + (family === 2 ? 4 : 0));
      view.setUint16(at + (family === 2 ? 8 : 20), port, false);
      view.setUint32(at + (family === 2 ? 20 : 52), pid, true);
    });
    return 0;
  }
}

function memoryOf(
  { folder = "", commandLine = "", environment = [] }: WindowsProcess,
): Map<bigint, Uint8Array> {
  const peb = new Uint8Array(0x40);
  viewOf(peb).setBigUint64(0x20, PARAMETERS, true);
  const parameters = new Uint8Array(0x400);
  const memory = new Map<bigint, Uint8Array>([[PEB, peb], [PARAMETERS, parameters]]);
  const view = viewOf(parameters);
  const put = (at: bigint, text: string, offset: number) => {
    memory.set(at, utf16Bytes(text));
    view.setUint16(offset, 2 * text.length, true);
    view.setBigUint64(offset + 8, at, true);
  };
  put(0x30_0000n, folder, 0x38);
  put(0x40_0000n, commandLine, 0x70);
  const block = utf16Bytes(environment.map((entry) => `${entry}\0`).join(""));
  memory.set(0x50_0000n, block);
  view.setBigUint64(0x80, 0x50_0000n, true);
  view.setBigUint64(0x3f0, BigInt(block.length), true);
  return memory;
}

export function fileTime(ms: number): bigint {
  return BigInt(ms) * 10_000n + EPOCH_100NS;
}

function bytes(value: FfiValue | undefined): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new Error("no buffer");
  return value;
}
