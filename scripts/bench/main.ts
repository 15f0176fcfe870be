/**
 * The benchmark: `deno task bench`. Builds the binary, takes all figures one part after the other, prints them beside
 * their goals and peers and writes them to `dist/bench.json`. A missed goal is shown, never a failure: machines differ.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { join } from "@std/path";
import { build } from "../build.ts";
import { bunPath } from "../bun_tool.ts";
import type { Taken } from "./figures.ts";
import { hasFailed, partNames, takePart } from "./parts.ts";
import { project } from "./program.ts";
import { formatted, writePart } from "../marked_page.ts";
import { columns, markdown, type Report, rowOf, shortMarkdown } from "./table.ts";

const usage = `Usage: deno task bench [--quick] [--only PART]…   few rounds; only these parts
       deno task bench --readme [--write]         nothing is measured: the last run as README.md and
                                                  docs/benchmarks.md show it, printed or put between
                                                  their marks

Parts: ${partNames.join(", ")}`;

const result = join(project, "dist", "bench.json");

async function measure(names: readonly string[], quick: boolean): Promise<number> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-bench-" }));
  const taken: Taken[] = [];
  const report: Report = {
    taken_at: new Date().toISOString(),
    machine: { system: Deno.build.os, arch: Deno.build.arch, cores: navigator.hardwareConcurrency },
    quick,
    parts: [],
    rows: [],
  };
  try {
    await Deno.writeTextFile(join(folder, "empty.js"), "");
    const binary = await build({
      engine: "bun",
      target: null,
      entry: join(project, "main.ts"),
      out: join(folder, "foster"),
      commit: "bench",
    });
    const bun = await bunPath();
    await Deno.mkdir(join(project, "dist"), { recursive: true });
    for (const name of names) {
      console.error(name);
      const found = await takePart(name, { binary, bun, folder, quick });
      taken.push(...found);
      report.rows.push(...found.map(rowOf));
      report.parts.push(name);
      // What was taken stays where a later part is interrupted.
      await Deno.writeTextFile(result, JSON.stringify(report, null, 2) + "\n");
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  console.log(columns(report.rows));
  return taken.some(hasFailed) ? 1 : 0;
}

async function showLast({ write }: { write: boolean }): Promise<number> {
  const report: Report = JSON.parse(await Deno.readTextFile(result));
  const missing = partNames.filter((name) => !report.parts.includes(name));
  if (write && missing.length > 0) {
    console.error(`The last run was without ${missing.join(", ")}: the pages take a whole one`);
    return 1;
  }
  const pages = { "README.md": shortMarkdown(report), "docs/benchmarks.md": markdown(report) };
  for (const [page, text] of Object.entries(pages)) {
    const table = await formatted(text);
    if (write) await writePart(page, { name: "bench", text: table });
    else console.log(`${page}\n\n${table}\n`);
  }
  return 0;
}

interface Options {
  quick: boolean;
  readme: boolean;
  write: boolean;
  help: boolean;
  only: string[];
}

/** Null where the command line says something else. */
function readOptions(): Options | null {
  try {
    return parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        readme: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
        only: { type: "string", multiple: true, default: [] },
      },
    }).values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(error.message);
    return null;
  }
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === null || options.help) {
    console.log(usage);
    return options === null ? 2 : 0;
  }
  const { quick, readme, write, only } = options;
  if (write && !readme) {
    console.error("--write goes with --readme");
    return 2;
  }
  if (readme) return await showLast({ write });
  const unknown = only.find((name) => !partNames.includes(name));
  if (unknown !== undefined) {
    console.error(`--only takes ${partNames.join(", ")}, not ${unknown}`);
    return 2;
  }
  return await measure(only.length === 0 ? partNames : only, quick);
}

if (import.meta.main) Deno.exit(await main());
