/**
 * The host of both engines: Node's interfaces, and from the engine only what really differs. What a short verb does
 * not need is loaded when it is first asked for.
 *
 * @module
 */
import { isAbsolute, parse } from "node:path";
import process from "node:process";
import { createClock, random } from "../../clock.ts";
import {
  type Environment,
  type Files,
  type Host,
  HostError,
  type Net,
  type Processes,
  type System,
} from "../../host.ts";
import { lookingFirst, loopbackOnly, servingLocally } from "../../loopback.ts";
import { originalProxyEnv } from "../../no_proxy.ts";
import type { Ffi } from "../../ffi.ts";
import type { OpenPidfd } from "../../system/linux/pidfd.ts";
import { OPEN_FILES_VARIABLE, undecodableVariables } from "../../system/linux/environ.ts";
import { signalThroughKill } from "../../system/helper.ts";
import { canBind, type TryBind } from "../../can_bind.ts";
import type { DirectAccess, ReaderTools, SystemReader } from "../../system/reader.ts";
import type { WindowsStarts, WindowsTools } from "../../system/windows/reader.ts";
import { createFiles } from "./files.ts";
import { ownProcess } from "./own_process.ts";
import type { PunchHole } from "../../system/linux/punch.ts";
import { toSink } from "./streams.ts";
import {
  createSpawning,
  directAccess,
  mayHaveMembers,
  sendSignal,
  type SpawnParts,
  type SpawnRules,
} from "./processes.ts";
import { createTerminal, type StandardStreams } from "./terminal.ts";

export interface EngineParts {
  facts: Host["engine"];
  tryLock: Files["tryLock"];
  net: Omit<Net, "reservedRanges" | "fetchAnywhere" | "canBind"> & { tryBind: TryBind };
  rules: SpawnRules;
  ffi: Ffi | null;
  streams: StandardStreams;
  detach?: SpawnParts["detach"];
  /** The way into a child, where Node's own is not good enough. */
  toSink?: SpawnParts["toSink"];
  /** As {@link Host.program} has them; without them a process begins once. */
  note?: string | null;
  beginAnew?(note: string, selfCommand: Host["engine"]["selfCommand"]): void;
  releaseMemory?: () => void;
  /** Takes a timer out of what keeps the program alive. */
  unref(timer: ReturnType<typeof setTimeout>): void;
}

export async function createHost(system: System, parts: EngineParts): Promise<Host> {
  const clock = createClock(parts.unref);
  const { ffi, facts } = parts;
  const direct = facts.fullAccess ? directAccess : null;
  let broken: readonly string[] | null = null;
  const undecodable = () => broken ??= undecodableVariables(process.env, direct);
  const environment = createEnvironment(undecodable);
  const listeners = new Set<(command: string) => void>();
  const run: Processes["run"] = (command, args, options) => {
    for (const listener of listeners) listener(command);
    return spawning.run(command, args, options);
  };
  const tools: ReaderTools = {
    run,
    env: environment.get,
    selfPid: process.pid,
    monotonic: clock.monotonic,
    ffi,
    arch: process.arch,
    direct,
  };
  const { tryBind, ...net } = parts.net;
  const { reader: { reservedRanges, ...reader }, starts } = await createReader(system, {
    ...tools,
    clock,
    tryBind,
    selfCommand: () => facts.selfCommand,
    environment: environment.all,
  });
  const spawning = createSpawning({
    system,
    rules: parts.rules,
    windows: starts,
    shell: windowsShell(environment),
    limits: limitsOf(system, { direct, ffi }),
    detach: parts.detach,
    toSink: parts.toSink ?? toSink,
  });
  return {
    system,
    engine: facts,
    program: {
      argv: process.argv.slice(2),
      folder: workingFolder(),
      undecodable,
      userId: userId(),
      onUnhandledRejection(handler) {
        process.on("unhandledRejection", handler);
        return () => void process.off("unhandledRejection", handler);
      },
      note: parts.note ?? null,
      beginAnew(note) {
        // A value that is no UTF-8 would not survive.
        if (undecodable().length === 0) parts.beginAnew?.(note, facts.selfCommand);
      },
      releaseMemory: () => parts.releaseMemory?.(),
      exit: (code) => process.exit(code),
    },
    env: environment,
    clock,
    random,
    files: createFiles({ system, random, tryLock: parts.tryLock, punch: () => punchOf(system, parts) }),
    processes: {
      ...reader,
      ...spawning,
      run,
      onHelper(listener) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      selfPid: process.pid,
      mayHaveMembers,
      askConsole: (pid, startTime) =>
        new Promise((resolve) => {
          if (starts === null) throw new HostError("unsupported", "There is no console to ask on here");
          resolve(starts.askConsole(pid, startTime));
        }),
      using: async (folders) => (await import("../../using.ts")).foldersInUse(folders, { system, tools }),
    },
    net: {
      ...net,
      ...loopbackOnly(starts === null ? net : lookingFirst(net, starts.isListening)),
      serve: servingLocally(net.serve),
      canBind: (hostname, port) => canBind(tryBind, hostname, port),
      reservedRanges,
    },
    terminal: createTerminal(system, parts.streams),
  };
}

