import { assert, assertEquals } from "@std/assert";
import { spawn } from "node:child_process";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { denoFfi } from "../../src/host/engine/deno/ffi.ts";
import type { ProcessObservation, SignalResult } from "../../src/host/host.ts";
import { type Pidfd, pidfdOpener, signalByPidfd, watchByPidfd } from "../../src/host/system/linux/pidfd.ts";

const ignore = Deno.build.os !== "linux";
const START = "proc:boot:100";

// -------------------------------------------------------------------------------------------- decisions, on no kernel

interface Stage {
  /** What /proc shows while the pidfd is held. */
  seen?: ProcessObservation;
  /** No pidfd to be had. */
  closed?: boolean;
  sends?: boolean;
  ended?: boolean;
}

function stage({ seen, closed = false, sends = true, ended = false }: Stage) {
  const said: string[] = [];
  const open = (pid: number): Pidfd | null => {
    said.push(`open ${pid}`);
    if (closed) return null;
    return {
      send(signal, to) {
        said.push(`send ${signal} to ${to}`);
        return sends;
      },
      ended: () => ended,
      close: () => void said.push("close"),
    };
  };
  const inspect = (pids: readonly number[]) =>
    Promise.resolve(new Map(pids.map((pid): [number, ProcessObservation] => [pid, seen ?? running(START)])));
  const kill = (target: number, signal: string): Promise<SignalResult> => {
    said.push(`kill ${target} ${signal}`);
    return Promise.resolve("sent");
  };
  return { said, signal: signalByPidfd({ open, inspect, kill }), watch: watchByPidfd({ open, inspect }) };
}

function running(startTime: string): ProcessObservation {
  return { kind: "seen", facts: { pid: 5, startTime, parentPid: 1, groupId: 5, zombie: false } };
}

const cases: { what: string; on: Stage; target?: number; result: SignalResult; said: string[] }[] = [
  {
    what: "verifies and sends on one pidfd",
    on: {},
    result: "sent",
    said: ["open 5", "send SIGTERM to process", "close"],
  },
  {
    what: "reaches a group through its leader",
    on: {},
    target: -5,
    result: "sent",
    said: ["open 5", "send SIGTERM to group", "close"],
  },
  {
    what: "never sends to a process that got the pid since",
    on: { seen: running("proc:boot:200") },
    result: "gone",
    said: ["open 5", "close"],
  },
  {
    what: "never sends to a group whose number was given away since",
    on: { seen: running("proc:boot:200") },
    target: -5,
    result: "gone",
    said: ["open 5", "close"],
  },
  {
    what: "finds the process gone",
    on: { seen: { kind: "gone" } },
    result: "gone",
    said: ["open 5", "close"],
  },
  {
    what: "never sends to a process that it can't read",
    on: { seen: { kind: "unknown", why: "refused" } },
    result: "denied",
    said: ["open 5", "close"],
  },
  {
    what: "falls back to kill without a pidfd",
    on: { closed: true },
    result: "sent",
    said: ["open 5", "kill 5 SIGTERM"],
  },
  {
    what: "falls back to kill where the kernel refuses groups",
    on: { sends: false },
    target: -5,
    result: "sent",
    said: ["open 5", "send SIGTERM to group", "kill -5 SIGTERM", "close"],
  },
  {
    what: "does not fall back for a process that ended meanwhile",
    on: { sends: false, ended: true },
    result: "gone",
    said: ["open 5", "send SIGTERM to process", "close"],
  },
];
for (const { what, on, target = 5, result, said } of cases) {
  Deno.test(`signalByPidfd() ${what}`, async () => {
    const at = stage(on);
    assertEquals(await at.signal(target, "SIGTERM", START), result);
    assertEquals(at.said, said);
  });
}

Deno.test("signalByPidfd() is plain kill where nobody says which process is meant", async () => {
  const at = stage({});
  assertEquals(await at.signal(5, "SIGTERM"), "sent");
  assertEquals(at.said, ["kill 5 SIGTERM"]);
});

Deno.test("watchByPidfd() watches the process that is meant, and no other", async () => {
  const at = stage({});
  const watch = await at.watch(5, START);
  assertEquals(watch?.ended(), false);
  watch?.close();
  assertEquals(await at.watch(5, "proc:boot:200"), null);
  assertEquals(await stage({ closed: true }).watch(5, START), null);
  assertEquals(at.said, ["open 5", "close", "open 5", "close"]);
});

// ------------------------------------------------------------------------------------------------ the real machine

const ffi = denoFfi();
const open = ffi === null ? () => null : pidfdOpener(ffi, Deno.build.arch === "aarch64" ? "arm64" : "x64");
const noPidfd = ignore || open(Deno.pid) === null;

Deno.test(
  { name: "a pidfd signals its process once it is proven, and knows its end", ignore: noPidfd },
  async () => {
    const { processes } = await createDenoHost();
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    const reaped = new Promise((resolve) => child.once("exit", (_, signal) => resolve(signal)));
    assert(child.pid !== undefined);
    const seen = (await processes.inspect([child.pid])).get(child.pid);
    assert(seen?.kind === "seen");
    const { startTime } = seen.facts;
    assertEquals(await processes.watchExit(child.pid, "proc:x:1"), null);
    const watch = await processes.watchExit(child.pid, startTime);
    assert(watch !== null);
    const held = open(child.pid);
    assert(held !== null);
    try {
      assertEquals(await processes.signal(child.pid, "SIGKILL", "proc:x:1"), "gone");
      assertEquals([watch.ended(), held.ended()], [false, false]);
      assertEquals(await processes.signal(child.pid, "SIGTERM", startTime), "sent");
      assertEquals(await reaped, "SIGTERM");
      assertEquals([watch.ended(), held.ended()], [true, true]);
      assertEquals(
        held.send("SIGKILL", "process"),
        false,
        "the pid may be another's by now, the pidfd is not",
      );
      assertEquals(await processes.signal(child.pid, "SIGKILL", startTime), "gone");
    } finally {
      watch.close();
      held.close();
    }
  },
);

Deno.test({ name: "a pidfd of its leader signals a whole group", ignore: noPidfd }, async () => {
  const { processes } = await createDenoHost();
  const script = "sleep 60 & echo ready; wait";
  const leader = spawn("sh", ["-c", script], { detached: true, stdio: ["ignore", "pipe", "ignore"] });
  await new Promise((resolve) => leader.stdout.once("data", resolve));
  const closed = new Promise((resolve) => leader.once("close", resolve));
  assert(leader.pid !== undefined);
  const seen = (await processes.inspect([leader.pid])).get(leader.pid);
  assert(seen?.kind === "seen");
  assertEquals(await processes.signal(-leader.pid, "SIGKILL", "proc:x:1"), "gone");
  assertEquals(await processes.signal(-leader.pid, "SIGKILL", seen.facts.startTime), "sent");
  // The pipe closes when the last of the group has ended.
  await closed;
});
