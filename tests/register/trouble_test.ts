import { assertEquals } from "@std/assert";
import { type Host, HostError, type Interrupt, type ProcessObservation } from "../../src/host/host.ts";
import type { World } from "../../src/lifecycle/world.ts";
import { register, type RegisterRequest } from "../../src/register/register.ts";

const SELF = 500;
const CHILD = 600;
const REQUEST = { command: "/bin/server", args: [], bind: null, httpPath: null };

/** Registers a server on a machine that looks at nothing any more once the server was started. */
function registered(request: RegisterRequest) {
  const warned: string[] = [];
  const exited = Promise.withResolvers<{ code: number; signal: null }>();
  let interrupt: (signal: Interrupt) => void = () => {};
  let tick: () => void = () => {};
  let parentPid = 400;
  const seen = (pid: number): ProcessObservation => ({
    kind: "seen",
    facts: { pid, startTime: "token", parentPid, groupId: pid, zombie: false },
  });
  const blind = () => Promise.reject(new Error("too many open files"));
  const host = {
    system: "linux",
    env: { all: () => ({}) },
    program: { folder: "/" },
    files: { makeDir: () => Promise.reject(new HostError("denied", "no folder")) },
    processes: {
      selfPid: SELF,
      inspect: (pids: readonly number[]) =>
        pids.includes(CHILD) && parentPid === 1
          ? blind()
          : Promise.resolve(new Map(pids.map((pid) => [pid, seen(pid)]))),
      list: () => Promise.resolve([]),
      spawnInherited: () => Promise.resolve({ pid: CHILD, exited: exited.promise }),
    },
    terminal: {
      stdinIsTerminal: false,
      onInterrupt: (_: unknown, listener: typeof interrupt) => {
        interrupt = listener;
        return () => {};
      },
    },
    clock: {
      now: () => 0,
      monotonic: () => 0,
      sleep: () => Promise.resolve(),
      every: (_: number, listener: typeof tick) => {
        tick = listener;
        return () => {};
      },
    },
  } as unknown as Host;
  const world = {
    host,
    state: { path: "/state" },
    signaller: { send: blind },
    warn: (text: string) => void warned.push(text),
  } as unknown as World;
  return {
    code: register(world, request),
    warned,
    interrupt: (signal: Interrupt) => interrupt(signal),
    loseClient: () => {
      parentPid = 1;
      tick();
    },
    exit: (code: number) => exited.resolve({ code, signal: null }),
  };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("register() says that a signal could not be passed on, and goes on", async () => {
  const run = registered({ ...REQUEST, transport: "http" });
  await settled();
  run.interrupt("SIGTERM");
  await settled();
  run.exit(3);
  assertEquals(await run.code, 3);
  assertEquals(run.warned.slice(1), ["foster register: SIGTERM was not passed on: too many open files"]);
});

Deno.test("register() says that a server whose client is gone could not be ended, and waits for it", async () => {
  const run = registered({ ...REQUEST, transport: "stdio" });
  await settled();
  run.loseClient();
  await settled();
  run.exit(0);
  assertEquals(await run.code, 0);
  assertEquals(run.warned.slice(1), [
    `foster register: the client (pid 400) is gone: ending pid ${CHILD}`,
    `foster register: pid ${CHILD} could not be ended: too many open files`,
  ]);
});
