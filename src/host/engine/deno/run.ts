/**
 * Helper programs under Deno, run to their end in an environment of their own.
 *
 * @module
 */
import { concat } from "../../../base/bytes.ts";
import { asHostError, hostErrorCode } from "./error.ts";
import { allowedEnvironment, runRefusal } from "./permissions.ts";
import { helperEnvironment } from "../../system/helper_environment.ts";
import { HostError, type RunOptions, type RunResult } from "../../host.ts";

/** @throws HostError `not_found`, `timeout`, `denied`, `no_permission`, `failed` */
export async function runHelper(
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  const child = start(command, args, options);
  if (options.input !== undefined) feed(child.stdin, options.input);
  const readers = { stdout: child.stdout.getReader(), stderr: child.stderr.getReader() };
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    kill(child);
    // A grandchild may hold the pipes open for ever.
    for (const reader of Object.values(readers)) reader.cancel().catch(() => {});
    late.reject(new HostError("timeout", `${command} did not end within ${options.timeoutMs} ms`));
  }, options.timeoutMs);
  try {
    const ended = Promise.all([textOf(readers.stdout), textOf(readers.stderr), child.status]);
    const [stdout, stderr, status] = await Promise.race([ended, late.promise]);
    return { code: status.signal === null ? status.code : null, signal: status.signal, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

function start(command: string, args: readonly string[], options: RunOptions): Deno.ChildProcess {
  try {
    return new Deno.Command(command, {
      args: [...args],
      cwd: options.cwd,
      clearEnv: true,
      env: allowedEnvironment({
        ...helperEnvironment((name) => Deno.env.get(name), Deno.build.os),
        ...options.env,
      }),
      stdin: options.input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    const doing = `Cannot run ${command}`;
    if (hostErrorCode(error) !== "no_permission") throw asHostError(doing, error);
    throw new HostError("no_permission", `${doing}: ${runRefusal(command)}`, { cause: error });
  }
}

/** Not waited for: a helper that ends without reading its input is no failure. */
function feed(stdin: WritableStream<Uint8Array>, input: string): void {
  const writer = stdin.getWriter();
  writer.write(new TextEncoder().encode(input)).then(() => writer.close()).catch(() => {});
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

async function textOf(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    chunks.push(next.value);
    size += next.value.length;
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(concat(chunks));
}
