/**
 * Tests that cannot run on every machine. The condition is known before a test is registered, so that what is skipped
 * is counted as skipped, and named with the reason.
 *
 * @module
 */

/** A test that is skipped unless `reason` is null: `Deno.test(unless(reason, "name"), () => …)`. */
export function unless(reason: string | null, name: string): { name: string; ignore: boolean } {
  return reason === null ? { name, ignore: false } : { name: `${name} [${reason}]`, ignore: true };
}

/** Why a test of /proc is skipped here. */
export const notLinux = Deno.build.os === "linux" ? null : "it reads /proc";

/** Why a test of real processes, which asks the machine about them, is skipped here. */
export const notAsked = ["linux", "windows"].includes(Deno.build.os) ? null : "it asks /proc, or Windows";

/** Why a test that interrupts a program is skipped here: Deno can only end one by force on Windows. */
export const noInterrupt = Deno.build.os === "windows" ? "Deno sends no CTRL_C" : null;

/** Why a test that halts a process for a while is skipped here. */
export const noHalt = Deno.build.os === "windows" ? "Windows has no SIGSTOP" : null;

/** Why a test with a program is skipped here. */
export async function missing(program: string, args = ["--version"]): Promise<string | null> {
  try {
    const { success } = await new Deno.Command(program, { args, stdout: "null", stderr: "null" }).output();
    return success ? null : `${program} ${args.join(" ")} fails`;
  } catch {
    return `there is no ${program}`;
  }
}
