/**
 * Looks at processes and ports of macOS through its own calls. Where one of them does not answer, and for what another
 * user's processes hide, the helper programs are asked.
 *
 * @module
 */
import { possiblePids } from "../helper.ts";
import {
  type ExitWatch,
  isSameStart,
  type Listener,
  type PortObservation,
  type Processes,
  type ProcessFacts,
  type ProcessObservation,
  type ProcessUsage,
  type Signal,
  type SignalResult,
} from "../../host.ts";
import type { DarwinCalls, KernelAnswer } from "./calls.ts";
import type { HelperReader } from "./helpers.ts";
import type { OwnProcess, Reliable } from "./self_check.ts";
import type { KernelFacts } from "./structs.ts";

const LAST_PID = 0x7fff_ffff;

export interface DirectParts {
  calls: DarwinCalls;
  /** The facts are; without them nothing is asked here. */
  reliable: Omit<Reliable, "facts">;
  own: Pick<OwnProcess, "pid" | "userId">;
  helpers: HelperReader;
  /** kill(2). */
  kill: Processes["signal"];
}

export class DirectReader {
  readonly #calls: DarwinCalls;
  readonly #reliable: Omit<Reliable, "facts">;
  readonly #own: Pick<OwnProcess, "pid" | "userId">;
  readonly #helpers: HelperReader;
  readonly #kill: Processes["signal"];

  constructor({ calls, reliable, own, helpers, kill }: DirectParts) {
    this.#calls = calls;
    this.#reliable = reliable;
    this.#own = own;
    this.#helpers = helpers;
    this.#kill = kill;
  }

