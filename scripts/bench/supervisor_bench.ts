/**
 * What one supervisor of many servers costs: memory, CPU while nothing happens, how soon a killed server is back, what
 * `up --supervise` costs beyond `up`, and whether a thousand restarts leave anything behind. Linux only: it reads /proc.
 * A missed goal ends it with 1, except under `--json`.
 *
 *     deno run -A scripts/bench/supervisor_bench.ts --binary FILE [--kills N] [--ups N] [--restarts N] [--settle SECONDS] [--json]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { join, resolve } from "@std/path";
import { callerEnvironment } from "../caller_environment.ts";
import { bunPath } from "../bun_tool.ts";
import { atMost, type Figure, median, type Unit } from "./figures.ts";
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
    json: { type: "boolean", default: false },
  },
});
const binary = resolve(options.binary);
const bun = await bunPath();
const folder = await Deno.makeTempDir({ prefix: "foster-supervisor-bench-" });
const stateDir = join(folder, "state");
const figures: Figure[] = [];
let missed = 0;

async function measure(): Promise<void> {
  await define(TWENTY);
  await measureUp();
  await foster(["up", ...names(TEN), "--supervise", "--json"]);
  await pause(Number(options.settle) * 1000);
  const pid = await supervisorPid();
  const { own, proportional } = await sharedMemoryMib(pid);
  report(`${TEN} servers, private memory`, { values: [own], goal: 30, unit: "MiB" });
  report(`${TEN} servers, proportional memory`, { values: [proportional], goal: 70, unit: "MiB" });
  await measureKills();
  await measureGrowth(pid);
  await foster(["up", ...names(TWENTY), "--supervise", "--json"]);
  await pause(Number(options.settle) * 1000);
  const before = await cpuMs(pid);
  await pause(IDLE_PROBES * PROBE_INTERVAL_MS);
  const perInterval = (await cpuMs(pid) - before) / IDLE_PROBES;
  report(`${TWENTY} idle servers, CPU per probe interval`, { values: [perInterval], goal: 25, unit: "ms" });
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
  report("killed to port open beyond boot, own child", { values: own, goal: 15, unit: "ms" });
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
  figures.push({ what: `supervisor: ${what}`, unit, goal: atMost(goal), values });
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
if (options.json) console.log(JSON.stringify(figures));
Deno.exit(options.json || missed === 0 ? 0 : 1);
