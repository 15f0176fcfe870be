/**
 * A table of processes in memory. Nothing runs: a started program is a function that says what it does.
 *
 * @module
 */
import {
  type DetachedChild,
  type DetachedOptions,
  type ExitStatus,
  type ExitWatch,
  type FolderUse,
  HostError,
  type InheritedChild,
  isSameStart,
  type Listener,
  type PipedChild,
  type PipedOptions,
  type PortObservation,
  type Processes,
  type ProcessFacts,
  type ProcessObservation,
  type ProcessUsage,
  type RunOptions,
  type RunResult,
  type Signal,
  type SignalResult,
  type SpawnOptions,
  type System,
} from "../../src/host/host.ts";
import type { FakeClock } from "./fake_clock.ts";
import { type FakeFiles, posixPath } from "./fake_files.ts";

/** What a process does when it is sent a signal. */
export type Reaction = "ends" | "ignores" | "denied" | { endsAfterMs: number };

export interface FakeProcess extends ProcessFacts {
  argv: string[] | null;
  env: Record<string, string>;
  executable: string | null;
  cwd: string | null;
  listens: { port: number; address: string }[];
  usage: ProcessUsage;
  /** SIGKILL is asked too, so that "does not die" can be played. */
  react(signal: Signal): Reaction;
}

/** What may be said of a process that is added; the rest is filled in. */
export type FakeProcessInit =
  & Partial<Omit<FakeProcess, "listens" | "react">>
  & {
    /** Ports on 127.0.0.1, or with their addresses. */
    listens?: (number | { port: number; address: string })[];
    /** Signals that have no effect. */
    ignores?: readonly Signal[];
    react?: (signal: Signal) => Reaction;
  };

/** A started program as its own function sees it. */
export interface FakeChild {
  readonly process: FakeProcess;
  readonly options: SpawnOptions;
  /** Appends to the log file, where it has one. */
  log(text: string): void;
  listen(port: number, address?: string): void;
  exit(code: number): void;
  /** Its standard input and output, for a child that has pipes. */
  readonly stdin: ReadableStream<Uint8Array>;
  readonly stdout: WritableStream<Uint8Array>;
}

export type FakeProgram = (child: FakeChild) => void | Promise<void>;
export type FakeHelper = (
  args: readonly string[],
  options: RunOptions,
) => Partial<RunResult> | Promise<Partial<RunResult>>;

export interface FakeWorld {
  system: System;
  clock: FakeClock;
  files: FakeFiles;
  selfPid: number;
}

export class FakeProcesses implements Processes {
  readonly selfPid: number;
  /** Every signal that was sent, in order. */
  readonly signals: { target: number; signal: Signal; at: number }[] = [];
  /** Everything that was started, in order. */
  readonly spawned: { pid: number; options: SpawnOptions }[] = [];
  /** The namespace that the pids are of; null as on systems without. */
  namespace: string | null = null;
  /** Path of the systemd unit that foster is in. */
  unit: string | null = null;
  /** Pids that can't be looked at, with the reason. */
  readonly unreadable = new Map<number, string>();
  /** Ports with sockets that no process can be found for: how many. */
  readonly unnamed = new Map<number, number>();
  /** Set to let every question for listeners fail with this reason. */
  listenersUnknown: string | null = null;
  /** Programs that the runtime's permissions refuse, with the reason. */
  readonly refusedPrograms = new Map<string, string>();

  readonly #world: FakeWorld;
  readonly #table = new Map<number, FakeProcess>();
  readonly #programs = new Map<string, FakeProgram>();
  readonly #helpers = new Map<string, FakeHelper>();
  readonly #endings = new Map<number, (status: ExitStatus) => void>();
  #nextPid = 1000;
  #nextTicks = 100_000;

  constructor(world: FakeWorld) {
    this.#world = world;
    this.selfPid = world.selfPid;
    this.add({ pid: 1, parentPid: 0, argv: ["/sbin/init"] });
    this.add({ pid: world.selfPid - 1, parentPid: 1, argv: ["-sh"] });
    this.add({ pid: world.selfPid, parentPid: world.selfPid - 1, argv: ["foster"] });
  }

  // ------------------------------------------------------------------------------------------ for tests: arranging

