import { UsageError } from "./args.ts";
import type { Context } from "./verb.ts";

/** Asks once where there is a terminal. @throws UsageError where there is none to ask */
export async function confirmed(
  { host: { terminal }, output, signal }: Context,
  question: string,
): Promise<boolean> {
  if (output.json || !terminal.stdinIsTerminal || !terminal.stderrIsTerminal) {
    throw new UsageError(
      "nobody can be asked here",
      "--yes does it without asking; --dry-run shows what it would do",
    );
  }
  terminal.err(`${question} [y/N] `);
  const reader = terminal.stdin.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", stop, { once: true });
  try {
    const { value } = await reader.read();
    return /^\s*y(?:es)?\s*$/i.test(new TextDecoder().decode(value ?? new Uint8Array()));
  } finally {
    signal.removeEventListener("abort", stop);
    reader.releaseLock();
  }
}
