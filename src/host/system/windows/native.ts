/**
 * The calls of ntdll, kernel32 and iphlpapi that foster makes. Those of ntdll are preferred: they return why they fail,
 * while the last error of a thread may be overwritten by the engine before foster can read it.
 *
 * @module
 */
import type { Ffi, FfiValue } from "../../ffi.ts";
import {
  type AddressFamily,
  countForeign,
  type ListenRow,
  parseJobList,
  parseProcessList,
  parseTcpTable,
  utf16Bytes,
  viewOf,
} from "./structures.ts";
import { HostError } from "../../host.ts";
import type { CimProcess } from "./parse.ts";

export const ACCESS = {
  terminate: 0x1,
  vmRead: 0x10,
  /** What AssignProcessToJobObject asks for, beside `terminate`. */
  setQuota: 0x100,
  query: 0x1000,
  synchronize: 0x100000,
} as const;

/** What kernel32 accepts for the calling process. */
export const SELF = 0xffff_ffff_ffff_ffffn;

const STATUS = {
  timeout: 0x102,
  processNotInJob: 0x123,
  infoLengthMismatch: 0xc0000004,
  invalidCid: 0xc000000b,
  invalidParameter: 0xc000000d,
  accessDenied: 0xc0000022,
} as const;

const FIRST_LIST_BYTES = 1 << 18;
const LIST_LIMIT_BYTES = 1 << 26;
const PROCESSES_CLASS = 5;
const LISTENERS_WITH_OWNER = 3;
const CONNECTIONS_WITH_OWNER = 4;
const ERROR_INSUFFICIENT_BUFFER = 122;
const JOB_LIST_CLASS = 3;
const JOB_LIMITS_CLASS = 9;
const JOB_LIMITS_BYTES = 144;
const JOB_BREAKAWAY_OK = 0x800;
const JOB_KILL_ON_CLOSE = 0x2000;
const JOB_ALL_ACCESS = 0x1f001f;

export type OpenResult =
  | { kind: "open"; process: OpenProcess }
  | { kind: "gone" }
  | { kind: "denied" }
  | { kind: "failed"; why: string };

export interface Basic {
  pid: number;
  parentPid: number;
  /** Address of the process environment block. */
  peb: bigint;
  exitStatus: number;
}

type Calls<K extends string> = Record<K, (...args: FfiValue[]) => number | bigint>;

export class Native {
  readonly #ffi: Ffi;
  #ntdll: ReturnType<typeof openNtdll> | null = null;
  #kernel32: ReturnType<typeof openKernel32> | null = null;
  #iphlpapi: Calls<"GetExtendedTcpTable"> | null = null;

  constructor(ffi: Ffi) {
    this.#ffi = ffi;
  }

  get ntdll() {
    return this.#ntdll ??= openNtdll(this.#ffi);
  }

  get kernel32() {
    return this.#kernel32 ??= openKernel32(this.#ffi);
  }

  /** Every process, those too that may not be opened. @throws HostError */
  processes(): CimProcess[] {
    for (let size = FIRST_LIST_BYTES; size <= LIST_LIMIT_BYTES; size *= 2) {
      const bytes = new Uint8Array(size);
      const code = status(
        this.ntdll.NtQuerySystemInformation(PROCESSES_CLASS, bytes, size, new Uint8Array(4)),
      );
      if (code === STATUS.infoLengthMismatch) continue;
      const processes = isFailure(code) ? null : parseProcessList(bytes);
      if (processes !== null) return processes;
      throw new HostError("failed", `Cannot list the processes: ${statusText(code)}`);
    }
    throw new HostError("failed", `Cannot list the processes: more than ${LIST_LIMIT_BYTES} bytes of them`);
  }

