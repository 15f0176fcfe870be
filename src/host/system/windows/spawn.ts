/**
 * Starts a program with a hidden console of its own, in a job of its own, with nothing inherited but its log and an
 * empty input. Whatever it starts shares that console: no window opens, and all of them can be asked to end.
 *
 * @module
 */
import type { Clock, DetachedChild, DetachedOptions, ExitStatus } from "../../host.ts";
import { batchArguments, isBatchFile, joinCommandLine } from "./argv.ts";
import { startTimeOf } from "./direct.ts";
import type { Jobs } from "./jobs.ts";
import { ACCESS, type Job, type Native, OpenProcess, SELF } from "./native.ts";
import { linkParents } from "./parse.ts";
import { utf16Bytes, viewOf } from "./structures.ts";

const FILE_APPEND_DATA = 0x4;
const GENERIC_READ = 0x8000_0000;
const SYNCHRONIZE = 0x10_0000;
const SHARE_ALL = 7;
const OPEN_EXISTING = 3;
const OPEN_ALWAYS = 4;
const ATTRIBUTE_NORMAL = 0x80;
const INVALID_HANDLE = 0xffff_ffff_ffff_ffffn;

const CREATE_SUSPENDED = 0x4;
const CREATE_UNICODE_ENVIRONMENT = 0x400;
const EXTENDED_STARTUPINFO_PRESENT = 0x8_0000;
const CREATE_BREAKAWAY_FROM_JOB = 0x100_0000;
const CREATE_NO_WINDOW = 0x800_0000;
const USE_STANDARD_HANDLES = 0x100;
const ATTRIBUTE_HANDLE_LIST = 0x2_0002n;
const ATTRIBUTE_JOB_LIST = 0x2_000dn;
const JOB_QUERY = 4;
const ENDED_BY_FORCE = 1;
const EXIT_POLL_MS = 15;

/** What Windows said to a start. */
export class StartError extends Error {
  override readonly name = "StartError";
  constructor(readonly windowsCode: number, doing: string) {
    super(`${doing}: ${words[windowsCode] ?? "Windows refused"} (Windows error ${windowsCode})`);
  }

  /** Node's word for it, which foster's errors are told from. */
  get code(): string {
    return codes[this.windowsCode] ?? "UNKNOWN";
  }
}

const codes: Readonly<Record<number, string>> = {
  2: "ENOENT",
  3: "ENOENT",
  5: "EACCES",
  32: "EBUSY",
  267: "ENOENT",
  740: "EACCES",
  1260: "EACCES",
};

const words: Readonly<Record<number, string>> = {
  2: "there is no such file",
  3: "there is no such folder",
  5: "access is denied",
  32: "another program holds it",
  87: "an argument is not valid",
  193: "it is no program for this Windows",
  206: "the command line or a path is too long",
  267: "the folder is not valid",
  740: "it asks for an administrator",
  1260: "a policy of this machine forbids it",
};

export interface WindowsSpawnParts {
  native: Native;
  jobs: Jobs;
  clock: Pick<Clock, "every">;
  /** `cmd.exe` with its folder. */
  shell: string;
}

export interface CommandText {
  application: string;
  line: string;
}

/** How Windows is told to run it. @throws StartError where an argument can't be passed on */
export function commandText(
  { command, args }: Pick<DetachedOptions, "command" | "args">,
  shell: string,
): CommandText {
  if (!isBatchFile(command)) return { application: command, line: joinCommandLine(command, args) };
  const passed = batchArguments(command, args);
  if (passed === null) throw new StartError(87, `a batch file takes no line break in an argument`);
  return { application: shell, line: `"${shell}" ${passed}` };
}

/** `NAME=value` entries as Windows wants them, sorted without regard to case; of names that differ in case alone the last. */
export function environmentBlock(env: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const byName = new Map(
    Object.entries(env).map(([name, value]) => [name.toUpperCase(), `${name}=${value}`]),
  );
  const sorted = [...byName].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
  return utf16Bytes(`${sorted.map(([, entry]) => `${entry}\0`).join("")}${sorted.length === 0 ? "\0" : ""}`);
}

/** @throws StartError */
export function spawnHidden(parts: WindowsSpawnParts, options: DetachedOptions): DetachedChild {
  const { native } = parts;
  const command = commandText(options, parts.shell);
  const log = openFile(native, options.logFile ?? "NUL", {
    access: FILE_APPEND_DATA | SYNCHRONIZE,
    how: OPEN_ALWAYS,
  });
  try {
    const input = openFile(native, "NUL", { access: GENERIC_READ, how: OPEN_EXISTING });
    try {
      const created = create(native, { ...command, env: options.env, cwd: options.cwd, input, log });
      return begin(parts, created);
    } finally {
      native.kernel32.CloseHandle(input);
    }
  } finally {
    native.kernel32.CloseHandle(log);
  }
}

