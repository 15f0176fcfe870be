/**
 * The supervisor of a state folder: found, started where there is none, replaced or ended.
 *
 * @module
 */
import type { DetachedChild } from "../host/host.ts";
import type { World } from "../lifecycle/world.ts";
import { isOver, verdictNow } from "../registry/identity.ts";
import { acquireLock } from "../registry/lock.ts";
import type { ProcessIdentity } from "../registry/record.ts";
import { statePaths } from "../registry/paths.ts";
import { readEnrolled } from "../registry/supervisor_files.ts";
import { TOKEN_VARIABLE } from "../definitions/launch/environment.ts";
import { VERSION } from "../version.ts";
import { isForRequests, serversOf } from "./enrolment.ts";
import { type ControlClient, ControlError, findSupervisor } from "./control_client.ts";
import { outOfUnit } from "./unit.ts";

/** What each server is started with, by key. */
export type Environments = Record<string, Record<string, string>>;

export type EnsuredSupervisor =
  | { kind: "live"; control: ControlClient }
  /** Verbs then work without it. */
  | { kind: "without"; why: string };

const START_MS = 15_000;
/** A supervisor that lives and is still loading: a slow or emulated processor takes its time. */
const LOADS_MS = 45_000;
/** Longer than the grace of what ends with it. */
const END_MS = 30_000;
const POLL_MS = 5;
const MOST_POLL_MS = 250;
const TRIES = 3;

/** The supervisor that is there, or a new one, detached. One that is older is asked to make room. */
export async function ensureSupervisor(
  world: World,
  options: readonly string[] = [],
): Promise<EnsuredSupervisor> {
  const { host, state } = world;
  const environments: Environments = {};
  await state.check();
  const found = await presentSupervisor(world, environments);
  if (found !== null) return found;
  await state.prepare();
  const lock = await acquireLock(host, statePaths(state.path).supervisorStartLock, {
    waitMs: LOADS_MS,
    signal: world.signal,
  });
  if (lock === null) {
    return { kind: "without", why: "another foster has been starting the supervisor for too long" };
  }
  try {
    // Whoever had the lock before has started one.
    const started = await presentSupervisor(world, environments) ??
      await startSupervisor(world, [...options, ...environmentOptions(environments)]);
    if (started.kind === "live") await handOn(started.control, environments);
    return started;
  } finally {
    lock.release();
  }
}

/** Asks the supervisor, or the next one where it ended while it was asked. @throws ControlError */
export async function withSupervisor<T>(
  world: World,
  ask: (supervisor: EnsuredSupervisor) => Promise<T>,
): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await ask(await ensureSupervisor(world));
    } catch (error) {
      if (!(error instanceof ControlError) || world.signal.aborted || attempt >= TRIES) throw error;
    }
  }
}

/** Brings the supervisor back where servers are enrolled that nobody keeps. Waits for nothing. */
export async function reviveSupervisor(world: World): Promise<void> {
  const { host, state } = world;
  const enrolled = await readEnrolled(host, state.path);
  if (enrolled.kind !== "file") return;
  const servers = serversOf(enrolled.value, state.path);
  if (!enrolled.value.stay && servers.every(isForRequests)) return;
  if ((await findSupervisor(host, state.path)).kind !== "none") return;
  await ensureSupervisor(world);
}

/** Asks it to end, and waits until it did. False where it stays. */
export async function endSupervisor(world: World, mode: "idle" | "stop"): Promise<boolean> {
  const found = await findSupervisor(world.host, world.state.path);
  if (found.kind !== "live") return found.kind === "none";
  if (!(await found.control.quit(mode)).ends) return false;
  return await untilOver(world, found.record, END_MS);
}

/** False where the process was still there when the time was over. */
async function untilOver(
  { host, signal }: World,
  process: ProcessIdentity,
  waitMs: number,
): Promise<boolean> {
  const endsAt = host.clock.monotonic() + waitMs;
  while (host.clock.monotonic() < endsAt) {
    if (isOver(await verdictNow(host, process))) return true;
    await host.clock.sleep(POLL_MS, signal);
  }
  return false;
}

/** For the hidden verb that becomes the supervisor: whose environments {@link handOn} gives it. */
export function environmentOptions(environments: Environments): string[] {
  return Object.keys(environments).flatMap((key) => ["--environment-of", key]);
}

export async function handOn(
  control: ControlClient,
  environments: Environments,
): Promise<void> {
  for (const [key, environment] of Object.entries(environments)) {
    await control.setEnvironment(key, environment);
  }
}

