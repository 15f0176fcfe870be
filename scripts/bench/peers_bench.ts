/**
 * foster beside other programs that keep servers up, in one run and with one server: what a start, a restart and a
 * list cost, and how much memory the supervisor takes. Linux only: it reads /proc.
 *
 *     deno run -A scripts/bench/peers_bench.ts --binary FILE [--rounds N]
 *
 * The peers are installed into a temporary folder, and one that cannot be had is said. Each runs as its manual has
 * it fastest: pm2 in fork mode, without wrapper, version metadata and logs; supervisord without `startsecs` and logs.
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import { dirname, fromFileUrl, join, resolve } from "@std/path";
import { bunPath } from "../bun_tool.ts";
import type { Missing } from "./figures.ts";
import { Bench, binaryOf } from "./program.ts";

const PM2 = "pm2@7.0.4";
const SUPERVISOR = "supervisor==4.3.0";
const SERVER = fromFileUrl(new URL("../../tests/fixtures/run_quick_server.ts", import.meta.url));
const OPEN_TIMEOUT_MS = 30_000;
const COMMAND_TIMEOUT_MS = 120_000;
/** Between two kills, so that no supervisor meets a server that it does not count as started. */
const SETTLE_MS = { least: 600, most: 1600 };
const LISTED = 10;
const MEMORY_SAMPLES = 5;

/** foster's values of one figure beside those of its peers from the same run. */
export interface Comparison {
  what: string;
  unit: string;
  goal: Goal | null;
  values: number[];
  peers: { name: string; values: number[] }[];
}

export interface Goal {
  side: "at most" | "at least";
  value: number;
}

/** What keeps one server up, in a process of its own. */
interface Keeper {
  name: string;
  pid: number;
  port: number;
  stop(): Promise<void>;
}

interface Stage {
  bench: Bench;
  bun: string;
  rounds: number;
  pm2: Pm2 | null;
  /** The program's path. */
  supervisord: string | null;
}

/** All figures, one after the other. `folder` is theirs alone, and removed by the caller. */
export async function takePeers(
  options: { binary: string; folder: string; rounds: number },
): Promise<(Comparison | Missing)[]> {
  const { folder, rounds } = options;
  if (Deno.build.os !== "linux") return [{ what: "foster beside peers", why: "measured on Linux only" }];
  const missing: Missing[] = [];
  const orMissing = async <T>(what: string, install: () => Promise<T>): Promise<T | null> => {
    try {
      return await install();
    } catch (error) {
      missing.push({ what, why: error instanceof Error ? error.message : String(error) });
      return null;
    }
  };
  const bun = await ended([await bunPath(), "-p", "process.execPath"], { cwd: folder });
  const pm2 = await orMissing(PM2, () => Pm2.install(join(folder, "pm2")));
  const supervisord = await orMissing(SUPERVISOR, () => installSupervisor(join(folder, "supervisor")));
  const own = join(folder, "foster");
  await Deno.mkdir(own);
  const bench = new Bench(binaryOf(options.binary, { bun, folder }), own);
  const stage: Stage = { bench, bun, rounds, pm2, supervisord };
  try {
    return [await start(stage), ...await restart(stage), await list(stage), ...missing];
  } finally {
    await bench.foster("down", "--all");
    await pm2?.kill();
  }
}

// -------------------------------------------------------------------------------------------------------- figures

/** pm2's daemon runs already, as it does after the first command; foster has none. */
async function start({ bench, bun, rounds, pm2 }: Stage): Promise<Comparison> {
  const fosterPort = freePort();
  const pm2Port = freePort();
  await bench.define({ quick: definition(bun, fosterPort) });
  await pm2?.start([pm2App(bun, { name: "first", port: freePort() })]);
  const values: { foster: number[]; pm2: number[]; boot: number[] } = { foster: [], pm2: [], boot: [] };
  for (let round = 0; round < rounds; round++) {
    values.boot.push(await bootOnce(bun));
    values.foster.push(await untilOpen(fosterPort, () => bench.expect(0, "up", "quick")));
    await bench.expect(0, "down", "quick");
    if (pm2 === null) continue;
    const app = pm2App(bun, { name: "quick", port: pm2Port });
    values.pm2.push(await untilOpen(pm2Port, () => pm2.start([app])));
    await pm2.run("delete", "quick");
  }
  await pm2?.run("delete", "all");
  return {
    what: "start command → port open, beyond the server's boot",
    unit: "ms",
    goal: null,
    values: beyond(values.boot, values.foster),
    peers: pm2 === null ? [] : [{ name: "pm2", values: beyond(values.boot, values.pm2) }],
  };
}

