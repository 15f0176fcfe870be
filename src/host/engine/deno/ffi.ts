import { type Ffi, type FfiType, type FfiValue, openFirst } from "../../ffi.ts";
import { isGranted } from "./permissions.ts";

type Calls<K extends string> = Record<K, (...args: FfiValue[]) => number | bigint>;

/** Null under permissions that allow none. */
export function denoFfi(): Ffi | null {
  if (!isGranted({ name: "ffi" })) return null;
  return {
    open<K extends string>(libraries: readonly string[], calls: Readonly<Record<K, readonly FfiType[]>>) {
      const symbols = Object.fromEntries(
        Object.entries<readonly FfiType[]>(calls).map(([name, [result = "i32", ...parameters]]) => [
          name,
          { result: nativeType(result), parameters: parameters.map(nativeType) },
        ]),
      );
      return openFirst(libraries, (library) => Deno.dlopen(library, symbols).symbols as unknown as Calls<K>);
    },
  };
}

function nativeType(type: FfiType): "i32" | "u32" | "i64" | "u64" | "buffer" {
  return type === "ptr" ? "buffer" : type;
}