/** Null where one may be started. */
async function presentSupervisor(
  { host, state, signal }: World,
  environments: Environments,
): Promise<EnsuredSupervisor | null> {
  const found = await findSupervisor(host, state.path);
  switch (found.kind) {
    case "none":
      return null;
    case "silent":
      return {
        kind: "without",
        why: `the supervisor (pid ${found.record.pid}) does not answer: ${found.why}`,
      };
    case "live": {
      if (!await isNewer(VERSION, found.record.version)) return { kind: "live", control: found.control };
      const answer = await found.control.quit("replace");
      if (!answer.ends) return { kind: "live", control: found.control };
      Object.assign(environments, answer.environments);
      const endsAt = host.clock.monotonic() + START_MS;
      while (host.clock.monotonic() < endsAt) {
        if ((await findSupervisor(host, state.path)).kind === "none") return null;
        await host.clock.sleep(POLL_MS, signal);
      }
      return { kind: "without", why: `the older supervisor (pid ${found.record.pid}) did not make room` };
    }
  }
}

/**
 * Ends the supervisor that is there so that this foster can take its place: one of a lower version, or any where
 * `isAny`. Its servers stay. Gives the environments that it kept, for its successor.
 */
export async function replaceSupervisor(world: World, { isAny }: { isAny: boolean }): Promise<Environments> {
  const found = await findSupervisor(world.host, world.state.path);
  if (found.kind !== "live" || !(isAny || await isNewer(VERSION, found.record.version))) return {};
  const { environments } = await found.control.quit("replace");
  await untilOver(world, found.record, START_MS);
  return environments;
}

/** Not loaded where both are the same, as they nearly always are. */
async function isNewer(own: string, other: string): Promise<boolean> {
  if (own === other) return false;
  return (await import("./newer_version.ts")).isNewerVersion(own, other);
}

/** Runs `foster supervisor` (cli/verbs/supervisor.ts), which becomes a `Resident` (gateway/resident.ts). */
async function startSupervisor(world: World, options: readonly string[]): Promise<EnsuredSupervisor> {
  const { host, state, signal } = world;
  const [command, ...before] = host.engine.selfCommand;
  const env = ownEnvironment(world);
  delete env[TOKEN_VARIABLE];
  const own = [command, ...before, "supervisor", "--json", "--state-dir", state.path, ...options] as const;
  const start = async ([command, ...args]: readonly [string, ...string[]]) => {
    const logFile = statePaths(state.path).supervisorLog;
    const child = await host.processes.spawnDetached({ command, args, cwd: state.path, env, logFile });
    return await untilAnswers(world, child, signal);
  };
  const wayOut = await outOfUnit(host, state.path);
  if (wayOut === null) return await start(own);
  const started = await start([...wayOut, ...own]);
  // There may be no service manager to ask: it then says with status what it would end with.
  return started.kind === "without" && (await findSupervisor(host, state.path)).kind === "none"
    ? await start(own)
    : started;
}

async function untilAnswers(
  world: World,
  child: DetachedChild,
  signal: AbortSignal,
): Promise<EnsuredSupervisor> {
  const { host, state } = world;
  let ended = false;
  child.exited.then(() => ended = true, () => ended = true);
  const beganAt = host.clock.monotonic();
  for (let waited = 0; waited < LOADS_MS; waited = host.clock.monotonic() - beganAt) {
    const wasOver = ended;
    const found = await findSupervisor(host, state.path);
    if (found.kind === "live") return { kind: "live", control: found.control };
    if (wasOver && found.kind === "none") {
      const text = await host.files.readText(statePaths(state.path).supervisorLog).catch(() => null) ?? "";
      return { kind: "without", why: `the supervisor ended at once: ${lastWords(text)}` };
    }
    // Where it takes long the machine is busy enough: looking all the time would keep the supervisor from loading.
    await host.clock.sleep(Math.max(POLL_MS, Math.min(MOST_POLL_MS, waited / 20)), signal);
  }
  return { kind: "without", why: `the supervisor (pid ${child.pid}) did not answer within ${LOADS_MS} ms` };
}

/** The message that a verb ended with: hints and the inside of documents are indented. */
function lastWords(text: string): string {
  return text.split("\n").filter((line) => /^[^\s{}]/.test(line)).at(-1) ?? "";
}

/** What belongs to one session of one client, and to one place. */
const NOT_HANDED_ON =
  /^(?:FOSTER_TOKEN|FOSTER_CONFIG|INIT_CWD|CLAUDE_CODE_SESSION_ID|CLAUDE_CODE_MESSAGING_.*)$/;

/** The environment of this verb as a server that is started later should have it. */
export function ownEnvironment({ host }: Pick<World, "host">): Record<string, string> {
  return Object.fromEntries(Object.entries(host.env.all()).filter(([name]) => !NOT_HANDED_ON.test(name)));
}
