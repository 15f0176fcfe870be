/**
 * Both engines raise their own limit of open files as far as they may, and children would inherit that: programs that
 * close every possible file, or use select(), become slow or break. Children get the limit that foster's caller had.
 *
 * @module
 */
import process from "node:process";
import { type Ffi, linuxLibraries } from "../../ffi.ts";
import type { DirectAccess } from "../reader.ts";
import { OPEN_FILES_VARIABLE } from "./environ.ts";

export interface OpenFiles {
  soft: number;
  hard: number;
}

/** The line of `/proc/<pid>/limits`; null where it is missing or unlimited. */
export function parseOpenFiles(text: string): OpenFiles | null {
  const [, soft, hard] = /^Max open files\s+(\d+)\s+(\d+)\s/m.exec(text) ?? [];
  return soft === undefined || hard === undefined ? null : { soft: Number(soft), hard: Number(hard) };
}

/**
 * The soft limit for children, null where they get foster's own. Only a parent with the same hard limit is the one that
 * foster's limits come from.
 */
export function decideOpenFiles(
  { handed, parent, own }: { handed: string | undefined; parent: OpenFiles | null; own: OpenFiles | null },
): number | null {
  if (own === null) return null;
  const wanted = /^\d{1,9}$/.test(handed ?? "")
    ? Number(handed)
    : parent !== null && parent.hard === own.hard
    ? parent.soft
    : null;
  return wanted !== null && wanted > 0 && wanted < own.soft ? wanted : null;
}

export type WithOpenFiles = <T>(soft: number, hard: number, action: () => T) => T;

const RLIMIT_NOFILE = 7;

/** Lowers this process's soft limit for as long as `action` takes. What can't be lowered stays. */
function openFilesLimiter(ffi: Ffi, arch: string): WithOpenFiles {
  const { prlimit } = ffi.open(linuxLibraries(arch), { prlimit: ["i32", "i32", "i32", "ptr", "ptr"] });
  const set = (soft: number, hard: number) => {
    const limit = new BigUint64Array([BigInt(soft), BigInt(hard)]);
    return Number(prlimit(0, RLIMIT_NOFILE, new Uint8Array(limit.buffer), null)) === 0;
  };
  return (soft, hard, action) => {
    if (!set(soft, hard)) return action();
    try {
      return action();
    } finally {
      set(hard, hard);
    }
  };
}

/** Sees to it that a child gets the limits of foster's caller. */
export interface SpawnLimits {
  /** Runs the call that makes the child. */
  around<T>(spawn: () => T): T;
  /** To be added to the environment of another foster. */
  handedOn: Record<string, string>;
}

/** File numbers that a child's pipes may need below the lower limit. */
const sparedFiles = 64;

/** From the texts of `/proc/<pid>/limits`; null where children get foster's own. */
export function spawnLimits(
  { direct, ffi, parent, own }: { direct: DirectAccess; ffi: Ffi; parent: string; own: string },
): SpawnLimits | null {
  const raised = parseOpenFiles(own);
  const handed = process.env[OPEN_FILES_VARIABLE];
  const soft = decideOpenFiles({ handed, parent: parseOpenFiles(parent), own: raised });
  if (soft === null || raised === null) return null;
  const limited = openFilesLimiter(ffi, process.arch);
  const open = () => direct.listNames("/proc/self/fd").length;
  return {
    around: (spawn) => open() + sparedFiles < soft ? limited(soft, raised.hard, spawn) : spawn(),
    handedOn: { [OPEN_FILES_VARIABLE]: String(soft) },
  };
}
