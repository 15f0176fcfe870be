/**
 * Gives the beginning of a file back to the file system under Deno, whose Node layer has no such call. Deno's own file
 * numbers are not the system's: the file is opened once more.
 *
 * @module
 */
import { PUNCH_MODE, type PunchHole } from "../node/move_head.ts";

const O_WRONLY = 1;

const symbols = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  fallocate: { parameters: ["i32", "i32", "i64", "i64"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

let library: Deno.DynamicLibrary<typeof symbols> | null | undefined;

/** False also where Deno's permissions do not let it be done. */
export const punchHole: PunchHole = (path, length) => {
  if (library === undefined) library = load();
  if (library === null) return false;
  const { open, fallocate, close } = library.symbols;
  const file = open(new TextEncoder().encode(`${path}\0`), O_WRONLY);
  if (file < 0) return false;
  const isDone = fallocate(file, PUNCH_MODE, 0n, BigInt(length)) === 0;
  close(file);
  return isDone;
};

function load(): Deno.DynamicLibrary<typeof symbols> | null {
  const isAllowed = Deno.permissions.querySync({ name: "ffi" }).state === "granted";
  if (Deno.build.os !== "linux" || !isAllowed) return null;
  for (const path of ["libc.so.6", `libc.musl-${Deno.build.arch}.so.1`]) {
    try {
      return Deno.dlopen(path, symbols);
    } catch {
      continue;
    }
  }
  return null;
}
