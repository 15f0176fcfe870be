/**
 * The bad ends of a start: the server crashed, did not become ready, or was stopped half-way.
 *
 * @module
 */
import { bracketed } from "../../base/local_url.ts";
import { printable } from "../../base/printable.ts";
import type { ExitStatus } from "../../host/host.ts";
import type { ServerRecord } from "../../registry/record.ts";
import { keepCrashLog } from "../../registry/log_files.ts";
import {
  answerHint,
  describeExit,
  inputEndHint,
  joinHints,
  lastLines,
  outputHint,
  seconds,
  unheardHint,
  withoutValues,
} from "../messages.ts";
import { findElsewhere } from "../observe/elsewhere.ts";
import type { Explanation, Outcome } from "../row.ts";
import { advance } from "../state.ts";
import { endServer, isAllGone, PORT_WAIT_MS } from "../stop/end_server.ts";
import { stopCommandOf } from "../stop/stop_command.ts";
import { isoNow } from "../world.ts";
import type { ResolvedCommand } from "./command.ts";
import { programTrouble } from "./program.ts";
import type { ServerStart } from "./server_start.ts";

const KEPT_TOKENS = 8;
const SHOWN_LINES = 5;
const SHOWN_ADDRESSES = 3;
const OUTPUT_BYTES = 16 * 1024;

/** The system refused to start the program. */
export async function notStarted(
  start: ServerStart,
  { command, reason }: { command: ResolvedCommand; reason: string },
): Promise<Outcome> {
  const trouble = await troubleOf(start, command);
  const why = trouble?.message ?? withoutValues(reason, command);
  start.path = "crashed";
  await recordCrash(start, { exit: null, message: why });
  return start.finish("crashed", {
    message: `Cannot start "${start.name}": ${why}`,
    hint: trouble?.hint ?? `check "command" and "cwd" in its definition`,
  });
}

/** What is wrong with the program's file or folder. */
async function troubleOf(
  { world }: ServerStart,
  { command, cwd, maskedCommand, maskedCwd }: ResolvedCommand,
): Promise<Explanation | null> {
  const called = { command: maskedCommand, cwd: maskedCwd };
  return await programTrouble(world.host, { command, cwd, called });
}

/** The server ended before it was ready. */
export async function crashed(
  start: ServerStart,
  { exit, command }: { exit: ExitStatus | null; command: ResolvedCommand },
): Promise<Outcome> {
  const { world } = start;
  const exitMs = Math.round(world.host.clock.monotonic() - start.spawnedAt);
  const output = (await keepLastWords(start)).slice(-OUTPUT_BYTES);
  const lines = lastLines(output, SHOWN_LINES);
  const what = `"${start.name}" ended with ${describeExit(exit)} after ${seconds(exitMs)}`;
  start.path = "crashed";
  await recordCrash(start, { exit, message: what });
  return start.finish("crashed", {
    message: lines === "" ? `${what}, without a word in its log` : `${what}; its last words:\n${lines}`,
    hint: await crashHint(start, { exit, command, output }),
  });
}

/** What was seen of the reason: in its output, in its file, in how it ended. */
async function crashHint(
  start: ServerStart,
  { exit, command, output }: { exit: ExitStatus | null; command: ResolvedCommand; output: string },
): Promise<string> {
  const { name, definition, ports } = start;
  const trouble = await troubleOf(start, command);
  // A shell runs what the system itself does not: that it ended well then is not the program's doing.
  const cause = trouble === null ? "" : `${trouble.message}; ${trouble.hint}`;
  const isInputEnd = exit?.code === 0 && definition.stdin === "null";
  return cause || outputHint(printable(output), ports.port) ||
    joinHints(isInputEnd ? inputEndHint : "", `foster logs "${name}" shows all it said`);
}

/** Keeps the last words of this start's process as its crash log. */
async function keepLastWords({ world, folder, record }: ServerStart): Promise<string> {
  const since = record === null ? null : Date.parse(record.started_at);
  return await keepCrashLog(world.host, folder.paths, { since });
}

