/**
 * The file lock under Bun, which has none of its own: the same system call that Deno's `FsFile.tryLock` makes, so that
 * both engines exclude each other. The system lets go of it when the holder ends, however that ends.
 *
 * @module
 */
import * as fs from "node:fs";
import process from "node:process";
import { type FileLock, HostError, type HostErrorCode, type System } from "../../host.ts";
import { linuxLibraries, openFirst } from "../../ffi.ts";
import { once } from "../../../base/once.ts";

export interface LockOptions {
  /** Permission bits of the file where it has to be created. */
  mode: number;
  system: System;
}

interface Ffi {
  FFIType: Record<"i32" | "u32" | "u64" | "ptr", number>;
  read: { i32(pointer: number): number };
  dlopen<T>(path: string, symbols: Record<keyof T, { args: number[]; returns: number }>): { symbols: T };
}

interface PosixCalls {
  flock(file: number, operation: number): number;
  /** Address of the calling thread's `errno`. */
  errno(): number;
}

interface WindowsCalls {
  CreateFileW(
    path: Uint16Array,
    access: number,
    share: number,
    security: null,
    disposition: number,
    flags: number,
    template: bigint,
  ): bigint;
  LockFileEx(
    file: bigint,
    flags: number,
    reserved: number,
    lengthLow: number,
    lengthHigh: number,
    overlapped: Uint8Array,
  ): number;
  CloseHandle(file: bigint): number;
  GetLastError(): number;
}

let posix: { calls: PosixCalls; read: Ffi["read"] } | null = null;
let windows: WindowsCalls | null = null;

/** Tries once. Null where somebody holds it, also in this process. @throws HostError or what Node's `open` throws */
export function tryFileLock(path: string, options: LockOptions): FileLock | null {
  return options.system === "windows" ? lockOnWindows(path) : lockOnPosix(path, options);
}

// ---------------------------------------------------------------------------------------------------------- POSIX

const LOCK_EX = 2;
const LOCK_NB = 4;

/** The errno values of a file system that knows no locks: EINVAL, ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP. */
const noLocks: Record<"linux" | "darwin", readonly number[]> = {
  linux: [22, 37, 38, 95],
  darwin: [22, 77, 78, 45, 102],
};

function lockOnPosix(path: string, options: LockOptions): FileLock | null {
  posix ??= openPosix(options.system);
  // Node's open is close-on-exec: a child that inherited the file would keep the lock after foster's own end.
  const file = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, options.mode);
  if (posix.calls.flock(file, LOCK_EX | LOCK_NB) === 0) return { release: once(() => fs.closeSync(file)) };
  const reason = posix.read.i32(posix.calls.errno());
  fs.closeSync(file);
  if (!noLocks[options.system === "darwin" ? "darwin" : "linux"].includes(reason)) return null;
  throw new HostError("unsupported", `Cannot lock ${path}: its file system has no locks (errno ${reason})`);
}

function openPosix(system: System): { calls: PosixCalls; read: Ffi["read"] } {
  const ffi = loadFfi();
  const { i32, ptr } = ffi.FFIType;
  const errnoName = system === "darwin" ? "__error" : "__errno_location";
  const libraries = system === "darwin" ? ["libSystem.B.dylib"] : linuxLibraries(process.arch);
  const calls = { flock: { args: [i32, i32], returns: i32 }, [errnoName]: { args: [], returns: ptr } };
  const { symbols } = openFirst(
    libraries,
    (library) => ffi.dlopen<Record<string, (...args: number[]) => number>>(library, calls),
  );
  const { flock, [errnoName]: errno } = symbols;
  if (flock === undefined || errno === undefined) {
    throw new HostError("unsupported", "Cannot find flock in libc");
  }
  return { calls: { flock, errno }, read: ffi.read };
}

// -------------------------------------------------------------------------------------------------------- Windows

const GENERIC_READ_WRITE = 0xC0000000;
const SHARE_READ_WRITE_DELETE = 7;
const OPEN_ALWAYS = 4;
const ATTRIBUTE_NORMAL = 0x80;
const INVALID_HANDLE = 0xFFFFFFFFFFFFFFFFn;
const EXCLUSIVE_AND_FAIL_IMMEDIATELY = 3;
/** ERROR_INVALID_FUNCTION and ERROR_NOT_SUPPORTED: a file system that knows no locks. */
const windowsNoLocks: readonly number[] = [1, 50];
const OVERLAPPED_BYTES = 32;
/** No such file, no such folder, access denied. */
const openErrors: Readonly<Record<number, HostErrorCode>> = { 2: "not_found", 3: "not_found", 5: "denied" };

/** Opens the file itself, since Bun gives no way from its file numbers to handles. Such handles are not inherited. */
function lockOnWindows(path: string): FileLock | null {
  windows ??= openWindows();
  const calls = windows;
  const name = new Uint16Array(path.length + 1);
  for (let index = 0; index < path.length; index += 1) name[index] = path.charCodeAt(index);
  const file = calls.CreateFileW(
    name,
    GENERIC_READ_WRITE,
    SHARE_READ_WRITE_DELETE,
    null,
    OPEN_ALWAYS,
    ATTRIBUTE_NORMAL,
    0n,
  );
  if (BigInt.asUintN(64, file) === INVALID_HANDLE) {
    const reason = calls.GetLastError();
    throw new HostError(
      openErrors[reason] ?? "failed",
      `Cannot open the lock file ${path}: Windows error ${reason}`,
    );
  }
  const overlapped = new Uint8Array(OVERLAPPED_BYTES);
  // The whole range of offsets, as Deno locks it: a lock on less would not exclude Deno's everywhere.
  const locked = calls.LockFileEx(
    file,
    EXCLUSIVE_AND_FAIL_IMMEDIATELY,
    0,
    0xFFFFFFFF,
    0xFFFFFFFF,
    overlapped,
  );
  if (locked !== 0) return { release: once(() => calls.CloseHandle(file)) };
  const reason = calls.GetLastError();
  calls.CloseHandle(file);
  if (!windowsNoLocks.includes(reason)) return null;
  throw new HostError(
    "unsupported",
    `Cannot lock ${path}: its file system has no locks (Windows error ${reason})`,
  );
}

function openWindows(): WindowsCalls {
  const ffi = loadFfi();
  const { i32, u32, u64, ptr } = ffi.FFIType;
  return ffi.dlopen<WindowsCalls>("kernel32.dll", {
    CreateFileW: { args: [ptr, u32, u32, ptr, u32, u32, u64], returns: u64 },
    LockFileEx: { args: [u64, u32, u32, u32, u32, ptr], returns: i32 },
    CloseHandle: { args: [u64], returns: i32 },
    GetLastError: { args: [], returns: u32 },
  }).symbols;
}

// --------------------------------------------------------------------------------------------------------- common

/** Loaded at the first lock only: a verb that takes none shall not wait for it. */
function loadFfi(): Ffi {
  const ffi: unknown = process.getBuiltinModule("bun:ffi");
  return ffi as Ffi;
}
