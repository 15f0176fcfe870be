/**
 * The host under Bun, which the compiled binary runs on. What a short verb does not need is loaded when it is first
 * asked for.
 *
 * @module
 */
import process from "node:process";
import { asHostError } from "./error.ts";
import { BunFiles } from "./files.ts";
import { bunNet } from "./net.ts";
import { bunStarting, directAccess } from "./processes.ts";
import { BunTerminal } from "./terminal.ts";
import { createClock, random } from "../../clock.ts";
import { type EngineFacts, type Environment, type Host, HostError, type System } from "../../host.ts";
import { originalProxyEnv } from "../../no_proxy.ts";
import type { ReaderTools } from "../../system/reader.ts";
import { createReader } from "../../system/readers.ts";

/** @throws HostError on a system that foster does not know */
export async function createBunHost(): Promise<Host> {
  const system = systemOf(process.platform);
  const clock = createClock(unref);
  const tools: ReaderTools = {
    run: bunStarting.run,
    env: (name) => process.env[name],
    selfPid: process.pid,
    monotonic: clock.monotonic,
    direct: directAccess,
  };
  const reader = await createReader(system, tools);
  return {
    system,
    engine: engineFacts(),
    program: {
      argv: process.argv.slice(2),
      folder: workingFolder(),
      userId: process.getuid?.() ?? null,
      exit: (code) => process.exit(code),
    },
    env: bunEnvironment,
    clock,
    random,
    files: new BunFiles(system, random),
    processes: {
      ...reader,
      ...bunStarting,
      selfPid: process.pid,
      using: async (folders) => (await import("../../using.ts")).foldersInUse(folders, { system, tools }),
    },
    net: { ...bunNet, reservedRanges: () => reader.reservedRanges() },
    terminal: new BunTerminal(system),
  };
}

const bunEnvironment: Environment = {
  get: (name) => process.env[name],
  all() {
    const entries = Object.entries({ ...process.env, ...originalProxyEnv() });
    return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined));
  },
};

function systemOf(platform: string): System {
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

/** Bun's timers are objects, whatever the web's types say. */
function unref(timer: unknown): void {
  if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function") {
    timer.unref();
  }
}

function workingFolder(): string {
  try {
    return process.cwd();
  } catch (error) {
    throw asHostError("Cannot tell the working folder", error);
  }
}

function engineFacts(): EngineFacts {
  // Where a compiled binary keeps its own program: a file system that only it sees.
  const standalone = Bun.main.startsWith("/$bunfs/") || /^B:[\\/]~BUN[\\/]/i.test(Bun.main);
  return {
    name: "bun",
    version: Bun.version,
    standalone,
    arch: process.arch,
    fullAccess: true,
    selfCommand: standalone ? [process.execPath] : [process.execPath, Bun.main],
  };
}