  /** Adds a process. Without more it is a child of init, in a group of its own, that ends at every signal. */
  add(init: FakeProcessInit = {}): FakeProcess {
    const pid = init.pid ?? this.#freePid();
    const { listens = [], ignores = [], ...given } = init;
    const process: FakeProcess = {
      pid,
      startTime: this.#freshToken(),
      parentPid: 1,
      groupId: this.#world.system === "windows" ? 0 : pid,
      zombie: false,
      argv: ["program"],
      env: {},
      executable: init.argv?.[0] ?? "/usr/bin/program",
      cwd: "/",
      usage: { residentBytes: 10_000_000, cpuMs: 100 },
      react: (signal) => ignores.includes(signal) ? "ignores" : "ends",
      ...given,
      listens: listens.map((each) => typeof each === "number" ? { port: each, address: "127.0.0.1" } : each),
    };
    this.#table.set(pid, process);
    return process;
  }

  /** The process with this pid. @throws Error where there is none */
  get(pid: number): FakeProcess {
    const process = this.#table.get(pid);
    if (process === undefined) throw new Error(`No fake process ${pid}`);
    return process;
  }

  /** Whether it runs: there, and no zombie. */
  isAlive(pid: number): boolean {
    return this.#table.get(pid)?.zombie === false;
  }

