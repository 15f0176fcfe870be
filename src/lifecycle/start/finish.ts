/**
 * The good ends of a start: the server is ready and recorded, or adopted.
 *
 * @module
 */
import type { ProcessFacts } from "../../host/host.ts";
import type { ServerRecord } from "../../registry/record.ts";
import { describeMismatch } from "../messages.ts";
import { versionHint } from "../messages.ts";
import type { Compatibility } from "../observe/compatibility.ts";
import { attemptReady } from "../observe/live.ts";
import { describeHolders, isForeign, type Observation } from "../observe/observe.ts";
import type { Outcome } from "../row.ts";
import { advance } from "../state.ts";
import { isoNow } from "../world.ts";
import { compareWithWanted } from "./ask.ts";
import { undoSpawn } from "./fail.ts";
import type { Ready, ServerStart } from "./server_start.ts";

/**
 * The server that this start spawned is said to be ready: is it ours that answers, and the right one? `ask_again`: the
 * answer could not be traced to a process of ours. `observe_again`: another process took the port.
 */
export async function settle(
  start: ServerStart,
  ready: Ready,
): Promise<Outcome | "ask_again" | "observe_again"> {
  const { folder, definition } = start;
  const observed = await start.observe({ thorough: true });
  if (observed.port.kind === "free" && !start.doubted) {
    // One that is gone again has proven nothing.
    start.doubted = true;
    return "ask_again";
  }
  const taken = await whetherTaken(start, observed);
  if (taken !== "no") return taken;
  const compatibility = compareWithWanted(start, ready.live);
  if (compatibility.kind === "incompatible") {
    const what = describeMismatch(definition, { live: ready.live, reason: compatibility.reason });
    await folder.event("incompatible", { message: what, pid: start.record?.pid ?? null });
    await undoSpawn(start);
    start.path = "incompatible";
    start.ready = ready;
    const message = `${what}; it was stopped again`;
    return start.finish("incompatible", { message, hint: mismatchHint(start, compatibility) });
  }
  await recordReady(start, { observed, ready });
  await folder.event("ready", eventDetails(start));
  return start.finish("done", { message: start.note });
}

/** Whether the port is another process's: what answered, or refused, was then not the server that this start spawned. */
export async function whetherTaken(
  start: ServerStart,
  observed: Observation,
): Promise<"no" | "ask_again" | "observe_again"> {
  const { world, folder, ports } = start;
  if (!isForeign(observed.port) || observed.port.holders.length === 0) return "no";
  if (!start.doubted) {
    // A process that could not be read for a moment is not foreign.
    start.doubted = true;
    return "ask_again";
  }
  const message = `port ${ports.port} was taken by ${await describeHolders(world.host, observed.port)}`;
  await folder.event("not_ready", { message, pid: start.record?.pid ?? null });
  await undoSpawn(start);
  start.hasActed = false;
  return "observe_again";
}

function mismatchHint(
  { name, remembered, options }: ServerStart,
  { reason }: Extract<Compatibility, { kind: "incompatible" }>,
): string {
  switch (reason) {
    case "unknown":
    case "version_mismatch":
      return versionHint(name, { remembered: remembered.version, asked: options.version });
    case "name_mismatch":
      return `correct "identity" in its definition`;
    case "ws_port_mismatch":
      return `correct "wsPort" in its definition, and how it is passed on`;
  }
}

/** Our own running server is the right one. */
export async function adopt(start: ServerStart, observed: Observation): Promise<Outcome | null> {
  const ready = start.holder?.ready ?? null;
  if (ready === null) return null;
  await recordReady(start, { observed, ready });
  if (start.child === null) {
    await start.folder.event("adopted", eventDetails(start));
    start.path = "adopted";
  }
  start.adoption = "managed";
  start.hasActed = true;
  return start.finish("done", { message: start.note });
}

/** The right server, started by somebody else: it is used, and never ended by foster. */
export async function adoptExternal(start: ServerStart, observed: Observation): Promise<Outcome> {
  const { world, folder, definition, endpoint } = start;
  const attempt = await attemptReady(world.host, { definition, endpoint, signal: world.signal });
  const holders = await describeHolders(world.host, observed.port);
  if (attempt.kind !== "ready") {
    return start.finish("not_ready", {
      state: "uninitialized",
      message:
        `"${start.name}" runs already (${holders}), started by somebody else, but is not ready: ${attempt.reason}`,
      hint: `stop it where it was started; foster up "${start.name}" then starts foster's own`,
    });
  }
  start.record = null;
  await folder.forget();
  start.adoption = "external";
  start.path = "adopted";
  start.hasActed = true;
  start.ready = attempt;
  const who = holders === "" ? "" : ` (${holders})`;
  const message = `uses the server that somebody else started${who}; foster will not stop it`;
  return start.finish("done", { message });
}

function eventDetails({ record }: ServerStart): { pid: number | null; record?: ServerRecord } {
  return { pid: record?.pid ?? null, record: record ?? undefined };
}

async function recordReady(
  start: ServerStart,
  { observed, ready }: { observed: Observation; ready: Ready },
): Promise<void> {
  const { options, record: before } = start;
  if (before === null) throw new Error(`"${start.name}" is ready without a record`);
  const listener = listenerOf(observed, before.pid);
  start.ready = ready;
  const record: ServerRecord = {
    ...advance(before, "ready"),
    want: "up",
    // An explicit up pins a server that a client's start would let go again.
    started_by: options.startedBy === "up" ? "up" : before.started_by,
    pid: listener?.pid ?? before.pid ?? before.launcher_pid,
    start_token: listener?.startTime ?? before.start_token ?? before.launcher_start_token,
    owner_pid: options.ownerPid ?? before.owner_pid,
    version: ready.live.version || null,
    server_name: ready.live.name || null,
    protocol: ready.protocol,
    ready_at: before.ready_at ?? isoNow(start.world.host),
    next_attempt: null,
  };
  start.record = before.launcher_pid === null ? await withLeader(start, { record, observed }) : record;
  await start.folder.write(start.record);
}

/** The recorded listener where it still is one, else the first of ours. */
function listenerOf(
  { port }: Observation,
  recorded: number | null,
): Pick<ProcessFacts, "pid" | "startTime"> | null {
  if (port.kind === "free") return null;
  const ours = port.holders.filter((holder) => holder.owned && holder.startTime !== null);
  const chosen = ours.find((holder) => holder.pid === recorded) ?? ours[0];
  return chosen === undefined ? null : { pid: chosen.pid, startTime: chosen.startTime ?? "" };
}

/** Completes the record of a start that was cut off before it knew its child: the group's leader carries our instance token. */
async function withLeader(
  { world: { host: { processes } } }: ServerStart,
  { record, observed }: { record: ServerRecord; observed: Observation },
): Promise<ServerRecord> {
  const listener = observed.owned.find((process) => process.pid === record.pid);
  if (listener === undefined || listener.groupId <= 1) return record;
  const [carrier] = await processes.carrying(`FOSTER_TOKEN=${record.token}`, [listener.groupId]);
  const leader = (await processes.inspect([listener.groupId])).get(listener.groupId);
  if (carrier === undefined || leader?.kind !== "seen" || leader.facts.groupId !== carrier) return record;
  return {
    ...record,
    pgid: carrier,
    launcher_pid: carrier,
    launcher_start_token: leader.facts.startTime,
  };
}
