/**
 * Takes a server away: supervisor first, then the processes that are provably ours, then the record.
 *
 * @module
 */
import { HostError, isSameStart, type ProcessFacts } from "../../host/host.ts";
import { verdictNow } from "../../registry/identity.ts";
import { isElsewhere } from "../../registry/namespaces.ts";
import type { ServerRecord } from "../../registry/record.ts";
import { readSupervisorFile } from "../../registry/supervisor_files.ts";
import type { ServerFolder, StopSettings } from "../../registry/store.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { findDevSource } from "../../definitions/launch/environment.ts";
import { askHolder } from "../observe/live.ts";
import { describeHolders, isForeign } from "../observe/observe.ts";
import { observeDefined } from "../observe/observe_defined.ts";
import { describeServer } from "../messages.ts";
import { findOtherServer } from "../observe/other_server.ts";
import { findProof, type Proof } from "../observe/proof.ts";
import { whyNoRoom } from "../room.ts";
import { emptyRow, type Outcome, plainOutcome, rowOfRecord } from "../row.ts";
import { advance } from "../state.ts";
import type { StateLabel } from "../../registry/state_label.ts";
import { endedAlready, type EndRequest, type EndResult, endServer, PORT_WAIT_MS } from "./end_server.ts";
import { climbLadder } from "./ladder.ts";
import { stopCommandOf } from "./stop_command.ts";
import { downUnrecorded } from "./unrecorded.ts";
import type { World } from "../world.ts";

export interface DownRequest {
  name: string;
  key: string;
  /** Null where only the record is left of it. */
  definition: ServerDefinition | null;
  /** An external server that the user named is a refusal; one that merely came along is not. */
  named: boolean;
  /**
   * For who ends it unasked: called under the lock with what is recorded then; false leaves everything as it is. Such an
   * end makes no start in progress give up.
   */
  stillDue?(record: ServerRecord | null): Promise<boolean>;
  /** Make room for another version: a strong proof then also names others. */
  handoff: boolean;
  /**
   * All processes as they were a moment ago, for many servers at once: enough to find that nothing of a dead one is left.
   * What is ended is looked for anew.
   */
  recentProcesses?: () => Promise<readonly ProcessFacts[]>;
}

/** A start in progress gives up within 200 ms, and then still has to end what it spawned. */
const LOCK_WAIT_MS = 60_000;
const SUPERVISOR_GRACE_MS = 5000;
const DEFAULT_GRACE_MS = 5000;

export async function stopServer(world: World, request: DownRequest): Promise<Outcome> {
  const folder = world.state.server(request.key);
  if (await world.host.files.stat(folder.paths.folder) === null) {
    return await downUnrecorded(world, folder, request);
  }
  let isOurs = false;
  let asks = false;
  try {
    let lock = await folder.lock({ waitMs: 0, signal: world.signal });
    if (lock === null) {
      // Whoever holds the lock is asked to give up what it does.
      asks = request.stillDue === undefined;
      if (asks) await unlessFull(world, folder.askToStop());
      lock = await folder.lock({ waitMs: LOCK_WAIT_MS, signal: world.signal });
    }
    if (lock === null) {
      return plainOutcome(request, folder, {
        kind: "guarded",
        message: `"${request.name}" is held by another foster, which was asked to stop it`,
        hint: `foster status "${request.name}"`,
      });
    }
    isOurs = true;
    try {
      return await stopUnderLock(world, folder, request);
    } finally {
      lock.release();
    }
  } finally {
    // We never got the lock: its holder still has to see the stop request.
    if (isOurs && asks) await folder.clearStopRequest();
  }
}

/** To end a server needs no room on the disk: a write that a full disk refuses is left out. */
async function unlessFull(world: World, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof HostError && error.code === "no_space")) throw error;
    world.warn(`the disk is full: ${error.message}`);
  }
}

