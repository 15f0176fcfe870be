/**
 * Starting processes and signalling them under Deno. Children are started through Deno's Node layer: only there can a
 * child be given an open file to append its output to, which goes on when foster has ended.
 *
 * @module
 */
import type { StdioOptions } from "node:child_process";
import type * as NodeFs from "node:fs";
import { asHostError, hostErrorCode, orNull, orNullLater } from "./error.ts";
import { readSlice } from "./files.ts";
import { runHelper } from "./run.ts";
import { allowedEnvironment, runRefusal } from "./permissions.ts";
import {
  type DetachedChild,
  type DetachedOptions,
  HostError,
  type InheritedChild,
  type PipedChild,
  type PipedOptions,
  type Processes,
  type Signal,
  type SignalResult,
  type SpawnOptions,
} from "../../host.ts";
import { startChild, type Started } from "../node/child.ts";
import type { DirectAccess, SystemReader } from "../../system/reader.ts";

/** What is left of {@link Processes} when the system's reader has done its part. */
export const denoStarting: Omit<Processes, keyof SystemReader | "selfPid" | "using"> = {
  spawnDetached(options: DetachedOptions): Promise<DetachedChild> {
    return withLog(options.logFile, async (log) => {
      const child = await start(options, { detached: true, stdio: ["ignore", log, log] });
      child.process.unref();
      return { pid: child.pid, exited: child.exited };
    });
  },

  spawnPiped(options: PipedOptions): Promise<PipedChild> {
    const { stderr } = options;
    switch (stderr.kind) {
      case "log":
        return withLog(stderr.file, (log) => startPiped(options, log));
      case "inherit":
        return startPiped(options, "inherit");
    }
  },

  async spawnInherited(options: SpawnOptions): Promise<InheritedChild> {
    const { pid, exited } = await start(options, { detached: false, stdio: "inherit" });
    return { pid, exited };
  },

  run: runHelper,

  mayRun(command) {
    const granted = Deno.permissions.querySync({ name: "run", command }).state === "granted";
    return Promise.resolve(granted ? null : runRefusal(command));
  },
};

/** Straight to /proc and to the system's `kill`. */
export const directAccess: DirectAccess = {
  readBytes: (path, limitBytes) => orNull(() => readSlice(path, 0, limitBytes)),
  readWhole: (path) => orNullLater(() => Deno.readFile(path)),
  readLink: (path) => orNull(() => Deno.readLinkSync(path)),
  listNames: (path) => [...Deno.readDirSync(path)].map((entry) => entry.name),
  kill: sendSignal,
};

function sendSignal(target: number, signal: Signal): SignalResult {
  try {
    Deno.kill(target, signal);
    return "sent";
  } catch (error) {
    switch (hostErrorCode(error)) {
      case "not_found":
        return "gone";
      case "denied":
        return "denied";
    }
    throw asHostError(`Cannot send ${signal} to ${target}`, error);
  }
}

/** As {@link startChild}. @throws HostError */
async function start(
  options: SpawnOptions,
  how: { detached: boolean; stdio: StdioOptions },
): Promise<Started> {
  try {
    return await startChild({ ...options, env: allowedEnvironment(options.env) }, how);
  } catch (error) {
    throw startError(options, error);
  }
}

async function startPiped(options: PipedOptions, stderr: number | "inherit"): Promise<PipedChild> {
  const child = await start(options, { detached: options.detached, stdio: ["pipe", "pipe", stderr] });
  const { stdin, stdout } = child.process;
  if (stdin === null || stdout === null) {
    throw new HostError("failed", `Cannot talk to ${options.command}: it has no pipes`);
  }
  const { Readable, Writable } = await import("node:stream");
  return {
    pid: child.pid,
    stdin: Writable.toWeb(stdin),
    stdout: Readable.toWeb(stdout),
    exited: child.exited,
  };
}

/** Opens for appending, so that several writers never overwrite one another, and closes foster's own end again. */
async function withLog<T>(path: string, use: (log: number) => Promise<T>): Promise<T> {
  const fs = await import("node:fs");
  const log = openLog(fs, path);
  try {
    return await use(log);
  } finally {
    fs.closeSync(log);
  }
}

function openLog(fs: typeof NodeFs, path: string): number {
  try {
    return fs.openSync(path, "a", 0o600);
  } catch (error) {
    throw asHostError(`Cannot open the log ${path}`, error);
  }
}

function startError(options: SpawnOptions, error: unknown): HostError {
  const doing = `Cannot start ${options.command}`;
  switch (hostErrorCode(error)) {
    case "no_permission":
      return new HostError("no_permission", `${doing}: ${runRefusal(options.command)}`, { cause: error });
    case "not_found": {
      // The system says "no such file" of a missing working folder too.
      const where = orNull(() => Deno.statSync(options.cwd)) === null
        ? ` in the missing folder ${options.cwd}`
        : "";
      return asHostError(`${doing}${where}`, error);
    }
  }
  return asHostError(doing, error);
}
