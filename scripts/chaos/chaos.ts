/**
 * foster killed at random moments of what it does, and verbs that race each other: whatever happened, the next `up` makes
 * or finds exactly one server, and no foreign process is touched. The same seed makes the same choices.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { Foster, freePort, until } from "../../tests/e2e/harness.ts";
import { ForeignProcess, served, startTicks, startTime } from "../../tests/fixtures/wk_support.ts";

export interface ChaosOptions {
  count: number;
  seed: number;
  /** Called with each round's description before it begins. */
  onRound?: (what: string) => void;
}

/** Longer than any of the verbs takes on a quiet machine. */
const WINDOW_MS = 800;
const NAME = "wk";

/** Mulberry32: the same numbers from 0 to 1 for the same seed. */
export function numbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Before = "down" | "crashed" | "up" | "supervised";

/** A verb that is cut off, and how its server stands before. */
const plans: readonly { args: readonly string[]; before: Before }[] = [
  { args: ["up", NAME], before: "down" },
  { args: ["up", NAME], before: "crashed" },
  { args: ["restart", NAME], before: "up" },
  { args: ["recover", NAME], before: "crashed" },
  { args: ["restart", NAME], before: "down" },
  { args: ["down", NAME], before: "up" },
  { args: ["handoff", NAME, "--up"], before: "up" },
  { args: ["up", NAME, "--supervise"], before: "down" },
  { args: ["up", NAME, "--supervise"], before: "up" },
  { args: ["restart", NAME, "--force"], before: "supervised" },
  { args: ["down", NAME], before: "supervised" },
  { args: ["run", NAME], before: "down" },
];

const racers: readonly (readonly string[])[] = [
  ["up", NAME],
  ["up", NAME, "--no-wait"],
  ["up", NAME, "--supervise"],
  ["restart", NAME],
  ["recover", NAME],
  ["down", NAME],
  ["handoff", NAME, "--up"],
  ["status", NAME],
];

/** What a verb that raced another may end with: never a bug, never a signal, never a lost port. */
const raceCodes = [0, 1, 10, 16, 18];

class Stage implements AsyncDisposable {
  private constructor(readonly foster: Foster, readonly bystander: ForeignProcess) {}

  static async create(): Promise<Stage> {
    const foster = await Foster.create();
    try {
      const definition = served(freePort(), { restart: { interval: "200ms", backoff: "50ms", max: 1000 } });
      await foster.define({ [NAME]: definition });
      return new Stage(foster, await ForeignProcess.server(foster, freePort()));
    } catch (error) {
      await foster[Symbol.asyncDispose]();
      throw error;
    }
  }

  async arrange(before: Before): Promise<void> {
    const { foster } = this;
    if (before === "down") return void await foster.expect(0, ["down", NAME]);
    const more = before === "supervised" ? ["--supervise"] : [];
    const { pid } = (await foster.expect(0, ["up", NAME, ...more, "--json"])).row();
    if (before === "crashed") await this.#crash(pid);
  }

  async #crash(pid: number): Promise<void> {
    Deno.kill(pid, "SIGKILL");
    await until("the server is gone", async () => await startTicks(pid) === null);
  }

  /** Whatever came before: one `up` is enough, there is one server, and it is the recorded one. */
  async assertOneServer(what: string): Promise<void> {
    const { foster, bystander } = this;
    const result = await foster.run(["up", NAME, "--json"]);
    assertEquals(result.code, 0, `${what}\n${result.stdout}\n${result.stderr}`);
    const { pid, state, key } = result.row();
    assertEquals(state, "ready", what);
    assertEquals(await foster.servers(), [pid], what);
    const record = await foster.record(key);
    assertEquals([record?.state, record?.want, record?.pid], ["ready", "up", pid], what);
    const names = [...Deno.readDirSync(join(foster.stateDir, "servers", key))].map(({ name }) => name);
    assertEquals(names.filter((name) => /corrupt|draft|\.tmp/.test(name)), [], `${what} left files`);
    await bystander.assertUnharmed(what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.foster[Symbol.asyncDispose]();
  }
}

/** Kills one verb after the other at a random moment. @throws AssertionError at the first that leaves a mess */
export async function killAnywhere({ count, seed, onRound }: ChaosOptions): Promise<void> {
  await using stage = await Stage.create();
  const next = numbers(seed);
  for (let round = 0; round < count; round++) {
    const plan = plans[round % plans.length];
    assert(plan !== undefined);
    const afterMs = Math.round(next() * WINDOW_MS);
    const what =
      `kill ${round} of seed ${seed}: ${plan.args.join(" ")} of a server that is ${plan.before}, ` +
      `killed after ${afterMs} ms`;
    onRound?.(what);
    await stage.arrange(plan.before);
    const running = stage.foster.start(plan.args);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    running.kill("SIGKILL");
    await running.end();
    await stage.assertOneServer(what);
  }
}

const STDIO = fromFileUrl(new URL("../../tests/fixtures/stdio_server.ts", import.meta.url));
const LISTENING = Array.from({ length: 8 }, (_, index) => `s${index}`);
const SPEAKING = ["io0", "io1"];
const ALL = [...LISTENING, ...SPEAKING];

/** What may happen to each of the servers while their supervisor is killed. */
const deeds = ["nothing", "restart", "down", "crash"] as const;

