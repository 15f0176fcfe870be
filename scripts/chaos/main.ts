/**
 * `deno task chaos [--kills N] [--races N] [--supervisor N] [--calls N] [--seed N]`: foster killed anywhere, raced against
 * itself, its supervisor killed under ten servers, and calls while their server and the supervisor are killed. FOSTER_BIN
 * names a binary to test. Linux only: it reads /proc.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { callsOverRestarts } from "./calls.ts";
import { type ChaosOptions, killAnywhere, killSupervisor, raceVerbs } from "./chaos.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "200" },
    supervisor: { type: "string", default: "200" },
    races: { type: "string", default: "100" },
    calls: { type: "string", default: "1000" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
});

async function failed(
  what: string,
  count: number,
  run: (options: ChaosOptions) => Promise<void>,
): Promise<boolean> {
  let rounds = 0;
  try {
    await run({ count, seed: Number(values.seed), onRound: () => rounds++ });
    console.log(`${count} ${what}: nothing lost, nothing doubled, nothing foreign touched`);
    return false;
  } catch (error) {
    console.error(
      `${what}: failed in round ${rounds} of ${count}\n${messagesOf(error).join("\n\n")}`,
    );
    return true;
  }
}

/** What went wrong, then what went wrong while it was cleaned up. */
function messagesOf(error: unknown): string[] {
  if (error instanceof SuppressedError) return [error.suppressed, error.error].flatMap(messagesOf);
  return [error instanceof Error ? error.message : String(error)];
}

console.log(`seed ${values.seed}`);
const results = [
  await failed("kills", Number(values.kills), killAnywhere),
  await failed("races", Number(values.races), raceVerbs),
  await failed("kills of the supervisor", Number(values.supervisor), killSupervisor),
  await failed("calls over restarts", Number(values.calls), async ({ count, seed }) => {
    console.log(JSON.stringify(await callsOverRestarts({ count, restarts: 20, supervisorKills: 5, seed })));
  }),
];
Deno.exit(results.includes(true) ? 1 : 0);
