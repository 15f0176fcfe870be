/**
 * Signals through a pidfd (Linux 5.3 and later): a file that stands for one process and for no other that gets its pid
 * later. Who the process is gets read while the pidfd is held, so nothing can come in between.
 *
 * @module
 */
import type { ExitWatch, Processes, Signal, SignalResult } from "../../host.ts";
import { type Ffi, linuxLibraries } from "../../ffi.ts";

export interface Pidfd {
  /** True when the signal is sent. Not why it is not: the error number may be gone by the time it could be read. */
  send(signal: Signal, to: "process" | "group"): boolean;
  /** Whether the process has ended. */
  ended(): boolean;
  close(): void;
}

/** Null where the kernel or the sandbox has no pidfd, and where there is no such process. */
export type OpenPidfd = (pid: number) => Pidfd | null;

const numbers: Record<Signal, number> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

// The same numbers on every architecture.
const PIDFD_SEND_SIGNAL = 424n;
const PIDFD_OPEN = 434n;
/** Linux 6.9 and later; refused before. */
const PIDFD_SIGNAL_PROCESS_GROUP = 4n;
const POLLIN = 1;

/** Loads the C library when it is first called. */
export function pidfdOpener(ffi: Ffi, arch: string): OpenPidfd {
  let calls: ReturnType<typeof openLibc> | null = null;
  let asked: Asked | null = null;
  return (pid) => {
    calls ??= openLibc(ffi, arch);
    const { syscall, close, poll } = calls;
    const questions = asked ??= new Asked((files, count) => Number(poll(files, BigInt(count), 0)));
    const file = Number(syscall(PIDFD_OPEN, BigInt(pid), 0n, 0n, 0n));
    if (file < 0) return null;
    let question: ReturnType<typeof questions.add> | null = null;
    return {
      send(signal, to) {
        const flags = to === "group" ? PIDFD_SIGNAL_PROCESS_GROUP : 0n;
        return Number(syscall(PIDFD_SEND_SIGNAL, BigInt(file), BigInt(numbers[signal]), 0n, flags)) === 0;
      },
      ended: () => questions.hasEnded(question ??= questions.add(file)),
      close() {
        if (question !== null) questions.remove(question);
        question = null;
        close(file);
      },
    };
  };
}

const POLLFD_BYTES = 8;

/** A file as one of those that are asked for together. */
interface Question {
  file: number;
  /** Its place among all. */
  at: number;
  /** The last call whose answer it was told. */
  told: number;
}

/** One call asks of all files at once, where they are asked one after the other many times a second. */
class Asked {
  readonly #poll: (files: Uint8Array<ArrayBuffer>, count: number) => number;
  #questions: Question[] = [];
  #bytes = new Uint8Array(16 * POLLFD_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #calls = 0;
  /** How many of the files the last call found ended; negative where it failed. */
  #found = 0;
  #isStale = true;

  constructor(poll: (files: Uint8Array<ArrayBuffer>, count: number) => number) {
    this.#poll = poll;
  }

  add(file: number): Question {
    const question: Question = { file, at: this.#questions.length, told: 0 };
    this.#questions.push(question);
    this.#isStale = true;
    if (this.#questions.length * POLLFD_BYTES > this.#bytes.length) {
      this.#bytes = new Uint8Array(2 * this.#bytes.length);
      this.#view = new DataView(this.#bytes.buffer);
    }
    return question;
  }

  hasEnded(question: Question): boolean {
    if (this.#isStale || question.told === this.#calls) this.#ask();
    question.told = this.#calls;
    if (this.#found <= 0) return false;
    return (this.#view.getInt16(question.at * POLLFD_BYTES + 6, true) & POLLIN) !== 0;
  }

  remove(question: Question): void {
    this.#questions = this.#questions.filter((each) => each !== question);
    this.#isStale = true;
  }

  #ask(): void {
    if (this.#isStale) {
      this.#questions.forEach((question, index) => {
        question.at = index;
        this.#view.setInt32(index * POLLFD_BYTES, question.file, true);
        this.#view.setInt32(index * POLLFD_BYTES + 4, POLLIN, true);
      });
    }
    this.#isStale = false;
    this.#calls++;
    this.#found = this.#poll(this.#bytes, this.#questions.length);
  }
}

function openLibc(ffi: Ffi, arch: string) {
  return ffi.open(linuxLibraries(arch), {
    syscall: ["i64", "i64", "i64", "i64", "i64", "i64"],
    poll: ["i32", "ptr", "u64", "i32"],
    close: ["i32", "i32"],
  });
}

export interface PidfdParts {
  open: OpenPidfd;
  inspect: Processes["inspect"];
  /** kill(2): where there is no pidfd, or it can't do what is asked. */
  kill: Processes["signal"];
}

/** Verified and sent on one pidfd, where the caller says which process it means. */
export function signalByPidfd({ open, inspect, kill }: PidfdParts): Processes["signal"] {
  return async (target, signal, startTime): Promise<SignalResult> => {
    if (startTime === undefined) return await kill(target, signal);
    const pidfd = open(Math.abs(target));
    if (pidfd === null) return await kill(target, signal);
    try {
      const is = await identityOf(inspect, Math.abs(target));
      if (is !== startTime) return is === null ? "denied" : "gone";
      if (pidfd.send(signal, target < 0 ? "group" : "process")) return "sent";
      if (target > 0 && pidfd.ended()) return "gone";
      return await kill(target, signal);
    } finally {
      pidfd.close();
    }
  };
}

/** As {@link Processes.watchExit}. */
export function watchByPidfd({ open, inspect }: Omit<PidfdParts, "kill">): Processes["watchExit"] {
  return async (pid, startTime): Promise<ExitWatch | null> => {
    const pidfd = open(pid);
    if (pidfd === null) return null;
    if (await identityOf(inspect, pid) === startTime) return pidfd;
    pidfd.close();
    return null;
  };
}

/** Start time, "" of a process that is gone, null where it can't be read. */
async function identityOf(inspect: Processes["inspect"], pid: number): Promise<string | null> {
  const seen = (await inspect([pid])).get(pid);
  if (seen?.kind === "seen") return seen.facts.startTime;
  return seen?.kind === "unknown" ? null : "";
}
