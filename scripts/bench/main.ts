/**
 * The benchmark: `deno task bench`. Builds the binary, takes all figures one part after the other, prints them beside
 * their goals and peers and writes them to `dist/bench.json`. A missed goal is shown, never a failure: machines differ.
 *
 *     deno task bench [--quick] [--only PART]…   few rounds; only these parts
 *     deno task bench --readme                   the last run as the README shows it, nothing is measured
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import { join } from "@std/path";
import { build } from "../build.ts";
import { bunPath } from "../bun_tool.ts";
import { type Figure, figure, type Missing } from "./figures.ts";
import { type Comparison, type Goal, takePeers } from "./peers_bench.ts";
import { Bench, binaryOf, fromSource, type Program, project } from "./program.ts";
import { heldPort, readySeen, tenRecords, upAgain, waiting } from "./scenarios.ts";

type Scenario = (bench: Bench) => Promise<Figure | Missing | (Figure | Missing)[]>;
type Taken = Figure | Comparison | Missing;

interface Setting {
  binary: string;
  bun: string;
  folder: string;
  /** Few rounds: shows that it works, and little more. */
  quick: boolean;
}

interface Spread {
  median: number;
  /** The 10th and the 90th percentile. */
  low: number;
  high: number;
  runs: number;
}

/** One line of the table. */
interface Row extends Spread {
  what: string;
  unit: string;
  goal: Goal | null;
  /** `ratio`: how many times foster's median the peer's is; null where one of them cannot be told from nothing. */
  peers: (Spread & { name: string; ratio: number | null })[];
}

interface Document {
  taken_at: string;
  machine: { system: string; arch: string; cores: number };
  quick: boolean;
  rows: (Row | Missing)[];
}

const scenarios: readonly Scenario[] = [tenRecords, upAgain, readySeen, waiting, heldPort];
const result = join(project, "dist", "bench.json");
const SIZE_GOAL_MB = 120;
const CLIENTS = 20;
const FAILED = "failed: ";

/** Why a goal is missed where it is, by the beginning of the figure's name. */
const reasons: readonly (readonly [string, string])[] = [
  ["binary: ps with 10", "the runtime's own start is a good part of it, see `--version`"],
  ["binary: memory of ps", "the runtime alone takes 20 MiB, and `--version` 27"],
  ["binary: up of what is up", "it ends with a real handshake: a bare `foster probe` takes nearly as long"],
  ["deno: up of what is up", "as the binary, and helper programs stand in for /proc"],
  [
    "run: idle bridge over its own child, CPU",
    "one request of the official client, and the runtime's own ticks",
  ],
  ["run: idle bridge over an adopted server, CPU", "as over its own child, and its process is looked at"],
  ["run: idle bridge", "an idle program takes 25 MiB in this runtime, the official client comes on top"],
  [
    "memory of the supervisor",
    "an idle program takes 25 MiB in this runtime, the official client comes on top",
  ],
  ["list of 10 servers", "the runtime's own start is a good part of it, see `--version`"],
  ["connect: 5 MiB results", "all bytes pass one more process and its pipe"],
];