  open(pid: number, access: number): OpenResult {
    const handle = new Uint8Array(8);
    const attributes = new Uint8Array(48);
    viewOf(attributes).setUint32(0, attributes.length, true);
    const client = new Uint8Array(16);
    viewOf(client).setBigUint64(0, BigInt(pid), true);
    const code = status(this.ntdll.NtOpenProcess(handle, access, attributes, client));
    switch (code) {
      case 0:
        return {
          kind: "open",
          process: new OpenProcess(this.ntdll, viewOf(handle).getBigUint64(0, true)),
        };
      case STATUS.invalidCid:
      case STATUS.invalidParameter:
        return { kind: "gone" };
      case STATUS.accessDenied:
        return { kind: "denied" };
    }
    return { kind: "failed", why: statusText(code) };
  }

  /** The listeners of one family, on one port or on all. @throws HostError */
  listeners(family: AddressFamily, port: number | null): ListenRow[] {
    return this.#tcpTable(family, LISTENERS_WITH_OWNER, (bytes) => parseTcpTable(bytes, family, port));
  }

  /** As {@link countForeign}. @throws HostError */
  foreignConnections(family: AddressFamily, of: { port: number; pid: number }): number {
    return this.#tcpTable(family, CONNECTIONS_WITH_OWNER, (bytes) => countForeign(bytes, family, of));
  }

  #tcpTable<T>(family: AddressFamily, which: number, parse: (bytes: Uint8Array) => T | null): T {
    this.#iphlpapi ??= this.#ffi.open(["iphlpapi.dll"], {
      GetExtendedTcpTable: ["u32", "ptr", "ptr", "i32", "u32", "u32", "u32"],
    });
    const number = family === "ipv4" ? 2 : 23;
    let size = 1 << 16;
    // The table may grow between two calls.
    for (let attempt = 0; attempt < 8; attempt++) {
      const bytes = new Uint8Array(size);
      const needed = new Uint8Array(4);
      viewOf(needed).setUint32(0, size, true);
      const code = Number(
        this.#iphlpapi.GetExtendedTcpTable(bytes, needed, 0, number, which, 0),
      );
      if (code === ERROR_INSUFFICIENT_BUFFER) {
        size = viewOf(needed).getUint32(0, true) + 4096;
        continue;
      }
      const found = code === 0 ? parse(bytes) : null;
      if (found !== null) return found;
      throw new HostError("failed", `GetExtendedTcpTable: error ${code}`);
    }
    throw new HostError("failed", "GetExtendedTcpTable: the table grew faster than it could be read");
  }

  /** Ends this process with the code after that time, also where it then waits for a call to return. */
  endSelfAfter(ms: number, exitCode: number): void {
    const { kernel32 } = this;
    const library = kernel32.GetModuleHandleW(utf16Bytes("kernel32.dll"));
    const exit = kernel32.GetProcAddress(library, new TextEncoder().encode("ExitProcess\0"));
    kernel32.CreateTimerQueueTimer(new Uint8Array(8), 0n, exit, BigInt(exitCode), ms, 0, 0);
  }

  /** Null where no job has the name. */
  openJob(name: string): Job | null {
    const handle = BigInt(this.kernel32.OpenJobObjectW(JOB_ALL_ACCESS, 0, utf16Bytes(name)));
    return handle === 0n ? null : new Job(this.ntdll, handle);
  }

  /** Children of its processes may leave it. Null where it can't be made, or somebody uses the name. */
  createJob(name: string): Job | null {
    const handle = BigInt(this.kernel32.CreateJobObjectW(null, utf16Bytes(name)));
    if (handle === 0n) return null;
    const job = new Job(this.ntdll, handle);
    if (job.limit({ endsWithHandle: false }) && job.pids().length === 0) return job;
    job.close();
    return null;
  }

  /** One without a name, whose processes end with its last handle until {@link Job.limit} says otherwise. */
  createGuard(): Job | null {
    const handle = BigInt(this.kernel32.CreateJobObjectW(null, null));
    if (handle === 0n) return null;
    const job = new Job(this.ntdll, handle);
    if (job.limit({ endsWithHandle: true })) return job;
    job.close();
    return null;
  }
}

