/**
 * The host under Deno, from source or compiled.
 *
 * @module
 */
import { once } from "../../../base/once.ts";
import type { FileLock, Host } from "../../host.ts";
import { createHost, systemOf } from "../node/host.ts";
import { denoFfi } from "./ffi.ts";
import { denoNet } from "./net.ts";
import { spawnRules } from "./permissions.ts";
import { DenoEngine } from "./self.ts";
import { denoStreams } from "./stdio.ts";

/** @throws HostError on a system that foster does not know */
export function createDenoHost(): Promise<Host> {
  const os = Deno.build.os;
  return createHost(systemOf(os === "windows" ? "win32" : os), {
    facts: new DenoEngine(),
    tryLock,
    net: denoNet,
    rules: spawnRules,
    ffi: denoFfi(),
    streams: denoStreams,
    unref: (timer) => Deno.unrefTimer(timer),
  });
}

async function tryLock(path: string, mode: number): Promise<FileLock | null> {
  // Deno refuses to be told a mode on a system that has none.
  const posixMode = Deno.build.os === "windows" ? {} : { mode };
  const file = Deno.openSync(path, { read: true, write: true, create: true, ...posixMode });
  try {
    if (await file.tryLock(true)) return { release: once(() => file.close()) };
  } catch (error) {
    file.close();
    throw error;
  }
  file.close();
  return null;
}