/** A handle that a child may inherit. */
function openFile(native: Native, path: string, { access, how }: { access: number; how: number }): bigint {
  const inheritable = new Uint8Array(24);
  viewOf(inheritable).setUint32(0, inheritable.length, true);
  viewOf(inheritable).setUint32(16, 1, true);
  const handle = BigInt.asUintN(
    64,
    BigInt(
      native.kernel32.CreateFileW(
        utf16Bytes(path),
        access,
        SHARE_ALL,
        inheritable,
        how,
        ATTRIBUTE_NORMAL,
        0n,
      ),
    ),
  );
  if (handle !== INVALID_HANDLE) return handle;
  throw new StartError(Number(native.kernel32.GetLastError()), `Cannot open ${path}`);
}

interface Creation extends CommandText {
  env: Record<string, string>;
  cwd: string;
  input: bigint;
  log: bigint;
}

interface CreatedProcess {
  process: OpenProcess;
  /** Ends the process with this foster until it runs: nobody else knows of it. */
  guard: Job | null;
  thread: bigint;
  pid: number;
}

function create(native: Native, creation: Creation): CreatedProcess {
  const { kernel32 } = native;
  const self = new OpenProcess(native.ntdll, SELF);
  const guard = native.createGuard();
  const list = new AttributeList(native, [creation.input, creation.log], guard);
  let isMade = false;
  try {
    const startup = new Uint8Array(112);
    const view = viewOf(startup);
    view.setUint32(0, startup.length, true);
    view.setUint32(60, USE_STANDARD_HANDLES, true);
    view.setBigUint64(80, creation.input, true);
    view.setBigUint64(88, creation.log, true);
    view.setBigUint64(96, creation.log, true);
    view.setBigUint64(104, list.address, true);
    const information = new Uint8Array(24);
    const flags = CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT |
      CREATE_NO_WINDOW;
    // The switch that has CTRL_C ignored is handed on to children: a foster that has it must not pass it to servers.
    kernel32.SetConsoleCtrlHandler(0n, 0);
    const make = (more: number) =>
      Number(kernel32.CreateProcessW(
        utf16Bytes(creation.application),
        utf16Bytes(creation.line),
        null,
        null,
        1,
        flags | more,
        environmentBlock(creation.env),
        utf16Bytes(creation.cwd),
        startup,
        information,
      )) !== 0;
    // Foster's own job may end with whoever started foster, and not every one lets a child go.
    isMade = (self.mayBeInJob() && make(CREATE_BREAKAWAY_FROM_JOB)) || make(0);
    if (!isMade) throw new StartError(Number(kernel32.GetLastError()), creation.application);
    const made = viewOf(information);
    return {
      process: new OpenProcess(native.ntdll, made.getBigUint64(0, true)),
      thread: made.getBigUint64(8, true),
      pid: made.getUint32(16, true),
      guard,
    };
  } finally {
    if (!isMade) guard?.close();
    list.free();
  }
}

/**
 * Says which handles are inherited, and no other, and which job the process is made in. Its memory is not the engine's, which
 * may move what it has.
 */
class AttributeList {
  readonly #native: Native;
  readonly #heap: bigint;
  readonly #memory: bigint[] = [];
  readonly address: bigint;

  constructor(native: Native, handles: readonly bigint[], job: Job | null) {
    this.#native = native;
    const { kernel32 } = native;
    this.#heap = BigInt(kernel32.GetProcessHeap());
    const size = new Uint8Array(8);
    kernel32.InitializeProcThreadAttributeList(0n, 2, 0, size);
    this.address = this.#allocate(viewOf(size).getBigUint64(0, true));
    kernel32.InitializeProcThreadAttributeList(this.address, 2, 0, size);
    this.#add(ATTRIBUTE_HANDLE_LIST, handles);
    // Without it the process is outside of it, and runs all the same.
    if (job !== null) this.#add(ATTRIBUTE_JOB_LIST, [job.handle]);
  }