  /** Pids of all that run, sorted. */
  alive(): number[] {
    return [...this.#table.keys()].filter((pid) => this.isAlive(pid)).sort((first, second) => first - second);
  }

  /** Ends a process by itself; its children go to init. */
  end(pid: number, status: Partial<ExitStatus> = { code: 0 }): void {
    this.get(pid);
    this.#table.delete(pid);
    for (const each of this.#table.values()) if (each.parentPid === pid) each.parentPid = 1;
    this.#endings.get(pid)?.({ code: status.code ?? null, signal: status.signal ?? null });
    this.#endings.delete(pid);
  }

  /** Ended, but not reaped: it listens no more. */
  setZombie(pid: number): void {
    Object.assign(this.get(pid), { zombie: true, listens: [] });
  }

  /** Ends a process and gives its pid to another one. */
  recycle(pid: number, init: FakeProcessInit = {}): FakeProcess {
    this.end(pid);
    return this.add({ ...init, pid });
  }

  /** Makes a program known: spawning any other fails with `not_found`. The file comes into being as well. */
  program(path: string, does: FakeProgram = () => {}): void {
    this.#world.files.put(path, "", 0o755);
    this.#programs.set(path, does);
  }

  /** Makes a helper program known to `run`, by the command as it is asked for. */
  helper(command: string, answers: FakeHelper): void {
    this.#helpers.set(command, answers);
  }

  // ---------------------------------------------------------------------------------------------- what a host does

  unitPath(): Promise<string | null> {
    return Promise.resolve(this.unit);
  }

  pidNamespace(): Promise<string | null> {
    return Promise.resolve(this.namespace);
  }

  async inspect(pids: readonly number[]): Promise<Map<number, ProcessObservation>> {
    await Promise.resolve();
    return new Map(pids.map((pid) => [pid, this.#see(pid)]));
  }

  async list(): Promise<ProcessFacts[]> {
    await Promise.resolve();
    return [...this.#table.values()].map(factsOf);
  }

  async argv(pid: number): Promise<string[] | null> {
    await Promise.resolve();
    return this.#readable(pid)?.argv?.slice() ?? null;
  }

  async paths(pid: number): Promise<{ executable: string | null; cwd: string | null }> {
    await Promise.resolve();
    const process = this.#readable(pid);
    return { executable: process?.executable ?? null, cwd: process?.cwd ?? null };
  }

  async usage(pids: readonly number[]): Promise<Map<number, ProcessUsage>> {
    await Promise.resolve();
    const found = pids.map((pid) => this.#readable(pid)).filter((each) => each !== null);
    return new Map(found.map((process) => [process.pid, { ...process.usage }]));
  }

  async carrying(entry: string, pids?: readonly number[]): Promise<number[]> {
    const all = await this.carryingPrefix(entry);
    return all
      .filter((each) => each.entry === entry && (pids === undefined || pids.includes(each.pid)))
      .map((each) => each.pid);
  }

  async carryingPrefix(
    prefix: string,
    pids: readonly number[] = [...this.#table.keys()],
  ): Promise<{ pid: number; entry: string }[]> {
    await Promise.resolve();
    if (this.#world.system !== "linux") return [];
    return pids.flatMap((pid) =>
      Object.entries(this.#readable(pid)?.env ?? {})
        .map(([name, value]) => ({ pid, entry: `${name}=${value}` }))
        .filter(({ entry }) => entry.startsWith(prefix))
    );
  }

  /** Two processes on one address share a socket. */
  listeningPorts(): Promise<ReadonlySet<number> | null> {
    if (this.listenersUnknown !== null) return Promise.resolve(null);
    const held = [...this.#table.values()].flatMap(({ listens }) => listens.map(({ port }) => port));
    return Promise.resolve(new Set([...held, ...this.unnamed.keys()]));
  }

  /** How many connections to a port are others'. */
  readonly connections = new Map<number, number>();

  foreignConnections(port: number): Promise<number | null> {
    return Promise.resolve(this.connections.get(port) ?? 0);
  }

  async listeners(port: number, likely: number | null = null): Promise<PortObservation> {
    await Promise.resolve();
    if (this.listenersUnknown !== null) return { kind: "unknown", why: this.listenersUnknown };
    const all = this.listening(port);
    const own = all.filter(({ pid }) => pid === likely);
    const isWhole = all.every(({ address }) => own.some((each) => each.address === address));
    return { kind: "known", listeners: isWhole ? own : all, unnamed: this.unnamed.get(port) ?? 0 };
  }

  async signal(target: number, signal: Signal, startTime?: string): Promise<SignalResult> {
    await Promise.resolve();
    const meant = this.#table.get(Math.abs(target));
    if (startTime !== undefined && meant !== undefined && !isSameStart(meant.startTime, startTime)) {
      return "gone";
    }
    this.signals.push({ target, signal, at: this.#world.clock.monotonic() });
    const reached = [...this.#table.values()]
      .filter((process) => target < 0 ? process.groupId === -target : process.pid === target);
    if (reached.length === 0) return "gone";
    const results = reached.map((process) => this.#deliver(process, signal));
    return results.includes("sent") ? "sent" : "denied";
  }

  askConsole(): Promise<number> {
    return Promise.reject(new HostError("unsupported", "There is no console to ask on here"));
  }

  watchExit(pid: number, startTime: string): Promise<ExitWatch | null> {
    const isIt = () => isSameStart(this.#table.get(pid)?.startTime, startTime);
    if (!isIt()) return Promise.resolve(null);
    return Promise.resolve({
      ended: () => !isIt() || this.#table.get(pid)?.zombie === true,
      close: () => {},
    });
  }

  mayHaveMembers(groupId: number): boolean {
    if (this.#world.system === "windows") return true;
    return [...this.#table.values()].some((process) => process.groupId === groupId);
  }

  async spawnDetached(options: DetachedOptions): Promise<DetachedChild> {
    if (options.logFile !== null) await this.#world.files.append(options.logFile, "", 0o600);
    const { process, exited } = await this.#spawn(options, { detached: true, logFile: options.logFile });
    return { pid: process.pid, groupId: process.groupId || null, exited };
  }

  async spawnPiped(options: PipedOptions): Promise<PipedChild> {
    const logFile = options.stderr.kind === "log" ? options.stderr.file : null;
    const { process, exited, input, output } = await this.#spawn(options, {
      detached: options.detached,
      logFile,
    });
    const groupId = options.detached ? process.groupId || null : null;
    return { pid: process.pid, groupId, stdin: input.writable, stdout: output.readable, exited };
  }

  async spawnInherited(options: SpawnOptions): Promise<InheritedChild> {
    const { process, exited } = await this.#spawn(options, { detached: false, logFile: null });
    return { pid: process.pid, exited };
  }

  readonly #helperListeners = new Set<(command: string) => void>();

  onHelper(listener: (command: string) => void): () => void {
    this.#helperListeners.add(listener);
    return () => void this.#helperListeners.delete(listener);
  }

  async run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
    for (const listener of this.#helperListeners) listener(command);
    const answers = this.#helpers.get(posixPath(command));
    if (answers === undefined) throw new HostError("not_found", `Cannot start ${command}: no such program`);
    return { code: 0, signal: null, stdout: "", stderr: "", ...await answers(args, options) };
  }

  /** By full path; a folder that is not in it is free. */
  readonly uses = new Map<string, FolderUse>();

  using(folders: readonly string[]): Promise<Map<string, FolderUse>> {
    return Promise.resolve(
      new Map(folders.map((folder) => [folder, this.uses.get(posixPath(folder)) ?? { kind: "free" }])),
    );
  }

  async mayRun(command: string): Promise<string | null> {
    await Promise.resolve();
    return this.refusedPrograms.get(posixPath(command)) ?? null;
  }

  // ------------------------------------------------------------------------------------------------------- within

  /** All that listen on the port, whether or not foster could tell. */
  listening(port: number): Listener[] {
    return [...this.#table.values()].flatMap((process) =>
      process.listens.filter((each) => each.port === port).map(({ address }) => ({
        pid: process.pid,
        address,
      }))
    );
  }

  #see(pid: number): ProcessObservation {
    const why = this.unreadable.get(pid);
    if (why !== undefined) return { kind: "unknown", why };
    const process = this.#table.get(pid);
    return process === undefined ? { kind: "gone" } : { kind: "seen", facts: factsOf(process) };
  }

  #readable(pid: number): FakeProcess | null {
    const process = this.#table.get(pid);
    return process === undefined || process.zombie || this.unreadable.has(pid) ? null : process;
  }

  #deliver(process: FakeProcess, signal: Signal): SignalResult {
    const reaction = process.react(signal);
    if (reaction === "denied") return "denied";
    if (process.zombie || reaction === "ignores") return "sent";
    const end = () => {
      if (this.#table.get(process.pid) === process) this.end(process.pid, { signal });
    };
    if (reaction === "ends") end();
    else this.#world.clock.after(reaction.endsAfterMs, end);
    return "sent";
  }

  async #spawn(given: SpawnOptions, how: { detached: boolean; logFile: string | null }) {
    await Promise.resolve();
    const options = {
      ...given,
      command: posixPath(given.command),
      cwd: posixPath(given.cwd),
      args: given.args.map((each) => /^(?:[A-Za-z]:)?\\(?!\\)/.test(each) ? posixPath(each) : each),
    };
    const program = this.#programs.get(options.command);
    const refused = this.refusedPrograms.get(options.command);
    if (refused !== undefined) throw new HostError("no_permission", refused);
    if (program === undefined) {
      throw new HostError("not_found", `Cannot start ${given.command}: no such program`);
    }
    const process = this.add({
      parentPid: this.selfPid,
      argv: [options.command, ...options.args],
      env: { ...options.env },
      executable: options.command,
      cwd: options.cwd,
    });
    if (!how.detached) process.groupId = this.get(this.selfPid).groupId;
    this.spawned.push({ pid: process.pid, options });
    const exited = new Promise<ExitStatus>((resolve) => this.#endings.set(process.pid, resolve));
    const input = new TransformStream<Uint8Array, Uint8Array>();
    const output = new TransformStream<Uint8Array, Uint8Array>();
    await program({
      process,
      options,
      log: (text) => this.#log(how.logFile, text),
      listen: (port, address = "127.0.0.1") => void process.listens.push({ port, address }),
      exit: (code) => this.end(process.pid, { code }),
      stdin: input.readable,
      stdout: output.writable,
    });
    return { process, exited, input, output };
  }

  #log(path: string | null, text: string): void {
    if (path !== null) this.#world.files.put(path, (this.#world.files.text(path) ?? "") + text);
  }

  #freePid(): number {
    while (this.#table.has(this.#nextPid)) this.#nextPid += 1;
    return this.#nextPid++;
  }

  #freshToken(): string {
    const ticks = this.#nextTicks++;
    switch (this.#world.system) {
      case "linux":
        return `proc:6f0c5a3e-0000-4000-8000-00000000b007:${ticks}`;
      case "darwin":
        return `ps:${new Date(ticks * 1000).toUTCString()}`;
      case "windows":
        return `cim:${ticks}`;
    }
  }
}

function factsOf({ pid, startTime, parentPid, groupId, zombie }: FakeProcess): ProcessFacts {
  return { pid, startTime, parentPid, groupId, zombie };
}
