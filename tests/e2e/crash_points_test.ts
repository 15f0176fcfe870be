/**
 * foster is ended by force in the middle of what it does, anywhere; the next `up` finds or makes exactly one server.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { served, startTicks } from "../fixtures/wk_support.ts";
import { Foster, freePort, until } from "./harness.ts";
import { notLinux, unless } from "../skip.ts";

const POINTS = Number(Deno.env.get("FOSTER_CRASH_POINTS") ?? 12);
const SEED = Number(Deno.env.get("FOSTER_CRASH_SEED") ?? Math.floor(Math.random() * 2 ** 31));
/** Longer than any of the verbs takes on a quiet machine. */
const WINDOW_MS = 800;

/** Mulberry32: the same moments for the same seed. */
function moments(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What is cut off, and how the server stands before it. */
const PLANS = [
  { verb: "up", before: "down" },
  { verb: "up", before: "crashed" },
  { verb: "restart", before: "up" },
  { verb: "recover", before: "crashed" },
  { verb: "restart", before: "down" },
] as const;

async function arrange(foster: Foster, before: (typeof PLANS)[number]["before"]): Promise<void> {
  switch (before) {
    case "down":
      await foster.expect(0, ["down", "wk"]);
      return;
    case "up":
      await foster.expect(0, ["up", "wk"]);
      return;
    case "crashed": {
      const { pid } = (await foster.expect(0, ["up", "wk", "--json"])).row();
      Deno.kill(pid, "SIGKILL");
      await until("it is gone", async () => await startTicks(pid) === null);
    }
  }
}

async function cutOff(foster: Foster, { verb, afterMs }: { verb: string; afterMs: number }): Promise<void> {
  const running = foster.start([verb, "wk"]);
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  try {
    running.kill("SIGKILL");
  } catch (error) {
    // It ended by itself in this very moment.
    if (!(error instanceof TypeError)) throw error;
  }
  await running.end();
}

async function assertOneServer(foster: Foster, point: string): Promise<void> {
  const result = await foster.run(["up", "wk", "--json"]);
  assertEquals(result.code, 0, `${point}\n${result.stdout}\n${result.stderr}`);
  const { pid, state, key } = result.row();
  assertEquals(state, "ready", point);
  assertEquals(await foster.servers(), [pid], point);
  const record = await foster.record(key);
  assertEquals(
    [record?.state, record?.want, record?.pid, record?.launcher_pid],
    ["ready", "up", pid, pid],
    point,
  );
  const names = [...Deno.readDirSync(join(foster.stateDir, "servers", key))].map(({ name }) => name);
  const known =
    /^(record\.json|launch\.json|lock|events\.ndjson|crash\.log|server\.(log(\.\d)?|pid)|leases)$/;
  assertEquals(names.filter((name) => !known.test(name)), [], `${point} left files`);
}

const NAME =
  `one up makes one ready server after foster was killed at ${POINTS} moments of up, restart and recover`;
Deno.test(unless(notLinux, NAME), async () => {
  console.log(`FOSTER_CRASH_SEED=${SEED}`);
  await using foster = await Foster.create();
  await foster.define({ wk: served(freePort()) });
  const next = moments(SEED);
  for (let n = 0; n < POINTS; n++) {
    const plan = PLANS[n % PLANS.length];
    assert(plan !== undefined);
    const afterMs = Math.round(next() * WINDOW_MS);
    await arrange(foster, plan.before);
    await cutOff(foster, { verb: plan.verb, afterMs });
    await assertOneServer(
      foster,
      `${plan.verb} of a server that is ${plan.before}, killed after ${afterMs} ms`,
    );
  }
});
