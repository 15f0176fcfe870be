import { assert, assertEquals, assertRejects } from "@std/assert";
import { spawn } from "node:child_process";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { sendSignal } from "../../src/host/engine/node/processes.ts";
import { HostError, type RunResult, type Signal } from "../../src/host/host.ts";
import { helperEnvironment, signalThroughKill } from "../../src/host/system/helper.ts";

const { run } = (await createDenoHost()).processes;
const ignore = Deno.build.os === "windows";

Deno.test("helperEnvironment() has what Windows programs can't do without, on Windows only", () => {
  const own: Record<string, string> = { PATH: "/bin", HOME: "/root", SystemRoot: "C:\\Windows", TOKEN: "x" };
  const get = (name: string) => own[name];
  assertEquals(helperEnvironment(get, "linux"), { PATH: "/bin", LC_ALL: "C", TZ: "UTC" });
  assertEquals(helperEnvironment(get, "windows"), {
    PATH: "/bin",
    LC_ALL: "C",
    TZ: "UTC",
    SystemRoot: "C:\\Windows",
  });
});

// -------------------------------------------------------------------------------------------------------- signals

function killProgram(result: Partial<RunResult>) {
  const asked: string[][] = [];
  const answering: typeof run = (command, args) => {
    asked.push([command, ...args]);
    return Promise.resolve({ code: 0, signal: null, stdout: "", stderr: "", ...result });
  };
  return { asked, send: (target: number, signal: Signal) => signalThroughKill(answering, target, signal) };
}

Deno.test("signalThroughKill() separates the signal from the target", async () => {
  const { asked, send } = killProgram({});
  assertEquals([await send(412, "SIGTERM"), await send(-412, "SIGKILL")], ["sent", "sent"]);
  assertEquals(asked, [["kill", "-s", "TERM", "--", "412"], ["kill", "-s", "KILL", "--", "-412"]]);
});

for (
  const { stderr, expected } of [
    { stderr: "kill: 412: No such process\n", expected: "gone" },
    { stderr: "kill: (412): No such process\n", expected: "gone" },
    { stderr: "kill: sending signal to 412 failed: No such process\n", expected: "gone" },
    { stderr: "kill: 412: Operation not permitted\n", expected: "denied" },
    { stderr: "kill: (412): Operation not permitted\n", expected: "denied" },
  ]
) {
  Deno.test(`signalThroughKill() says ${expected} for "${stderr.trim()}"`, async () => {
    assertEquals(await killProgram({ code: 1, stderr }).send(412, "SIGTERM"), expected);
  });
}

for (const stderr of ["kill: illegal process id: x", "kill: unknown signal TERM", "kill: out of order", ""]) {
  Deno.test(`signalThroughKill() throws when kill fails with "${stderr}"`, async () => {
    await assertRejects(() => killProgram({ code: 2, stderr }).send(412, "SIGTERM"), HostError, stderr);
  });
}

for (
  const { way, signal } of [
    { way: "directly", signal: sendSignal },
    {
      way: "through the kill program",
      signal: (pid: number, name: Signal) => signalThroughKill(run, pid, name),
    },
  ]
) {
  Deno.test({
    name: `a signal ends a process, a whole group, and finds nothing to end, ${way}`,
    ignore,
    async fn() {
      const single = spawn("sleep", ["60"], { stdio: "ignore" });
      const ended = new Promise((resolve) => single.once("exit", (_, by) => resolve(by)));
      assert(single.pid !== undefined);
      assertEquals(await signal(single.pid, "SIGTERM"), "sent");
      assertEquals(await ended, "SIGTERM");
      assertEquals(await signal(single.pid, "SIGKILL"), "gone");

      const script = "sleep 60 & echo ready; wait";
      const leader = spawn("sh", ["-c", script], { detached: true, stdio: ["ignore", "pipe", "ignore"] });
      await new Promise((resolve) => leader.stdout.once("data", resolve));
      const closed = new Promise((resolve) => leader.once("close", resolve));
      assert(leader.pid !== undefined);
      assertEquals(await signal(-leader.pid, "SIGKILL"), "sent");
      // The pipe closes when the last of the group has ended.
      await closed;
      assertEquals(await signal(-(2 ** 22 + 1), "SIGTERM"), "gone");
    },
  });
}
