/**
 * Whether macOS' calls answer as foster reads them: what they say of foster's own process is held against what the
 * runtime knows of it. Where a layout ever changes, helper programs do the work again.
 *
 * @module
 */
import type { DarwinCalls } from "./calls.ts";

/** Foster's own process as the runtime knows it. */
export interface OwnProcess {
  pid: number;
  parentPid: number;
  /** Null where it is not known. */
  userId: number | null;
  executable: string;
  /** Null where it is gone. */
  folder: string | null;
  /** The last of its arguments. */
  args: readonly string[];
  /** An entry of the environment that it was started with, null where there is none. */
  entry: string | null;
  /** A moment after its start, in milliseconds since the Unix epoch. */
  runningSince: number;
  /** Whether two paths lead to one file: a program may have several names. */
  isSameFile(one: string, other: string): boolean;
}

/** What of the calls can be relied on. */
export interface Reliable {
  facts: boolean;
  paths: boolean;
  /** Arguments and environment. */
  arguments: boolean;
}

/** The runtime's clock and the kernel's are not read at the same time. */
const CLOCK_TOLERANCE_MS = 2000;

export function selfCheck(calls: DarwinCalls, own: OwnProcess): Reliable {
  const facts = areFactsRight(calls, own);
  return {
    facts,
    paths: facts && arePathsRight(calls, own),
    arguments: facts && areArgumentsRight(calls, own),
  };
}

function areFactsRight(calls: DarwinCalls, own: OwnProcess): boolean {
  const answer = calls.facts(own.pid);
  if (answer?.kind !== "seen") return false;
  const { parentPid, userId, startedAt, startTime, zombie, groupId } = answer.facts;
  // One that replaced a shell began with that, so only the later limit is known.
  const began = startedAt > 0 && startedAt <= own.runningSince + CLOCK_TOLERANCE_MS;
  const listed = calls.list()?.find(({ pid }) => pid === own.pid);
  return parentPid === own.parentPid && (own.userId === null || userId === own.userId) && began && !zombie &&
    groupId > 0 && listed?.startTime === startTime && listed.parentPid === parentPid;
}

function arePathsRight(calls: DarwinCalls, { pid, executable, folder, isSameFile }: OwnProcess): boolean {
  const [path, cwd] = [calls.path(pid), calls.folder(pid)];
  return path !== null && isSameFile(path, executable) &&
    (folder === null || (cwd !== null && isSameFile(cwd, folder)));
}

function areArgumentsRight(calls: DarwinCalls, { pid, args, entry }: OwnProcess): boolean {
  const seen = calls.arguments(pid);
  if (seen === null || seen.argv.length <= args.length) return false;
  const last = seen.argv.slice(seen.argv.length - args.length);
  return last.every((argument, index) => argument === args[index]) &&
    (entry === null || seen.environment.includes(entry));
}
