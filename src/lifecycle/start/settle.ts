/**
 * The good ends of a start: the server is ready and recorded, or adopted.
 *
 * @module
 */
import type { DetachedChild, ProcessFacts } from "../../host/host.ts";
import type { ServerRecord } from "../../registry/record.ts";
import { UNREACHED } from "../../mcp/snapshot.ts";
import { judgeLive } from "../observe/ask.ts";
import { giveUp, seconds, seeThrough, undoSpawn, waitFor } from "./begin.ts";
import type { Compatibility } from "../observe/compatibility.ts";
import { describeHolders } from "../observe/holders.ts";
import { attemptReady } from "../observe/live.ts";
import { isForeign, type Look } from "../observe/observe.ts";
import { versionHint } from "../messages_kept.ts";
import type { Ready } from "./ready.ts";
import { replace } from "./replace.ts";
import type { Outcome } from "../row.ts";
import type { Session } from "./session.ts";
import { isoNow } from "../world.ts";

/** How long a server that was ready before may be silent, handing over to a new process for example. */
const SILENCE_MS = 5000;

/** A server that this session spawned answered: is it ours that answers, and the right one? */
export async function settle(
  session: Session,
  { ready, child }: { ready: Ready; child: DetachedChild },
): Promise<Outcome | null> {
  const { world, machine, request: { definition } } = session;
  const seen = await session.look({ thorough: true });
  if (isDoubtful(seen) && !session.doubted) {
    // A process that could not be read for a moment is no stranger, and one that is gone again has proven nothing.
    session.doubted = true;
    return await seeThrough(session, child);
  }
  if (isStrangers(seen)) {
    // Somebody else took the port between the look and the spawn; the next look says who.
    const message = `port ${session.ports.port} was taken by ${await describeHolders(world.host, seen.port)}`;
    await session.folder.event("not_ready", { message, pid: session.record?.pid ?? null });
    await undoSpawn(session);
    session.guarded = false;
    return null;
  }
  const compatibility = judgeLive(session, ready.live);
  if (compatibility.kind === "incompatible") {
    const found = `${ready.live.name || "a nameless server"} ${ready.live.version}`.trim();
    const wanted = `${definition.identity.name ?? ""} ${definition.version ?? ""}`.trim();
    const what = `"${session.name}" turned out to be ${found}, not ${wanted} (${compatibility.reason})`;
    await session.folder.event("incompatible", { message: what, pid: session.record?.pid ?? null });
    await undoSpawn(session);
    const message = `${what}; it was stopped again`;
    machine.latchIncompatible({
      message,
      actualName: ready.live.name,
      actualVersion: ready.live.version,
      canRecover: false,
    });
    session.path = "incompatible";
    session.ready = ready;
    return session.finish("incompatible", { message, hint: mismatchHint(session, compatibility) });
  }
  await record(session, { seen, ready });
  await session.folder.event("ready", {
    pid: session.record?.pid ?? null,
    record: session.record ?? undefined,
  });
  machine.transition("ready");
  return session.finish("done", { message: session.said, hint: "" });
}

function mismatchHint(
  session: Session,
  compatibility: Extract<Compatibility, { kind: "incompatible" }>,
): string {
  switch (compatibility.reason) {
    case "unknown":
    case "version_mismatch":
      return versionHint(session.name, {
        kept: session.kept.version,
        asked: session.request.overrides.version,
      });
    case "name_mismatch":
      return `correct "identity" in its definition`;
    case "ws_port_mismatch":
      return `correct "wsPort" in its definition, and how it is passed on`;
  }
}

/** Our own running server is the right one. */
export async function adopt(session: Session, seen: Look): Promise<Outcome | null> {
  const ready = session.asked?.ready ?? null;
  if (ready === null) return null;
  await record(session, { seen, ready });
  if (session.child === null) {
    await session.folder.event("adopted", {
      pid: session.record?.pid ?? null,
      record: session.record ?? undefined,
    });
    session.path = "adopted";
  }
  session.adoption = "managed";
  session.guarded = true;
  session.machine.transition("ready");
  return session.finish("done", { message: session.said, hint: "" });
}

