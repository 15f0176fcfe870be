/**
 * Gives the beginning of a file back to the file system under Bun, whose Node layer has no such call.
 *
 * @module
 */
import * as fs from "node:fs";
import process from "node:process";
import { PUNCH_MODE, type PunchHole } from "../node/move_head.ts";
import { linuxLibraries, loadFfi, openFirst } from "./flock.ts";

interface Calls {
  fallocate(file: number, mode: number, offset: bigint, length: bigint): number;
}

let calls: Calls | null = null;

export const punchHole: PunchHole = (path, length) => {
  if (process.platform !== "linux") return false;
  calls ??= open();
  const file = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NOFOLLOW);
  try {
    return calls.fallocate(file, PUNCH_MODE, 0n, BigInt(length)) === 0;
  } finally {
    fs.closeSync(file);
  }
};

/** @throws HostError where the system's library can't be loaded */
function open(): Calls {
  const ffi = loadFfi();
  const { i32, u64 } = ffi.FFIType;
  return openFirst<Calls>(ffi, {
    paths: linuxLibraries(),
    symbols: { fallocate: { args: [i32, i32, u64, u64], returns: i32 } },
  }).symbols;
}
