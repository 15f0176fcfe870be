/**
 * Starting processes and signalling them under Bun.
 *
 * @module
 */
import type { ChildProcess, StdioOptions } from "node:child_process";
import * as fs from "node:fs";
import process from "node:process";
import { asHostError, isMissing, orNull, orNullLater } from "./error.ts";
import { openLog, readBytes } from "./files.ts";
import { fromSource, toSink } from "./streams.ts";
import { systemCode } from "../../errors.ts";
import { helperEnvironment } from "../../system/helper_environment.ts";
import {
  type DetachedChild,
  type DetachedOptions,
  type ExitStatus,
  HostError,
  type InheritedChild,
  type PipedChild,
  type PipedOptions,
  type Processes,
  type RunOptions,
  type RunResult,
  type Signal,
  type SignalResult,
  type SpawnOptions,
} from "../../host.ts";
import { startChild, type Started, type StartOptions } from "../node/child.ts";
import type { DirectAccess, SystemReader } from "../../system/reader.ts";

/** What is left of {@link Processes} when the system's reader has done its part. */
export type Starting = Omit<Processes, keyof SystemReader | "selfPid" | "using">;

export const bunStarting: Starting = {
  async spawnDetached(options: DetachedOptions): Promise<DetachedChild> {
    const log = openLog(options.logFile);
    try {
      const child = await start(options, { detached: true, stdio: ["ignore", log, log] });
      child.process.unref();
      return { pid: child.pid, exited: child.exited };
    } finally {
      fs.closeSync(log);
    }
  },

  async spawnPiped(options: PipedOptions): Promise<PipedChild> {
    const log = options.stderr.kind === "log" ? openLog(options.stderr.file) : null;
    try {
      const child = await start(options, {
        detached: options.detached,
        stdio: ["pipe", "pipe", log ?? "inherit"],
      });
      const { stdin, stdout } = child.process;
      if (stdin === null || stdout === null) {
        throw new HostError("failed", `Cannot talk to ${options.command}: it has no pipes`);
      }
      return { pid: child.pid, stdin: toSink(stdin), stdout: fromSource(stdout), exited: child.exited };
    } finally {
      if (log !== null) fs.closeSync(log);
    }
  },

  async spawnInherited(options: SpawnOptions): Promise<InheritedChild> {
    const { pid, exited } = await start(options, { detached: false, stdio: "inherit" });
    return { pid, exited };
  },

  async run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
    const system = process.platform === "win32" ? "windows" : "linux";
    const env = { ...helperEnvironment((name) => process.env[name], system), ...options.env };
    const child = await start({ command, args, cwd: options.cwd, env }, {
      detached: false,
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    // A helper that ends without reading its input is no failure.
    child.process.stdin?.on("error", () => {});
    child.process.stdin?.end(options.input);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      child.process.kill("SIGKILL");
      // A grandchild may hold the pipes open for ever.
      child.process.stdout?.destroy();
      child.process.stderr?.destroy();
      late.reject(new HostError("timeout", `${command} did not end within ${options.timeoutMs} ms`));
    }, options.timeoutMs);
    try {
      return await Promise.race([collect(child.process), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  },

  mayRun: () => Promise.resolve(null),
};

/** Straight to /proc and to the system's `kill`. */
export const directAccess: DirectAccess = {
  readBytes,
  readWhole: (path) => orNullLater(() => fs.promises.readFile(path)),
  readLink: (path) => orNull(() => fs.readlinkSync(path)),
  listNames: (path) => fs.readdirSync(path),
  kill: sendSignal,
};

function sendSignal(target: number, signal: Signal): SignalResult {
  try {
    process.kill(target, signal);
    return "sent";
  } catch (error) {
    if (systemCode(error) === "ESRCH") return "gone";
    if (systemCode(error) === "EPERM") return "denied";
    throw asHostError(`Cannot send ${signal} to ${target}`, error);
  }
}

/** As {@link startChild}. @throws HostError */
async function start(
  options: StartOptions,
  how: { detached: boolean; stdio: StdioOptions },
): Promise<Started> {
  try {
    return await startChild(options, how);
  } catch (error) {
    // The system says "no such file" of a missing working folder too.
    const noFolder = isMissing(error) && options.cwd !== undefined && !fs.existsSync(options.cwd);
    const where = noFolder ? ` in the missing folder ${options.cwd}` : "";
    throw asHostError(`Cannot start ${options.command}${where}`, error);
  }
}

async function collect(child: ChildProcess): Promise<RunResult> {
  const chunks: Record<"stdout" | "stderr", Uint8Array[]> = { stdout: [], stderr: [] };
  child.stdout?.on("data", (chunk: Uint8Array) => chunks.stdout.push(chunk));
  child.stderr?.on("data", (chunk: Uint8Array) => chunks.stderr.push(chunk));
  const status = await new Promise<ExitStatus>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  return { ...status, stdout: textOf(chunks.stdout), stderr: textOf(chunks.stderr) };
}

function textOf(chunks: readonly Uint8Array[]): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode();
}
