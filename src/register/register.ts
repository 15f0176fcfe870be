/**
 * Runs a server that foster does not manage, and keeps a record of it for as long as it lives.
 *
 * @module
 */
import {
  type ExitStatus,
  type Host,
  HostError,
  type Interrupt,
  type ProcessObservation,
  type System,
} from "../host/host.ts";
import { climbLadder } from "../lifecycle/stop/ladder.ts";
import type { World } from "../lifecycle/world.ts";
import {
  PROCESS_RECORD_SCHEMA,
  type ProcessRecord,
  removeProcessRecord,
  writeProcessRecord,
} from "../registry/process_files.ts";
import { isOver, verdict } from "../registry/identity.ts";
import type { ProcessIdentity } from "../registry/record.ts";
import { TOKEN_VARIABLE } from "../definitions/launch/environment.ts";
import type { RegisterOptions } from "./options.ts";

export interface RegisterRequest extends RegisterOptions {
  /** Absolute path of the program. */
  command: string;
  args: readonly string[];
}

const WATCH_MS = 1000;
const GRACE_MS = 5000;

/** Its exit code, 128 and the signal's number where a signal ended it. @throws HostError where it can't be started */
export async function register(world: World, request: RegisterRequest): Promise<number> {
  return await new Register(world, request).run();
}

class Register {
  readonly #world: World;
  readonly #host: Host;
  readonly #request: RegisterRequest;
  /** What is being ended because the client is gone. */
  #ending: Promise<void> = Promise.resolve();

  constructor(world: World, request: RegisterRequest) {
    this.#world = world;
    this.#host = world.host;
    this.#request = request;
  }

  async run(): Promise<number> {
    const { command, args } = this.#request;
    const { processes, program, terminal, clock } = this.#host;
    const self = await this.#inspect(processes.selfPid);
    const parent = await this.#parentOf(self);
    const env = this.#host.env.all();
    delete env[TOKEN_VARIABLE];
    // From here on: what comes while the child is being started must reach it too.
    const early: Interrupt[] = [];
    let pass = (signal: Interrupt): void => void early.push(signal);
    const stopListening = terminal.onInterrupt(["SIGINT", "SIGTERM", "SIGHUP"], (signal) => pass(signal));
    try {
      const child = await processes.spawnInherited({ command, args, cwd: program.folder, env });
      const started_unix_millis = Math.round(clock.now());
      const seen = await this.#inspect(child.pid);
      const identity = identityOf(seen);
      pass = (signal) =>
        void this.#pass(identity, signal).catch((error) =>
          this.#world.warn(`foster register: ${signal} was not passed on: ${messageOf(error)}`)
        );
      for (const signal of early) pass(signal);
      const path = await this.#record({ seen, self, parent, pid: child.pid, started_unix_millis });
      const stopWatching = this.#watch(parent, identity);
      const status = await child.exited;
      stopWatching();
      await this.#ending;
      if (path !== null) {
        const start_token = seen?.kind === "seen" ? seen.facts.startTime : null;
        const record = { pid: child.pid, start_token, started_unix_millis };
        await this.#forget(path, record);
      }
      return exitCodeOf(status, this.#host.system);
    } finally {
      stopListening();
    }
  }