/** The right server, started by somebody else: it is used, and never ended by foster. */
export async function adoptExternal(session: Session, seen: Look): Promise<Outcome> {
  const { world, folder, machine, request: { definition } } = session;
  const attempt = await attemptReady(world.host, {
    definition,
    endpoint: session.endpoint,
    timeoutMs: definition.ready.probeTimeoutMs,
    signal: world.signal,
  });
  const holders = await describeHolders(world.host, seen.port);
  if (attempt.kind !== "ready") {
    return session.finish("notReady", {
      message:
        `"${session.name}" runs already (${holders}), started by somebody else, but is not ready: ${attempt.reason}`,
      hint: `stop it where it was started; foster up "${session.name}" then starts foster's own`,
    });
  }
  session.record = null;
  await folder.forget();
  session.adoption = "external";
  session.path = "adopted";
  session.guarded = true;
  session.ready = attempt;
  machine.transition("ready");
  return session.finish("done", {
    message: `uses the server that somebody else started${holders === "" ? "" : ` (${holders})`}; ` +
      `foster will not stop it`,
    hint: "",
  });
}

/** Ours lives but does not listen: still starting, handing over, or stuck. */
export async function awaitOurs(
  session: Session,
  { wasReady, seen }: { wasReady: boolean; seen: Look },
): Promise<Outcome | null> {
  const { request, machine } = session;
  if (machine.state === "uninitialized") machine.transition("spawning");
  if (!request.waitForReady && !wasReady) return session.finish("done");
  const timeoutMs = wasReady ? Math.min(SILENCE_MS, request.timeoutMs) : request.timeoutMs;
  const result = await waitFor(session, { exited: null, timeoutMs });
  switch (result.kind) {
    case "ready":
    case "dead":
      // Who answers, or what is left, is for the next look to tell.
      session.asked = null;
      return null;
    case "asked_to_stop":
      return session.finish("no", { message: `"${session.name}": stopped by foster down`, hint: "" });
    case "permanent":
    case "timeout": {
      const why = result.kind === "timeout" ? result.last : result.reason;
      if (!wasReady) {
        return seen.owned.length > 0
          ? await giveUp(session, `not ready after ${seconds(request.timeoutMs)}: ${why}`, {
            moreTimeHelps: result.kind === "timeout",
            listened: result.kind !== "timeout" || result.listened,
          })
          : session.finish("notReady", {
            message: `"${session.name}" was started by a foster that ended (${seen.pending.join(", ")}), ` +
              `and never listened: ${why}`,
            hint: `end it by hand: kill ${seen.pending.join(" ")}`,
          });
      }
      session.asked = {
        answered: false,
        snapshot: session.asked?.snapshot ?? UNREACHED,
        compatibility: { kind: "incompatible", reason: "unknown" },
        ready: null,
        reason: why,
      };
      return await replace(session, { kind: "replace", reason: "silent", proof: null });
    }
  }
}

/** Nobody is found who could have answered, or only others. */
function isDoubtful(seen: Look): boolean {
  return seen.port.kind === "free" || isStrangers(seen);
}

/** The port is held by processes that can be named, and none of them is ours. */
function isStrangers({ port }: Look): boolean {
  return isForeign(port) && port.holders.length > 0;
}

async function record(session: Session, { seen, ready }: { seen: Look; ready: Ready }): Promise<void> {
  const { world, folder, request } = session;
  const before = session.record;
  if (before === null) return;
  const listener = listenerOf(seen, before.pid);
  const now = isoNow(world.host);
  session.ready = ready;
  session.record = {
    ...before,
    want: "up",
    state: "ready",
    // An explicit up pins a server that a client's start would let go again.
    started_by: request.startedBy === "up" ? "up" : before.started_by,
    pid: listener?.pid ?? before.pid ?? before.launcher_pid,
    start_token: listener?.startTime ?? before.start_token ?? before.launcher_start_token,
    owner_pid: request.ownerPid ?? before.owner_pid,
    version: ready.live.version || null,
    server_name: ready.live.name || null,
    protocol: ready.protocol,
    ready_at: before.ready_at ?? now,
    next_attempt: null,
  };
  if (before.launcher_pid === null) session.record = await withLeader(session, seen);
  await folder.write(session.record);
}

/** The recorded listener where it still is one, else the first of ours. */
function listenerOf(seen: Look, recorded: number | null): Pick<ProcessFacts, "pid" | "startTime"> | null {
  if (seen.port.kind === "free") return null;
  const ours = seen.port.holders.filter((holder) => holder.owned && holder.startTime !== null);
  const chosen = ours.find((holder) => holder.pid === recorded) ?? ours[0];
  return chosen === undefined ? null : { pid: chosen.pid, startTime: chosen.startTime ?? "" };
}

/** Completes the record of a start that was cut off before it knew its child: the group's leader carries our instance token. */
async function withLeader(session: Session, seen: Look): Promise<ServerRecord> {
  const record = session.record;
  if (record === null) throw new Error("there is no record to complete");
  const listener = seen.owned.find((process) => process.pid === record.pid);
  if (listener === undefined || listener.groupId <= 1) return record;
  const { processes } = session.world.host;
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