const parts: Record<string, (setting: Setting) => Promise<Taken[]>> = {
  async size({ binary }) {
    const values = [(await Deno.stat(binary)).size / 1e6];
    return [{ what: "binary: size", unit: "MB", goal: atMost(SIZE_GOAL_MB), values, peers: [] }];
  },
  async main({ binary, bun, folder }) {
    const found: Taken[] = [];
    for (const program of [binaryOf(binary, { bun, folder }), fromSource(folder)]) {
      found.push(...await take(program, folder));
    }
    return found;
  },
  async run({ binary, quick }) {
    const few = quick ? ["--kills", "3", "--probes", "2", "--restarts", "5"] : [];
    return runFigures(await linesOf([...denoRun("run_bench.ts"), "--binary", binary, ...few]));
  },
  async link({ bun, quick }) {
    const few = quick ? ["--commands", "5000", "--reconnects", "200"] : ["--reconnects", "10000"];
    const found: Taken[] = [];
    for (const engine of ["deno", "bun"]) {
      const command = engine === "deno"
        ? denoRun("link_bench.ts", "--v8-flags=--expose-gc")
        : [bun, "--expose-gc", join(project, "scripts", "bench", "link_bench.ts")];
      found.push(...linkFigures(engine, await linesOf([...command, ...few])));
    }
    return found;
  },
  async connect({ binary, quick }) {
    const tables: string[][] = [];
    for (let run = 0; run < (quick ? 1 : 3); run++) {
      const args = ["--foster", binary, ...quick ? ["--calls", "200"] : []];
      tables.push(await linesOf([...denoRun("connect_bench.ts"), ...args]));
    }
    return connectFigures(tables);
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

async function take(program: Program, folder: string): Promise<Taken[]> {
  const found: Taken[] = [];
  for (const [index, scenario] of scenarios.entries()) {
    console.error(`  ${program.name}: ${scenario.name}`);
    const own = join(folder, `${program.name}${index}`);
    await Deno.mkdir(own);
    const name = `${program.name}: ${scenario.name}`;
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

/** Clients that ask all at once for a server that is not there yet: how many servers that makes. */
async function manyClients(bench: Bench): Promise<Figure> {
  await bench.define({ shared: { extends: "demo" } });
  const [command, ...args] = bench.program.command;
  const encoder = new TextEncoder();
  const hello = {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "bench", version: "1" },
  };
  const said = [
    { jsonrpc: "2.0", id: 1, method: "initialize", params: hello },
    { jsonrpc: "2.0", method: "notifications/initialized" },
    { jsonrpc: "2.0", id: 2, method: "tools/list", params: {} },
  ].map((message) => `${JSON.stringify(message)}\n`).join("");
  const answered = async (): Promise<boolean> => {
    const child = new Deno.Command(command, {
      args: [...args, "connect", "shared", "--state-dir", bench.stateDir],
      cwd: bench.cwd,
      clearEnv: true,
      env: { PATH: Deno.env.get("PATH") ?? "", HOME: bench.folder },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(encoder.encode(said));
    let text = "";
    let isOpen = true;
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (!isOpen || !/"id":2[,}]/.test(text)) continue;
      isOpen = false;
      await writer.close();
    }
    await child.status;
    return /"tools":/.test(text);
  };
  try {
    const all = await Promise.all(Array.from({ length: CLIENTS }, answered));
    const served = all.filter(Boolean).length;
    if (served < CLIENTS) throw new Error(`${served} of ${CLIENTS} clients got their tools`);
    const { stdout } = await bench.expect(0, "logs", "shared", "--events", "--json");
    const spawns = stdout.split("\n").filter((line) => /"event":"spawned"/.test(line)).length;
    return figure(`connect: servers for ${CLIENTS} clients`, { unit: "×", goal: 1, values: [spawns] });
  } finally {
    await bench.foster("down", "--all");
  }
}

// ------------------------------------------------------------------------------------------- what the scripts say

function denoRun(script: string, ...flags: string[]): string[] {
  const config = ["--config", join(project, "deno.json")];
  return [Deno.execPath(), "run", "-q", "-A", ...config, ...flags, join(project, "scripts", "bench", script)];
}

/** What a script printed. One that missed a goal ends with 1 too, so that only silence on stderr is success. */
async function linesOf([command = "", ...args]: string[]): Promise<string[]> {
  const env = { NO_COLOR: "1" };
  const { code, stdout, stderr } = await new Deno.Command(command, { args, env, cwd: project }).output();
  const decoder = new TextDecoder();
  const complaint = decoder.decode(stderr).split("\n").find((line) => /\berror\b/i.test(line));
  if (code !== 0 && complaint !== undefined) throw new Error(complaint);
  return decoder.decode(stdout).split("\n");
}

function runFigures(lines: readonly string[]): Comparison[] {
  return lines.flatMap((line) => {
    const said = /^ {2}(?:ok {4}|MISSED) (.+): (-?[\d.]+) (\S*) \(goal ≤ ([\d.]+)/.exec(line);
    if (said === null) return [];
    const [, what = "", value, unit = "", goal] = said;
    return [{ what: `run: ${what}`, unit, goal: atMost(Number(goal)), values: [Number(value)], peers: [] }];
  });
}

function linkFigures(engine: string, lines: readonly string[]): Comparison[] {
  const said = (label: string): number[] => {
    const line = lines.find((each) => each.slice(2).startsWith(label));
    return line === undefined ? [] : [Number(line.trim().split(" ").at(-1))];
  };
  const name = `link, ${engine}`;
  const count = said("reconnects")[0] ?? 0;
  return [
    {
      what: `${name}: messages of a bare client's`,
      unit: "%",
      goal: { side: "at least", value: 80 },
      values: said("link/bare").map((ratio) => ratio * 100),
      peers: [],
    },
    {
      what: `${name}: drop → open again, slowest 1 %`,
      unit: "ms",
      goal: atMost(50),
      values: said("ms from drop to open, slowest"),
      peers: [],
    },
    {
      what: `${name}: heap growth over the second half of ${count} reconnects`,
      unit: "MB",
      goal: atMost(1),
      values: said("heap growth").map((bytes) => bytes / 1e6),
      peers: [],
    },
  ];
}

/** `tables`: what each run printed; a line for each bridge, its figures two or more spaces apart. */
function connectFigures(tables: readonly (readonly string[])[]): Comparison[] {
  const cellsOf = (name: string, column: number): number[] =>
    tables.flatMap((lines) => {
      const line = lines.find((each) => each.startsWith(`${name} `));
      const cell = line?.split(/ {2,}/)[column]?.replace("+", "");
      return cell === undefined ? [] : [Number.parseFloat(cell)];
    });
  const row = (what: string, { column, unit, goal }: { column: number; unit: string; goal: Goal }) => ({
    what: `connect: ${what}`,
    unit,
    goal,
    values: cellsOf("foster connect", column),
    peers: ["mcp-remote", "supergateway"].map((name) => ({ name, values: cellsOf(name, column) })),
  });
  return [
    row("first tools/list", { column: 1, unit: "ms", goal: atMost(120) }),
    row("echo over direct, p50", { column: 4, unit: "ms", goal: atMost(0.3) }),
    row("echo over direct, p99", { column: 5, unit: "ms", goal: atMost(2) }),
    row("5 MiB results, of direct", { column: 7, unit: "%", goal: { side: "at least", value: 80 } }),
    row("resident", { column: 8, unit: "MiB", goal: atMost(64) }),
  ];
}

function atMost(value: number): Goal {
  return { side: "at most", value };
}

// ---------------------------------------------------------------------------------------------------------- table

function rowOf(taken: Taken): Row | Missing {
  if ("why" in taken) return taken;
  if ("median" in taken) return { ...taken, goal: atMost(taken.goal), peers: [] };
  const { what, unit, goal, values } = taken;
  const own = spread(values);
  if (own === null) return { what, why: "not said by its script" };
  const peers = taken.peers.flatMap((peer) => {
    const its = spread(peer.values);
    if (its === null) return [];
    const ratio = its.median > 0 && own.low > 0 ? its.median / own.median : null;
    return [{ name: peer.name, ...its, ratio }];
  });
  return { what, unit, goal, ...own, peers };
}

function spread(values: readonly number[]): Spread | null {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.round((sorted.length - 1) * share)];
  const [low, median, high] = [at(0.1), at(0.5), at(0.9)];
  if (low === undefined || median === undefined || high === undefined) return null;
  return { median, low, high, runs: values.length };
}

function verdict({ goal, median }: Row): "" | "met" | "MISSED" {
  if (goal === null) return "";
  const met = goal.side === "at most" ? median <= goal.value : median >= goal.value;
  return met ? "met" : "MISSED";
}

const heads = ["Figure", "Median", "10–90 %", "Goal", "", "Peers, times foster's"];

function cells(row: Row | Missing): string[] {
  if ("why" in row) return [row.what, "–", "", "", "", row.why];
  const { what, unit, goal, median, low, high, runs } = row;
  const sign = goal?.side === "at least" ? "≥" : "≤";
  const peers = row.peers.map((peer) =>
    `${peer.name} ${amount(peer.median, unit)}${peer.ratio === null ? "" : ` (${short(peer.ratio)} ×)`}`
  );
  return [
    what,
    amount(median, unit),
    runs === 1 ? "" : `${short(low)}–${short(high)}`,
    goal === null ? "" : `${sign} ${amount(goal.value, unit)}`,
    verdict(row),
    peers.join(", "),
  ];
}

function amount(value: number, unit: string): string {
  return `${short(value)} ${unit}`.trimEnd();
}

function short(value: number): string {
  const digits = Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return String(Number(value.toFixed(digits)));
}

function columns(rows: readonly (Row | Missing)[]): string {
  const lines = [heads, ...rows.map(cells)];
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => [...line[column] ?? ""].length)));
  return lines.map((line) =>
    line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()
  )
    .join("\n");
}

