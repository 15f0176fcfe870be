/**
 * Starts a server's process: record first, then the child, then the child's identity in the record.
 *
 * @module
 */
import { type Host, HostError } from "../../host/host.ts";
import type { ServerRecord } from "../../registry/record.ts";
import { keepCrashLog, rotateLog } from "../../registry/log_files.ts";
import { NEVER_STARTED } from "../../registry/values.ts";
import type { Outcome } from "../row.ts";
import { advance } from "../state.ts";
import { isoNow } from "../world.ts";
import type { ResolvedCommand } from "./command.ts";
import { notStarted } from "./fail.ts";
import { launchedRecord } from "./launched_record.ts";
import type { ServerStart } from "./server_start.ts";
import { noteVariables } from "./variables_set.ts";

/** Spawns what was asked for. Null once the child and its record are there; never leaves a child unrecorded. */
export async function spawnServer(start: ServerStart, command: ResolvedCommand): Promise<Outcome | null> {
  const { world: { host }, world, folder, definition } = start;
  if (start.record?.state === "ready") await noteDeath(start, start.record);
  // Nothing of the server is left where it may be spawned: the session file of its last start is nobody's.
  await folder.removeSessions();
  const { brand, brandFlags, stop: { graceMs } } = definition;
  const session = command.sessionId === null
    ? null
    : { id: command.sessionId, file: command.session?.name ?? null };
  const stop = { brand, brandFlags, graceMs };
  await start.store({ ...start.overrides, parts: start.hash.parts, stop, session });
  await host.files.remove(folder.paths.pidFile);
  await rotateLog(host, folder.paths.log);
  const draft = draftRecord(start, command);
  start.record = draft;
  await folder.write(draft);
  await folder.event("spawning", { record: draft });
  if (command.session !== null) await folder.writeSession(command.session.file, command.session.payload);
  let child;
  try {
    child = await host.processes.spawnDetached({
      command: command.command,
      args: command.args,
      cwd: command.cwd,
      env: command.env,
      logFile: folder.paths.log,
      stdin: definition.stdin,
    });
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    await folder.removeSessions();
    return await notStarted(start, { command, reason: error.message });
  }
  start.world.trace?.note(start.name, `launched by tier ${command.tier}: ${draft.argv.join(" ")}`);
  const startTime = await childStartTime(host, child.pid);
  const record: ServerRecord = {
    ...draft,
    pid: child.pid,
    start_token: startTime,
    pgid: child.groupId,
    launcher_pid: child.pid,
    launcher_start_token: startTime,
  };
  await folder.write(record);
  await folder.event("spawned", { pid: child.pid, start_token: startTime, record });
  start.record = record;
  start.child = child;
  start.spawnedAt = host.clock.monotonic();
  start.exit = null;
  start.deadSince = null;
  start.path = "spawned";
  start.hasActed = true;
  child.exited.then((exit) => start.exit = exit);
  world.onSpawn?.(child, record);
  await noteVariables({ host, folder, definition: start.definition });
  return null;
}

/** The server of the record ended while nobody watched: its last words are kept before its log is rotated away. */
async function noteDeath(start: ServerStart, record: ServerRecord): Promise<void> {
  const { world: { host }, folder } = start;
  const { pid, start_token } = record;
  await keepCrashLog(host, folder.paths, { since: Date.parse(record.started_at) });
  await folder.event("crashed", { pid, start_token, message: "its process is gone" });
  const last_exit = { code: null, signal: null, at: isoNow(host) };
  start.record = { ...advance(record, "crash"), last_exit };
}

function draftRecord(start: ServerStart, command: ResolvedCommand): ServerRecord {
  const { world: { host }, folder, definition, options, ports } = start;
  const previous = start.previous ?? start.record;
  const record = launchedRecord(host, { folder, definition, command }, {
    state: previous?.state ?? "uninitialized",
    started_by: options.startedBy,
    on_demand: false,
    port: ports.port,
    ws_port: ports.wsPort,
    endpoint: start.endpoint,
    spec_hash: start.hash.whole,
    last_exit: previous?.last_exit ?? null,
    owner_pid: options.ownerPid,
    supervisor: previous?.supervisor ?? null,
    restarts: previous?.restarts ?? 0,
  });
  return advance(record, "spawn");
}

/**
 * The start time of a child that was spawned a moment ago; null, which proves nothing, where it can't be read. A child
 * that ended at once may have lost its pid to another process already: only our own child counts.
 */
export async function childStartTime(
  host: Pick<Host, "processes" | "system">,
  pid: number,
): Promise<string | null> {
  const seen = (await host.processes.inspect([pid])).get(pid);
  if (seen === undefined) return NEVER_STARTED;
  switch (seen.kind) {
    case "gone":
      return NEVER_STARTED;
    case "unknown":
      return null;
    case "seen": {
      const { parentPid, startTime } = seen.facts;
      const ours = parentPid === host.processes.selfPid || (host.system === "windows" && parentPid === 0);
      return ours ? startTime : NEVER_STARTED;
    }
  }
}
