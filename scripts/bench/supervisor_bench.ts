/**
 * What one supervisor of many servers costs: memory, CPU while nothing happens, how soon a killed server is back, what
 * `up --supervise` costs beyond `up`, and whether a thousand restarts leave anything behind; where they can be had, pm2
 * and supervisord are measured in the same run. Linux only: it reads /proc.
 * A missed goal ends it with 1, except under `--json`.
 *
 *     deno run -A scripts/bench/supervisor_bench.ts --binary FILE [--kills N] [--ups N] [--restarts N] [--settle SECONDS] [--probes N] [--no-peers] [--json]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { join, resolve } from "@std/path";
import { callerEnvironment } from "../caller_environment.ts";
import { bunPath } from "../bun_tool.ts";
import { atMost, type Figure, median, type Missing, type Unit } from "./figures.ts";
import { killOnce as killKept, type ManyKept, Pm2, Supervisord } from "./keepers.ts";
import { cpuMs, isOpen, opened, openFiles, pause, sharedMemoryMib } from "./machine.ts";
import { bootOnce, definition } from "./quick_server.ts";

const TEN = 10;
const TWENTY = 20;
const PROBE_INTERVAL_MS = 2000;
/** A minute, in which each server is asked for one whole handshake. */
const IDLE_PROBES = 30;

const { values: options } = parseArgs({
  options: {
    binary: { type: "string", default: Deno.env.get("FOSTER_BIN") ?? "dist/foster" },
    kills: { type: "string", default: "20" },
    ups: { type: "string", default: "10" },
    restarts: { type: "string", default: "1000" },
    settle: { type: "string", default: "40" },
    probes: { type: "string", default: String(IDLE_PROBES) },
    /** `--no-peers`: foster alone. */
    peers: { type: "boolean", default: true },
    json: { type: "boolean", default: false },
  },
  allowNegative: true,
});
const binary = resolve(options.binary);
const bun = await bunPath();
const folder = await Deno.makeTempDir({ prefix: "foster-supervisor-bench-" });
const stateDir = join(folder, "state");
const figures: Figure[] = [];
const missing: Missing[] = [];
let missed = 0;

/** Of the programs beside foster, by figure. */
const beside = new Map<string, { name: string; values: number[] }[]>();
const MEMORY = {
  private: `${TEN} servers, private memory`,
  proportional: `${TEN} servers, proportional memory`,
};
const BACK = "killed to port open beyond boot, own child";
const IDLE = `${TWENTY} idle servers, CPU per probe interval`;

interface Peer {
  name: string;
  keepMany(bun: string, count: number): Promise<ManyKept>;
  end(): Promise<void>;
}

/** A peer that can't be had is said, and left out. */
async function measurePeers(): Promise<void> {
  const makers = [
    async (): Promise<Peer> => {
      const pm2 = await Pm2.install(join(folder, "pm2"));
      return { name: "pm2", keepMany: (...what) => pm2.keepMany(...what), end: () => pm2.kill() };
    },
    async (): Promise<Peer> => {
      const supervisord = await Supervisord.install(join(folder, "supervisord"));
      return {
        name: "supervisord",
        keepMany: (...what) => supervisord.keepMany(...what),
        end: () => Promise.resolve(),
      };
    },
  ];
  for (const make of makers) {
    try {
      await measurePeer(await make());
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      console.error(`  WITHOUT a peer: ${why}`);
      missing.push({ what: "supervisor: a peer", why });
    }
  }
}

async function measurePeer(peer: Peer): Promise<void> {
  const note = (figure: string, values: number[]) => {
    beside.set(figure, [...beside.get(figure) ?? [], { name: peer.name, values }]);
    if (!options.json) console.log(`  beside ${figure}: ${peer.name} ${median(values).toFixed(1)}`);
  };
  try {
    const ten = await peer.keepMany(bun, TEN);
    try {
      await pause(Number(options.settle) * 1000);
      const { own, proportional } = await sharedMemoryMib(ten.pid);
      note(MEMORY.private, [own]);
      note(MEMORY.proportional, [proportional]);
      const boots: number[] = [];
      const kills: number[] = [];
      while (kills.length < Number(options.kills)) {
        boots.push(await bootOnce(bun));
        const port = ten.ports[kills.length % TEN] ?? 0;
        kills.push(await killKept({ name: peer.name, pid: ten.pid, port, stop: ten.stop }));
      }
      note(BACK, kills.map((ms) => ms - median(boots)));
    } finally {
      await ten.stop();
    }
    const twenty = await peer.keepMany(bun, TWENTY);
    try {
      await pause(Number(options.settle) * 1000);
      note(IDLE, [await idleCpuMs(twenty.pid)]);
    } finally {
      await twenty.stop();
    }
  } finally {
    await peer.end();
  }
}

async function idleCpuMs(pid: number): Promise<number> {
  const probes = Number(options.probes);
  const before = await cpuMs(pid);
  await pause(probes * PROBE_INTERVAL_MS);
  return (await cpuMs(pid) - before) / probes;
}

async function measure(): Promise<void> {
  if (options.peers) await measurePeers();
  await define(TWENTY);
  await measureUp();
  await foster(["up", ...names(TEN), "--supervise", "--json"]);
  await pause(Number(options.settle) * 1000);
  const pid = await supervisorPid();
  const { own, proportional } = await sharedMemoryMib(pid);
  report(MEMORY.private, { values: [own], goal: 30, unit: "MiB" });
  report(MEMORY.proportional, { values: [proportional], goal: 70, unit: "MiB" });
  await measureKills();
  await measureGrowth(pid);
  await foster(["up", ...names(TWENTY), "--supervise", "--json"]);
  await pause(Number(options.settle) * 1000);
  report(IDLE, { values: [await idleCpuMs(pid)], goal: 25, unit: "ms" });
}

