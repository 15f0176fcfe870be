/**
 * Finds processes that a test left behind, by what their environment carries.
 *
 * @module
 */
import { join } from "@std/path";
import { argvOf, carriersOf } from "../fixtures/machine.ts";

export { carriersOf };

/** Every process that a test starts inherits this variable, with a value of the test's own. */
export const SUITE_MARK = "SUITE_MARK";

/** Ends one process and tells what it was. */
export async function endByPid(pid: number): Promise<string> {
  const argv = await argvOf(pid);
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !(error instanceof TypeError)) throw error;
  }
  return `pid ${pid} (${argv.join(" ")})`;
}

/** The marks of all tests of this run so far. */
export async function notedMarks(): Promise<string[]> {
  const text = await Deno.readTextFile(listFile()).catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

export async function noteMark(mark: string): Promise<void> {
  await Deno.writeTextFile(listFile(), mark + "\n", { append: true });
}

export async function forgetMarks(): Promise<void> {
  await Deno.remove(listFile()).catch(() => {});
}

/** One list for each run of the suite, which is one process where nobody says otherwise. */
function listFile(): string {
  return Deno.env.get("SUITE_MARKS") ??
    join(Deno.env.get("TMPDIR") ?? Deno.env.get("TEMP") ?? "/tmp", `foster-suite-${Deno.pid}.marks`);
}
