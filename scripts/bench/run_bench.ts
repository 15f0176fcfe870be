/**
 * What a restart costs beyond the server's own boot, what a supervisor costs while nothing happens, and whether it grows
 * (`--restarts 1000` for the full run). Linux only: it reads /proc. A missed goal ends it with 1, except under `--json`.
 *
 *     deno run -A scripts/bench/run_bench.ts --binary FILE [--kills N] [--probes N] [--restarts N] [--settle SECONDS] [--json]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { join, resolve } from "@std/path";
import { callerEnvironment } from "../caller_environment.ts";
import { bunPath } from "../bun_tool.ts";
import { atMost, type Figure, median, type Unit } from "./figures.ts";
import { cpuMs, isOpen, memoryMib, opened, openFiles, pause, residentMib } from "./machine.ts";
import { bootOnce, definition } from "./quick_server.ts";

const BEYOND_BOOT_GOAL_MS = 30;
const RESIDENT_GOAL_MIB = 45;
const CPU_GOAL_MS = 5;
/** How far the heap may have moved between two measurements. */
const GROWTH_GOAL_MIB = 16;
/** As definitions have it that say nothing of it. */
const PROBE_INTERVAL_MS = 2000;
/** A connection that the runtime keeps for a moment, or not. */
const FILES_GOAL = 1;

const { values: options } = parseArgs({
  options: {
    binary: { type: "string", default: Deno.env.get("FOSTER_BIN") ?? "dist/foster" },
    kills: { type: "string", default: "20" },
    probes: { type: "string", default: "20" },
    restarts: { type: "string", default: "100" },
    settle: { type: "string", default: "40" },
    json: { type: "boolean", default: false },
  },
});
const binary = resolve(options.binary);
const bun = await bunPath();
const folder = await Deno.makeTempDir({ prefix: "foster-run-bench-" });
const figures: Figure[] = [];
let missed = 0;

async function measure(): Promise<void> {
  say(`${binary}, server under bun`);
  await define();
  const bootMs = median(await repeat(Number(options.kills), () => bootOnce(bun)));
  const supervisor = await Supervisor.start();
  try {
    const againMs = await repeat(Number(options.kills), () => supervisor.killOnce());
    say(
      `  the server's own boot: ${bootMs.toFixed(1)} ms; killed to port open: ${
        median(againMs).toFixed(1)
      } ms`,
    );
    const values = againMs.map((ms) => ms - bootMs);
    report("restart beyond the server's boot", { values, goal: BEYOND_BOOT_GOAL_MS, unit: "ms" });
    await measureGrowth(supervisor);
  } finally {
    await supervisor.stop();
  }
  const own = await Supervisor.start();
  await measureIdle(own.pid, "idle supervisor over its own child");
  await own.stop();
  await foster(["up", "quick", "--supervise"]).output();
  const record = JSON.parse(await Deno.readTextFile(join(await serverFolder(), "record.json")));
  await measureIdle(record.supervisor.pid, "idle supervisor over an adopted server");
}

async function measureIdle(pid: number, what: string): Promise<void> {
  const probes = Number(options.probes);
  // For half a minute after its last work the runtime collects garbage every second.
  await pause(Number(options.settle) * 1000);
  const before = await cpuMs(pid);
  await pause(probes * PROBE_INTERVAL_MS);
  const perProbeMs = (await cpuMs(pid) - before) / probes;
  report(`${what}, CPU per probe`, { values: [perProbeMs], goal: CPU_GOAL_MS, unit: "ms" });
  const { resident, own } = await memoryMib(pid);
  report(`${what}, resident`, { values: [resident], goal: RESIDENT_GOAL_MIB, unit: "MiB" });
  report(`${what}, of that its own`, { values: [own], goal: null, unit: "MiB" });
}

/** Compares the end with the middle: by then everything was loaded and the heap has its working size. */
async function measureGrowth(supervisor: Supervisor): Promise<void> {
  const half = Math.ceil(Number(options.restarts) / 2);
  await repeat(half, () => supervisor.killOnce());
  const before = { files: await openFiles(supervisor.pid), mib: await residentMib(supervisor.pid) };
  await repeat(half, () => supervisor.killOnce());
  const files = await openFiles(supervisor.pid) - before.files;
  report(`growth over ${half} restarts, open files`, { values: [files], goal: FILES_GOAL, unit: "" });
  const mib = await residentMib(supervisor.pid) - before.mib;
  report(`growth over ${half} restarts, resident`, { values: [mib], goal: GROWTH_GOAL_MIB, unit: "MiB" });
}

interface Reported {
  values: number[];
  /** At most; null where there is none. */
  goal: number | null;
  unit: Unit;
}

function report(what: string, { values, goal, unit }: Reported): void {
  figures.push({ what: `run: ${what}`, unit, goal: goal === null ? null : atMost(goal), values });
  const value = median(values);
  const line = `${what}: ${value.toFixed(1)} ${unit}`;
  if (goal === null) return say(`         ${line}`);
  const met = value <= goal;
  if (!met) missed++;
  say(`  ${met ? "ok    " : "MISSED"} ${line} (goal ≤ ${goal} ${unit})`);
}

function say(line: string): void {
  if (!options.json) console.log(line);
}

// ------------------------------------------------------------------------------------------------------- supervisor

class Supervisor {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";
  #server = { pid: 0, port: 0 };

  private constructor() {
    this.#child = foster(["run", "quick", "--json"]).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async start(): Promise<Supervisor> {
    const supervisor = new Supervisor();
    await supervisor.#untilReady();
    return supervisor;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Ends the server by force and measures until its port is open again. Milliseconds. */
  async killOnce(): Promise<number> {
    const { pid, port } = this.#server;
    const startedAt = performance.now();
    Deno.kill(pid, "SIGKILL");
    while (await isOpen(port)) await pause(0);
    await opened(port);
    const tookMs = performance.now() - startedAt;
    await this.#untilReady();
    return tookMs;
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    while (!(await this.#lines.read()).done);
    await this.#child.status;
  }

  async #untilReady(): Promise<void> {
    while (true) {
      const end = this.#rest.indexOf("\n");
      if (end < 0) {
        const { value, done } = await this.#lines.read();
        if (done) throw new Error("the supervisor ended");
        this.#rest += value;
        continue;
      }
      const event = JSON.parse(this.#rest.slice(0, end));
      this.#rest = this.#rest.slice(end + 1);
      if (event.type !== "ready") continue;
      this.#server = event.row;
      return;
    }
  }
}

function foster(args: string[]): Deno.Command {
  const env = { HOME: folder, ...callerEnvironment(), FOSTER_STATE_DIR: join(folder, "state") };
  const streams = { stdin: "null", stdout: "piped", stderr: "null" } as const;
  return new Deno.Command(binary, { args, cwd: folder, env, clearEnv: true, ...streams });
}

async function define(): Promise<void> {
  const servers = { quick: definition(bun, "auto") };
  await Deno.writeTextFile(join(folder, "foster.json"), JSON.stringify({ servers }));
}

async function serverFolder(): Promise<string> {
  const servers = join(folder, "state", "servers");
  for await (const { name } of Deno.readDir(servers)) return join(servers, name);
  throw new Error("no server has a folder");
}

async function repeat(times: number, measureOnce: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  while (values.length < times) values.push(await measureOnce());
  return values;
}

try {
  await measure();
} finally {
  await foster(["down", "--all"]).output();
  await Deno.remove(folder, { recursive: true });
}
if (options.json) console.log(JSON.stringify(figures));
Deno.exit(options.json || missed === 0 ? 0 : 1);
