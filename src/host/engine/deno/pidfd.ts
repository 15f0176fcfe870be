/**
 * pidfd under Deno, whose Node layer has no such calls.
 *
 * @module
 */
import type { PidfdCalls } from "../node/host.ts";

const SYS_PIDFD_OPEN = 434n;
const POLLIN = 1;

const symbols = {
  syscall: { parameters: ["i64", "i64", "i64", "i64"], result: "i64" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

let calls: PidfdCalls | null | undefined;

/** Null also where Deno's permissions do not let it be done. */
export function pidfdCalls(): PidfdCalls | null {
  if (calls === undefined) calls = load();
  return calls;
}

function load(): PidfdCalls | null {
  const isAllowed = Deno.permissions.querySync({ name: "ffi" }).state === "granted";
  if (Deno.build.os !== "linux" || !isAllowed) return null;
  for (const path of ["libc.so.6", `libc.musl-${Deno.build.arch}.so.1`]) {
    try {
      return callsOf(Deno.dlopen(path, symbols));
    } catch {
      continue;
    }
  }
  return null;
}

function callsOf({ symbols: { syscall, poll, close } }: Deno.DynamicLibrary<typeof symbols>): PidfdCalls {
  const asked = new Int32Array(2);
  return {
    open: (pid) => Number(syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n)),
    hasEnded(file) {
      asked[0] = file;
      asked[1] = POLLIN;
      return poll(asked, 1n, 0) > 0;
    },
    close: (file) => void close(file),
  };
}
