/**
 * `foster connect` beside other bridges from stdio to HTTP, in one run: the same server, the same client.
 *
 *     deno run -A scripts/bench/connect_bench.ts [--foster COMMAND] [--calls N] [--runs N] [--only NAME] [--json]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { fromFileUrl, join } from "@std/path";
import { atLeast, atMost, type Figure, type Goal, median, quantile, type Unit } from "./figures.ts";
import { type Bridge, type Line, overHttp, overStdio } from "./mcp_line.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const SERVER = join(ROOT, "tests", "fixtures", "connect_server.ts");
const PACKAGES = ["mcp-remote@0.15.1", "supergateway@4.0.0"];
const BIG_BYTES = 5 * 1024 * 1024;
const BIG_CALLS = 12;
const WARM_UP_CALLS = 200;
const STARTS = 5;

interface Measured {
  name: string;
  firstListMs: number;
  p50Ms: number;
  p99Ms: number;
  bigMs: number;
  residentMiB: number;
}

interface Run {
  direct: Measured;
  /** foster's comes first, and the same ones in every run. */
  bridges: Measured[];
}

interface Shown {
  what: string;
  unit: Unit;
  goal: Goal;
  of(bridge: Measured, direct: Measured): number;
}

const shown: readonly Shown[] = [
  { what: "first tools/list", unit: "ms", goal: atMost(120), of: (bridge) => bridge.firstListMs },
  {
    what: "echo over direct, p50",
    unit: "ms",
    goal: atMost(0.3),
    of: (own, direct) => own.p50Ms - direct.p50Ms,
  },
  {
    what: "echo over direct, p99",
    unit: "ms",
    goal: atMost(2),
    of: (own, direct) => own.p99Ms - direct.p99Ms,
  },
  { what: "5 MiB results, of direct", unit: "%", goal: atLeast(80), of: percentOfDirect },
  { what: "resident", unit: "MiB", goal: atMost(64), of: (bridge) => bridge.residentMiB },
];

function percentOfDirect(bridge: Measured, direct: Measured): number {
  return 100 * direct.bigMs / bridge.bigMs;
}

function figuresOf(runs: readonly Run[]): Figure[] {
  const [own = "", ...peers] = runs[0]?.bridges.map(({ name }) => name) ?? [];
  return shown.map(({ what, unit, goal, of }) => {
    const valuesOf = (name: string) =>
      runs.flatMap(({ direct, bridges }) =>
        bridges.filter((bridge) => bridge.name === name).map((bridge) => of(bridge, direct))
      );
    return {
      what: `connect: ${what}`,
      unit,
      goal,
      values: valuesOf(own),
      peers: peers.map((name) => ({ name, values: valuesOf(name) })),
    };
  });
}

function print({ direct, bridges }: Run): void {
  console.log(
    "\n" + ["", "first list", "echo p50", "p99", "over direct p50", "p99", "5 MiB", "of direct", "RSS"]
      .map((cell, column) => cell.padStart(column === 0 ? 0 : 16).padEnd(column === 0 ? 16 : 0)).join(""),
  );
  for (const row of [direct, ...bridges]) {
    const cells = [
      `${row.firstListMs.toFixed(0)} ms`,
      `${row.p50Ms.toFixed(2)} ms`,
      `${row.p99Ms.toFixed(2)} ms`,
      `+${(row.p50Ms - direct.p50Ms).toFixed(2)} ms`,
      `+${(row.p99Ms - direct.p99Ms).toFixed(2)} ms`,
      `${row.bigMs.toFixed(1)} ms`,
      `${percentOfDirect(row, direct).toFixed(0)} %`,
      row.residentMiB === 0 ? "" : `${row.residentMiB.toFixed(0)} MiB`,
    ];
    console.log(row.name.padEnd(16) + cells.map((cell) => cell.padStart(16)).join(""));
  }
}

// -------------------------------------------------------------------------------------------------------- measure

