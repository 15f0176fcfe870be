/**
 * Runs the scripts of the benchmark that measure in a process of their own.
 *
 * @module
 */
import { join } from "@std/path";
import { readDocument } from "./document.ts";
import type { Taken } from "./figures.ts";
import { project } from "./program.ts";

const folder = join(project, "scripts", "bench");

/** `flags` are Deno's own. */
export function underDeno(script: string, ...flags: string[]): string[] {
  const config = ["--config", join(project, "deno.json")];
  return [Deno.execPath(), "run", "-q", "-A", ...config, ...flags, join(folder, script)];
}

/** `flags` are Bun's own. */
export function underBun(script: string, { bun, flags }: { bun: string; flags: string[] }): string[] {
  return [bun, ...flags, join(folder, script)];
}

/** The figures that a script takes. @throws Error with what it complained of where it fails */
export async function figuresOf([command = "", ...args]: readonly string[]): Promise<Taken[]> {
  const { success, code, stdout, stderr } = await new Deno.Command(command, {
    args: [...args, "--json"],
    env: { NO_COLOR: "1" },
    cwd: project,
  }).output();
  const decoder = new TextDecoder();
  if (success) return readDocument(decoder.decode(stdout));
  const complaint = decoder.decode(stderr).split("\n").find((line) => /\berror\b/i.test(line));
  throw new Error(complaint ?? `ended with ${code}`);
}