  async inspect(pids: readonly number[]): Promise<Map<number, ProcessObservation>> {
    const seen = new Map<number, ProcessObservation>(pids.map((pid) => [pid, { kind: "gone" }]));
    const asked = possiblePids(pids).filter((pid) => pid <= LAST_PID);
    if (asked.length === 0) return seen;
    const unanswered: number[] = [];
    for (const pid of asked) {
      const answer = this.#facts(pid);
      if (answer === null) unanswered.push(pid);
      else if (answer.kind === "seen") seen.set(pid, { kind: "seen", facts: factsOf(answer.facts) });
    }
    if (unanswered.length === 0) return seen;
    for (const [pid, observation] of await this.#helpers.inspect(unanswered)) seen.set(pid, observation);
    return seen;
  }

  async list(): Promise<ProcessFacts[]> {
    return this.#list()?.map(factsOf) ?? await this.#helpers.list();
  }

  async argv(pid: number): Promise<string[] | null> {
    const known = this.#reliable.arguments ? this.#calls.arguments(pid)?.argv ?? null : null;
    if (known !== null) return known.length > 0 ? known : null;
    // ps may read those of another user's processes.
    return this.#isAlive(pid) ? await this.#helpers.argv(pid) : null;
  }

  async paths(pid: number): Promise<{ executable: string | null; cwd: string | null }> {
    if (!this.#reliable.paths) return await this.#helpers.paths(pid);
    return { executable: this.#calls.path(pid) ?? this.#calledBy(pid), cwd: this.#calls.folder(pid) };
  }

  async usage(pids: readonly number[]): Promise<Map<number, ProcessUsage>> {
    const usage = new Map<number, ProcessUsage>();
    const unanswered: number[] = [];
    for (const pid of possiblePids(pids)) {
      const known = this.#calls.usage(pid);
      if (known !== null) usage.set(pid, known);
      else if (this.#isAlive(pid)) unanswered.push(pid);
    }
    if (unanswered.length === 0) return usage;
    return new Map([...usage, ...await this.#helpers.usage(unanswered)]);
  }

  carrying(entry: string, pids?: readonly number[]): number[] {
    const carriers = this.carryingPrefix(entry, pids).filter((each) => each.entry === entry);
    return [...new Set(carriers.map(({ pid }) => pid))];
  }

  /** Nothing of Apple's own programs, whose environment the kernel keeps back. */
  carryingPrefix(prefix: string, pids?: readonly number[]): { pid: number; entry: string }[] {
    if (!this.#reliable.arguments) return [];
    const among = pids ?? this.#readable().map(({ pid }) => pid);
    return among.flatMap((pid) => {
      const { environment = [] } = this.#calls.arguments(pid) ?? {};
      return environment.filter((entry) => entry.startsWith(prefix)).map((entry) => ({ pid, entry }));
    });
  }

  async listeners(port: number): Promise<PortObservation> {
    const listeners = this.#readable().flatMap(({ pid }) => this.#listening(pid, port));
    if (listeners.length > 0) return { kind: "known", listeners, unnamed: 0 };
    // Another user's sockets are not shown, so that none found does not mean that nobody listens.
    const counted = await this.#helpers.countListening(port);
    if (counted.kind === "known" && counted.unnamed === 0) return counted;
    return await this.#helpers.listeners(port);
  }

  /** Null where no process that foster may look into listens on the port: who accepted is then not seen. */
  foreignConnections(port: number): number | null {
    const readable = this.#readable();
    if (!readable.some(({ pid }) => this.#listening(pid, port).length > 0)) return null;
    // Workers of one server may hold the same connection.
    const others = new Set(
      readable.flatMap(({ pid }) => this.#calls.connections(pid)).filter(({ local }) => local === port)
        .map(({ remote }) => remote),
    );
    for (const { local, remote } of this.#calls.connections(this.#own.pid)) {
      if (remote === port) others.delete(local);
    }
    return others.size;
  }

  async signal(target: number, signal: Signal, startTime?: string): Promise<SignalResult> {
    if (startTime === undefined) return await this.#kill(target, signal);
    const answer = this.#facts(Math.abs(target));
    if (answer === null) return "denied";
    switch (answer.kind) {
      case "gone":
        // A group outlives its leader, and keeps its number from being given away.
        return target > 0 ? "gone" : await this.#kill(target, signal);
      case "seen":
        if (!isSameStart(answer.facts.startTime, startTime)) return "gone";
        return await this.#kill(target, signal);
    }
  }

  watchExit(pid: number, startTime: string): ExitWatch | null {
    const isOver = () => {
      const answer = this.#facts(pid);
      if (answer?.kind !== "seen") return answer?.kind === "gone";
      return answer.facts.zombie || !isSameStart(answer.facts.startTime, startTime);
    };
    const answer = this.#facts(pid);
    return answer?.kind !== "seen" || isOver() ? null : { ended: isOver, close() {} };
  }

  /** A kernel that does not show foster itself has not looked, and has not said that a process is gone. */
  #facts(pid: number): KernelAnswer {
    const answer = this.#calls.facts(pid);
    if (answer?.kind !== "gone") return answer;
    return this.#calls.facts(this.#own.pid)?.kind === "seen" ? answer : null;
  }

  /** Null where the kernel gave no list that foster itself is in. */
  #list(): KernelFacts[] | null {
    const all = this.#calls.list();
    return all?.some(({ pid }) => pid === this.#own.pid) ? all : null;
  }

  /** Those whose files and environment foster may see. */
  #readable(): KernelFacts[] {
    const { userId } = this.#own;
    const mayReadAll = userId === null || userId === 0;
    return (this.#list() ?? []).filter((each) => !each.zombie && (mayReadAll || each.userId === userId));
  }

  #listening(pid: number, port: number): Listener[] {
    const addresses = this.#calls.listening(pid).filter((each) => each.port === port).map((each) =>
      each.address
    );
    return [...new Set(addresses)].sort().map((address) => ({ pid, address }));
  }

  #isAlive(pid: number): boolean {
    const answer = this.#facts(pid);
    return answer === null || (answer.kind === "seen" && !answer.facts.zombie);
  }

  #calledBy(pid: number): string | null {
    const executable = this.#reliable.arguments ? this.#calls.arguments(pid)?.executable : null;
    return executable?.startsWith("/") ? executable : null;
  }
}

function factsOf({ pid, startTime, parentPid, groupId, zombie }: KernelFacts): ProcessFacts {
  return { pid, startTime, parentPid, groupId, zombie };
}
