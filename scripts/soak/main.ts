/**
 * `deno task soak [--minutes N] [--seed N]`: foster under everything at once. FOSTER_BIN names a binary to test. Exit code 1
 * where anything was lost, doubled, false, left over or growing. Linux only: it reads /proc.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { mebibytes } from "./figures.ts";
import { soak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "20" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
});

const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  console.error(`--minutes ${values.minutes} is no time`);
  Deno.exit(2);
}
console.log(`seed ${values.seed}, ${minutes} minutes`);
const { counts, growths, problems } = await soak({
  minutes,
  seed: Number(values.seed),
  say: (text) => console.log(text),
});
for (const [what, count] of Object.entries(counts).sort()) {
  console.log(`${String(count).padStart(8)}  ${what}`);
}
for (const { what, growth: { samples, from, to } } of growths) {
  console.log(
    `${what}: ${mebibytes(from.residentBytes)} → ${mebibytes(to.residentBytes)}, ` +
      `${from.files} → ${to.files} open files (${samples} samples)`,
  );
}
for (const problem of problems) console.error(problem);
console.log(
  problems.length === 0
    ? "nothing lost, doubled, false, left over or growing"
    : `${problems.length} problems`,
);
Deno.exit(problems.length === 0 ? 0 : 1);
