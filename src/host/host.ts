/**
 * What foster needs of the machine it runs on. Everything outside `src/host` is handed a {@link Host} and touches
 * nothing else: no runtime global, no clock, no environment, no network primitive.
 *
 * Durations are milliseconds, sizes are bytes, times of day are milliseconds since the Unix epoch.
 *
 * @module
 */

export type System = "linux" | "darwin" | "windows";
export type Engine = "deno" | "bun";

export interface Host {
  readonly system: System;
  readonly engine: EngineFacts;
  readonly program: Program;
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly processes: Processes;
  readonly net: Net;
  readonly terminal: Terminal;
}

/** This run of foster. */
export interface Program {
  /** The command line without runtime and main module. */
  readonly argv: readonly string[];
  /** The working folder at the start, absolute. One that is gone keeps its name: nothing is found in it. */
  readonly folder: string;
  /** Names of environment variables whose values are no UTF-8, which no child can be given. */
  undecodable(): readonly string[];
  /** The user that it runs as; null where the system has no such numbers. */
  readonly userId: number | null;
  /** Calls back instead of ending the process where a promise fails that nobody waits for. Returns what ends this. */
  onUnhandledRejection(handler: (reason: unknown) => void): () => void;
  /** What {@link beginAnew} was given before; null at the process's first beginning. */
  readonly note: string | null;
  /**
   * Runs the same command line anew in this process, with only `note` kept of what it knows, so that the memory of what
   * came before is free. Nothing may have been read from standard input. Returns where that can't be done.
   */
  beginAnew(note: string): void;
  /** Gives back memory that nothing uses any more, compiled code with it, where the engine can be asked. Blocks for some 20 ms. */
  releaseMemory(): void;
  /** Ends the process at once; only `main.ts` calls it. */
  exit(code: number): never;
}

export interface EngineFacts {
  readonly name: Engine;
  readonly version: string;
  /** True where foster is one compiled binary, false where it runs from source. */
  readonly standalone: boolean;
  /** CPU architecture in the runtime's own word, e.g. `x86_64`. */
  readonly arch: string;
  /** False under Deno's scoped permissions: /proc and direct signals are then refused and helper programs used. */
  readonly fullAccess: boolean;
  /**
   * The command that starts this same foster again, arguments to be appended. Under Deno it repeats the permissions
   * that this process has.
   */
  readonly selfCommand: readonly [string, ...string[]];
}

export interface Environment {
  get(name: string): string | undefined;
  /**
   * A copy of the whole environment, as a child should inherit it (proxy settings in their original form), without
   * {@link Program.undecodable}.
   */
  all(): Record<string, string>;
}

export interface Clock {
  /** Time of day. Only for showing and recording: it may jump. */
  now(): number;
  /** Never goes back; unrelated to the time of day. For every deadline. */
  monotonic(): number;
  /** Waits. @throws the signal's reason when it is aborted before the time is over. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back every `ms` until the returned function is called. Does not keep the process alive. */
  every(ms: number, tick: () => void): () => void;
  /** A signal that aborts after `ms`, or when `parent` does. */
  deadline(ms: number, parent?: AbortSignal): AbortSignal;
}

export interface Random {
  /** `bytes` random bytes as lower-case hex. */
  hex(bytes: number): string;
  /** Uniform in [0, 1). */
  unit(): number;
}

/** Why the host could not do what it was asked. */
export type HostErrorCode =
  | "not_found"
  | "exists"
  | "denied" // the operating system refused
  | "no_permission" // the runtime's own permissions refused (Deno)
  | "busy"
  | "timeout"
  | "no_space"
  | "unsupported"
  | "failed";