/** The parent is looked at now: it may have ended, or have raised its own limits, when the first child is started. */
function limitsOf(
  system: System,
  { direct, ffi }: Pick<ReaderTools, "direct" | "ffi">,
): SpawnParts["limits"] {
  if (system !== "linux" || direct === null || ffi === null) return () => Promise.resolve(null);
  const parent = readProc(direct, `/proc/${process.ppid}/limits`);
  let limits: ReturnType<SpawnParts["limits"]> | null = null;
  return () =>
    limits ??= import("../../system/linux/limits.ts").then(({ spawnLimits }) =>
      spawnLimits({ direct, ffi, parent, own: readProc(direct, "/proc/self/limits") })
    );
}

function readProc(direct: DirectAccess, path: string): string {
  try {
    return new TextDecoder().decode(direct.readBytes(path, 4096) ?? new Uint8Array());
  } catch {
    return "";
  }
}

/** Node's word for the system. @throws HostError on one that foster does not know */
export function systemOf(platform: string): System {
  switch (platform) {
    case "linux":
      return "linux";
    case "darwin":
      return "darwin";
    case "win32":
      return "windows";
  }
  throw new HostError("unsupported", `foster runs on Linux, macOS and Windows, not on ${platform}`);
}

interface CreatedReader {
  reader: SystemReader & Pick<Processes, "signal" | "watchExit">;
  starts: WindowsStarts | null;
}

/** The reader of this system, and its way to signal; the other two are never loaded. */
async function createReader(system: System, tools: WindowsTools): Promise<CreatedReader> {
  if (system === "windows") {
    return (await import("../../system/windows/reader.ts")).createWindowsReader(tools);
  }
  return { reader: await createPosixReader(system, tools), starts: null };
}

async function createPosixReader(
  system: Exclude<System, "windows">,
  tools: ReaderTools,
): Promise<CreatedReader["reader"]> {
  const { direct, ffi, run, arch } = tools;
  const kill: Processes["signal"] = direct === null
    ? (target, name) => signalThroughKill(run, target, name)
    : (target, name) => new Promise((resolve) => resolve(sendSignal(target, name)));
  const watchExit = () => Promise.resolve(null);
  switch (system) {
    case "linux": {
      const reader = (await import("../../system/linux/reader.ts")).createLinuxReader(tools);
      if (direct === null || ffi === null) return { ...reader, signal: kill, watchExit };
      const { inspect } = reader;
      let opener: OpenPidfd | null = null;
      const pidfd = async () => {
        const found = await import("../../system/linux/pidfd.ts");
        return { ...found, parts: { open: opener ??= found.pidfdOpener(ffi, arch), inspect, kill } };
      };
      return {
        ...reader,
        signal: async (target, name, startTime) => {
          const { signalByPidfd, parts } = await pidfd();
          return await signalByPidfd(parts)(target, name, startTime);
        },
        watchExit: async (pid, startTime) => {
          const { watchByPidfd, parts } = await pidfd();
          return await watchByPidfd(parts)(pid, startTime);
        },
      };
    }
    case "darwin":
      return (await import("../../system/darwin/reader.ts")).createDarwinReader({
        tools,
        own: ownProcess,
        kill,
      });
  }
}

/** `cmd.exe` of the system itself, so that nothing on PATH stands in for it. */
function windowsShell({ get }: Pick<Environment, "get">): string {
  return `${get("SystemRoot") || "C:\\Windows"}\\System32\\cmd.exe`;
}

function createEnvironment(undecodable: () => readonly string[]): Environment {
  return {
    get: (name) => process.env[name],
    all() {
      const { [OPEN_FILES_VARIABLE]: _, ...own } = process.env;
      for (const name of undecodable()) delete own[name];
      const entries = Object.entries({ ...own, ...originalProxyEnv() });
      return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined));
    },
  };
}

/** Null where no hole can be made in any file. */
async function punchOf(system: System, { ffi, facts }: EngineParts): Promise<PunchHole | null> {
  if (system !== "linux" || ffi === null) return null;
  return (await import("../../system/linux/punch.ts")).holePuncher(ffi, facts.arch);
}

/** Null where Deno's permissions do not let it be asked, too. */
function userId(): number | null {
  try {
    return process.getuid?.() ?? null;
  } catch {
    return null;
  }
}

function workingFolder(): string {
  try {
    return process.cwd();
  } catch {
    // Deleted under the caller's feet: most verbs need no folder, and start all the same.
    const known = process.env["PWD"];
    return known !== undefined && isAbsolute(known) ? known : parse(process.execPath).root;
  }
}