  async #record(
    { seen, self, parent, pid, started_unix_millis }: {
      seen: ProcessObservation | undefined;
      self: ProcessObservation | undefined;
      parent: Parent | null;
      pid: number;
      started_unix_millis: number;
    },
  ): Promise<string | null> {
    const { command, transport, bind, httpPath } = this.#request;
    const facts = seen?.kind === "seen" ? seen.facts : null;
    const record: ProcessRecord = {
      schema: PROCESS_RECORD_SCHEMA,
      pid,
      start_token: facts?.startTime ?? null,
      executable: command,
      cwd: this.#host.program.folder,
      started_unix_millis,
      parent_pid_at_start: parent?.pid ?? null,
      process_group_id: facts === null || facts.groupId === 0 ? null : facts.groupId,
      transport,
      bind,
      http_path: httpPath,
      register: identityOf(self),
    };
    try {
      return await writeProcessRecord(this.#host, this.#world.state.path, record);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.#world.warn(`foster register: no record of pid ${pid} is kept: ${error.message}`);
      return null;
    }
  }

  async #forget(
    path: string,
    record: Pick<ProcessRecord, "pid" | "start_token" | "started_unix_millis">,
  ): Promise<void> {
    try {
      await removeProcessRecord(this.#host, path, record);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.#world.warn(`foster register: ${path} is left over: ${error.message}`);
    }
  }

  /** A terminal sends Ctrl-C and its own closing to the child as well, which must not get them twice. */
  async #pass(identity: ProcessIdentity | null, signal: Interrupt): Promise<void> {
    if (identity === null || (signal !== "SIGTERM" && this.#host.terminal.stdinIsTerminal)) return;
    const { pid, start_token: startTime } = identity;
    const sent = await this.#world.signaller.send({ kind: "process", pid, startTime }, signal);
    if (sent.kind === "refused") {
      this.#world.warn(`foster register: ${signal} was not passed on: ${sent.why}`);
    }
  }

  /** Only a stdio server belongs to the client that started it. */
  #watch(parent: Parent | null, child: ProcessIdentity | null): () => void {
    if (this.#request.transport !== "stdio" || child === null || !isWatched(parent)) return () => {};
    const { processes, clock } = this.#host;
    let busy = false;
    const check = async () => {
      const seen = await processes.inspect([processes.selfPid, parent.pid]);
      if (!isParentLost(parent, { self: seen.get(processes.selfPid), seen: seen.get(parent.pid) })) return;
      stop();
      this.#world.warn(`foster register: the client (pid ${parent.pid}) is gone: ending pid ${child.pid}`);
      this.#ending = this.#endTree(child).catch((error) =>
        this.#world.warn(`foster register: pid ${child.pid} could not be ended: ${messageOf(error)}`)
      );
    };
    const stop = clock.every(WATCH_MS, () => {
      if (busy) return;
      busy = true;
      // What can't be seen now is looked at again a second later.
      check().catch(() => {}).finally(() => busy = false);
    });
    return stop;
  }

  async #endTree(child: ProcessIdentity): Promise<void> {
    const { signaller } = this.#world;
    const targets = { groups: [], processes: await this.#treeOf(child) };
    const { survivors } = await climbLadder(this.#host, { targets, signaller, graceMs: GRACE_MS });
    for (const { pid, why } of survivors) this.#world.warn(`foster register: pid ${pid} is left: ${why}`);
  }

  /** The child with its descendants: it shares its group with the client, which is not to be signalled. */
  async #treeOf(child: ProcessIdentity): Promise<ProcessIdentity[]> {
    const tree = new Map([[child.pid, child]]);
    const list = await this.#host.processes.list().catch(() => []);
    for (let before = 0; before !== tree.size;) {
      before = tree.size;
      for (const { pid, parentPid, startTime, zombie } of list) {
        if (!zombie && tree.has(parentPid) && !tree.has(pid)) tree.set(pid, { pid, start_token: startTime });
      }
    }
    return [...tree.values()];
  }

  async #parentOf(self: ProcessObservation | undefined): Promise<Parent | null> {
    if (self?.kind !== "seen") return null;
    const pid = self.facts.parentPid;
    return { pid, startTime: identityOf(await this.#inspect(pid))?.start_token ?? null };
  }

  async #inspect(pid: number): Promise<ProcessObservation | undefined> {
    return (await this.#host.processes.inspect([pid])).get(pid);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function identityOf(seen: ProcessObservation | undefined): ProcessIdentity | null {
  return seen?.kind === "seen" ? { pid: seen.facts.pid, start_token: seen.facts.startTime } : null;
}

/** Those that have the same number everywhere. */
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
};

/** Those whose number differs. */
const OWN_NUMBERS: Readonly<Record<System, Readonly<Record<string, number>>>> = {
  linux: { SIGBUS: 7, SIGUSR1: 10, SIGUSR2: 12, SIGPOLL: 29, SIGSYS: 31 },
  darwin: { SIGEMT: 7, SIGBUS: 10, SIGSYS: 12, SIGUSR1: 30, SIGUSR2: 31 },
  windows: {},
};

/** 128 and the signal's number, as a shell says it. */
export function exitCodeOf({ code, signal }: ExitStatus, system: System): number {
  return code ?? 128 + (SIGNAL_NUMBERS[signal ?? ""] ?? OWN_NUMBERS[system][signal ?? ""] ?? 0);
}

/** The register's parent when it started. */
export interface Parent {
  pid: number;
  /** Null where it could not be read. */
  startTime: string | null;
}

/** Processes that adopt orphans are nobody's client. */
export function isWatched(parent: Parent | null): parent is Parent {
  return parent !== null && parent.pid > 1;
}

/** Gone for sure, or no longer the parent. What can't be told is no reason to end a server. */
export function isParentLost(
  parent: Parent,
  { self, seen }: { self: ProcessObservation | undefined; seen: ProcessObservation | undefined },
): boolean {
  if (self?.kind === "seen" && self.facts.parentPid !== parent.pid) return true;
  return isOver(verdict(seen, parent.startTime));
}
