import type { Ffi } from "../../ffi.ts";
import { linuxLibraries } from "../../ffi.ts";

/** Turns the first `length` bytes of a file into a hole, its size kept. False where that can't be done. */
export type PunchHole = (path: string, length: number) => boolean;

const O_WRONLY = 1;
/** `FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE` */
const PUNCH_MODE = 3;

/** Neither engine's Node layer has this call, nor the system's own file numbers in both: the file is opened anew. */
export function holePuncher(ffi: Ffi, arch: string): PunchHole {
  let calls: ReturnType<typeof load> | null = null;
  const load = () =>
    ffi.open(linuxLibraries(arch), {
      open: ["i32", "ptr", "i32"],
      fallocate: ["i32", "i32", "i32", "i64", "i64"],
      close: ["i32", "i32"],
    });
  return (path, length) => {
    calls ??= load();
    const file = Number(calls.open(new TextEncoder().encode(`${path}\0`), O_WRONLY));
    if (file < 0) return false;
    const result = Number(calls.fallocate(file, PUNCH_MODE, 0n, BigInt(length)));
    calls.close(file);
    return result === 0;
  };
}
