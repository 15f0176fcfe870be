/**
 * System calls without a helper program: what both engines offer of C's calling convention, in one form.
 *
 * @module
 */

export type FfiType = "i32" | "u32" | "i64" | "u64" | "ptr";
export type FfiValue = number | bigint | Uint8Array<ArrayBuffer> | null;

/** The type of a call's result, then those of its arguments. */
export type FfiSignature = readonly [result: FfiType, ...parameters: FfiType[]];

export interface Ffi {
  /** Opens the first of `libraries` that is there. @throws Error where none is, or lacks one of the calls */
  open<K extends string>(
    libraries: readonly string[],
    calls: Readonly<Record<K, FfiSignature>>,
  ): Record<K, (...args: FfiValue[]) => number | bigint>;
}

/** Tries the libraries in order. @throws Error with the first failure as its cause */
export function openFirst<T>(libraries: readonly string[], open: (library: string) => T): T {
  const failures: unknown[] = [];
  for (const library of libraries) {
    try {
      return open(library);
    } catch (error) {
      failures.push(error);
    }
  }
  throw new Error(`none of ${libraries.join(", ")} can be loaded`, { cause: failures[0] });
}

/** The C library of Linux: glibc's name, then musl's, which carries the architecture. */
export function linuxLibraries(arch: string): string[] {
  const musl: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };
  return ["libc.so.6", `libc.musl-${musl[arch] ?? arch}.so.1`];
}
