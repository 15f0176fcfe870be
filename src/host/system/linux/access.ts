/**
 * The two ways to /proc behind one interface: directly, or through helper programs where the runtime refuses. Both
 * give the same answers.
 *
 * @module
 */
import { parseStat, type SocketOwner, type StatFields } from "./proc.ts";

/** What came of looking: the thing, nothing there, or no way to tell. */
export type Reading<T> = { kind: "found"; value: T } | { kind: "gone" } | { kind: "unknown"; why: string };

export interface OwnerHints {
  /** The port that the sockets listen on. */
  port: number;
  likely: number | null;
}

export interface ProcAccess {
  /** Text of one file, at most `limitBytes` of it. */
  text(path: string, limitBytes: number): Promise<Reading<string>>;
  /** Text of a table of sockets. */
  table(path: string): Promise<Reading<string>>;
  /** Target of one link. */
  link(path: string): Promise<string | null>;
  /** @throws where /proc can't be listed */
  pids(): Promise<number[]>;
  stats(pids: readonly number[]): Promise<Map<number, Reading<StatFields>>>;
  /** Resident bytes. A process that can't be read is left out. */
  resident(pids: readonly number[]): Promise<Map<number, number>>;
  /** Those of `pids` whose environment is worth reading when looking for `needle`. */
  narrow(pids: readonly number[], needle: string): Promise<readonly number[]>;
  /** All of them, or `likely` alone where that process has every one of the sockets. */
  owners(inodes: readonly string[], hints: OwnerHints): Promise<Reading<SocketOwner[]>>;
}

export const procLimitBytes = 1024 * 1024;

/** The table of sockets has 150 bytes for each. */
export const socketTableLimitBytes = 64 * 1024 * 1024;

export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export function decodeProc(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** The text of one process's stat file, asked for by `pid`. */
export function understood(pid: number, text: string): Reading<StatFields> {
  const value = parseStat(text);
  return value?.pid === pid
    ? { kind: "found", value }
    : { kind: "unknown", why: `/proc/${pid}/stat could not be understood` };
}
