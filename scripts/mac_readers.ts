/**
 * Holds macOS' own calls against `ps` and `lsof`, for every process and every listening port of this machine:
 * `deno run -A scripts/mac_readers.ts`, or the same with Bun. Ends with 1 where they do not agree, or where the calls
 * are not relied on.
 *
 * @module
 */
import process from "node:process";
import { type Host, isSameStart, type Listener, type ProcessFacts } from "../src/host/host.ts";
import type { Ffi } from "../src/host/ffi.ts";
import { ownProcess } from "../src/host/engine/node/own_process.ts";
import type { ReaderTools } from "../src/host/system/reader.ts";
import { DarwinCalls } from "../src/host/system/darwin/calls.ts";
import { DirectReader } from "../src/host/system/darwin/direct.ts";
import { createHelperReader, type HelperReader } from "../src/host/system/darwin/helpers.ts";
import { selfCheck } from "../src/host/system/darwin/self_check.ts";

export interface Readers {
  calls: DarwinCalls;
  direct: DirectReader;
  helpers: HelperReader;
}

export interface Comparison {
  processes: number;
  ports: number;
  /** What was compared, how often. */
  compared: Map<string, number>;
  /** One line for each thing that the two do not agree about. */
  differences: string[];
}

/** Processes come, go and change while they are looked at: only what differs each time counts. */
const TRIES = 3;

export async function compareReaders(
  { calls, direct, helpers }: Readers,
  { only = null }: { only?: { pids: readonly number[]; ports: readonly number[] } | null } = {},
): Promise<Comparison> {
  const comparison: Comparison = { processes: 0, ports: 0, compared: new Map(), differences: [] };
  const compare = async (what: string, differ: (attempt: number) => Promise<string | null>) => {
    comparison.compared.set(what, (comparison.compared.get(what) ?? 0) + 1);
    let difference: string | null = null;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      difference = await differ(attempt);
      if (difference === null) return;
    }
    comparison.differences.push(`${what}: ${difference}`);
  };
  const [one, other] = [await direct.list(), await helpers.list()].map(byPid);
  const pids = new Set([...one?.keys() ?? [], ...other?.keys() ?? []]);
  for (const pid of pids) {
    comparison.processes += 1;
    await compare(`facts of ${pid}`, async (attempt) => {
      const [listed, listedOther] = [one?.get(pid), other?.get(pid)];
      if (attempt === 0 && listed !== undefined && listedOther !== undefined) {
        return differingFacts(listed, listedOther);
      }
      const [now, nowOther] = [
        (await direct.inspect([pid])).get(pid),
        (await helpers.inspect([pid])).get(pid),
      ];
      if (now?.kind !== "seen" || nowOther?.kind !== "seen") {
        return now?.kind === nowOther?.kind ? null : `${now?.kind} and ${nowOther?.kind}`;
      }
      return differingFacts(now.facts, nowOther.facts);
    });
    if (only !== null && !only.pids.includes(pid)) continue;
    await compare(`arguments of ${pid}`, async () => {
      const [one, other] = [calls.arguments(pid)?.argv ?? null, await helpers.argv(pid)];
      // What ps shows has lost where each argument ends; what another user's process hides is asked of ps anyway.
      if (one === null || other === null) return null;
      // ps writes out what can't be seen.
      if (one.some((argument) => /[\p{Cc}\\]/u.test(argument))) return null;
      const texts = [one, other].map((argv) => argv.join(" ").split(/\s+/).join(" ").trim());
      return texts[0] === texts[1] ? null : `${texts[0]} and ${texts[1]}`;
    });
    await compare(`paths of ${pid}`, async () => {
      const [one, other] = [await direct.paths(pid), await helpers.paths(pid)];
      return differingPath(one.cwd, other.cwd) ?? differingPath(one.executable, other.executable);
    });
    await compare(`usage of ${pid}`, async () => {
      const one = calls.usage(pid)?.cpuMs;
      const other = (await helpers.usage([pid])).get(pid)?.cpuMs;
      if (one === undefined || other === undefined) return null;
      // One of them is a moment older, and ps rounds.
      return Math.abs(one - other) <= 1000 + 0.2 * other ? null : `${one} and ${other} ms of processor time`;
    });
  }
  const found = [...pids].flatMap((pid) => calls.listening(pid).map(({ port }) => port));
  const ports = new Set(found.filter((port) => only === null || only.ports.includes(port)));
  for (const port of ports) {
    comparison.ports += 1;
    await compare(`listeners of ${port}`, async () => {
      const [one, other] = [await direct.listeners(port), await helpers.listeners(port)];
      if (one.kind !== "known" || other.kind !== "known") {
        return one.kind === other.kind ? null : `${one.kind} and ${other.kind}`;
      }
      const [names, otherNames] = [one, other].map((each) => namesOf(each.listeners));
      return names === otherNames ? null : `${names} and ${otherNames}`;
    });
  }
  return comparison;
}

