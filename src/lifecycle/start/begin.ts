/**
 * Spawns a server and sees it through to ready, or to a diagnosis.
 *
 * @module
 */
import { printable } from "../../base/printable.ts";
import type { DetachedChild, ExitStatus } from "../../host/host.ts";
import type { ServerRecord } from "../../registry/record.ts";
import { findLaunch } from "./find_launch.ts";
import { spawnServer } from "./launch.ts";
import { keepCrashLog } from "../log_files.ts";
import { describeExit, lastLines, outputHint, unheardHint, withoutValues } from "../messages.ts";
import { type ReadyResult, waitUntilReady } from "./ready.ts";
import type { Outcome } from "../row.ts";
import type { Session } from "./session.ts";
import { settle } from "./settle.ts";
import { endServer, isAllGone, PORT_WAIT_MS } from "../stop/stop.ts";
import { isoNow } from "../world.ts";

/** How long a dead launcher's successor may take to show itself. */
const HAND_OVER_MS = 5000;
const KEPT_TOKENS = 8;
const SHOWN_LINES = 5;
const OUTPUT_BYTES = 16 * 1024;

export async function spawnAndWait(session: Session): Promise<Outcome | null> {
  const { world, folder, request, machine } = session;
  const launch = session.launch;
  if (launch === null || !("tier" in launch)) return null;
  if (session.record?.state === "ready") await noteDeath(session, session.record);
  const { tokens } = await folder.overrides();
  const { brand, brandFlags, stop: { graceMs } } = request.definition;
  await folder.writeOverrides({
    ...request.overrides,
    parts: session.hash.parts,
    stop: { brand, brandFlags, graceMs },
    tokens,
  });
  const spawned = await spawnServer(world, folder, {
    definition: request.definition,
    launch,
    ports: session.ports,
    specHash: session.hash.whole,
    startedBy: request.startedBy,
    ownerPid: request.ownerPid,
    previous: session.previous ?? session.record,
  });
  session.record = spawned.record;
  if (spawned.kind === "failed") {
    session.path = "crashed";
    machine.diagnose("crashed", "");
    const why = withoutValues(spawned.error.message, launch);
    await saveCrash(session, { exit: null, message: why });
    return session.finish("crashed", {
      message: `Cannot start "${session.name}": ${why}`,
      hint: `check "command" and "cwd" in its definition`,
    });
  }
  session.child = spawned.child;
  world.onSpawn?.(spawned.child, spawned.record);
  session.spawnedAt = world.host.clock.monotonic();
  session.exit = null;
  session.deadSince = null;
  spawned.child.exited.then((exit) => session.exit = exit);
  session.path = "spawned";
  session.guarded = true;
  machine.transition("spawning");
  if (!request.waitForReady) return session.finish("done");
  return await seeThrough(session, spawned.child);
}

/** The server of the record ended while nobody watched: its last words are kept before its log is rotated away. */
async function noteDeath(session: Session, record: ServerRecord): Promise<void> {
  const { world: { host }, folder } = session;
  const { pid, start_token } = record;
  await keepCrashLog(host, folder.paths);
  await folder.event("crashed", { pid, start_token, message: "its process is gone" });
  session.record = {
    ...record,
    state: "crashed",
    last_exit: { code: null, signal: null, at: isoNow(host) },
  };
}

/** Waits until what this session spawned is ready and recorded, or why it will not be. */
export async function seeThrough(session: Session, child: DetachedChild): Promise<Outcome | null> {
  const result = await waitFor(session, { exited: child.exited, timeoutMs: session.request.timeoutMs });
  switch (result.kind) {
    case "ready":
      return await settle(session, { ready: result, child });
    case "permanent":
      return await giveUp(session, `it is not ready: ${result.reason}`);
    case "timeout":
      return await giveUp(session, `not ready after ${seconds(session.request.timeoutMs)}: ${result.last}`, {
        moreTimeHelps: true,
        listened: result.listened,
      });
    case "asked_to_stop":
      return await stopOnRequest(session);
    case "dead":
      return await retryWithRefresh(session) ?? await crashed(session, result.exit);
  }
}

/** Waits for readiness of what the session's record names. */
export async function waitFor(
  session: Session,
  { exited, timeoutMs }: { exited: Promise<ExitStatus> | null; timeoutMs: number },
): Promise<ReadyResult> {
  const { world, request: { definition } } = session;
  return await waitUntilReady(world.host, {
    folder: session.folder,
    question: { definition, endpoint: session.endpoint, signal: world.signal },
    timeoutMs,
    probeTimeoutMs: definition.ready.probeTimeoutMs,
    exited,
    isDead: () => isDead(session),
    onWaiting: (elapsedMs, last) => world.progress(session.name, `starting, ${seconds(elapsedMs)}: ${last}`),
  });
}

/** Process, group, pid file and listeners: while one of them is left the server may have been handed over. */
async function isDead(session: Session): Promise<boolean> {
  const { world } = session;
  const seen = await session.look({ thorough: true });
  if (seen.liveness.kind === "alive" || seen.pending.length > 0) return false;
  const carried = await hasCarriers(session);
  if (!carried && seen.port.kind === "free" && seen.pidFilePid === 0) return true;
  // What a launcher that ended well left behind may be slow to listen: it has the start's whole time.
  if (carried && session.exit?.code === 0) return false;
  const now = world.host.clock.monotonic();
  session.deadSince ??= now;
  return now - session.deadSince >= HAND_OVER_MS;
}

