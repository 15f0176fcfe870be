/**
 * The host under Bun, which the compiled binary runs on.
 *
 * @module
 */
import process from "node:process";
import type { EngineFacts, Host } from "../../host.ts";
import { createHost, systemOf } from "../node/host.ts";
import type { DetachedStart } from "../node/processes.ts";
import { setHashing } from "../../../base/hash.ts";
import { beginAnew, takeNote } from "./begin_anew.ts";
import { bunFfi } from "./ffi.ts";
import { tryFileLock } from "./flock.ts";
import { bunNet } from "./net.ts";
import { childSink } from "./child_sink.ts";
import { createStreams } from "./stdio.ts";

/** @throws HostError on a system that foster does not know */
export function createBunHost(): Promise<Host> {
  setHashing({
    sha256: (content) => new Bun.CryptoHasher("sha256").update(content).digest("hex"),
    hmacSha256: (secret, content) => new Bun.CryptoHasher("sha256", secret).update(content).digest("hex"),
  });
  const system = systemOf(process.platform);
  return createHost(system, {
    facts: engineFacts(),
    tryLock: (path, mode) => new Promise((resolve) => resolve(tryFileLock(path, { mode, system }))),
    net: bunNet,
    rules: { environment: (env) => env, refusal: () => null },
    ffi: bunFfi,
    streams: createStreams(system),
    toSink: childSink,
    detach,
    note: takeNote(),
    beginAnew,
    // Its own collector waits for the heap to grow, and gives little back.
    releaseMemory() {
      Bun.gc(true);
      Bun.shrink();
    },
    unref,
  });
}

/** Bun's timers are objects, whatever the web's types say. */
function unref(timer: unknown): void {
  if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function") {
    timer.unref();
  }
}

const detach: DetachedStart = ({ command, args, cwd, env, stdio }) => {
  const child = Bun.spawn([command, ...args], { cwd, env, detached: true, stdio: [...stdio] });
  child.unref();
  return {
    pid: child.pid,
    exited: child.exited.then(() => ({ code: child.exitCode, signal: child.signalCode })),
  };
};

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
