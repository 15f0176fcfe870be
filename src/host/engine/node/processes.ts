/**
 * Starting processes, signalling them and reading /proc through Node's interfaces.
 *
 * @module
 */
import type { ChildProcess, StdioOptions } from "node:child_process";
import * as fs from "node:fs";
import process from "node:process";
import { asHostError, hostErrorCode, orNull, orNullLater } from "./error.ts";
import { openLog, readSlice } from "./files.ts";
import { fromSource, type NodeSink } from "./streams.ts";
import { helperEnvironment } from "../../system/helper.ts";
import { batchArguments, isBatchFile } from "../../system/windows/argv.ts";
import type { WindowsStarts } from "../../system/windows/reader.ts";
import {
  type ExitStatus,
  HostError,
  type Processes,
  type RunResult,
  type Signal,
  type SignalResult,
  type SpawnOptions,
  type System,
} from "../../host.ts";
import type { SpawnLimits } from "../../system/linux/limits.ts";
import type { DirectAccess } from "../../system/reader.ts";

/** What the engine's own permissions let children be. */
export interface SpawnRules {
  /** What a child may be given of `env`. */
  environment(env: Record<string, string>): Record<string, string>;
  /** Why `command` may not be run, or null. */
  refusal(command: string): string | null;
}

export type Spawning = Pick<Processes, "spawnDetached" | "spawnPiped" | "spawnInherited" | "run" | "mayRun">;

interface StartOptions extends Omit<SpawnOptions, "cwd"> {
  /** Foster's own where it is left out. */
  cwd: string | undefined;
}

interface StartedChild {
  process: ChildProcess;
  pid: number;
  exited: Promise<ExitStatus>;
}

/** A child of which only its end is of interest. */
export type DetachedStart = (
  options: SpawnOptions & { stdio: readonly (number | "ignore")[] },
) => Pick<StartedChild, "pid" | "exited">;

export interface SpawnParts {
  system: System;
  /** The engine's own way, where `node:child_process` is not needed for it: that has much in tow. */
  detach?: DetachedStart | undefined;
  rules: SpawnRules;
  /** Null where the engine starts processes itself. */
  windows: WindowsStarts | null;
  /** `cmd.exe` with its folder; only Windows has one. */
  shell: string;
  /** Asked at the first child. */
  limits: () => Promise<SpawnLimits | null>;
  /** The way into a child. */
  toSink(stdin: NodeSink): WritableStream<Uint8Array>;
}