async function restart(stage: Stage): Promise<Comparison[]> {
  const keepers: Keeper[] = [];
  try {
    keepers.push(await keptByFoster(stage));
    if (stage.pm2 !== null) keepers.push(await keptByPm2(stage.pm2, stage.bun));
    if (stage.supervisord !== null) {
      keepers.push(await keptBySupervisord(stage.supervisord, stage));
    }
    const boot: number[] = [];
    const again = keepers.map((keeper) => ({ keeper, ms: new Array<number>(), mib: new Array<number>() }));
    await pause(SETTLE_MS.most);
    for (let round = 0; round < stage.rounds; round++) {
      boot.push(await bootOnce(stage.bun));
      for (const { keeper, ms } of again) ms.push(await killOnce(keeper));
    }
    for (let sample = 0; sample < MEMORY_SAMPLES; sample++) {
      for (const { keeper, mib } of again) mib.push(await residentMib(keeper.pid));
      await pause(SETTLE_MS.least);
    }
    const [foster, ...peers] = again;
    return [
      {
        what: "killed → port open again, beyond the server's boot",
        unit: "ms",
        goal: { side: "at most", value: 30 },
        values: beyond(boot, foster?.ms ?? []),
        peers: peers.map(({ keeper: { name }, ms }) => ({ name, values: beyond(boot, ms) })),
      },
      {
        what: "memory of the supervisor",
        unit: "MiB",
        goal: { side: "at most", value: 45 },
        values: foster?.mib ?? [],
        peers: peers.map(({ keeper: { name }, mib }) => ({ name, values: mib })),
      },
    ];
  } finally {
    for (const keeper of keepers) await keeper.stop();
  }
}

async function list({ bench, bun, rounds, pm2 }: Stage): Promise<Comparison> {
  const names = Array.from({ length: LISTED }, (_, index) => `s${index}`);
  await bench.define(Object.fromEntries(names.map((name) => [name, definition(bun, freePort())])));
  await bench.expect(0, "up");
  await pm2?.start(names.map((name) => pm2App(bun, { name, port: freePort() })));
  const values: { foster: number[]; pm2: number[] } = { foster: [], pm2: [] };
  for (let round = 0; round < 2 * rounds; round++) {
    values.foster.push((await bench.expect(0, "ps", "--json")).ms);
    if (pm2 === null) continue;
    const startedAt = performance.now();
    await pm2.run("jlist");
    values.pm2.push(performance.now() - startedAt);
  }
  await bench.expect(0, "down");
  return {
    what: `list of ${LISTED} servers (ps, jlist)`,
    unit: "ms",
    goal: { side: "at most", value: 15 },
    values: values.foster,
    peers: pm2 === null ? [] : [{ name: "pm2", values: values.pm2 }],
  };
}

/** Ends the server by force and measures until its port is open again. Milliseconds. */
async function killOnce(keeper: Keeper): Promise<number> {
  const pid = await serverBelow(keeper);
  if (pid === null) throw new Error(`${keeper.name} has no server on port ${keeper.port}`);
  const startedAt = performance.now();
  Deno.kill(pid, "SIGKILL");
  while (await isOpen(keeper.port)) {
    // On a busy machine the next server may have the port before anybody saw it closed.
    const now = await serverBelow(keeper);
    if (now !== null && now !== pid) break;
    await pause(0);
  }
  await opened(keeper.port);
  const tookMs = performance.now() - startedAt;
  // Of differing length, so that a supervisor that looks once a second is met at every point of its second.
  await pause(SETTLE_MS.least + Math.random() * (SETTLE_MS.most - SETTLE_MS.least));
  return tookMs;
}

/** From the spawn of the server alone to its open port. Milliseconds. */
async function bootOnce(bun: string): Promise<number> {
  const port = freePort();
  const startedAt = performance.now();
  const child = quiet([bun, SERVER, String(port)], { cwd: dirname(SERVER) });
  await opened(port);
  const tookMs = performance.now() - startedAt;
  child.kill("SIGKILL");
  await child.status;
  return tookMs;
}

async function untilOpen(port: number, command: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  const done = command();
  await Promise.race([opened(port), done.then(() => opened(port))]);
  const tookMs = performance.now() - startedAt;
  await done;
  return tookMs;
}

function beyond(boot: readonly number[], values: readonly number[]): number[] {
  const bootMs = boot.toSorted((a, b) => a - b)[Math.floor(boot.length / 2)] ?? 0;
  return values.map((value) => value - bootMs);
}

// -------------------------------------------------------------------------------------------------------- keepers

function definition(bun: string, port: number) {
  return { command: bun, args: [SERVER, "${port}"], port, restart: { max: 100_000 } };
}

async function keptByFoster({ bench, bun }: Stage): Promise<Keeper> {
  const port = freePort();
  await bench.define({ kept: definition(bun, port) });
  const [command, ...args] = bench.program.command;
  const child = quiet([command, ...args, "run", "kept", "--state-dir", bench.stateDir], { cwd: bench.cwd });
  await opened(port);
  return { name: "foster", pid: child.pid, port, stop: () => stopped(child) };
}

async function keptByPm2(pm2: Pm2, bun: string): Promise<Keeper> {
  const port = freePort();
  await pm2.start([pm2App(bun, { name: "kept", port })]);
  await opened(port);
  const stop = async () => void await pm2.run("delete", "kept");
  return { name: "pm2", pid: await pm2.daemonPid(), port, stop };
}