async function measure(name: string, open: () => Promise<Line>, calls: number): Promise<Measured> {
  const starts: number[] = [];
  for (let round = 0; round < STARTS; round++) {
    const startedAt = performance.now();
    const line = await open();
    await line.ask("tools/list", {});
    starts.push(performance.now() - startedAt);
    await line.close();
  }
  const line = await open();
  const echo = () => line.ask("tools/call", { name: "echo", arguments: { text: "hello" } });
  for (let call = 0; call < WARM_UP_CALLS; call++) await echo();
  const times = await timesOf(calls, echo);
  const resident = await line.residentMiB();
  const big = () => line.ask("tools/call", { name: "big", arguments: { bytes: BIG_BYTES } });
  await big();
  const bigTimes = await timesOf(BIG_CALLS, big);
  await line.close();
  return {
    name,
    firstListMs: median(starts),
    p50Ms: median(times),
    p99Ms: quantile(times, 0.99),
    bigMs: median(bigTimes),
    residentMiB: resident,
  };
}

async function timesOf(count: number, run: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    const startedAt = performance.now();
    await run();
    times.push(performance.now() - startedAt);
  }
  return times;
}

// ------------------------------------------------------------------------------------------------------------ run

const { values: options } = parseArgs({
  options: {
    foster: { type: "string" },
    calls: { type: "string", default: "2000" },
    runs: { type: "string", default: "1" },
    only: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const folder = await Deno.makeTempDir({ prefix: "foster-bench-" });
const env = { FOSTER_STATE_DIR: join(folder, "state") };
const config = join(folder, "foster.json");
const [command = "deno", ...before] = options.foster?.split(" ") ??
  ["deno", "run", "-q", "-A", "--config", join(ROOT, "deno.json"), join(ROOT, "main.ts")];

async function define(): Promise<void> {
  const args = ["run", "-A", "-q", "--config", join(ROOT, "deno.json"), SERVER, "--port=${port}", "--json"];
  const servers = { bench: { command: "deno", args, port: "auto" } };
  await Deno.writeTextFile(config, JSON.stringify({ servers }));
}

async function installPeers(): Promise<void> {
  const { code, stderr } = await new Deno.Command("npm", {
    args: ["install", "--no-audit", "--no-fund", "--prefix", folder, ...PACKAGES],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (code !== 0) throw new Error(`npm install failed: ${new TextDecoder().decode(stderr)}`);
}

/** With a server of its own. */
async function runOnce(calls: number): Promise<Run> {
  try {
    const up = await foster("up", "bench", "--config", config, "--json");
    const { servers: [{ endpoint }] } = JSON.parse(up);
    const direct = await measure("direct HTTP", () => overHttp(endpoint), calls);
    const bridges: Measured[] = [];
    for (const bridge of bridgesTo(endpoint)) {
      bridges.push(await measure(bridge.name, () => overStdio(bridge), calls));
    }
    return { direct, bridges };
  } finally {
    await foster("down", "bench", "--config", config);
  }
}

function bridgesTo(endpoint: string): Bridge[] {
  const own = [...before, "connect", "bench", "--config", config];
  const bridges: Bridge[] = [{ name: "foster connect", command, args: own, env }];
  if (options.only !== undefined) return bridges;
  const bin = join(folder, "node_modules", ".bin");
  const gateway = ["--streamableHttp", endpoint, "--logLevel", "none"];
  bridges.push(
    { name: "mcp-remote", command: join(bin, "mcp-remote"), args: [endpoint, "--allow-http"], env: {} },
    { name: "supergateway", command: join(bin, "supergateway"), args: gateway, env: {} },
  );
  return bridges;
}

async function foster(...verb: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...before, ...verb], env })
    .output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

try {
  await define();
  if (options.only === undefined) await installPeers();
  const runs: Run[] = [];
  while (runs.length < Number(options.runs)) {
    const run = await runOnce(Number(options.calls));
    if (!options.json) print(run);
    runs.push(run);
  }
  if (options.json) console.log(JSON.stringify(figuresOf(runs)));
} finally {
  await Deno.remove(folder, { recursive: true });
}
