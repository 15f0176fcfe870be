/**
 * The benchmark: `deno task bench`. Builds the binary, takes all figures, prints them beside their goals and writes
 * them to `dist/bench.json`. A missed goal is shown, never a failure: machines differ.
 *
 * @module
 */
import { join } from "@std/path";
import { build } from "../build.ts";
import { bunPath } from "../bun_tool.ts";
import { type Figure, type Missing, table } from "./figures.ts";
import { Bench, binaryOf, fromSource, type Program, project } from "./program.ts";
import { heldPort, readySeen, tenRecords, upAgain, waiting } from "./scenarios.ts";

type Scenario = (bench: Bench) => Promise<Figure | Missing | (Figure | Missing)[]>;

const scenarios: readonly Scenario[] = [tenRecords, upAgain, readySeen, waiting, heldPort];

async function take(program: Program, folder: string): Promise<(Figure | Missing)[]> {
  const found: (Figure | Missing)[] = [];
  for (const [index, scenario] of scenarios.entries()) {
    console.error(`${program.name}: ${scenario.name}`);
    const own = join(folder, `${program.name}${index}`);
    await Deno.mkdir(own);
    found.push(...[await scenario(new Bench(program, own))].flat());
  }
  return found;
}

async function main(): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-bench-" }));
  try {
    await Deno.writeTextFile(join(folder, "empty.js"), "");
    const path = await build({
      engine: "bun",
      target: null,
      entry: join(project, "main.ts"),
      out: join(folder, "foster"),
      commit: "bench",
    });
    const programs = [binaryOf(path, { bun: await bunPath(), folder }), fromSource(folder)];
    const figures: (Figure | Missing)[] = [];
    for (const program of programs) figures.push(...await take(program, folder));
    const machine = { system: Deno.build.os, arch: Deno.build.arch, cores: navigator.hardwareConcurrency };
    await Deno.mkdir(join(project, "dist"), { recursive: true });
    const document = { taken_at: new Date().toISOString(), machine, figures };
    await Deno.writeTextFile(join(project, "dist", "bench.json"), JSON.stringify(document, null, 2) + "\n");
    console.log(table(figures));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
