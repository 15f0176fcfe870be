/**
 * Everything at once for a long time: sessions of all kinds, calls, crashes, verbs, supervisors killed. Nothing may be lost,
 * doubled or false; nothing may grow; nothing may be left over.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";
import { exists, Foster, until } from "../../tests/e2e/harness.ts";
import { carriersOf, SUITE_MARK } from "../../tests/e2e/leftovers.ts";
import { numbers } from "../chaos/chaos.ts";
import { type Answer, ConnectClient, HttpClient, LostCall } from "./clients.ts";
import { type Growth, growthOf, growthProblems, markProblems, type Sample } from "./figures.ts";

export interface SoakOptions {
  minutes: number;
  seed: number;
  say(text: string): void;
}

export interface SoakResult {
  counts: Record<string, number>;
  growths: { what: string; growth: Growth }[];
  problems: string[];
}

const SERVER = fromFileUrl(new URL("server.ts", import.meta.url));
const NAMES = ["older", "both", "http"] as const;
type Name = typeof NAMES[number];
const SAMPLE_MS = 2000;
/** Supervisors are killed in the first part only: how memory goes is seen on one that lives long. */
const KILLING_SHARE = 0.35;
/** A shell's word for what was said to be wrong in no way. */
const FINE_CODES = [0, 1, 10, 16, 18];

class Soak {
  readonly counts: Record<string, number> = {};
  readonly problems: string[] = [];
  readonly answered = new Set<string>();
  readonly samples = new Map<string, Sample[]>();
  readonly #next: () => number;
  readonly #startedAt = performance.now();
  #marks = 0;