export function createSpawning(parts: SpawnParts): Spawning {
  const { system, windows } = parts;
  const groupOf = ({ pid, exited }: StartedChild) => {
    if (system !== "windows") return pid;
    return windows === null ? null : windows.adopt(pid, exited);
  };
  return {
    async spawnDetached(options) {
      const log = options.logFile === null ? null : openLog(options.logFile);
      if (windows !== null) {
        if (log !== null) fs.closeSync(log);
        return await begun(
          options,
          parts,
          (env) => Promise.resolve(windows.spawnHidden({ ...options, env })),
        );
      }
      let input: number | null = null;
      try {
        if (options.stdin === "open" && options.logFile !== null && system !== "windows") {
          input = await openEndlessInput(
            `${options.logFile}.stdin`,
            (path) =>
              this.run("sh", ["-c", 'rm -f "$1" && mkfifo -m 600 "$1"', "sh", path], { timeoutMs: 5000 }),
          );
        }
        const output = log ?? "ignore";
        const stdio = [input ?? "ignore", output, output] as const;
        const { pid, exited } = await startDetached(options, stdio, parts);
        return { pid, groupId: system === "windows" ? null : pid, exited };
      } finally {
        if (log !== null) fs.closeSync(log);
        if (input !== null) fs.closeSync(input);
      }
    },

    async spawnPiped(options) {
      const log = options.stderr.kind === "log" ? openLog(options.stderr.file) : null;
      try {
        const stdio: StdioOptions = ["pipe", "pipe", log ?? "inherit"];
        // Detached it would have no console on Windows, and each program that it starts would open a window.
        const child = await start(
          options,
          { detached: options.detached && system !== "windows", stdio },
          parts,
        );
        const { stdin, stdout } = child.process;
        if (stdin === null || stdout === null) {
          throw new HostError("failed", `Cannot talk to ${options.command}: it has no pipes`);
        }
        return {
          pid: child.pid,
          groupId: options.detached ? groupOf(child) : null,
          stdin: parts.toSink(stdin),
          stdout: fromSource(stdout),
          exited: child.exited,
        };
      } finally {
        if (log !== null) fs.closeSync(log);
      }
    },

    async spawnInherited(options) {
      const { pid, exited } = await start(options, { detached: false, stdio: "inherit" }, parts);
      return { pid, exited };
    },

    async run(command, args, options) {
      const env = { ...helperEnvironment((name) => process.env[name], system), ...options.env };
      const stdio: StdioOptions = [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"];
      const child = await start({ command, args, cwd: options.cwd, env }, { detached: false, stdio }, parts);
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

    mayRun: (command) => Promise.resolve(parts.rules.refusal(command)),
  };
}

/**
 * A FIFO that is opened for reading and writing: who inherits it keeps its writing side open itself, so that it never
 * comes to its end. Its name is gone at once.
 */
async function openEndlessInput(path: string, make: (path: string) => Promise<RunResult>): Promise<number> {
  const made = await make(path);
  if (made.code !== 0) throw new HostError("failed", `Cannot make ${path}: ${made.stderr.trim()}`);
  try {
    return fs.openSync(path, fs.constants.O_RDWR);
  } finally {
    fs.unlinkSync(path);
  }
}

/** /proc, read directly. */
export const directAccess: DirectAccess = {
  readBytes: (path, limitBytes) => orNull(() => readSlice(path, 0, limitBytes)),
  readWhole: (path) => orNullLater(() => fs.promises.readFile(path)),
  readLink: (path) => orNull(() => fs.readlinkSync(path)),
  listNames: (path) => fs.readdirSync(path),
};

/** kill(2). */
export function sendSignal(target: number, signal: Signal): SignalResult {
  try {
    process.kill(target, signal);
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

/** As {@link start}, of a child that does not keep foster alive. @throws HostError */
async function startDetached(
  options: SpawnOptions,
  stdio: readonly (number | "ignore")[],
  parts: SpawnParts,
): Promise<Pick<StartedChild, "pid" | "exited">> {
  const { detach } = parts;
  if (detach === undefined) {
    const child = await start(options, { detached: true, stdio: [...stdio] }, parts);
    child.process.unref();
    return child;
  }
  return await begun(options, parts, async (env) => {
    const limits = await parts.limits();
    return limited(
      limits,
      () => detach({ ...options, env: environmentOf({ ...options, env }, limits), stdio }),
    );
  });
}

/** Asks with kill(2) and no signal, which touches nobody. */
export function mayHaveMembers(groupId: number): boolean {
  if (process.platform === "win32" || groupId <= 1) return true;
  try {
    process.kill(-groupId, 0);
    return true;
  } catch (error) {
    return hostErrorCode(error) !== "not_found";
  }
}

/** Resolves once the child runs. @throws HostError */
function start(
  options: StartOptions,
  how: { detached: boolean; stdio: StdioOptions },
  parts: SpawnParts,
): Promise<StartedChild> {
  return begun(
    options,
    parts,
    async (env) =>
      await spawned({ ...options, env }, how, { limits: await parts.limits(), shell: parts.shell }),
  );
}

/** Starts it with the environment that it may have. @throws HostError that says why it can't be started */
async function begun<T>(
  options: StartOptions,
  { rules }: Pick<SpawnParts, "rules">,
  make: (env: Record<string, string>) => Promise<T>,
): Promise<T> {
  const doing = `Cannot start ${options.command}`;
  try {
    return await make(rules.environment(options.env));
  } catch (error) {
    switch (hostErrorCode(error)) {
      case "no_permission": {
        const why = rules.refusal(options.command);
        if (why === null) break;
        throw new HostError("no_permission", `${doing}: ${why}`, { cause: error });
      }
      case "not_found": {
        // The system says "no such file" of a missing working folder too.
        const noFolder = options.cwd !== undefined && !fs.existsSync(options.cwd);
        throw asHostError(noFolder ? `${doing} in the missing folder ${options.cwd}` : doing, error);
      }
    }
    throw asHostError(doing, error);
  }
}

/** Loads `node:child_process` at the first call only: most verbs start nothing. */
async function spawned(
  options: StartOptions,
  { detached, stdio }: { detached: boolean; stdio: StdioOptions },
  { limits, shell }: { limits: SpawnLimits | null; shell: string },
): Promise<StartedChild> {
  const { spawn } = await import("node:child_process");
  const { cwd } = options;
  const { command, args, isVerbatim } = commandOf(options, shell);
  const env = environmentOf(options, limits);
  const child = limited(limits, () =>
    spawn(command, args, {
      cwd,
      env,
      detached,
      stdio,
      windowsHide: true,
      windowsVerbatimArguments: isVerbatim,
    }));
  const exited = new Promise<ExitStatus>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.on("error", reject);
  });
  if (child.pid === undefined) throw new Error("it got no pid");
  return { process: child, pid: child.pid, exited };
}

function environmentOf(
  { command, env }: Pick<StartOptions, "command" | "env">,
  limits: SpawnLimits | null,
): Record<string, string> {
  return command === process.execPath ? { ...env, ...limits?.handedOn } : env;
}

function limited<T>(limits: SpawnLimits | null, make: () => T): T {
  return limits === null ? make() : limits.around(make);
}

/** Windows runs a batch file through its shell, and no engine quotes for that as foster's own starts do. */
function commandOf(
  { command, args }: StartOptions,
  shell: string,
): { command: string; args: string[]; isVerbatim: boolean } {
  if (process.platform !== "win32" || !isBatchFile(command)) {
    return { command, args: [...args], isVerbatim: false };
  }
  const passed = batchArguments(command, args);
  if (passed === null) throw new HostError("failed", "a batch file takes no line break in an argument");
  return { command: shell, args: [passed], isVerbatim: true };
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