async function recordCrash(
  start: ServerStart,
  { exit, message }: { exit: ExitStatus | null; message: string },
): Promise<void> {
  const { record, folder, world } = start;
  if (record === null) return;
  const { pid, start_token } = record;
  const last_exit = { code: exit?.code ?? null, signal: exit?.signal ?? null, at: isoNow(world.host) };
  start.record = { ...advance(withoutProcess(record), "crash"), last_exit };
  await keepToken(start, record);
  await folder.write(start.record);
  await folder.event("crashed", { pid, start_token, message });
}

/** The server lives, but will not be ready: it is stopped again, so that the next start finds a clean place. */
export async function giveUp(
  start: ServerStart,
  why: string,
  { moreTimeHelps = false, listened = true } = {},
): Promise<Outcome> {
  const { folder, definition, ports: { port } } = start;
  await folder.event("not_ready", { message: why, pid: start.record?.pid ?? null });
  const output = (await keepLastWords(start)).slice(-OUTPUT_BYTES);
  const lines = lastLines(output, SHOWN_LINES);
  const elsewhere = listened ? "" : await elsewhereOf(start);
  const gone = await undoSpawn(start);
  const survivors = gone ? "; it was stopped again" : "; and it could not be stopped";
  const tail = lines === "" ? "" : `; its last words:\n${lines}`;
  const logs = `foster logs "${start.name}" shows all it said${
    moreTimeHelps ? "; --timeout waits longer" : ""
  }`;
  const answered = answerHint(definition, { last: why, output });
  const hint = outputHint(printable(output), port) || (answered === "" ? "" : joinHints(answered, logs)) ||
    (listened ? "" : unheardHint(definition, port)) || logs;
  const message = `Cannot start "${start.name}": ${why}${elsewhere}${survivors}${tail}`;
  return start.finish("not_ready", { message, hint, state: "crashed" });
}

/** Where a server listens that was never heard where it was asked to listen; "" where nobody can tell. */
async function elsewhereOf(start: ServerStart): Promise<string> {
  const { world: { host }, definition: { host: hostname }, ports: { port } } = start;
  const { owned } = await start.observe({ thorough: true });
  const pids = new Set([...owned.map(({ pid }) => pid), ...await start.carriers()]);
  const found = await findElsewhere(host, { pids, hostname, port }).catch((): string[] => []);
  if (found.length === 0) return "";
  return `; it listens on ${found.slice(0, SHOWN_ADDRESSES).join(" and ")} instead of ${
    bracketed(hostname)
  }:${port}`;
}

/** A `down` asked for the server's end while it started. */
export async function stopOnRequest(start: ServerStart): Promise<Outcome> {
  const gone = await undoSpawn(start);
  const message = `"${start.name}": stopped by foster down while it started`;
  return start.finish("no", { message, state: gone ? "stopped" : "stopping" });
}

/** The user interrupted: what this start spawned is ended again. */
export async function abandon(start: ServerStart): Promise<Outcome> {
  if (start.child !== null) {
    const pid = start.record?.pid ?? null;
    await undoSpawn(start);
    await start.folder.event("interrupted", { pid });
  }
  return start.finish("interrupted", { message: `"${start.name}": interrupted` });
}

/** Ends what this start spawned. True when all of it is gone; only then the record says so. */
export async function undoSpawn(start: ServerStart): Promise<boolean> {
  const { world, folder, record, definition } = start;
  if (record === null) return true;
  const ended = await endServer(world, {
    folder,
    record,
    definition,
    port: start.ports.port,
    graceMs: definition.stop.graceMs,
    portWaitMs: PORT_WAIT_MS.stop,
    proof: null,
    stopCommand: stopCommandOf(world, folder, start),
  });
  start.child = null;
  const gone = isAllGone(ended);
  if (gone) {
    await keepToken(start, record);
    start.record = advance(withoutProcess(record), "crash");
    await folder.write(start.record);
    await world.host.files.remove(folder.paths.pidFile);
    await folder.removeSessions();
  }
  return gone;
}

/** A process that this start leaves behind unproven is recognised by its instance token once it listens on the port. */
async function keepToken(start: ServerStart, record: ServerRecord): Promise<void> {
  if ((await start.carriers()).length === 0) return;
  await start.store({ tokens: [...start.stored.tokens, record.token].slice(-KEPT_TOKENS) });
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
