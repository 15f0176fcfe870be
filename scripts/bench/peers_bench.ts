/**
 * foster beside other programs that keep servers up, in one run and with one server: what a start, a restart and a
 * list cost, and how much memory the supervisor takes. Linux only: it reads /proc. Prints the figures as JSON.
 *
 *     deno run -A scripts/bench/peers_bench.ts --binary FILE [--rounds N]
 *
 * The peers are installed into a temporary folder, and one that cannot be had is said.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { join, resolve } from "@std/path";
import { bunPath } from "../bun_tool.ts";
import { atMost, type Figure, median, type Missing, type Taken } from "./figures.ts";
import {
  type Keeper,
  keeperOf,
  killOnce,
  PM2,
  Pm2,
  pm2App,
  SETTLE_MS,
  SUPERVISOR,
  Supervisord,
} from "./keepers.ts";
import { ended, freePort, opened, pause, residentMib, sharedMemoryMib } from "./machine.ts";
import { Bench, binaryOf } from "./program.ts";
import { bootOnce, definition } from "./quick_server.ts";

/** All figures, one after the other. `folder` is theirs alone, and removed by the caller. */
export async function takePeers(
  { binary, folder, rounds }: { binary: string; folder: string; rounds: number },
): Promise<Taken[]> {
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
  const supervisord = await orMissing(SUPERVISOR, () => Supervisord.install(join(folder, "supervisor")));
  const own = join(folder, "foster");
  await Deno.mkdir(own);
  const bench = new Bench(binaryOf(binary, { bun, folder }), own);
  const stage: Stage = { bench, bun, rounds, pm2, supervisord };
  try {
    return [await start(stage), ...await restartAndMemory(stage), ...await list(stage), ...missing];
  } finally {
    await Promise.allSettled([bench.foster("down", "--all"), pm2?.kill()]);
  }
}

/** A peer that could not be had is null. */
interface Stage {
  bench: Bench;
  bun: string;
  rounds: number;
  pm2: Pm2 | null;
  supervisord: Supervisord | null;
}

const LISTED = 10;
const MEMORY_SAMPLES = 5;

/** pm2's daemon runs already, as it does after the first command; foster has none. */
async function start({ bench, bun, rounds, pm2 }: Stage): Promise<Figure> {
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

/** How fast a killed server is back, and what its keeper weighs after that. */
async function restartAndMemory(stage: Stage): Promise<Figure[]> {
  const { bun, rounds, pm2, supervisord } = stage;
  const keepers: Keeper[] = [];
  try {
    keepers.push(await keptByFoster(stage));
    if (pm2 !== null) keepers.push(await pm2.keep(bun));
    if (supervisord !== null) keepers.push(await supervisord.keep(bun));
    const boot: number[] = [];
    const seen = keepers.map((keeper) => ({ keeper, ms: new Array<number>(), mib: new Array<number>() }));
    await pause(SETTLE_MS.most);
    for (let round = 0; round < rounds; round++) {
      boot.push(await bootOnce(bun));
      for (const { keeper, ms } of seen) ms.push(await killOnce(keeper));
    }
    for (let sample = 0; sample < MEMORY_SAMPLES; sample++) {
      for (const { keeper, mib } of seen) mib.push(await residentMib(keeper.pid));
      await pause(SETTLE_MS.least);
    }
    const [foster, ...peers] = seen;
    return [
      {
        what: "killed → port open again, beyond the server's boot",
        unit: "ms",
        goal: atMost(30),
        values: beyond(boot, foster?.ms ?? []),
        peers: peers.map(({ keeper: { name }, ms }) => ({ name, values: beyond(boot, ms) })),
      },
      {
        what: "memory of the supervisor",
        unit: "MiB",
        goal: atMost(45),
        values: foster?.mib ?? [],
        peers: peers.map(({ keeper: { name }, mib }) => ({ name, values: mib })),
      },
    ];
  } finally {
    // One that ended by itself must not keep the others from being stopped.
    await Promise.allSettled(keepers.map((keeper) => keeper.stop()));
  }
}

/** Ten servers that are kept up: what their list costs, and what their keeper weighs. */
async function list({ bench, bun, rounds, pm2 }: Stage): Promise<Figure[]> {
  const names = Array.from({ length: LISTED }, (_, index) => `s${index}`);
  await bench.define(Object.fromEntries(names.map((name) => [name, definition(bun, freePort())])));
  await bench.expect(0, "up", "--supervise");
  await pm2?.start(names.map((name) => pm2App(bun, { name, port: freePort() })));
  const values: { foster: number[]; pm2: number[] } = { foster: [], pm2: [] };
  for (let round = 0; round < 2 * rounds; round++) {
    values.foster.push((await bench.expect(0, "ps", "--json")).ms);
    if (pm2 === null) continue;
    const startedAt = performance.now();
    await pm2.run("jlist");
    values.pm2.push(performance.now() - startedAt);
  }
  await pause(SETTLE_MS.most);
  const { pid } = JSON.parse(await Deno.readTextFile(join(bench.stateDir, "supervisor.json")));
  const { proportional } = await sharedMemoryMib(pid);
  const memory: Figure = {
    what: `proportional memory of what keeps ${LISTED} servers up`,
    unit: "MiB",
    goal: atMost(70),
    values: [proportional],
    peers: pm2 === null ? [] : [{ name: "pm2", values: [await pm2.memoryMib()] }],
  };
  await bench.expect(0, "down");
  return [memory, {
    what: `list of ${LISTED} servers (ps, jlist)`,
    unit: "ms",
    goal: atMost(15),
    values: values.foster,
    peers: pm2 === null ? [] : [{ name: "pm2", values: values.pm2 }],
  }];
}

async function keptByFoster({ bench, bun }: Stage): Promise<Keeper> {
  const port = freePort();
  await bench.define({ kept: definition(bun, port) });
  const command = [...bench.program.command, "run", "kept", "--state-dir", bench.stateDir] as const;
  return await keeperOf("foster", { command, cwd: bench.cwd, port });
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
  const bootMs = median(boot);
  return values.map((value) => value - bootMs);
}

async function main(): Promise<void> {
  const { values: { binary, rounds } } = parseArgs({
    options: {
      binary: { type: "string", default: "dist/foster" },
      rounds: { type: "string", default: "20" },
    },
  });
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-peers-bench-" }));
  try {
    const found = await takePeers({ binary: resolve(binary), folder, rounds: Number(rounds) });
    console.log(JSON.stringify(found, null, 2));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
