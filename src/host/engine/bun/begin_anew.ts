/**
 * The same command line, run anew in the same process: what the first part of a long run loaded is then in nobody's memory.
 *
 * @module
 */
import process from "node:process";
import { originalProxyEnv } from "../../no_proxy.ts";

/** The process's own pid and what it noted: inherited by another process it says nothing. */
const NOTE_VARIABLE = "FOSTER_NOTE";
/** Of what Linux takes for one variable, 128 KiB. */
const NOTE_LIMIT = 100_000;

/** What this process noted for its new beginning, which nothing that it starts will see; null at its first. */
export function takeNote(): string | null {
  const [own, note] = [`${process.pid}:`, process.env[NOTE_VARIABLE]];
  delete process.env[NOTE_VARIABLE];
  if (note === undefined || !note.startsWith(own)) return null;
  return note.slice(own.length);
}

/** Returns where the system knows no such thing. */
export function beginAnew(note: string, [command, ...before]: readonly [string, ...string[]]): void {
  if (process.platform === "win32" || typeof process.execve !== "function" || note.length > NOTE_LIMIT) {
    return;
  }
  const env = { ...process.env, ...originalProxyEnv() };
  const kept = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  try {
    process.execve(command, [process.argv0, ...before, ...process.argv.slice(2)], {
      ...Object.fromEntries(kept),
      [NOTE_VARIABLE]: `${process.pid}:${note}`,
    });
  } catch {
    // It goes on as it is.
  }
}
