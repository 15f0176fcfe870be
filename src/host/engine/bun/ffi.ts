import process from "node:process";
import { type Ffi, openFirst } from "../../ffi.ts";

export const bunFfi: Ffi = {
  open(libraries, calls) {
    const loaded: unknown = process.getBuiltinModule("bun:ffi");
    const { dlopen, FFIType } = loaded as typeof import("bun:ffi");
    type Name = keyof typeof calls;
    const symbols = Object.fromEntries(
      Object.entries<readonly (keyof typeof FFIType)[]>(calls).map(([name, [returns = "i32", ...args]]) => [
        name,
        { returns: FFIType[returns], args: args.map((each) => FFIType[each]) },
      ]),
    ) as Record<Name, { returns: number; args: number[] }>;
    return openFirst(libraries, (library) => dlopen(library, symbols).symbols);
  },
};
