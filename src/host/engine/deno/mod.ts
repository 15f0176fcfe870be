/**
 * The host under Deno, from source or compiled.
 *
 * @module
 */
import { createClock, random } from "../../clock.ts";
import { DenoEngine } from "./engine.ts";
import { attempt } from "./error.ts";
import { denoFiles } from "./files.ts";
import { denoNet } from "./net.ts";
import { denoStarting, directAccess } from "./processes.ts";
import { DenoTerminal } from "./terminal.ts";
import { type Environment, type Host, HostError, type System } from "../../host.ts";
import { originalProxyEnv } from "../../no_proxy.ts";
import type { ReaderTools } from "../../system/reader.ts";
import { createReader } from "../../system/readers.ts";

/** @throws HostError on a system that foster does not know */
export async function createDenoHost(): Promise<Host> {
  const system = systemOf(Deno.build.os);
  const engine = new DenoEngine();
  const clock = createClock((timer) => Deno.unrefTimer(timer));
  const tools: ReaderTools = {
    run: denoStarting.run,
    env: denoEnvironment.get,
    selfPid: Deno.pid,
    monotonic: clock.monotonic,
    direct: engine.fullAccess ? directAccess : null,
  };
  const reader = await createReader(system, tools);
  return {
    system,
    engine,
    program: {
      argv: Deno.args,
      folder: await attempt("Cannot tell the working folder", () => Deno.cwd()),
      userId: ownUserId(),
      exit: (code) => Deno.exit(code),
    },
    env: denoEnvironment,
    clock,
    random,
    files: denoFiles,
    processes: {
      ...reader,
      ...denoStarting,
      selfPid: Deno.pid,
      using: async (folders) => (await import("../../using.ts")).foldersInUse(folders, { system, tools }),
    },
    net: { ...denoNet, reservedRanges: () => reader.reservedRanges() },
    terminal: new DenoTerminal(),
  };
}

/** Null where permissions do not let it be asked, too. */
function ownUserId(): number | null {
  try {
    return Deno.uid();
  } catch {
    return null;
  }
}

const denoEnvironment: Environment = {
  get: (name) => Deno.env.get(name),
  all() {
    const entries = Object.entries({ ...Deno.env.toObject(), ...originalProxyEnv() });
    return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined));
  },
};

function systemOf(platform: string): System {
  switch (platform) {
    case "linux":
    case "darwin":
    case "windows":
      return platform;
  }
  throw new HostError("unsupported", `foster runs on Linux, macOS and Windows, not on ${platform}`);
}
