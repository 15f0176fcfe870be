/**
 * What is measured, in the order of the table.
 *
 * @module
 */
import { join } from "@std/path";
import { atMost, type Taken } from "./figures.ts";
import { manyClients } from "./many_clients.ts";
import { takePeers } from "./peers_bench.ts";
import { Bench, binaryOf, fromSource, type Program } from "./program.ts";
import { heldPort, readySeen, tenRecords, upAgain, waiting } from "./scenarios.ts";
import { figuresOf, underBun, underDeno } from "./sub_script.ts";

export interface Setting {
  binary: string;
  bun: string;
  folder: string;
  /** Few rounds: shows that it works, and little more. */
  quick: boolean;
}

type Scenario = (bench: Bench) => Promise<Taken | Taken[]>;

const SIZE_GOAL_MB = 120;
const FAILED = "failed: ";

const scenarios: readonly Scenario[] = [tenRecords, upAgain, readySeen, waiting, heldPort];

const parts: Record<string, (setting: Setting) => Promise<Taken[]>> = {
  async size({ binary }) {
    const values = [(await Deno.stat(binary)).size / 1e6];
    return [{ what: "binary: size", unit: "MB", goal: atMost(SIZE_GOAL_MB), values }];
  },
  async main({ binary, bun, folder }) {
    const found: Taken[] = [];
    for (const program of [binaryOf(binary, { bun, folder }), fromSource(folder)]) {
      found.push(...await takeScenarios(program, folder));
    }
    return found;
  },
  async run({ binary, quick }) {
    const few = quick ? ["--kills", "3", "--probes", "5", "--restarts", "5", "--settle", "4"] : [];
    return await figuresOf([...underDeno("run_bench.ts"), "--binary", binary, ...few]);
  },
  async supervisor({ binary, quick }) {
    const few = quick
      ? ["--kills", "2", "--ups", "2", "--restarts", "5", "--settle", "4", "--probes", "3"]
      : [];
    return await figuresOf([...underDeno("supervisor_bench.ts"), "--binary", binary, ...few]);
  },
  async link({ bun, quick }) {
    const count = quick ? ["--commands", "5000", "--reconnects", "200"] : ["--reconnects", "10000"];
    return [
      ...await figuresOf([...underDeno("link_bench.ts", "--v8-flags=--expose-gc"), ...count]),
      ...await figuresOf([...underBun("link_bench.ts", { bun, flags: ["--expose-gc"] }), ...count]),
    ];
  },
  async connect({ binary, quick }) {
    const rounds = quick ? ["--calls", "200"] : ["--runs", "3"];
    return await figuresOf([...underDeno("connect_bench.ts"), "--foster", binary, ...rounds]);
  },
  async gateway({ binary, quick }) {
    return await figuresOf([
      ...underDeno("gateway_bench.ts"),
      "--binary",
      binary,
      ...(quick ? ["--quick"] : []),
    ]);
  },
  async revisions({ binary, quick }) {
    const few = quick ? ["--calls", "50", "--rounds", "2"] : [];
    return await figuresOf([...underDeno("revisions_bench.ts"), "--foster", binary, ...few]);
  },
  async clients({ binary, bun, folder }) {
    const own = join(folder, "clients");
    await Deno.mkdir(own);
    return [await manyClients(new Bench(binaryOf(binary, { bun, folder }), own))];
  },
  async peers({ binary, folder, quick }) {
    const own = join(folder, "peers");
    await Deno.mkdir(own);
    return await takePeers({ binary, folder: own, rounds: quick ? 3 : 20 });
  },
};

export const partNames: readonly string[] = Object.keys(parts);

/** The figures of one part; that it fails is one of them. */
export async function takePart(name: string, setting: Setting): Promise<Taken[]> {
  return await orFailed(name, async () => await parts[name]?.(setting) ?? []);
}

export function hasFailed(taken: Taken): boolean {
  return "why" in taken && taken.why.startsWith(FAILED);
}

async function takeScenarios(program: Program, folder: string): Promise<Taken[]> {
  const found: Taken[] = [];
  for (const [index, scenario] of scenarios.entries()) {
    const name = `${program.name}: ${scenario.name}`;
    console.error(`  ${name}`);
    const own = join(folder, `${program.name}${index}`);
    await Deno.mkdir(own);
    found.push(...await orFailed(name, async () => [await scenario(new Bench(program, own))].flat()));
  }
  return found;
}

/** What failed is said in the table, and the others are taken all the same. */
async function orFailed(what: string, taking: () => Promise<Taken[]>): Promise<Taken[]> {
  try {
    return await taking();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return [{ what, why: `${FAILED}${message.replaceAll(/\s+/g, " ")}` }];
  }
}
