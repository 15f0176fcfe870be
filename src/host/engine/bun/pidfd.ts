/**
 * pidfd under Bun, whose Node layer has no such calls.
 *
 * @module
 */
import process from "node:process";
import type { PidfdCalls } from "../node/host.ts";
import { linuxLibraries, loadFfi, openFirst } from "./flock.ts";

const SYS_PIDFD_OPEN = 434n;
const POLLIN = 1;

interface Calls {
  syscall(number: bigint, pid: bigint, flags: bigint, unused: bigint): bigint;
  poll(files: Int32Array, count: bigint, timeoutMs: number): number;
  close(file: number): number;
}

let calls: PidfdCalls | null | undefined;

/** Null where libc can't be called. */
export function pidfdCalls(): PidfdCalls | null {
  if (calls === undefined) calls = load();
  return calls;
}

function load(): PidfdCalls | null {
  if (process.platform !== "linux") return null;
  try {
    const ffi = loadFfi();
    const { i32, u64, ptr } = ffi.FFIType;
    const { symbols: { syscall, poll, close } } = openFirst<Calls>(ffi, {
      paths: linuxLibraries(),
      symbols: {
        syscall: { args: [u64, u64, u64, u64], returns: u64 },
        poll: { args: [ptr, u64, i32], returns: i32 },
        close: { args: [i32], returns: i32 },
      },
    });
    const asked = new Int32Array(2);
    return {
      // A failure is -1, which is the largest of unsigned numbers.
      open: (pid) => Number(BigInt.asIntN(32, BigInt(syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n)))),
      hasEnded(file) {
        asked[0] = file;
        asked[1] = POLLIN;
        return poll(asked, 1n, 0) > 0;
      },
      close: (file) => void close(file),
    };
  } catch {
    return null;
  }
}
