/**
 * Asks processes of Windows to end, and ends them. Who a process is gets read from the very handle that is then used: while
 * it is held no other process can have the pid.
 *
 * @module
 */
import {
  HostError,
  type Processes,
  type RunOptions,
  type RunResult,
  type Signal,
  type SignalResult,
} from "../../host.ts";
import { startTimeOf } from "./direct.ts";
import type { Jobs } from "./jobs.ts";
import { ACCESS, type Job, type Native, type OpenProcess } from "./native.ts";
import { linkParents } from "./parse.ts";
import { viewOf } from "./structures.ts";

/** What `taskkill /F` leaves as well. */
const ENDED_BY_FORCE = 1;
const ASK_TIMEOUT_MS = 10_000;
const ASK_LIMIT_MS = 5000;
const CTRL_C = 0;

export interface EndParts {
  native: Native;
  jobs: Jobs;
  selfPid: number;
  run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult>;
  /** The command that starts this foster again. */
  selfCommand(): readonly [string, ...string[]];
  /** Foster's own environment for that command. */
  environment(): Record<string, string>;
}

/** As {@link Processes.signal}. A negative number is that of a job; every signal but SIGKILL asks. */
export function createSignal(parts: EndParts): Processes["signal"] {
  return async (target, signal, startTime): Promise<SignalResult> => {
    const pid = Math.abs(target);
    const job = target < 0 ? parts.jobs.open(pid, startTime) : null;
    if (target < 0 && job === null) return "gone";
    try {
      const isForced = signal === "SIGKILL";
      if (job !== null && isForced) return endJob(parts, job);
      const opened = parts.native.open(
        pid,
        ACCESS.query | ACCESS.synchronize | (isForced ? ACCESS.terminate : 0),
      );
      switch (opened.kind) {
        case "gone":
          // Its group may live on: it has nobody to ask, and is ended by force.
          return job === null || job.pids().length === 0 ? "gone" : "sent";
        case "denied":
          return "denied";
        case "failed":
          throw new HostError("failed", `Cannot send ${signal} to ${target}: ${opened.why}`);
      }
      const { process } = opened;
      try {
        if (process.createdAt() === null) return "denied";
        if (!isMeant(process, { pid, startTime })) return "gone";
        return isForced ? end(process) : await ask(parts, process, { pid, signal });
      } finally {
        process.close();
      }
    } finally {
      job?.close();
    }
  };
}

function isMeant(
  process: OpenProcess,
  { pid, startTime }: { pid: number; startTime: string | undefined },
): boolean {
  if (process.hasEnded() !== false || process.basic()?.pid !== pid) return false;
  return startTime === undefined || startTimeOf(process) === startTime;
}

function end(process: OpenProcess): SignalResult {
  if (process.terminate(ENDED_BY_FORCE)) return "sent";
  return process.hasEnded() === true ? "gone" : "denied";
}

function endJob({ selfPid }: EndParts, job: Job): SignalResult {
  const pids = job.pids();
  if (pids.includes(selfPid)) return "denied";
  if (pids.length === 0) return "gone";
  return job.terminate(ENDED_BY_FORCE) ? "sent" : "denied";
}

/**
 * Through a foster of its own, which leaves its console for the one of the process. A program without a console that is
 * all its own can't be asked that way; one with windows is asked to close them.
 */
async function ask(
  parts: EndParts,
  process: OpenProcess,
  { pid, signal }: { pid: number; signal: Signal },
): Promise<SignalResult> {
  const startTime = startTimeOf(process);
  if (startTime === null) {
    throw new HostError("failed", `Cannot send ${signal} to ${pid}: it does not tell its start`);
  }
  const [command, ...before] = parts.selfCommand();
  const args = [...before, ASK_VERB, String(pid), startTime];
  const env = parts.environment();
  const asked = await parts.run(command, args, { timeoutMs: ASK_TIMEOUT_MS, env });
  if (process.hasEnded() !== false) return "sent";
  if (asked.code !== askCodes.sent) {
    await parts.run("taskkill", ["/PID", String(pid)], { timeoutMs: ASK_TIMEOUT_MS }).catch(() => null);
  }
  // That it was asked in vain counts as sent: the next rung does not ask.
  return "sent";
}

const ASK_VERB = "ask-console";

type ConsoleAnswer = "sent" | "gone" | "none" | "shared";

/** How that foster ends. */
const askCodes: Readonly<Record<ConsoleAnswer, number>> = { sent: 0, gone: 3, none: 4, shared: 5 };

/**
 * Sends CTRL_C to the console of the process, where nobody is on it but what belongs to the process: its job, or without
 * one its children and theirs. To be called by a foster that ends afterwards, for it loses its own console.
 */
export function askConsole(parts: AskParts, pid: number, startTime: string): number {
  // A console whose programs are just being ended may never answer, and the foster that waits may be gone.
  parts.native.endSelfAfter(ASK_LIMIT_MS, askCodes.none);
  return askCodes[answerOf(parts, pid, startTime)];
}

type AskParts = Pick<EndParts, "native" | "jobs" | "selfPid">;

function answerOf({ native, jobs, selfPid }: AskParts, pid: number, startTime: string): ConsoleAnswer {
  const opened = native.open(pid, ACCESS.query | ACCESS.synchronize);
  if (opened.kind !== "open") return "gone";
  const { process } = opened;
  try {
    if (!isMeant(process, { pid, startTime })) return "gone";
    const { kernel32 } = native;
    kernel32.FreeConsole();
    if (Number(kernel32.AttachConsole(pid)) === 0) return "none";
    const belonging = new Set([...membersOf({ native, jobs }, { pid, startTime }), selfPid]);
    const there = consolePids(native);
    if (there.length === 0 || !there.every((each) => belonging.has(each))) return "shared";
    kernel32.SetConsoleCtrlHandler(0n, 1);
    return Number(kernel32.GenerateConsoleCtrlEvent(CTRL_C, 0)) === 0 ? "none" : "sent";
  } finally {
    process.close();
  }
}

function membersOf(
  { native, jobs }: Pick<EndParts, "native" | "jobs">,
  leader: { pid: number; startTime: string },
): number[] {
  const processes = [...linkParents(native.processes()).values()];
  const groups = jobs.groups(processes);
  const group = groups.get(leader.pid) ?? 0;
  if (group !== 0) return [...groups].filter(([, number]) => number === group).map(([pid]) => pid);
  const tree = new Set([leader.pid]);
  for (let before = 0; before < tree.size;) {
    before = tree.size;
    for (const { pid, parentPid } of processes) if (tree.has(parentPid)) tree.add(pid);
  }
  return [...tree];
}

/** Empty where the list can't be had. */
function consolePids(native: Native): number[] {
  const ROOM = 1024;
  const bytes = new Uint8Array(4 * ROOM);
  const count = Number(native.kernel32.GetConsoleProcessList(bytes, ROOM));
  if (count > ROOM) return [];
  return Array.from({ length: count }, (_, index) => viewOf(bytes).getUint32(4 * index, true));
}
