/**
 * Runs built fosters through {@link smoke}: `deno task smoke BINARY…`, or with `--compile` what `deno compile` makes of
 * this checkout, or with `--machines` the binaries for musl and arm64. What can't be had here is skipped, and counted.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { resolve } from "@std/path";
import { smokeCompiled } from "./compiled.ts";
import { smokeMachines } from "./machines.ts";
import { type Outcome, smoke, smokeBinary } from "./steps.ts";

const USAGE = `Usage: deno task smoke BINARY…
       deno task smoke --compile
       deno task smoke --machines [--dist DIR] [x64-musl|arm64|arm64-musl]…

Starts, finds, restarts and ends servers with built fosters; with --compile with what deno compile
makes of this checkout; with --machines with the binaries for musl and arm64 (those of --dist, or new ones).`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      compile: { type: "boolean", default: false },
      machines: { type: "boolean", default: false },
      dist: { type: "string" },
      // What --machines starts itself with, in a namespace of its own.
      inside: { type: "string" },
      results: { type: "string" },
      help: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  if (values.inside !== undefined && values.results !== undefined) {
    await Deno.writeTextFile(values.results, JSON.stringify(await smoke(JSON.parse(values.inside))));
    return 0;
  }
  if (values.help || (!values.compile && !values.machines && positionals.length === 0)) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  const outcomes: Outcome[] = [];
  if (values.machines) {
    outcomes.push(await smokeMachines(positionals, values.dist === undefined ? null : resolve(values.dist)));
  } else for (const binary of positionals) outcomes.push(await smokeBinary(resolve(binary)));
  if (values.compile) outcomes.push(await smokeCompiled());
  const results = outcomes.flatMap((each) => each.results);
  const skipped = outcomes.flatMap((each) => each.skipped);
  for (const each of skipped) console.log(`SKIPPED  ${each}`);
  const failed = results.filter(({ failure }) => failure !== null);
  for (const { name } of failed) console.log(`FAILED   ${name}`);
  console.log(`${results.length - failed.length} passed, ${failed.length} failed, ${skipped.length} skipped`);
  return failed.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
