/**
 * Runs the scripts of the benchmark that measure in a process of their own.
 *
 * @module
 */
import { join } from "@std/path";
import { z } from "zod";
import { type Taken, UNITS } from "./figures.ts";
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

const values = z.array(z.number());
const figure = z.strictObject({
  what: z.string(),
  unit: z.enum(UNITS),
  goal: z.strictObject({ side: z.enum(["at most", "at least"]), value: z.number() }).nullable(),
  values: values.min(1),
  peers: z.array(z.strictObject({ name: z.string(), values })).optional(),
});
const missing = z.strictObject({ what: z.string(), why: z.string() });
const document = z.array(z.union([figure, missing])).min(1);

/** @throws Error where the text is no document of figures, or holds none */
export function readDocument(text: string): Taken[] {
  let told: unknown;
  try {
    told = JSON.parse(text);
  } catch (cause) {
    throw new Error("no figures, and no JSON", { cause });
  }
  const { success, data, error } = document.safeParse(told);
  if (success) return data;
  throw new Error(`no figures: ${z.prettifyError(error)}`);
}
