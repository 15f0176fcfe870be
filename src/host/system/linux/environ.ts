import type { DirectAccess } from "../reader.ts";

/** From a foster to the foster that it starts: there the parent's own limit is raised already. */
export const OPEN_FILES_VARIABLE = "FOSTER_OPEN_FILES";

const limitBytes = 8 * 1024 * 1024;

/**
 * Names of foster's own variables whose value is no UTF-8. JavaScript can't hold such a value: Deno leaves the variable
 * out, Bun puts U+FFFD in it. Without /proc only the latter can be told.
 */
export function undecodableVariables(
  env: Readonly<Record<string, string | undefined>>,
  direct: DirectAccess | null,
): string[] {
  const bytes = direct === null ? null : readEnviron(direct);
  if (bytes === null) return Object.keys(env).filter((name) => env[name]?.includes("\ufffd"));
  return undecodableNames(bytes);
}

/** As the name says, out of `environ`: entries that each end with NUL. */
export function undecodableNames(environ: Uint8Array): string[] {
  const names: string[] = [];
  const strict = new TextDecoder("utf-8", { fatal: true });
  for (let at = 0; at < environ.length;) {
    const nul = environ.indexOf(0, at);
    const entry = environ.subarray(at, nul < 0 ? environ.length : nul);
    at += entry.length + 1;
    try {
      strict.decode(entry);
    } catch {
      const name = new TextDecoder().decode(entry.subarray(0, Math.max(entry.indexOf(0x3d), 0)));
      if (name !== "") names.push(name);
    }
  }
  return names;
}

function readEnviron(direct: DirectAccess): Uint8Array | null {
  try {
    return direct.readBytes("/proc/self/environ", limitBytes);
  } catch {
    return null;
  }
}