/**
 * Kills the supervisor at random moments while its ten servers start, crash and stop: the next verb finds every server
 * once. @throws AssertionError at the first that leaves a mess
 */
export async function killSupervisor({ count, seed, onRound }: ChaosOptions): Promise<void> {
  await using foster = await Foster.create();
  const next = numbers(seed);
  const restart = { interval: "200ms", backoff: "50ms", max: 1000 };
  await foster.define({
    ...Object.fromEntries(LISTENING.map((name) => [name, served("auto", { restart })])),
    ...Object.fromEntries(SPEAKING.map((name) => [name, {
      command: "deno",
      args: ["run", "-q", "--no-lock", "-A", STDIO, "older"],
    }])),
  });
  const bystander = await ForeignProcess.server(foster, freePort());
  const bringUp = () => foster.expect(0, ["up", ...ALL, "--supervise", "--json"], { timeoutMs: 120_000 });
  await bringUp();
  for (let round = 0; round < count; round++) {
    const plan = ALL.map((name) => ({ name, deed: deeds[Math.floor(next() * deeds.length)] ?? "nothing" }));
    const afterMs = Math.round(next() * WINDOW_MS);
    const what = `supervisor ${round} of seed ${seed}: ${plan.map(({ name, deed }) => `${name} ${deed}`)}, ` +
      `killed after ${afterMs} ms`;
    onRound?.(what);
    const work = plan.map(({ name, deed }) => happen(foster, { name, deed }));
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await endSupervisor(foster);
    await Promise.all(work);
    await bringUp();
    await assertEachOnce(foster, what);
    await bystander.assertUnharmed(what);
  }
  await foster.expect(0, ["down", "--all"]);
  await until("nothing of them runs", async () => (await foster.servers()).length === 0);
}

async function happen(
  foster: Foster,
  { name, deed }: { name: string; deed: typeof deeds[number] },
): Promise<void> {
  switch (deed) {
    case "nothing":
      return;
    case "restart":
    case "down":
      // The supervisor that it asks may be killed under it: whatever it says then, it may not be a bug.
      await assertNoBug(foster, [deed, name]);
      return;
    case "crash": {
      const { servers } = (await foster.run(["ps", "--json"])).json();
      const pid = servers.find((row) => row.name === name)?.pid ?? null;
      if (pid !== null && await startTicks(pid) !== null) Deno.kill(pid, "SIGKILL");
    }
  }
}

async function assertNoBug(foster: Foster, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await foster.run(args, { timeoutMs: 120_000 });
  assert(code !== 70, `${args.join(" ")} ended with 70\n${stdout}\n${stderr}`);
}

/** Ends the supervisor that is there at this moment, if any. */
async function endSupervisor({ stateDir }: Foster): Promise<void> {
  const text = await Deno.readTextFile(join(stateDir, "supervisor.json")).catch(() => "null");
  const { pid = null, start_token = null } = JSON.parse(text) ?? {};
  if (pid === null || await startTime(pid) !== start_token) return;
  Deno.kill(pid, "SIGKILL");
}

/** Every server is there once, kept, and nothing else of this state folder runs. */
async function assertEachOnce(foster: Foster, what: string): Promise<void> {
  let seen = "";
  const isSo = async () => {
    const rows = (await foster.run(["ps", "--json"])).json().servers;
    const kept = await Promise.all(
      rows.map(async ({ name, key }) =>
        SPEAKING.includes(name) || (await foster.record(key))?.supervisor !== null
      ),
    );
    const running = await foster.servers();
    seen = JSON.stringify({
      rows: rows.map(({ name, state, pid }, at) => [name, state, pid, kept[at]]),
      running,
    });
    return ALL.every((name) =>
      rows.filter((row) => row.name === name && row.state === "ready").length === 1
    ) &&
      rows.length === ALL.length && kept.every(Boolean) &&
      sorted(rows.map(({ pid }) => pid)) === sorted(running);
  };
  await until("each server once", isSo, 60_000).catch(() => {
    throw new Error(`${what}: not each server once\n${seen}`);
  });
}

function sorted(pids: readonly number[]): string {
  return [...pids].sort((a, b) => a - b).join();
}

/** Starts several verbs at once, again and again. @throws AssertionError at the first that leaves a mess */
export async function raceVerbs({ count, seed, onRound }: ChaosOptions): Promise<void> {
  await using stage = await Stage.create();
  const next = numbers(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;
  for (let round = 0; round < count; round++) {
    const before = pick<Before>(["down", "crashed", "up", "supervised"]);
    const starts = Array.from({ length: 2 + Math.floor(next() * 4) }, () => ({
      args: pick(racers),
      afterMs: Math.round(next() * WINDOW_MS / 2),
    }));
    const shown = starts.map(({ args, afterMs }) => `${args.join(" ")} after ${afterMs} ms`).join(", ");
    const what = `race ${round} of seed ${seed}: a server that is ${before}, ${shown}`;
    onRound?.(what);
    await stage.arrange(before);
    const ended = await Promise.all(starts.map(async ({ args, afterMs }) => {
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      return await stage.foster.run(args, { timeoutMs: 60_000 });
    }));
    for (const { code, stdout, stderr } of ended) {
      assert(raceCodes.includes(code), `${what}\nended with ${code}\n${stdout}\n${stderr}`);
    }
    await stage.assertOneServer(what);
  }
}