/** A handle of a process: while it is held, no other process gets its pid. */
export class OpenProcess {
  readonly #calls: ReturnType<typeof openNtdll>;
  readonly handle: bigint;

  constructor(calls: ReturnType<typeof openNtdll>, handle: bigint) {
    this.#calls = calls;
    this.handle = handle;
  }

  /** Null where it can't be told. */
  hasEnded(): boolean | null {
    const code = status(this.#calls.NtWaitForSingleObject(this.handle, 0, new Uint8Array(8)));
    return code === 0 ? true : code === STATUS.timeout ? false : null;
  }

  basic(): Basic | null {
    const bytes = this.#query(0, 48);
    if (bytes === null) return null;
    const view = viewOf(bytes);
    return {
      exitStatus: view.getUint32(0, true),
      peb: view.getBigUint64(8, true),
      pid: Number(view.getBigUint64(32, true)),
      parentPid: Number(view.getBigUint64(40, true)),
    };
  }

  /** FILETIME; null where it can't be told. */
  createdAt(): bigint | null {
    const bytes = this.#query(4, 32);
    return bytes === null ? null : viewOf(bytes).getBigInt64(0, true);
  }

  /** Whether its memory is laid out for 32 bits; null where it can't be told. */
  is32Bit(): boolean | null {
    const bytes = this.#query(26, 8);
    return bytes === null ? null : viewOf(bytes).getBigUint64(0, true) !== 0n;
  }

  /** UNICODE_STRING with its characters. Null where Windows is too old for it, or does not want to tell. */
  text(what: "commandLine" | "executable"): Uint8Array | null {
    return this.#query(what === "commandLine" ? 60 : 43, 66_000);
  }

  /** Null unless all of it can be read. */
  memory(address: bigint, sizeBytes: number): Uint8Array | null {
    const bytes = new Uint8Array(sizeBytes);
    const read = new Uint8Array(8);
    const code = status(
      this.#calls.NtReadVirtualMemory(this.handle, address, bytes, BigInt(sizeBytes), read),
    );
    return !isFailure(code) && viewOf(read).getBigUint64(0, true) === BigInt(sizeBytes) ? bytes : null;
  }

  /** Whether it may be in some job: Wine tells it only to who may ask everything of the process. */
  mayBeInJob(): boolean {
    return status(this.#calls.NtIsProcessInJob(this.handle, 0n)) !== STATUS.processNotInJob;
  }

  terminate(exitStatus: number): boolean {
    return !isFailure(status(this.#calls.NtTerminateProcess(this.handle, exitStatus)));
  }

  close(): void {
    this.#calls.NtClose(this.handle);
  }

  #query(kind: number, sizeBytes: number): Uint8Array | null {
    const bytes = new Uint8Array(sizeBytes);
    const code = status(
      this.#calls.NtQueryInformationProcess(this.handle, kind, bytes, sizeBytes, new Uint8Array(4)),
    );
    return isFailure(code) ? null : bytes;
  }
}

/** A job object: the processes that one start led to. */
export class Job {
  readonly #calls: ReturnType<typeof openNtdll>;
  readonly handle: bigint;

  constructor(calls: ReturnType<typeof openNtdll>, handle: bigint) {
    this.#calls = calls;
    this.handle = handle;
  }

  pids(): number[] {
    for (let room = 64; room <= 1 << 16; room *= 8) {
      const bytes = new Uint8Array(8 + 8 * room);
      this.#calls.NtQueryInformationJobObject(
        this.handle,
        JOB_LIST_CLASS,
        bytes,
        bytes.length,
        new Uint8Array(4),
      );
      const { pids, isWhole } = parseJobList(bytes);
      if (isWhole) return pids;
    }
    return [];
  }

  /** Children of its processes may leave it, where they ask to. */
  limit({ endsWithHandle }: { endsWithHandle: boolean }): boolean {
    const limits = new Uint8Array(JOB_LIMITS_BYTES);
    const flags = JOB_BREAKAWAY_OK | (endsWithHandle ? JOB_KILL_ON_CLOSE : 0);
    viewOf(limits).setUint32(16, flags, true);
    return !isFailure(
      status(
        this.#calls.NtSetInformationJobObject(this.handle, JOB_LIMITS_CLASS, limits, limits.length),
      ),
    );
  }

  add(process: OpenProcess): boolean {
    return !isFailure(status(this.#calls.NtAssignProcessToJobObject(this.handle, process.handle)));
  }

  terminate(exitStatus: number): boolean {
    return !isFailure(status(this.#calls.NtTerminateJobObject(this.handle, exitStatus)));
  }

  close(): void {
    this.#calls.NtClose(this.handle);
  }
}

function status(returned: number | bigint): number {
  return Number(returned) >>> 0;
}

function isFailure(code: number): boolean {
  return code >= 0x8000_0000;
}

function statusText(code: number): string {
  return `Windows says ${code.toString(16).padStart(8, "0")}`;
}

function openNtdll(ffi: Ffi) {
  return ffi.open(["ntdll.dll"], {
    NtQuerySystemInformation: ["i32", "u32", "ptr", "u32", "ptr"],
    NtOpenProcess: ["i32", "ptr", "u32", "ptr", "ptr"],
    NtQueryInformationProcess: ["i32", "u64", "u32", "ptr", "u32", "ptr"],
    NtReadVirtualMemory: ["i32", "u64", "u64", "ptr", "u64", "ptr"],
    NtWaitForSingleObject: ["i32", "u64", "u32", "ptr"],
    NtTerminateProcess: ["i32", "u64", "i32"],
    NtIsProcessInJob: ["i32", "u64", "u64"],
    NtQueryInformationJobObject: ["i32", "u64", "u32", "ptr", "u32", "ptr"],
    NtSetInformationJobObject: ["i32", "u64", "u32", "ptr", "u32"],
    NtAssignProcessToJobObject: ["i32", "u64", "u64"],
    NtTerminateJobObject: ["i32", "u64", "i32"],
    NtClose: ["i32", "u64"],
  });
}

function openKernel32(ffi: Ffi) {
  return ffi.open(["kernel32.dll"], {
    CreateFileW: ["u64", "ptr", "u32", "u32", "ptr", "u32", "u32", "u64"],
    CreateProcessW: ["i32", "ptr", "ptr", "ptr", "ptr", "i32", "u32", "ptr", "ptr", "ptr", "ptr"],
    InitializeProcThreadAttributeList: ["i32", "u64", "u32", "u32", "ptr"],
    UpdateProcThreadAttribute: ["i32", "u64", "u32", "u64", "u64", "u64", "u64", "u64"],
    DeleteProcThreadAttributeList: ["i32", "u64"],
    GetProcessHeap: ["u64"],
    HeapAlloc: ["u64", "u64", "u32", "u64"],
    HeapFree: ["i32", "u64", "u32", "u64"],
    RtlMoveMemory: ["i32", "u64", "ptr", "u64"],
    ResumeThread: ["u32", "u64"],
    DuplicateHandle: ["i32", "u64", "u64", "u64", "ptr", "u32", "i32", "u32"],
    CreateJobObjectW: ["u64", "ptr", "ptr"],
    OpenJobObjectW: ["u64", "u32", "i32", "ptr"],
    CloseHandle: ["i32", "u64"],
    GetLastError: ["u32"],
    GetModuleHandleW: ["u64", "ptr"],
    GetProcAddress: ["u64", "u64", "ptr"],
    CreateTimerQueueTimer: ["i32", "ptr", "u64", "u64", "u64", "u32", "u32", "u32"],
    FreeConsole: ["i32"],
    AttachConsole: ["i32", "u32"],
    GetConsoleProcessList: ["u32", "ptr", "u32"],
    SetConsoleCtrlHandler: ["i32", "u64", "i32"],
    GenerateConsoleCtrlEvent: ["i32", "u32", "u32"],
  });
}