async function keptBySupervisord(supervisord: string, { bun }: Stage): Promise<Keeper> {
  const port = freePort();
  const folder = dirname(dirname(supervisord));
  const config = join(folder, "supervisord.conf");
  const noLogs = ["stdout", "stderr"].map((stream) =>
    `${stream}_logfile=/dev/null\n${stream}_logfile_maxbytes=0\n`
  );
  await Deno.writeTextFile(
    config,
    "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n" +
      `pidfile=${join(folder, "supervisord.pid")}\n[program:kept]\ncommand=${bun} ${SERVER} ${port}\n` +
      `autorestart=true\nstartsecs=0\nstartretries=100000\n${noLogs.join("")}`,
  );
  const child = quiet([supervisord, "-c", config], { cwd: folder });
  await opened(port);
  return { name: "supervisord", pid: child.pid, port, stop: () => stopped(child) };
}

async function stopped(child: Deno.ChildProcess): Promise<void> {
  child.kill("SIGTERM");
  await child.status;
}

function pm2App(bun: string, { name, port }: { name: string; port: number }) {
  return {
    name,
    script: bun,
    args: [SERVER, String(port)],
    interpreter: "none",
    exec_mode: "fork",
    vizion: false,
    pmx: false,
    treekill: false,
    // The least that pm2 takes: a server killed earlier counts as unstable.
    min_uptime: 100,
    max_restarts: 100_000,
    out_file: "/dev/null",
    error_file: "/dev/null",
  };
}

class Pm2 {
  private constructor(readonly folder: string) {}

  static async install(folder: string): Promise<Pm2> {
    await Deno.mkdir(folder);
    await ended(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, PM2], { cwd: folder });
    return new Pm2(folder);
  }

  async start(apps: readonly unknown[]): Promise<void> {
    const file = join(this.folder, "apps.json");
    await Deno.writeTextFile(file, JSON.stringify({ apps }));
    await this.run("start", file);
  }

  async run(...args: string[]): Promise<string> {
    const command = join(this.folder, "node_modules", ".bin", "pm2");
    const env = { PM2_HOME: join(this.folder, "home"), PM2_DISABLE_VERSION_CHECK: "true" };
    return await ended([command, ...args], { cwd: this.folder, env });
  }

  async daemonPid(): Promise<number> {
    return Number(await Deno.readTextFile(join(this.folder, "home", "pm2.pid")));
  }

  async kill(): Promise<void> {
    await this.run("kill");
  }
}

async function installSupervisor(folder: string): Promise<string> {
  await Deno.mkdir(folder);
  const environment = join(folder, "env");
  await ended(["uv", "venv", "-q", environment], { cwd: folder });
  const python = join(environment, "bin", "python");
  await ended(["uv", "pip", "install", "-q", "--python", python, SUPERVISOR], { cwd: folder });
  return join(environment, "bin", "supervisord");
}

// -------------------------------------------------------------------------------------------------------- machine

type Command = readonly [string, ...string[]];

function quiet([command, ...args]: Command, { cwd }: { cwd: string }): Deno.ChildProcess {
  const env = { PATH: Deno.env.get("PATH") ?? "", HOME: Deno.env.get("HOME") ?? cwd };
  const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
  return new Deno.Command(command, { args, cwd, env, clearEnv: true, ...streams }).spawn();
}

/** What it wrote. @throws Error that ends with its last words */
async function ended(
  [command, ...args]: Command,
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
): Promise<string> {
  const signal = AbortSignal.timeout(COMMAND_TIMEOUT_MS);
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd, env, signal }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout).trim();
  const lastWords = decoder.decode(stderr).trimEnd().split("\n").at(-1);
  throw new Error(`${command} ${args[0] ?? ""} failed: ${lastWords}`);
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

async function isOpen(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

/** @throws Error when it stays closed */
async function opened(port: number): Promise<void> {
  const until = performance.now() + OPEN_TIMEOUT_MS;
  while (!await isOpen(port)) {
    if (performance.now() > until) throw new Error(`port ${port} stays closed`);
    await pause(0);
  }
}

/** The child of the keeper that runs the server on its port. */
async function serverBelow({ pid, port }: Keeper): Promise<number | null> {
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const children = await Deno.readTextFile(`/proc/${pid}/task/${name}/children`).catch(() => "");
    for (const child of children.split(" ").filter(Boolean)) {
      const argv = await Deno.readTextFile(`/proc/${child}/cmdline`).catch(() => "");
      if (argv.includes(`${SERVER}\0${port}\0`)) return Number(child);
    }
  }
  return null;
}

async function residentMib(pid: number): Promise<number> {
  const kib = /VmRSS:\s+(\d+)/.exec(await Deno.readTextFile(`/proc/${pid}/status`))?.[1] ?? "0";
  return Number(kib) / 1024;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, { string: ["binary", "rounds"] });
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-peers-bench-" }));
  try {
    const binary = resolve(String(flags["binary"] ?? "dist/foster"));
    const found = await takePeers({ binary, folder, rounds: Number(flags["rounds"] ?? 20) });
    console.log(JSON.stringify(found, null, 2));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