export class HostError extends Error {
  override readonly name = "HostError";
  constructor(readonly code: HostErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The answer, or `otherwise` where the host could not look: what can't be looked at can't be used either. */
export async function withinReach<T, O = T>(answer: Promise<T>, otherwise: O): Promise<T | O> {
  try {
    return await answer;
  } catch (cause) {
    if (!(cause instanceof HostError)) throw cause;
    return otherwise;
  }
}

// ---------------------------------------------------------------------------------------------------------- files

export interface FileStat {
  kind: "file" | "directory" | "link" | "other";
  sizeBytes: number;
  modifiedAt: number;
  /** Permission bits, e.g. 0o600; null where the system has none. */
  mode: number | null;
  /** Owner's user id; null where the system has none. */
  uid: number | null;
}

/** Part of a file. */
export interface Slice {
  offset: number;
  limitBytes: number;
}

/** A file that is read only if it is a regular one. */
export type OwnRead =
  | {
    kind: "read";
    bytes: Uint8Array;
    /** Of the whole file. */
    sizeBytes: number;
    modifiedAt: number;
    /** Owner's user id; null where the system has none. */
    uid: number | null;
  }
  | { kind: "none" }
  /** `what`: a link, a directory, a device or pipe. */
  | { kind: "odd"; what: string };

export interface DirEntry {
  name: string;
  kind: FileStat["kind"];
}

/** Holds an operating-system lock that ends with its process, however that ends. */
export interface FileLock {
  release(): void;
}

/** All methods throw {@link HostError}; a missing file is `null` where the return type says so. */
export interface Files {
  readText(path: string): Promise<string | null>;
  /** Up to `limitBytes` from `offset`. Null when the file is missing. */
  readSlice(path: string, offset: number, limitBytes: number): Promise<Uint8Array | null>;
  /** As {@link readSlice}, but follows no link and opens nothing that is no regular file: neither can make it wait. */
  readOwn(path: string, slice: Slice): Promise<OwnRead>;
  /**
   * Draft beside it, fsync, rename: a reader sees the old or the new content, never a part. Not `isDurable` leaves the fsync
   * out: after a power failure the file may be empty.
   */
  writeAtomic(
    path: string,
    content: string | Uint8Array,
    mode: number,
    options?: { isDurable?: boolean },
  ): Promise<void>;
  /** Creates with `mode` and fails with `exists` where the file is there already. */
  writeNew(path: string, text: string, mode: number): Promise<void>;
  append(path: string, text: string, mode: number): Promise<void>;
  /** Removes a file or link. True if there was one. */
  remove(path: string): Promise<boolean>;
  /** Removes a folder with all in it, never following links. True if there was one. */
  removeTree(path: string): Promise<boolean>;
  rename(from: string, to: string): Promise<void>;
  copy(from: string, to: string): Promise<void>;
  /** Cuts the file to `sizeBytes`. */
  truncate(path: string, sizeBytes: number): Promise<void>;
  /**
   * Moves a part of a file that others append to into the new file `to`: everything up to the end of `slice` becomes a
   * hole, read as NUL, and nothing that is appended meanwhile is lost. False, with nothing changed, where the system,
   * the file system or the permissions do not let a hole be made.
   */
  moveHead(path: string, slice: Slice, target: { to: string; mode: number }): Promise<boolean>;
  /** Creates the folder and its parents with `mode`; an existing folder is left as it is. */
  makeDir(path: string, mode: number): Promise<void>;
  list(path: string): Promise<DirEntry[] | null>;
  /** Does not follow a link at `path` itself. */
  stat(path: string): Promise<FileStat | null>;
  realPath(path: string): Promise<string | null>;
  chmod(path: string, mode: number): Promise<void>;
  /** Whether this user may execute the file. */
  isExecutable(path: string): Promise<boolean>;
  /** False where owners and permissions on this path's file system mean nothing: drvfs, 9p, vfat, CIFS; true in doubt. */
  keepsModes(path: string): Promise<boolean>;
  /** Tries once, without waiting: null when somebody else (also in this process) holds it. The file is never unlinked. */
  tryLock(path: string, mode: number): Promise<FileLock | null>;
}

// ------------------------------------------------------------------------------------------------------ processes

/**
 * What is known of a live or zombie process. `startTime` and the pid are its identity: `proc:<boot id>:<ticks>`,
 * `ps:<lstart>`, with a dot and the microseconds where the system itself told them, or `cim:<creation time>`.
 */
export interface ProcessFacts {
  pid: number;
  startTime: string;
  parentPid: number;
  /**
   * Process group; 0 where it has none. On Windows the job that foster made for a start, by the pid of its first process;
   * always 0 there without system calls.
   */
  groupId: number;
  /** Ended, but not yet reaped by its parent: counts as gone, yet still holds its pid and group number. */
  zombie: boolean;
}

/** macOS: `ps` tells whole seconds, the system itself microseconds, which stand behind a dot. */
const MACOS = /^(ps:.* \d{4})(?:\.(\d{6}))?$/;

/**
 * Whether two start times are of the same process, where the pid is the same. On macOS one of them may have been read
 * through `ps`, which knows the second only.
 */
export function isSameStart(one: string | null | undefined, other: string | null | undefined): boolean {
  if (one === other) return true;
  const [, second, fraction] = MACOS.exec(one ?? "") ?? [];
  const [, otherSecond, otherFraction] = MACOS.exec(other ?? "") ?? [];
  return second !== undefined && second === otherSecond &&
    (fraction === undefined || otherFraction === undefined);
}

export type ProcessObservation =
  | { kind: "seen"; facts: ProcessFacts }
  | { kind: "gone" }
  | { kind: "unknown"; why: string };

/** A process that listens on the asked port. */
export interface Listener {
  pid: number;
  /** Local address it listens on, e.g. `127.0.0.1`, `0.0.0.0`, `::`; `*` only where the system's tool tells no family. */
  address: string;
}

/** The listeners of a port. `unnamed` counts sockets without a process that this user may see. */
export type PortObservation =
  | { kind: "known"; listeners: Listener[]; unnamed: number }
  | { kind: "unknown"; why: string };

/** Whether live processes use a folder; `unknown` where not all of them could be asked. */
export type FolderUse =
  | { kind: "free" }
  | { kind: "busy"; pids: number[] }
  | { kind: "unknown"; why: string };

/** CPU time and memory of one process, for live tables. */
export interface ProcessUsage {
  residentBytes: number;
  cpuMs: number;
}

export type Signal = "SIGTERM" | "SIGKILL" | "SIGINT" | "SIGHUP";
export type SignalResult = "sent" | "gone" | "denied";
export interface ExitStatus {
  /** Null when a signal ended it. */
  code: number | null;
  signal: string | null;
}

export interface RunResult extends ExitStatus {
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** The child is killed after this; the call then throws `timeout`. */
  timeoutMs: number;
  /** Added to the helper environment: PATH, LC_ALL=C, TZ=UTC and nothing else. */
  env?: Record<string, string>;
  cwd?: string;
  /** Written to its standard input, which is then closed. */
  input?: string;
}

export interface SpawnOptions {
  /** Absolute path of the program. */
  command: string;
  args: readonly string[];
  cwd: string;
  /** The child's whole environment. */
  env: Record<string, string>;
}

export interface DetachedOptions extends SpawnOptions {
  /** File that the child itself appends its stdout and stderr to, created with mode 0600; null: they are dropped. */
  logFile: string | null;
  /** Its standard input: at its end from the beginning, or one that never ends (POSIX; else `null`). */
  stdin?: "null" | "open";
}

/** A child in its own session and process group that outlives foster. */
export interface DetachedChild {
  pid: number;
  /** The number of a group that it leads, null where it has none. */
  groupId: number | null;
  /** Resolves when it ends while this foster still runs. Does not keep this process alive by itself. */
  exited: Promise<ExitStatus>;
}

export interface PipedOptions extends SpawnOptions {
  /** Own session and group, as {@link DetachedChild}, or foster's own. On Windows it may end with foster all the same. */
  detached: boolean;
  /** `log` appends to `logFile`; `inherit` passes foster's own stderr on. */
  stderr: { kind: "log"; file: string } | { kind: "inherit" };
}

export interface PipedChild {
  pid: number;
  /** The number of a group that it leads, null where it has none. */
  groupId: number | null;
  stdin: WritableStream<Uint8Array>;
  stdout: ReadableStream<Uint8Array>;
  exited: Promise<ExitStatus>;
}

/** Looks at one process without reading its pid again. */
export interface ExitWatch {
  ended(): boolean;
  /** To be called once, in the end. */
  close(): void;
}

export interface InheritedChild {
  pid: number;
  exited: Promise<ExitStatus>;
}

export interface Processes {
  readonly selfPid: number;
  /**
   * The number of the PID namespace that pids here are of; null on systems without. Pids of another one are other
   * processes. @throws HostError where it can't be told
   */
  pidNamespace(): Promise<string | null>;
  /**
   * Path of the systemd unit that this process belongs to, `/user.slice/…/session-3.scope`; null on systems without, and
   * where it can't be told.
   */
  unitPath(): Promise<string | null>;
  /** One answer for each pid asked, in one go where the system can. Never throws for a single process. */
  inspect(pids: readonly number[]): Promise<Map<number, ProcessObservation>>;
  /** Every process that this user may see. @throws HostError where the system gives no list. */
  list(): Promise<ProcessFacts[]>;
  /** False where it is certain that the process group has no member; true also where nobody can tell. */
  mayHaveMembers(groupId: number): boolean;
  /** Argument vector, null where it can't be read. At most 1 MiB is read. */
  argv(pid: number): Promise<string[] | null>;
  /** Full path of the program it runs and its working folder, each null where it can't be read. */
  paths(pid: number): Promise<{ executable: string | null; cwd: string | null }>;
  usage(pids: readonly number[]): Promise<Map<number, ProcessUsage>>;
  /**
   * Which of `pids` (or, without, of all processes) carry exactly `NAME=value` in their environment. Empty on systems
   * where other processes' environments can't be read.
   */
  carrying(entry: string, pids?: readonly number[]): Promise<number[]>;
  /** As {@link carrying}, for every process whose entry begins with `prefix`: pid and the whole entry. */
  carryingPrefix(prefix: string, pids?: readonly number[]): Promise<{ pid: number; entry: string }[]>;
  /** Every TCP port that anybody listens on; null where the system does not say it in one go. */
  listeningPorts(): Promise<ReadonlySet<number> | null>;
  /** `likely` spares a search of all processes: where it holds every socket of the port, no other is looked for. */
  listeners(port: number, likely?: number | null): Promise<PortObservation>;
  /** Connections to a port of this machine that are not foster's own; null where the system does not tell. */
  foreignConnections(port: number): Promise<number | null>;
  /** Looks once for all `folders` (absolute, links resolved). Never throws. */
  using(folders: readonly string[]): Promise<Map<string, FolderUse>>;
  /**
   * Sends a signal to a pid, or to a whole group through a negative number. Nothing but `lifecycle/stop/signal.ts` may
   * call this. On Windows a group is a job, SIGKILL ends at once and every other signal asks by CTRL_C. `startTime` is
   * the one of the process, or of the group's leader: where the system can, it is compared in a way that no recycled
   * pid is ever hit (then `gone`).
   */
  signal(target: number, signal: Signal, startTime?: string): Promise<SignalResult>;
  /**
   * Sends CTRL_C to the console of a process of Windows, where nobody else is on it; foster loses its own console by that.
   * Only for the foster that {@link signal} starts, as `foster ask-console`: gives the code that it is to end with.
   */
  askConsole(pid: number, startTime: string): Promise<number>;
  /**
   * Watches a process that need not be a child. Null where this system can't, and where no such process runs:
   * {@link inspect} tells which.
   */
  watchExit(pid: number, startTime: string): Promise<ExitWatch | null>;
  /** @throws HostError `not_found`, `denied`, `no_permission` or `failed` */
  spawnDetached(options: DetachedOptions): Promise<DetachedChild>;
  spawnPiped(options: PipedOptions): Promise<PipedChild>;
  /** A child that shares foster's stdin, stdout and stderr. */
  spawnInherited(options: SpawnOptions): Promise<InheritedChild>;
  /** Runs a helper program to its end. @throws HostError `not_found`, `timeout`, `denied`, `no_permission`, `failed` */
  run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult>;
  /** Calls back with the name of every helper program that is run, until the returned function is called. */
  onHelper(listener: (command: string) => void): () => void;
  /** Why `command` (an absolute path) can't be run under the present permissions, or null. */
  mayRun(command: string): Promise<string | null>;
}

// ------------------------------------------------------------------------------------------------------------ net

export type DialResult = "open" | "refused" | "timeout" | "failed";

export interface ConnectOptions {
  timeoutMs: number;
  signal?: AbortSignal;
}

/** A TCP connection. */
export interface Connection {
  /** The next bytes, null once the other end has closed. One call at a time. @throws where the connection broke */
  read(): Promise<Uint8Array | null>;
  /** Resolves once the bytes are handed to the system. @throws where the connection broke */
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

/** Windows' reserved TCP port ranges, both ends included. Empty elsewhere and where the query fails. */
export type PortRange = readonly [first: number, last: number];

export interface ServeOptions {
  hostname: string;
  port: number;
  /** An address that other machines reach is meant; without it only this machine's own are taken. */
  beyondLoopback?: boolean;
  handle(request: Request, upgrade: () => UpgradeResult): Response | Promise<Response>;
}

/** The server's end of a WebSocket. */
export interface ServerSocket {
  onmessage: ((data: string | Uint8Array) => void) | null;
  onclose: ((code: number, reason: string) => void) | null;
  send(data: string): void;
  close(code: number, reason: string): void;
}

export interface UpgradeResult {
  /** To be returned from `handle` as it is. */
  response: Response;
  /** Settles once the handshake is over. */
  socket: Promise<ServerSocket>;
}

export interface HttpServer {
  readonly port: number;
  close(): Promise<void>;
}

export interface Net {
  /** To this machine alone, and to where the URL says: no redirect is followed. @throws HostError `denied` elsewhere */
  fetch(input: string | URL, init?: RequestInit): Promise<Response>;
  /** To any machine. Only for a URL that the user has just typed. */
  fetchAnywhere(input: string | URL, init?: RequestInit): Promise<Response>;
  /** To this machine alone. @throws HostError `denied` elsewhere, what the engine throws, or the signal's reason */
  connect(hostname: string, port: number, options: ConnectOptions): Promise<Connection>;
  /** Opens a TCP connection to this machine and closes it again; `failed` for any other. */
  dial(hostname: string, port: number, timeoutMs: number): Promise<DialResult>;
  /**
   * Whether a listener could be bound right now; closes it at once. Other addresses of the port count only where the
   * system says so. `localhost` is free where each of its families that this machine has is free.
   */
  canBind(hostname: string, port: number): Promise<boolean>;
  /** Where only the ports `among` are of interest it may be empty without having looked: none of them is reserved then. */
  reservedRanges(among?: readonly number[]): Promise<PortRange[]>;
  /** @throws HostError `busy` where the port is taken, `unsupported` where the address is not the loopback's */
  serve(options: ServeOptions): Promise<HttpServer>;
  /** The platform's own client, to this machine alone. @throws HostError `denied` elsewhere */
  webSocket(url: string): WebSocket;
}

// ------------------------------------------------------------------------------------------------------- terminal

export type Interrupt = "SIGINT" | "SIGTERM" | "SIGHUP";

export interface Terminal {
  readonly stdinIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
  /** Width of stdout in columns; 80 where there is no terminal. */
  columns(): number;
  rows(): number;
  /** Writes all of it before it returns; a closed pipe is not an error. */
  out(text: string): void;
  err(text: string): void;
  readonly stdin: ReadableStream<Uint8Array>;
  readonly stdout: WritableStream<Uint8Array>;
  /** Key by key, without echo; true turns it on. No effect without a terminal. */
  setRaw(on: boolean): void;
  /** Calls back instead of ending the process. Returns the function that ends this. SIGHUP is not known on Windows. */
  onInterrupt(signals: readonly Interrupt[], handler: (signal: Interrupt) => void): () => void;
}