  constructor(readonly foster: Foster, readonly options: SoakOptions) {
    this.#next = numbers(options.seed);
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  get totalMs(): number {
    return this.options.minutes * 60_000;
  }

  get isOver(): boolean {
    return this.elapsedMs >= this.totalMs;
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  problem(text: string): void {
    this.count("problems");
    if (this.problems.length < 50) {
      this.problems.push(`after ${Math.round(this.elapsedMs / 1000)} s: ${text}`);
    }
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#next() * from.length)] as T;
  }

  between(least: number, most: number): number {
    return Math.round(least + this.#next() * (most - least));
  }

  async pause(leastMs: number, mostMs: number): Promise<void> {
    const leftMs = this.totalMs - this.elapsedMs;
    const ms = Math.max(0, Math.min(leftMs, this.between(leastMs, mostMs)));
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  /** One call of whatever the server has, its answer compared. */
  async call(
    name: Name,
    by: string,
    ask: (tool: string, args: Record<string, unknown>) => Promise<Answer>,
  ): Promise<void> {
    const text = `${by}-${name}-${++this.#marks}`;
    const isSlow = this.#next() < 0.1;
    const isMarked = name !== "http";
    try {
      const answer = isMarked
        ? await ask("mark", { text, ms: isSlow ? this.between(50, 1500) : 0 })
        : await ask("echo", { text });
      if (answer.kind === "error") {
        return void this.count(`answered with an error: ${kindOf(answer.message)}`);
      }
      this.count("calls answered");
      if (answer.text !== text) {
        this.problem(`${name} was asked ${text} and answered ${answer.text.slice(0, 80)}`);
      }
      if (isMarked) this.answered.add(answer.text);
    } catch (error) {
      if (!(error instanceof LostCall)) throw error;
      this.problem(`${name}: ${error.message}`);
    }
  }
}

/** Messages without what differs from one to the next. */
function kindOf(message: string): string {
  return message.replaceAll(/"[^"]*"|\d+/g, "…").split(/[.:;(]/)[0]?.slice(0, 70) ?? "";
}

/** A client that stays from the beginning to the end. */
async function longConnect(soak: Soak, { name, isNewer }: { name: Name; isNewer: boolean }): Promise<void> {
  const what = `connect ${name} ${isNewer ? "newer" : "older"}`;
  const client = await ConnectClient.open(soak.foster, name, isNewer);
  const sampling = sampleUntilOver(soak, what, () => client.hasEnded ? null : client.pid);
  while (!soak.isOver) {
    if (client.hasEnded) {
      soak.problem(`${what} ended in the middle`);
      break;
    }
    await soak.call(
      name,
      `long-${isNewer ? "newer" : "older"}`,
      (tool, args) => client.call(tool, args, isNewer),
    );
    await soak.pause(20, 400);
  }
  await sampling;
  const code = await client.close();
  if (code !== 0) soak.problem(`${what} ended with ${code}`);
}

async function shortConnects(soak: Soak): Promise<void> {
  while (!soak.isOver) {
    const [name, isNewer] = [soak.pick(NAMES), soak.pick([true, false])];
    const client = await ConnectClient.open(soak.foster, name, isNewer);
    soak.count("connect sessions");
    for (let calls = soak.between(0, 4); calls > 0; calls--) {
      await soak.call(
        name,
        `short-${isNewer ? "newer" : "older"}`,
        (tool, args) => client.call(tool, args, isNewer),
      );
    }
    const code = await client.close();
    if (code !== 0) soak.problem(`a connect ${name} ended with ${code}`);
    await soak.pause(500, 3000);
  }
}

async function httpSessions(soak: Soak): Promise<void> {
  const { stateDir } = soak.foster;
  while (!soak.isOver) {
    const [name, isNewer] = [soak.pick(NAMES), soak.pick([true, false])];
    const [supervisor, token] = await Promise.all(
      ["supervisor.json", "gateway.token"].map((file) =>
        Deno.readTextFile(join(stateDir, file)).catch(() => null)
      ),
    );
    if (supervisor == null || token == null) {
      await soak.pause(50, 200);
      continue;
    }
    const url = `${JSON.parse(supervisor).endpoint}/mcp/${name}`;
    const client = await HttpClient.open({ url, token: token.trim(), isNewer });
    if (client === null) soak.count("HTTP sessions refused");
    else {
      soak.count("HTTP sessions");
      for (let calls = soak.between(1, 5); calls > 0; calls--) {
        await soak.call(name, `http-${isNewer ? "newer" : "older"}`, (tool, args) => client.call(tool, args));
      }
      // Some clients go without a word: each of them leaves a session, and perhaps a process, for some minutes.
      if (soak.between(1, 20) > 1) await client.close();
      else soak.count("HTTP sessions abandoned");
    }
    await soak.pause(30, 300);
  }
}

async function troubles(soak: Soak): Promise<void> {
  const { totalMs } = soak;
  let nextKillMs = soak.between(totalMs / 80, totalMs / 40);
  while (!soak.isOver) {
    await soak.pause(Math.min(1500, totalMs / 200), Math.min(6000, totalMs / 100));
    if (soak.isOver) return;
    const isKilling = soak.elapsedMs < soak.totalMs * KILLING_SHARE && soak.elapsedMs > nextKillMs;
    if (isKilling) {
      nextKillMs = soak.elapsedMs + soak.between(totalMs / 60, totalMs / 20);
      await killSupervisor(soak);
      continue;
    }
    const name = soak.pick(NAMES);
    const trouble = soak.pick(["crash", "crash", "restart", "down", "up", "status"] as const);
    if (trouble === "crash") await crash(soak);
    else {
      const { code, stderr } = await soak.foster.run([trouble, name], { timeoutMs: 90_000 });
      soak.count(`foster ${trouble}`);
      if (!FINE_CODES.includes(code)) soak.problem(`foster ${trouble} ${name} ended with ${code}: ${stderr}`);
    }
  }
}

/** A server of this state folder: nobody else's process carries its instance token. */
async function crash(soak: Soak): Promise<void> {
  const pids = await soak.foster.servers();
  if (pids.length === 0) return;
  try {
    Deno.kill(soak.pick(pids), "SIGKILL");
    soak.count("servers killed");
  } catch {
    // It ended by itself in this moment.
  }
}

async function supervisorPid({ foster }: Soak): Promise<number | null> {
  const text = await Deno.readTextFile(join(foster.stateDir, "supervisor.json")).catch(() => null);
  if (text === null) return null;
  const { pid } = JSON.parse(text) as { pid: number };
  // Its record may outlive it: only what this soak started counts.
  return (await carriersOf(`${SUITE_MARK}=${foster.mark}`)).includes(pid) ? pid : null;
}

async function killSupervisor(soak: Soak): Promise<void> {
  const pid = await supervisorPid(soak);
  if (pid === null) return;
  Deno.kill(pid, "SIGKILL");
  soak.count("supervisors killed");
  try {
    await until("another supervisor is there", async () => {
      const next = await supervisorPid(soak);
      return next !== null && next !== pid;
    }, 60_000);
  } catch (error) {
    soak.problem(error instanceof Error ? error.message : String(error));
  }
}

async function sampleUntilOver(
  soak: Soak,
  what: string,
  pidOf: () => number | null | Promise<number | null>,
) {
  while (!soak.isOver) {
    const pid = await pidOf();
    const sample = pid === null ? null : await sampleOf(pid, soak.elapsedMs);
    if (sample !== null) {
      const key = what === "supervisor" ? `supervisor ${pid}` : what;
      soak.samples.set(key, [...soak.samples.get(key) ?? [], sample]);
    }
    await soak.pause(SAMPLE_MS, SAMPLE_MS);
  }
}

async function sampleOf(pid: number, atMs: number): Promise<Sample | null> {
  try {
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    const files = await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`));
    const [, kib = "0"] = /^VmRSS:\s+(\d+)/m.exec(status) ?? [];
    return { atMs, residentBytes: Number(kib) * 1024, files: files.length };
  } catch {
    return null;
  }
}

async function progress(soak: Soak): Promise<void> {
  while (!soak.isOver) {
    await soak.pause(60_000, 60_000);
    const { "calls answered": calls = 0, problems = 0 } = soak.counts;
    const shown = [...soak.samples].slice(-1).map(([what, samples]) => {
      const last = samples.at(-1);
      return last === undefined ? "" : `, ${what} ${(last.residentBytes / 1024 / 1024).toFixed(0)} MiB`;
    });
    soak.options.say(
      `${Math.round(soak.elapsedMs / 1000)} s: ${calls} calls answered, ${problems} problems${shown}`,
    );
  }
}

/** What is there once all clients have gone and everything was ended. */
async function leftovers(soak: Soak): Promise<void> {
  const { foster } = soak;
  const { code, stderr } = await foster.run(["down", "--all"], { timeoutMs: 60_000 });
  if (code !== 0) soak.problem(`down --all ended with ${code}: ${stderr}`);
  if (await exists(join(foster.stateDir, "supervisor.json"))) await foster.run(["serve", "--stop"]);
  try {
    await until(
      "nothing runs any more",
      async () => (await carriersOf(`${SUITE_MARK}=${foster.mark}`)).length === 0,
      20_000,
    );
  } catch {
    for (const pid of await carriersOf(`${SUITE_MARK}=${foster.mark}`)) {
      const argv = (await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "")).replaceAll("\0", " ");
      soak.problem(`left over: pid ${pid} ${argv.slice(0, 200)}`);
    }
  }
  for (const file of await filesBelow(foster.stateDir)) {
    if (/\.draft$|\.tmp$|corrupt|\/copies\/|\/leases\/|record\.json$/.test(file)) {
      soak.problem(`left over: ${file}`);
    }
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) found.push(...await filesBelow(join(folder, name)));
    else found.push(join(folder, name));
  }
  return found;
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  await using foster = await Foster.create();
  const marks = join(foster.folder, "marks");
  await Deno.writeTextFile(marks, "");
  const stdio = (mode: string) => ({
    command: "deno",
    args: ["run", "-A", "-q", "--no-config", "--no-lock", SERVER, mode, marks],
    restart: { backoff: "50ms", max: 100_000 },
  });
  await foster.define({
    older: stdio("older"),
    both: stdio("both"),
    http: { extends: "demo", restart: { interval: "500ms", backoff: "50ms", max: 100_000 } },
  });
  await foster.expect(0, ["serve", "--detach"]);
  const run = new Soak(foster, options);
  await Promise.all([
    longConnect(run, { name: "older", isNewer: false }),
    longConnect(run, { name: "both", isNewer: true }),
    longConnect(run, { name: "http", isNewer: false }),
    shortConnects(run),
    httpSessions(run),
    httpSessions(run),
    troubles(run),
    progress(run),
    sampleUntilOver(run, "supervisor", () => supervisorPid(run)),
  ]);
  await leftovers(run);
  const written = (await Deno.readTextFile(marks)).split("\n").filter((line) => line !== "");
  run.problems.push(...markProblems(written, run.answered));
  const growths: SoakResult["growths"] = [];
  const longest = [...run.samples].filter(([what]) => what.startsWith("supervisor"))
    .sort(([, one], [, other]) => other.length - one.length)[0]?.[0];
  for (const [what, samples] of run.samples) {
    // One that was killed soon says nothing of a trend.
    const growth = what.startsWith("supervisor") && what !== longest ? null : growthOf(samples);
    if (growth === null) continue;
    growths.push({ what, growth });
    run.problems.push(...growthProblems(what, growth));
  }
  return { counts: run.counts, growths, problems: run.problems };
}