/** The same server each time; the supervisor is there, or is not. */
async function measureUp(): Promise<void> {
  const rounds = Number(options.ups);
  const plain: number[] = [];
  const first: number[] = [];
  const there: number[] = [];
  await foster(["up", "s1", "--json"]);
  for (let round = 0; round < rounds; round++) {
    plain.push(await timed(["up", "s0", "--json"]));
    await foster(["down", "s0"]);
    await foster(["serve", "--stop"]);
    first.push(await timed(["up", "s0", "--supervise", "--json"]));
    await foster(["up", "s1", "--supervise", "--json"]);
    await foster(["down", "s0"]);
    there.push(await timed(["up", "s0", "--supervise", "--json"]));
    await foster(["down", "--all"]);
  }
  const base = median(plain);
  const beyond = (values: number[]) => values.map((ms) => ms - base);
  report("up --supervise beyond up, supervisor there", { values: beyond(there), goal: 20, unit: "ms" });
  report("up --supervise beyond up, supervisor not there", { values: beyond(first), goal: 120, unit: "ms" });
}

/** The first server was adopted; after its first end it is the supervisor's own child. */
async function measureKills(): Promise<void> {
  const kills = Number(options.kills);
  const boots: number[] = [];
  while (boots.length < kills) boots.push(await bootOnce(bun));
  const boot = median(boots);
  const adopted: number[] = [];
  const own: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const name = `s${kill % TEN}`;
    // Whoever ran up was the parent: another one adopted it.
    await foster(["restart", name]);
    await pause(700);
    adopted.push(await killOnce(name) - boot);
    own.push(await killOnce(name) - boot);
  }
  report(BACK, { values: own, goal: 15, unit: "ms" });
  report("killed to port open beyond boot, adopted", { values: adopted, goal: 30, unit: "ms" });
}

async function measureGrowth(pid: number): Promise<void> {
  const restarts = Number(options.restarts);
  const warm = Math.min(100, restarts);
  for (let kill = 0; kill < warm; kill++) await killOnce("s3");
  await pause(2000);
  const before = { ...await sharedMemoryMib(pid), files: await openFiles(pid) };
  for (let kill = 0; kill < restarts; kill++) await killOnce("s3");
  await pause(2000);
  const after = { ...await sharedMemoryMib(pid), files: await openFiles(pid) };
  report(`growth over ${restarts} restarts, private`, {
    values: [after.own - before.own],
    goal: 8,
    unit: "MiB",
  });
  report(`growth over ${restarts} restarts, open files`, {
    values: [after.files - before.files],
    goal: 0,
    unit: "",
  });
}

/** Ends a server by force and measures until its port is open again. Milliseconds. */
async function killOnce(name: string): Promise<number> {
  const { pid, port } = await readyRecord(name);
  const startedAt = performance.now();
  Deno.kill(pid, "SIGKILL");
  while (await isOpen(port)) await pause(0);
  await opened(port);
  const tookMs = performance.now() - startedAt;
  await readyRecord(name, pid);
  return tookMs;
}

async function readyRecord(name: string, not = 0): Promise<{ pid: number; port: number }> {
  const endsAt = performance.now() + 20_000;
  while (performance.now() < endsAt) {
    for await (const { name: key } of Deno.readDir(join(stateDir, "servers"))) {
      if (!key.startsWith(`${name}-`)) continue;
      const record = JSON.parse(
        await Deno.readTextFile(join(stateDir, "servers", key, "record.json")).catch(() => "null"),
      );
      if (record?.state === "ready" && record.pid !== not && record.supervisor !== null) return record;
    }
    await pause(5);
  }
  throw new Error(`${name} did not get ready`);
}

async function supervisorPid(): Promise<number> {
  return JSON.parse(await Deno.readTextFile(join(stateDir, "supervisor.json"))).pid;
}

function report(
  what: string,
  { values, goal, unit }: { values: number[]; goal: number; unit: Unit },
): void {
  figures.push({ what: `supervisor: ${what}`, unit, goal: atMost(goal), values, peers: beside.get(what) });
  const value = median(values);
  const met = value <= goal;
  if (!met) missed++;
  if (!options.json) {
    console.log(
      `  ${met ? "ok    " : "MISSED"} ${what}: ${value.toFixed(1)} ${unit} (goal ≤ ${goal} ${unit})`,
    );
  }
}

async function timed(args: string[]): Promise<number> {
  const startedAt = performance.now();
  await foster(args);
  return performance.now() - startedAt;
}

async function foster(args: string[]): Promise<string> {
  const env = { HOME: folder, ...callerEnvironment(), FOSTER_STATE_DIR: stateDir };
  const { stdout } = await new Deno.Command(binary, {
    args,
    cwd: folder,
    env,
    clearEnv: true,
    stdin: "null",
    stderr: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

async function define(count: number): Promise<void> {
  const servers = Object.fromEntries(names(count).map((name) => [name, definition(bun, "auto")]));
  await Deno.writeTextFile(join(folder, "foster.json"), JSON.stringify({ servers }));
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `s${index}`);
}

try {
  await measure();
} finally {
  await foster(["down", "--all"]);
  await foster(["serve", "--stop"]);
  await Deno.remove(folder, { recursive: true });
}
if (options.json) console.log(JSON.stringify([...figures, ...missing]));
Deno.exit(options.json || missed === 0 ? 0 : 1);