async function stopUnderLock(world: World, folder: ServerFolder, request: DownRequest): Promise<Outcome> {
  const startedAt = world.host.clock.monotonic();
  const found = await folder.readOrHeal();
  if (request.stillDue !== undefined && !await request.stillDue(found)) {
    return { kind: "done", row: found === null ? emptyRow(request.name, folder.key) : rowOfRecord(found) };
  }
  if (found === null) {
    const outcome = await downUnrecorded(world, folder, request);
    // A replacement that failed left what --port and --version said.
    await folder.forget();
    return outcome;
  }
  if (isElsewhere(found)) {
    return plainOutcome(request, folder, {
      kind: "refused",
      message:
        `Cannot stop "${request.name}": it was started in another PID namespace, a container for example, ` +
        "whose processes can't be told from here; nothing was ended",
      hint: `type foster down "${request.name}" there`,
    });
  }
  const noRoom = request.handoff ? await whyNoRoom(world.host, folder) : null;
  if (noRoom !== null) {
    const message = `Cannot hand "${request.name}" over: ${noRoom.message}; nothing was ended`;
    return { kind: "failed", row: { ...rowOfRecord(found), ...noRoom, message } };
  }
  const record: ServerRecord = { ...advance(found, "stop"), want: "down" };
  const settings = await stopSettings(folder, request.definition);
  const end: EndRequest = {
    folder,
    record,
    definition: settings,
    port: record.port,
    graceMs: settings?.graceMs ?? DEFAULT_GRACE_MS,
    portWaitMs: PORT_WAIT_MS.stop,
    proof: null,
    stopCommand: stopCommandOf(world, folder, { definition: request.definition, record }),
  };
  const proof = request.handoff ? await provenOthers(world, folder, { request, record }) : null;
  let ended = request.handoff ? null : await endedAlready(world, end, request.recentProcesses);
  if (ended === null) {
    // Latched before anything is ended: nobody may start it again from here on.
    await unlessFull(world, folder.write(record));
    world.progress(request.name, "stopping");
    await endSupervisor(world, record);
    ended = await endServer(world, end);
  }
  const handedOver = proof === null ? ended : await endOthers(world, { request: end, proof, ended });
  if (handedOver.ended.length > 0) await world.afterEnd?.();
  const outcome = await conclude(world, folder, { record, found, ended: handedOver, settings });
  return {
    ...outcome,
    row: { ...outcome.row, elapsed_ms: Math.round(world.host.clock.monotonic() - startedAt) },
  };
}

type KnownSettings = StopSettings & { host?: ServerDefinition["host"] };

/** As its definition says, else as it said at the start; null where that is lost too. */
async function stopSettings(
  folder: ServerFolder,
  definition: ServerDefinition | null,
): Promise<KnownSettings | null> {
  if (definition === null) return (await folder.overrides()).stop;
  const { host, brand, brandFlags, stop: { graceMs } } = definition;
  return { host, brand, brandFlags, graceMs };
}

