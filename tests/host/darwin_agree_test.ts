import { assert, assertEquals } from "@std/assert";
import { compareReaders, type Comparison } from "../../scripts/mac_readers.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import type { ReaderTools } from "../../src/host/system/reader.ts";
import { DarwinCalls } from "../../src/host/system/darwin/calls.ts";
import { DirectReader } from "../../src/host/system/darwin/direct.ts";
import { createHelperReader } from "../../src/host/system/darwin/helpers.ts";
import { FakeLibSystem, type MacProcess } from "./fake_libsystem.ts";

const isLinux = Deno.build.os === "linux";
const noLsof = !isLinux || await new Deno.Command("lsof", { args: ["-v"], stdout: "null", stderr: "null" })
  .output().then(() => false, () => true);

/** Every process of this Linux machine as macOS' kernel would show it, with its sockets on `ports`. */
async function macProcesses(ports: readonly number[]): Promise<MacProcess[]> {
  const { processes } = await createDenoHost();
  const bootedAt = BigInt(/^btime (\d+)$/m.exec(await Deno.readTextFile("/proc/stat"))?.[1] ?? "0");
  const listening = new Map<number, { port: number; address: string }[]>();
  for (const port of ports) {
    const seen = await processes.listeners(port);
    if (seen.kind !== "known") continue;
    for (const { pid, address } of seen.listeners) {
      listening.set(pid, [...listening.get(pid) ?? [], { port, address }]);
    }
  }
  const all: MacProcess[] = [];
  for (const { pid, parentPid, groupId, zombie, startTime } of await processes.list()) {
    const { executable, cwd } = await processes.paths(pid);
    const usage = (await processes.usage([pid])).get(pid);
    const ticks = BigInt(startTime.split(":").at(-1) ?? "0");
    all.push({
      pid,
      parentPid,
      groupId,
      userId: 0,
      status: zombie ? 5 : 3,
      // Ticks are hundredths of a second.
      startedAtUs: bootedAt * 1_000_000n + ticks * 10_000n,
      path: executable,
      folder: cwd,
      argv: await processes.argv(pid) ?? [],
      environment: (await processes.carryingPrefix("", [pid])).map(({ entry }) => entry),
      listening: listening.get(pid) ?? [],
      residentBytes: usage?.residentBytes ?? 0,
      cpuTicks: BigInt(Math.round((usage?.cpuMs ?? 0) * 24_000)),
    });
  }
  return all;
}

async function compareHere(
  table: readonly MacProcess[],
  only: { pids: readonly number[]; ports: readonly number[] },
  { listed = true } = {},
): Promise<Comparison> {
  const { processes, env, clock } = await createDenoHost();
  const system = new FakeLibSystem(() => table);
  system.userId = 0;
  const tools: ReaderTools = {
    run: processes.run,
    env: env.get,
    selfPid: Deno.pid,
    monotonic: clock.monotonic,
    ffi: system,
    arch: "arm64",
    direct: null,
  };
  const reader = createHelperReader(tools);
  // Not `listed`: only what the calls show is compared.
  const helpers = listed ? reader : { ...reader, list: () => Promise.resolve([]) };
  const calls = new DarwinCalls(system);
  const direct = new DirectReader({
    calls,
    reliable: { paths: true, arguments: true },
    own: { pid: Deno.pid, userId: 0 },
    helpers,
    kill: () => Promise.reject(new Error("nothing is signalled here")),
  });
  return await compareReaders({ calls, direct, helpers }, { only });
}

/** Differences of processes that were the same before and after: the fake's table is of one moment. */
async function steadyDifferences(
  { differences }: Comparison,
  { table, port }: { table: readonly MacProcess[]; port: number },
): Promise<string[]> {
  const { processes } = await createDenoHost();
  const after = new Map((await processes.list()).map((facts) => [facts.pid, facts]));
  return differences.filter((difference) => {
    const pid = Number(/^(?!listeners).* of (\d+):/.exec(difference)?.[1] ?? "0");
    const before = table.find((each) => each.pid === pid);
    const facts = after.get(pid);
    return difference.startsWith(`listeners of ${port}:`) ||
      (facts !== undefined && before?.parentPid === facts.parentPid && before.groupId === facts.groupId);
  });
}

interface Scene {
  /** The processes that are looked at in full; of the others only who they are. */
  pids: number[];
  port: number;
}

/** A child with blanks in its arguments and folder, and two listeners of this process. */
async function withScene(use: (scene: Scene) => Promise<void>): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster mac " }));
  const child = new Deno.Command("sh", {
    args: ["-c", "cat", "a b", "", "-x"],
    cwd: folder,
    stdin: "piped",
    stdout: "null",
  }).spawn();
  const v4 = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = v4.addr as Deno.NetAddr;
  const v6 = Deno.listen({ hostname: "::1", port });
  try {
    await use({ pids: [Deno.pid, Deno.ppid, child.pid], port });
  } finally {
    for (const listener of [v4, v6]) listener.close();
    await child.stdin.close();
    await child.status;
    await Deno.remove(folder);
  }
}

Deno.test(
  { name: "macOS' calls and ps and lsof agree about every process here", ignore: noLsof },
  async () => {
    await withScene(async ({ pids, port }) => {
      const table = await macProcesses([port]);
      const comparison = await compareHere(table, { pids, ports: [port] });
      assertEquals(await steadyDifferences(comparison, { table, port }), []);
      assert(comparison.processes >= 4 && comparison.ports >= 1);
      for (const what of ["facts", "arguments", "paths", "usage"]) {
        assert(comparison.compared.has(`${what} of ${Deno.pid}`), what);
      }
      assert(comparison.compared.has(`listeners of ${port}`));
    });
  },
);

const WRONG: [what: string, change: (process: MacProcess) => void][] = [
  ["facts", (process) => process.startedAtUs += 1_000_000n],
  ["facts", (process) => process.parentPid = 1],
  ["facts", (process) => process.status = 5],
  ["arguments", (process) => process.argv.push("more")],
  ["paths", (process) => process.folder = "/nowhere"],
  ["usage", (process) => process.cpuTicks += 10n ** 12n],
  ["listeners", (process) => process.listening.pop()],
];
for (const [what, change] of WRONG) {
  Deno.test({ name: `compareReaders() sees where ${what} differ: ${change}`, ignore: noLsof }, async () => {
    await withScene(async ({ port }) => {
      const table = (await macProcesses([port])).filter(({ pid }) => pid === Deno.pid);
      for (const process of table) change(process);
      const { differences } = await compareHere(table, { pids: [Deno.pid], ports: [port] }, {
        listed: false,
      });
      const subject = what === "listeners" ? port : Deno.pid;
      assert(differences.some((each) => each.startsWith(`${what} of ${subject}:`)), differences.join("\n"));
    });
  });
}