function markdown({ taken_at, machine, quick, rows }: Document): string {
  const line = (each: readonly string[]) => `| ${each.join(" | ")} |`;
  const missed = rows.filter((row) => !("why" in row) && verdict(row) === "MISSED").map(({ what }) => {
    const [, reason = "not explained yet"] = reasons.find(([start]) => what.startsWith(start)) ?? [];
    return `- ${what}: ${reason}.`;
  });
  return [
    `Taken on ${taken_at.slice(0, 10)} on ${machine.system} ${machine.arch} with ${machine.cores} cores${
      quick ? ", in few rounds" : ""
    }.`,
    "",
    line(heads),
    line(heads.map(() => "---")),
    ...rows.map((row) => line(cells(row))),
    ...missed.length === 0 ? [] : ["", "Missed:", "", ...missed],
  ].join("\n");
}

/** As the gate wants the README. */
async function formatted(text: string): Promise<string> {
  const args = ["fmt", "-q", "--config", join(project, "deno.json"), "--ext", "md", "-"];
  const child = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  return new TextDecoder().decode((await child.output()).stdout).trimEnd();
}

async function measure(names: readonly string[], quick: boolean): Promise<number> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-bench-" }));
  const taken: Taken[] = [];
  try {
    await Deno.writeTextFile(join(folder, "empty.js"), "");
    const binary = await build({
      engine: "bun",
      target: null,
      entry: join(project, "main.ts"),
      out: join(folder, "foster"),
      commit: "bench",
    });
    const setting: Setting = { binary, bun: await bunPath(), folder, quick };
    for (const name of names) {
      console.error(name);
      taken.push(...await orFailed(name, async () => await parts[name]?.(setting) ?? []));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const machine = { system: Deno.build.os, arch: Deno.build.arch, cores: navigator.hardwareConcurrency };
  const document: Document = { taken_at: new Date().toISOString(), machine, quick, rows: taken.map(rowOf) };
  await Deno.mkdir(join(project, "dist"), { recursive: true });
  await Deno.writeTextFile(result, JSON.stringify(document, null, 2) + "\n");
  console.log(columns(document.rows));
  return taken.some((each) => "why" in each && each.why.startsWith(FAILED)) ? 1 : 0;
}

async function main(): Promise<number> {
  const flags = parseArgs(Deno.args, { boolean: ["quick", "readme"], string: ["only"], collect: ["only"] });
  if (flags["readme"] === true) {
    console.log(await formatted(markdown(JSON.parse(await Deno.readTextFile(result)))));
    return 0;
  }
  const only = Array.isArray(flags["only"]) ? flags["only"].map(String) : [];
  const unknown = only.find((name) => !(name in parts));
  if (unknown !== undefined) {
    console.error(`--only takes ${Object.keys(parts).join(", ")}, not ${unknown}`);
    return 2;
  }
  return await measure(only.length === 0 ? Object.keys(parts) : only, flags["quick"] === true);
}

if (import.meta.main) Deno.exit(await main());