async function conclude(
  world: World,
  folder: ServerFolder,
  { record, found, ended, settings }: {
    record: ServerRecord;
    /** As it stood before this stop. */
    found: ServerRecord;
    ended: EndResult;
    settings: KnownSettings | null;
  },
): Promise<Outcome> {
  const { after, survivors } = ended;
  const killed = ended.ended;
  const recovered = killed.length === 0 ? null : { proof: "managed_record" as const, killed };
  const row = (state: StateLabel, message: string, hint = ""): Outcome["row"] => ({
    ...rowOfRecord(record, state),
    pid: state === "stopped" ? null : record.pid,
    adoption: null,
    recovered,
    message,
    hint,
  });
  if (survivors.length > 0) {
    await unlessFull(world, folder.write(advance(record, "stop")));
    const who = survivors.map(({ pid, why }) => `pid ${pid} (${why})`).join(", ");
    return {
      kind: "no",
      row: row("stopping", `Cannot stop "${record.name}": ${who}`, "foster doctor processes"),
    };
  }
  if (after.liveness.kind === "unknown") {
    const message =
      `Cannot tell whether "${record.name}" still runs: ${after.liveness.why}; nothing was signalled`;
    return { kind: "refused", row: row("stopping", message, "foster doctor tools") };
  }
  if (after.pending.length > 0) {
    // A start that was given up is not awaited by the next one; one that was cut off may be ready any moment.
    const { state } = advance(found, "doubt");
    await unlessFull(world, folder.write({ ...record, state }));
    const what = state === "crashed"
      ? "did not become ready and left a process behind"
      : "was started by a foster that ended before it knew its child";
    const message = `"${record.name}" ${what}; ` +
      `pid ${after.pending.join(", ")} may be it, but nothing proves that yet`;
    const hint = `try again once it listens on port ${record.port}, or end it by hand: kill ${
      after.pending.join(" ")
    }`;
    return { kind: "refused", row: row(state, message, hint) };
  }
  if (settings === null && after.listenerPids.has(after.pidFilePid)) {
    const message =
      `Cannot tell whether pid ${after.pidFilePid}, which its pid file names, is "${record.name}": ` +
      `its definition is not in scope`;
    return {
      kind: "refused",
      row: row("stopping", message, `give ${record.config ?? "its definition file"} with --config`),
    };
  }
  const other = await findOtherServer(world, { key: folder.key, port: after.port });
  const named = await describeHolders(world.host, after.port);
  const holders = other === null ? named : describeServer(other, named);
  if (after.port.kind === "held" && killed.length > 0) {
    await unlessFull(world, folder.write(advance(record, "end")));
    const message = `"${record.name}" was stopped, but port ${record.port} is still held` +
      (holders === "" ? "" : ` by ${holders}`);
    return { kind: "no", row: row("stopped", message, "foster doctor ports") };
  }
  await unlessFull(world, folder.event("stopped", { pid: record.pid, start_token: record.start_token }));
  await folder.forget();
  const foreign = after.port.kind === "held" && holders !== ""
    ? `it was gone already; port ${record.port} is held by ${holders}${
      other === null ? ", which foster did not start" : ""
    }`
    : "";
  return { kind: "done", row: row("stopped", foreign) };
}

async function endSupervisor(world: World, record: ServerRecord): Promise<void> {
  const supervisor = record.supervisor;
  if (supervisor === null || supervisor.pid === world.host.processes.selfPid) return;
  if ((await verdictNow(world.host, supervisor)).kind !== "ours") return;
  // The one that keeps many servers lets go of a latched one by itself, and is nobody's to end for the sake of one.
  const one = await readSupervisorFile(world.host, world.state.path);
  const { pid, start_token } = supervisor;
  if (one.kind === "file" && one.value.pid === pid && isSameStart(one.value.start_token, start_token)) return;
  await climbLadder(world.host, {
    targets: { groups: [], processes: [supervisor] },
    signaller: world.signaller,
    graceMs: SUPERVISOR_GRACE_MS,
  });
}

/**
 * Whom a hand-off may end besides our own, to make room for another version: asked before ours are gone, since a proof is
 * strong only while one of them lives. Null for none, and in a checkout, where whatever runs is the developer's.
 */
async function provenOthers(
  world: World,
  folder: ServerFolder,
  { request: { definition }, record }: { request: DownRequest; record: ServerRecord },
): Promise<Proof | null> {
  const { host, signal } = world;
  if (definition === null || definition.identity.name === null) return null;
  if (await findDevSource(host, definition) !== null) return null;
  const observed = await observeDefined(host, definition, {
    folder,
    record,
    port: record.port,
    thorough: true,
  });
  if (!isForeign(observed.port)) return null;
  const live = await askHolder(host, { definition, endpoint: record.endpoint, signal });
  return findProof({ observed, live, expectedName: definition.identity.name, userAsked: false });
}

/** After our own are gone: those of the proof that still hold the port. */
async function endOthers(
  world: World,
  { request, proof, ended }: { request: EndRequest; proof: Proof; ended: EndResult },
): Promise<EndResult> {
  const { port } = ended.after;
  if (port.kind === "free") return ended;
  const targets = proof.targets.filter((target) =>
    port.holders.some(({ pid, startTime }) =>
      pid === target.pid && isSameStart(startTime, target.start_token)
    )
  );
  if (targets.length === 0) return ended;
  const again = await endServer(world, {
    ...request,
    portWaitMs: PORT_WAIT_MS.drift,
    proof: { ...proof, targets },
    stopCommand: null,
  });
  return { ...again, ended: [...new Set([...ended.ended, ...again.ended])] };
}
