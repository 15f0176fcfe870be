/**
 * Leaves a detached supervisor behind, and finds the one that is there already.
 *
 * @module
 */
import { join } from "@std/path";
import { type DetachedChild, type FileLock, HostError } from "../host/host.ts";
import { childStartTime } from "../lifecycle/start/spawn.ts";
import { PLAIN_START, type StartOptions, startServer } from "../lifecycle/start/start.ts";
import { type Outcome, plainOutcome } from "../lifecycle/row.ts";
import type { World } from "../lifecycle/world.ts";
import { verdictNow } from "../registry/identity.ts";
import { acquireLock } from "../registry/lock.ts";
import type { StartedBy } from "../registry/record.ts";
import { recordIn, type ServerFolder } from "../registry/store.ts";
import { TOKEN_VARIABLE } from "../definitions/launch/environment.ts";
import type { ServerDefinition } from "../definitions/definition.ts";

export interface SuperviseOptions {
  startedBy: StartedBy;
  /** How long a server without clients stays; null for ever. */
  idleMs: number | null;
  timeoutMs: number | null;
  ownerPid?: number | null;
  /** The server runs already: the new supervisor keeps it, and starts nothing that was taken away meanwhile. */
  adoptOnly?: boolean;
  /** True returns once the supervisor is spawned: the server is then still `spawning`. */
  noWait?: boolean;
}

const POLL_MS = 15;
const SLACK_MS = 20_000;

/** The server, ready, with a live supervisor over it: the present one, or a new one that starts or adopts it. */
export async function ensureSupervised(
  world: World,
  definition: ServerDefinition,
  options: SuperviseOptions,
): Promise<Outcome> {
  const folder = world.state.server(definition.key);
  await folder.prepare();
  const waitMs = (options.timeoutMs ?? definition.ready.timeoutMs) + SLACK_MS;
  const lock = await acquireLock(world.host, join(folder.paths.folder, "supervise.lock"), {
    waitMs,
    signal: world.signal,
  });
  if (lock === null) {
    const message = `"${definition.name}" is being brought under supervision by another foster`;
    return plainOutcome(definition, folder, { kind: "guarded", state: "guarded", message, hint: "" });
  }
  return await underLock(world, { folder, definition, options, lock, waitMs });
}

interface Job {
  folder: ServerFolder;
  definition: ServerDefinition;
  options: SuperviseOptions;
  lock: FileLock;
  waitMs: number;
}

async function underLock(world: World, job: Job): Promise<Outcome> {
  const { folder, definition, options } = job;
  try {
    if (!await hasSupervisor(world, folder)) return await spawnSupervisor(world, job);
  } finally {
    job.lock.release();
  }
  if (options.noWait === true) return spawning(job);
  const start: StartOptions = { ...PLAIN_START, startedBy: options.startedBy, timeoutMs: options.timeoutMs };
  return await startServer(world, definition, start);
}

function spawning({ definition, folder }: Job): Outcome {
  return plainOutcome(definition, folder, { kind: "done", state: "spawning", message: "", hint: "" });
}

/** Whether the record names a supervisor that lives. */
async function hasSupervisor(world: World, folder: ServerFolder): Promise<boolean> {
  const supervisor = recordIn(await folder.read())?.supervisor ?? null;
  return supervisor !== null && (await verdictNow(world.host, supervisor)).kind === "ours";
}

async function spawnSupervisor(world: World, job: Job): Promise<Outcome> {
  const { host } = world;
  const { folder, definition, waitMs } = job;
  const logFile = folder.paths.supervisorLog;
  const [command, ...before] = host.engine.selfCommand;
  const env = host.env.all();
  delete env[TOKEN_VARIABLE];
  await host.files.remove(logFile);
  const child = await host.processes.spawnDetached({
    command,
    args: [...before, ...supervisorArgs(world, job)],
    cwd: world.callerFolder,
    env,
    logFile,
  });
  if (job.options.noWait === true) return spawning(job);
  return await firstOutcome(world, { folder, definition, child, waitMs });
}

function supervisorArgs(world: World, { definition, options }: Job): string[] {
  const { source, name } = definition;
  return [
    "run",
    name,
    "--json",
    "--state-dir",
    world.state.path,
    ...(source.kind === "file" ? ["--config", source.file] : []),
    "--started-by",
    options.startedBy,
    ...(options.idleMs === null ? [] : ["--idle", `${options.idleMs}ms`]),
    ...(options.timeoutMs === null ? [] : ["--timeout", `${options.timeoutMs}ms`]),
    ...(options.adoptOnly === true ? ["--adopt"] : []),
    ...(options.ownerPid == null ? [] : ["--owner-pid", String(options.ownerPid)]),
  ];
}

/** What the new supervisor came to, from the lines that it prints into its log. An interrupt ends a supervisor that is new. */
async function firstOutcome(
  world: World,
  { folder, definition, child, waitMs }: {
    folder: ServerFolder;
    definition: ServerDefinition;
    child: DetachedChild;
    waitMs: number;
  },
): Promise<Outcome> {
  const { host, signal } = world;
  const startTime = await childStartTime(host, child.pid);
  let ended = false;
  child.exited.then(() => ended = true);
  const endsAt = host.clock.monotonic() + waitMs;
  try {
    while (host.clock.monotonic() < endsAt) {
      const wasOver = ended;
      const outcome = outcomeIn(await host.files.readText(folder.paths.supervisorLog) ?? "");
      if (outcome !== null) return outcome;
      if (wasOver) {
        const said = lastWords(await host.files.readText(folder.paths.supervisorLog) ?? "");
        throw new HostError("failed", `the supervisor of "${definition.name}" ended at once: ${said}`);
      }
      world.progress(definition.name, "starting under supervision");
      await host.clock.sleep(POLL_MS, signal);
    }
  } catch (error) {
    if (signal.aborted && startTime !== null) {
      await world.signaller.send({ kind: "process", pid: child.pid, startTime }, "SIGTERM");
    }
    throw error;
  }
  const message = `"${definition.name}" was not ready under supervision within ${waitMs} ms`;
  return plainOutcome(definition, folder, { kind: "not_ready", state: "spawning", message, hint: "" });
}

/** The message that a verb ended with: hints and the inside of documents are indented. */
function lastWords(text: string): string {
  return text.split("\n").filter((line) => /^[^\s{}]/.test(line)).at(-1) ?? "";
}

/** The first outcome among a supervisor's lines, null while there is none. */
function outcomeIn(text: string): Outcome | null {
  for (const line of text.split("\n")) {
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value !== "object" || value === null || !("type" in value)) continue;
      if (value.type === "outcome" && "kind" in value && "row" in value) {
        return { kind: value.kind, row: value.row } as Outcome;
      }
    } catch {
      continue;
    }
  }
  return null;
}
