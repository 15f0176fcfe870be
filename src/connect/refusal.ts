/**
 * A client whose server can't be named hears why, as the answer to what it asks: clients show nothing else.
 *
 * @module
 */
import { aborted } from "../base/abort.ts";
import type { Host } from "../host/host.ts";
import { errorLine, NOT_READY, readClientLine } from "../relay/message.ts";
import { readLines } from "../relay/lines.ts";
import { ClientOutput } from "./client_output.ts";

/** A client says something at once; a person who looks at an error does not. */
const LIMIT_MS = 10_000;
const FLUSH_MS = 500;
const LINE_LIMIT_BYTES = 1024 * 1024;

/** Answers every request with the error until the handshake had it, or the client ended its side. Never throws. */
export async function refuseClient(
  host: Pick<Host, "terminal" | "clock">,
  { message, hint }: { message: string; hint: string },
  signal: AbortSignal,
): Promise<void> {
  const { terminal, clock } = host;
  // Somebody who typed it reads standard error.
  if (terminal.stdinIsTerminal) return;
  const over = clock.deadline(LIMIT_MS, signal);
  const output = new ClientOutput(terminal.stdout);
  const error = { code: NOT_READY, message: hint === "" ? message : `${message} (${hint})` };
  const answer = async () => {
    for await (const read of readLines(terminal.stdin, LINE_LIMIT_BYTES)) {
      const line = read.kind === "line" ? readClientLine(read.line) : null;
      if (line?.kind !== "message") continue;
      const items = line.message.kind === "batch" ? line.message.items : [line.message];
      for (const item of items) {
        if (item.kind !== "request") continue;
        await output.write(errorLine(item.id, error));
        if (item.method === "initialize") return;
      }
    }
  };
  await Promise.race([answer().catch(() => {}), aborted(over)]);
  await Promise.race([output.flush(), clock.sleep(FLUSH_MS)]);
}
