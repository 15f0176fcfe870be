/**
 * foster on a terminal of its own.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";
import { scopedFlags } from "../../src/host/engine/deno/permissions.ts";
import { missing } from "../skip.ts";
import { binary, type Foster, type RunOptions, until } from "./harness.ts";
import type { Running } from "./running.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/**
 * Runs a command on a terminal of its own: stdin becomes keys, what is shown comes out of stdout. The first line tells
 * the pid, the last one the exit code and whether the terminal is as it was.
 */
const ON_A_TERMINAL = `
import os, pty, select, subprocess, sys, termios, fcntl, struct
outer, inner = pty.openpty()
fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 160, 0, 0))
before = termios.tcgetattr(inner)
child = subprocess.Popen(sys.argv[1:], stdin=inner, stdout=inner, stderr=inner)
print("PID", child.pid, flush=True)
files = [outer, 0]
while True:
    ready, _, _ = select.select(files, [], [], 0.05)
    if 0 in ready:
        keys = os.read(0, 100)
        if keys: os.write(outer, keys)
        else: files = [outer]
    if outer in ready:
        os.write(1, os.read(outer, 65536))
    elif child.poll() is not None:
        break
same = termios.tcgetattr(inner)[:6] == before[:6]
print("\\nEXIT", child.returncode, "SAME" if same else "CHANGED", flush=True)
`;

/** Why a test on a terminal is skipped here. */
export const noTerminal = await missing("python3", ["-c", "import pty"]);

export function onTerminal(foster: Foster, args: readonly string[], options: RunOptions = {}): Running {
  const before = ["run", "-q", "--no-prompt", "--config", join(ROOT, "deno.json"), ...scopedFlags];
  const command = binary === null ? [Deno.execPath(), ...before, join(ROOT, "main.ts")] : [binary];
  return foster.startProgram("python3", ["-c", ON_A_TERMINAL, ...command, ...args], {
    ...options,
    stdin: true,
  });
}

export async function shows(running: Running, pattern: RegExp): Promise<void> {
  try {
    await until(`the terminal shows ${pattern}`, () => pattern.test(running.stdout));
  } catch (cause) {
    throw new Error(`the terminal never showed ${pattern}:\n${running.stdout}\n${running.stderr}`, { cause });
  }
}