  #add(attribute: bigint, handles: readonly bigint[]): void {
    const { kernel32 } = this.#native;
    const bytes = new Uint8Array(8 * handles.length);
    handles.forEach((handle, index) => viewOf(bytes).setBigUint64(8 * index, handle, true));
    const size = BigInt(bytes.length);
    const memory = this.#allocate(size);
    kernel32.RtlMoveMemory(memory, bytes, size);
    kernel32.UpdateProcThreadAttribute(this.address, 0, attribute, memory, size, 0n, 0n);
  }

  #allocate(sizeBytes: bigint): bigint {
    const address = BigInt(this.#native.kernel32.HeapAlloc(this.#heap, 0, sizeBytes));
    if (address === 0n) throw new StartError(8, "no memory is left");
    this.#memory.push(address);
    return address;
  }

  free(): void {
    const { kernel32 } = this.#native;
    kernel32.DeleteProcThreadAttributeList(this.address);
    for (const address of this.#memory) kernel32.HeapFree(this.#heap, 0, address);
  }
}

/** Puts the suspended process into its job, then lets it run. */
function begin(parts: WindowsSpawnParts, { process, thread, pid, guard }: CreatedProcess): DetachedChild {
  const { kernel32 } = parts.native;
  try {
    const group = join(parts, process, pid);
    // The name lives as long as somebody has a handle: the process has one itself, whatever becomes of this foster.
    if (group !== null) {
      const { handle } = group.job;
      kernel32.DuplicateHandle(SELF, handle, process.handle, new Uint8Array(8), JOB_QUERY, 0, 0);
    }
    if (Number(kernel32.ResumeThread(thread)) === 0xffff_ffff) {
      throw new StartError(Number(kernel32.GetLastError()), `process ${pid} can't be let run`);
    }
    guard?.limit({ endsWithHandle: false });
    const exited = untilEnded(parts, { process, pid, group });
    return { pid, groupId: group === null ? null : pid, exited };
  } catch (error) {
    process.terminate(ENDED_BY_FORCE);
    process.close();
    throw error;
  } finally {
    guard?.close();
    kernel32.CloseHandle(thread);
  }
}

interface Group {
  leader: { pid: number; startTime: string };
  job: Job;
}

/** Null where the process can't be in a job of its own: it is then found by its parent. */
function join(
  { jobs }: Pick<WindowsSpawnParts, "jobs">,
  process: OpenProcess,
  pid: number,
): Group | null {
  const startTime = startTimeOf(process);
  if (startTime === null) return null;
  const leader = { pid, startTime };
  const job = jobs.create(leader);
  if (job === null) return null;
  if (!job.add(process)) {
    jobs.forget(leader);
    return null;
  }
  return { leader, job };
}

function untilEnded(
  { clock, jobs }: Pick<WindowsSpawnParts, "clock" | "jobs">,
  { process, group }: { process: OpenProcess; pid: number; group: Group | null },
): Promise<ExitStatus> {
  return new Promise((resolve) => {
    const stop = clock.every(EXIT_POLL_MS, () => {
      if (process.hasEnded() === false) return;
      stop();
      const code = process.basic()?.exitStatus ?? null;
      process.close();
      if (group !== null) jobs.forget(group.leader);
      resolve({ code, signal: null });
    });
  });
}

/**
 * Puts a child that the engine has just started into a job of its own, with what it started meanwhile; all of it ends with
 * this foster, which it has pipes to. Gives its group's number, null where it has none.
 */
export function adopt(
  { native, jobs }: Pick<WindowsSpawnParts, "native" | "jobs">,
  pid: number,
  exited: Promise<ExitStatus>,
): number | null {
  const opened = native.open(
    pid,
    ACCESS.query | ACCESS.synchronize | ACCESS.setQuota | ACCESS.terminate,
  );
  if (opened.kind !== "open") return null;
  const { process } = opened;
  try {
    if (process.hasEnded() !== false) return null;
    const group = join({ jobs }, process, pid);
    if (group === null) return null;
    exited.then(() => jobs.forget(group.leader));
    group.job.limit({ endsWithHandle: true });
    addDescendants(native, group);
    return pid;
  } finally {
    process.close();
  }
}

function addDescendants(native: Native, { leader, job }: Group): void {
  const inside = new Set(job.pids());
  const processes = [...linkParents(native.processes()).values()];
  for (let before = 0; before < inside.size;) {
    before = inside.size;
    for (const { pid, parentPid, startTime } of processes) {
      if (!inside.has(parentPid) || inside.has(pid) || pid === leader.pid) continue;
      const opened = native.open(pid, ACCESS.query | ACCESS.setQuota | ACCESS.terminate);
      if (opened.kind !== "open") continue;
      if (startTimeOf(opened.process) === startTime && job.add(opened.process)) inside.add(pid);
      opened.process.close();
    }
  }
}
