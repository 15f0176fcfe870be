/**
 * Package tools of the machine that the tests run on.
 *
 * @module
 */
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { findCommand } from "../../src/definitions/launch/find_command.ts";

/** Full path of a tool, null where it is missing. */
export async function toolPath(name: string): Promise<string | null> {
  const host = await createDenoHost();
  const found = await findCommand(host, name, { cwd: host.program.folder });
  return "path" in found ? found.path : null;
}

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, with `env` on top of the present environment. */
export async function runTool(
  command: string,
  args: string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null", ...options })
    .output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Calls back until it gives something; `what` names it where it never does. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | null>,
  timeoutMs = 30_000,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > end) throw new Error(`${what} did not come within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The lines of a child's output, one at a time. */
export class Lines {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #pending = "";

  constructor(output: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = output.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Empty at the end. */
  async next(): Promise<string> {
    while (!this.#pending.includes("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) break;
      this.#pending += value;
    }
    const [line = "", ...rest] = this.#pending.split("\n");
    this.#pending = rest.join("\n");
    return line;
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }
}
