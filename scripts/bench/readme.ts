/**
 * Puts the benchmark's tables into README.md and docs/benchmarks.md.
 *
 * @module
 */
import { join } from "@std/path";
import { project } from "./program.ts";

const MARK = "<!-- bench -->";

/** `page` with `table` between its two marks. @throws Error where there are not two */
export function withTable(page: string, table: string): string {
  const pieces = page.split(MARK);
  const [before, , after] = pieces;
  if (pieces.length !== 3) throw new Error(`a page has to have ${MARK} twice: before and after its table`);
  return `${before}${MARK}\n\n${table}\n\n${MARK}${after}`;
}

/** `page` is relative to the project. */
export async function writeTable(page: string, table: string): Promise<void> {
  const file = join(project, page);
  await Deno.writeTextFile(file, withTable(await Deno.readTextFile(file), table));
}

/** As the gate wants Markdown. */
export async function formatted(text: string): Promise<string> {
  const args = ["fmt", "-q", "--config", join(project, "deno.json"), "--ext", "md", "-"];
  const child = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("the table cannot be formatted");
  return new TextDecoder().decode(stdout).trimEnd();
}