function byPid(list: readonly ProcessFacts[]): Map<number, ProcessFacts> {
  return new Map(list.map((facts) => [facts.pid, facts]));
}

function differingFacts(one: ProcessFacts, other: ProcessFacts): string | null {
  const keys = ["parentPid", "groupId", "zombie"] as const;
  for (const key of keys) if (one[key] !== other[key]) return `${key} ${one[key]} and ${other[key]}`;
  // A zombie's start is nobody's identity, and ps may not show it.
  if (one.zombie || isSameStart(one.startTime, other.startTime)) return null;
  return `start ${one.startTime} and ${other.startTime}`;
}

const { isSameFile } = ownProcess();

/** What only the calls see is no difference: lsof sees less. Parts of macOS are found under more than one name. */
function differingPath(one: string | null, other: string | null): string | null {
  if (other === null || one === other || (one !== null && isSameFile(one, other))) return null;
  return `${one} and ${other}`;
}

function namesOf(listeners: readonly Listener[]): string {
  return listeners.map(({ pid, address }) => `${pid} ${address}`).sort().join(", ");
}

async function openEngine(): Promise<{ host: Host; ffi: Ffi | null }> {
  if ("Bun" in globalThis) {
    const [{ createBunHost }, { bunFfi }] = await Promise.all([
      import("../src/host/engine/bun/mod.ts"),
      import("../src/host/engine/bun/ffi.ts"),
    ]);
    return { host: await createBunHost(), ffi: bunFfi };
  }
  const [{ createDenoHost }, { denoFfi }] = await Promise.all([
    import("../src/host/engine/deno/mod.ts"),
    import("../src/host/engine/deno/ffi.ts"),
  ]);
  return { host: await createDenoHost(), ffi: denoFfi() };
}

async function main(): Promise<number> {
  if (process.platform !== "darwin") {
    console.log("SKIPPED: this is not macOS\n0 passed, 0 failed, 1 skipped");
    return 0;
  }
  const { host, ffi } = await openEngine();
  if (ffi === null) throw new Error("this engine makes no calls: Deno needs -A");
  const tools: ReaderTools = {
    run: host.processes.run,
    env: host.env.get,
    selfPid: host.processes.selfPid,
    monotonic: host.clock.monotonic,
    ffi,
    arch: process.arch,
    direct: null,
  };
  const calls = new DarwinCalls(ffi);
  const own = ownProcess();
  const reliable = selfCheck(calls, own);
  console.log("relied on:", JSON.stringify(reliable));
  const helpers = createHelperReader(tools);
  const kill = () => Promise.reject(new Error("nothing is signalled here"));
  const direct = new DirectReader({ calls, reliable, own, helpers, kill });
  const began = performance.now();
  const all = await direct.list();
  console.log(`${all.length} processes listed in ${(performance.now() - began).toFixed(2)} ms`);
  const listener = await host.net.serve({ hostname: "127.0.0.1", port: 0, handle: () => new Response() });
  try {
    const { processes, ports, compared, differences } = await compareReaders({ calls, direct, helpers });
    for (const difference of differences) console.log(`DIFFERENT  ${difference}`);
    const unreliable = Object.entries(reliable).filter(([, isReliable]) => !isReliable);
    for (const [what] of unreliable) console.log(`NOT RELIED ON  ${what}`);
    if (ports === 0) console.log("DIFFERENT  not even foster's own listener was found");
    const failed = differences.length + unreliable.length + (ports === 0 ? 1 : 0);
    console.log(`${processes} processes, ${ports} ports`);
    console.log(`${compared.size - differences.length} passed, ${failed} failed`);
    return failed === 0 ? 0 : 1;
  } finally {
    await listener.close();
  }
}

if (import.meta.main) process.exit(await main());
