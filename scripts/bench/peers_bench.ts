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
import type { Missing, Taken } from "./figures.ts";
import { ended } from "./machine.ts";
import { list, restartAndMemory, type Stage, start } from "./peers_figures.ts";
import { PM2, Pm2 } from "./pm2.ts";
import { Bench, binaryOf } from "./program.ts";
import { SUPERVISOR, Supervisord } from "./supervisord.ts";

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
    return [await start(stage), ...await restartAndMemory(stage), await list(stage), ...missing];
  } finally {
    await Promise.allSettled([bench.foster("down", "--all"), pm2?.kill()]);
  }
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