/** A process that left the group, and may begin to listen yet, still carries the instance token. */
async function hasCarriers({ world, record }: Session): Promise<boolean> {
  if (record === null) return false;
  return (await world.host.processes.carrying(`FOSTER_TOKEN=${record.token}`)).length > 0;
}

/** A cached package may be stale: once, the launcher is told to fetch it anew, if the server never got anywhere. */
async function retryWithRefresh(session: Session): Promise<Outcome | null> {
  const { world, folder, request: { definition } } = session;
  const launch = session.launch;
  if (session.refreshed || definition.refreshArgs === null || launch === null || !("tier" in launch)) {
    return null;
  }
  if (launch.tier !== "uvx" || await folder.pidFile(0) !== 0) return null;
  session.refreshed = true;
  session.launch = await findLaunch(world, folder, {
    ...session.request,
    ports: session.ports,
    refresh: true,
  });
  world.progress(session.name, `trying once more with ${definition.refreshArgs.join(" ")}`);
  await folder.event("refresh_retry", { message: definition.refreshArgs.join(" ") });
  return await spawnAndWait(session);
}

async function crashed(session: Session, exit: ExitStatus | null): Promise<Outcome> {
  const { world, folder, machine } = session;
  const exitMs = Math.round(world.host.clock.monotonic() - session.spawnedAt);
  const output = (await keepCrashLog(world.host, folder.paths)).slice(-OUTPUT_BYTES);
  const lines = lastLines(output, SHOWN_LINES);
  const what = `"${session.name}" ended with ${describeExit(exit)} after ${seconds(exitMs)}`;
  const message = lines === "" ? `${what}, without a word in its log` : `${what}; its last words:\n${lines}`;
  machine.crashedAfter(exitMs, message);
  session.path = "crashed";
  await saveCrash(session, { exit, message: what });
  const hint = outputHint(printable(output), session.ports.port);
  return session.finish("crashed", {
    message,
    hint: hint || `foster logs "${session.name}" shows all it said`,
  });
}

async function saveCrash(
  session: Session,
  { exit, message }: { exit: ExitStatus | null; message: string },
): Promise<void> {
  const { record, folder, world } = session;
  if (record === null) return;
  const at = isoNow(world.host);
  const { pid, start_token } = record;
  session.record = {
    ...withoutProcess(record),
    state: "crashed",
    last_exit: { code: exit?.code ?? null, signal: exit?.signal ?? null, at },
  };
  await keepToken(session, record);
  await folder.write(session.record);
  await folder.event("crashed", { pid, start_token, message });
}

/** What a start leaves behind unproven is known again by its instance token as soon as it listens on the server's port. */
async function keepToken(session: Session, record: ServerRecord): Promise<void> {
  if (!await hasCarriers(session)) return;
  const overrides = await session.folder.overrides();
  await session.folder.writeOverrides({
    ...overrides,
    tokens: [...overrides.tokens, record.token].slice(-KEPT_TOKENS),
  });
}

/** A record of a server that has no process any more. */
export function withoutProcess(record: ServerRecord): ServerRecord {
  return {
    ...record,
    pid: null,
    start_token: null,
    pgid: null,
    launcher_pid: null,
    launcher_start_token: null,
  };
}

/** It lives, but will not be ready: it is stopped again, so that the next start finds a clean place. */
export async function giveUp(
  session: Session,
  why: string,
  { moreTimeHelps = false, listened = true } = {},
): Promise<Outcome> {
  const { world, folder, machine, ports: { port } } = session;
  await folder.event("not_ready", { message: why, pid: session.record?.pid ?? null });
  const output = (await keepCrashLog(world.host, folder.paths)).slice(-OUTPUT_BYTES);
  const lines = lastLines(output, SHOWN_LINES);
  const gone = await undoSpawn(session);
  const message = `Cannot start "${session.name}": ${why}`;
  machine.diagnose("crashed", message);
  const survivors = gone ? "; it was stopped again" : "; and it could not be stopped";
  const tail = lines === "" ? "" : `; its last words:\n${lines}`;
  const hint = outputHint(printable(output), port) ||
    (listened ? "" : unheardHint(session.request.definition, port)) ||
    `foster logs "${session.name}" shows all it said${moreTimeHelps ? "; --timeout waits longer" : ""}`;
  return session.finish("notReady", { message: message + survivors + tail, hint });
}

async function stopOnRequest(session: Session): Promise<Outcome> {
  const gone = await undoSpawn(session);
  session.machine.transition("stopping");
  if (gone) session.machine.transition("stopped");
  return session.finish("no", {
    message: `"${session.name}": stopped by foster down while it started`,
    hint: "",
  });
}

/** Ends what this session started. True when all of it is gone; only then the record says so. */
export async function undoSpawn(session: Session): Promise<boolean> {
  const { world, folder, record, request: { definition } } = session;
  if (record === null) return true;
  const ended = await endServer(world, {
    folder,
    record,
    definition,
    port: session.ports.port,
    graceMs: definition.stop.graceMs,
    portWaitMs: PORT_WAIT_MS.stop,
    proof: null,
  });
  session.child = null;
  const gone = isAllGone(ended);
  if (gone) {
    await keepToken(session, record);
    session.record = { ...withoutProcess(record), state: "crashed" };
    await folder.write(session.record);
    await world.host.files.remove(folder.paths.pidFile);
    await folder.removeSessions();
  }
  return gone;
}

export function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}
