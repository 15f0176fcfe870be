/**
 * Ends an earlier server so that the wanted one can start, or says why that may not be.
 *
 * @module
 */
import type { ServerRecord } from "../../registry/record.ts";
import { changedKeys } from "../../definitions/hash.ts";
import {
  heldPortHint,
  incompatibleMessage,
  joinHints,
  otherServerMessage,
  overridesHint,
} from "../messages.ts";
import { describeHolders, isForeign, type Observation } from "../observe/observe.ts";
import { findProof } from "../observe/proof.ts";
import { advance } from "../state.ts";
import { whyNoRoom } from "../room.ts";
import type { Outcome } from "../row.ts";
import { type EndResult, endServer } from "../stop/end_server.ts";
import { stopCommandOf } from "../stop/stop_command.ts";
import { askWhoHolds } from "./ask.ts";
import { withoutProcess } from "./fail.ts";
import type { ReplaceReason, StartDecision } from "./decide.ts";
import type { ServerStart } from "./server_start.ts";
import { lostVariables } from "./variables_set.ts";

/** The parts of the definition that are not what the recorded server was started from. */
export function changesOf({ record, hash, stored, ports }: ServerStart): string[] {
  if (record === null) return [];
  // An automatic port that was chosen anew is in no hash.
  if (record.spec_hash === hash.whole) return record.port === ports.port ? [] : ["port"];
  const keys = changedKeys(stored.parts, hash.parts);
  return keys.length > 0 ? keys : ["the definition"];
}

const REASONS: Record<ReplaceReason, (start: ServerStart) => string> = {
  asked: () => "restarted",
  definition_changed: (start) => `restarted because ${changesOf(start).join(", ")} changed`,
  version: ({ holder, definition }) =>
    `replaced version ${holder?.snapshot.version || "unknown"} by ${definition.version ?? "this one"}`,
  silent: ({ holder }) => `restarted because it did not answer: ${holder?.reason ?? ""}`,
  port_lost: () => "ended because another process holds its port",
  proof: () => "replaced the holder of its port",
};

/** Ends what is ours, or what the proof names, so that the next observation finds the port free. */
export async function replace(
  start: ServerStart,
  { reason, proof }: Extract<StartDecision, { kind: "replace" }>,
): Promise<Outcome | null> {
  const { world, folder, definition } = start;
  // What can't be started again is not ended.
  const noRoom = await whyNoRoom(world.host, folder);
  if (noRoom !== null) {
    const message = `Cannot restart "${start.name}": ${noRoom.message}; nothing was ended`;
    return start.finish("failed", { ...noRoom, message, state: start.record?.state });
  }
  const lost = start.options.allowUnset
    ? null
    : await lostVariables({ host: world.host, folder, definition });
  if (lost !== null) return start.finish("usage", { ...lost, state: start.record?.state });
  start.note = REASONS[reason](start);
  world.progress(start.name, start.note);
  await folder.event("stopping", { message: start.note, pid: start.record?.pid ?? null });
  const ended = await endServer(world, {
    folder,
    record: start.record,
    definition,
    port: start.ports.port,
    graceMs: definition.stop.graceMs,
    portWaitMs: reason === "port_lost" ? 0 : start.portWaitMs,
    proof,
    stopCommand: stopCommandOf(world, folder, start),
  });
  await world.afterEnd?.();
  const { after, survivors } = ended;
  start.holder = null;
  start.recovered = {
    proof: start.recovered?.proof ?? proof?.kind ?? "managed_record",
    killed: [...new Set([...start.recovered?.killed ?? [], ...ended.ended])],
  };
  const oursLeft = after.owned.length > 0;
  const portLeft = reason !== "port_lost" && after.port.kind === "held";
  // Where only the port is left and ours is gone, somebody else was quicker: the next observation says who.
  const isOthersPort = portLeft && reason !== "proof" && !oursLeft;
  if (survivors.length > 0 || oursLeft || (portLeft && !isOthersPort)) {
    return withSurvivors(await refuseIncompatible(start, after), ended);
  }
  start.previous = start.record ?? start.previous;
  if (start.record !== null && after.port.kind === "held") {
    // The record stays until the port is the server's again, or down.
    start.record = advance(withoutProcess(start.record), "end");
    await folder.write(start.record);
    await world.host.files.remove(folder.paths.pidFile);
    await folder.removeSessions();
    return null;
  }
  start.record = null;
  await folder.forget({ keepOverrides: true });
  return null;
}

function withSurvivors(outcome: Outcome, { survivors }: EndResult): Outcome {
  if (survivors.length === 0) return outcome;
  const who = survivors.map(({ pid, why }) => `pid ${pid} (${why})`).join(", ");
  const message = `Cannot replace "${outcome.row.name}": ${who}`;
  return { ...outcome, row: { ...outcome.row, message, hint: "foster doctor processes" } };
}

/** The holder of the port is not the server that is wanted, and nothing proves that it may be ended. */
export async function refuseIncompatible(start: ServerStart, observed: Observation): Promise<Outcome> {
  const { world, ports, definition, remembered } = start;
  start.holder ??= await askWhoHolds(start, { owned: false });
  const { snapshot, compatibility } = start.holder;
  const proof = findProof({
    observed,
    live: snapshot,
    expectedName: definition.identity.name,
    userAsked: true,
  });
  const aboutVersion = compatibility.kind === "incompatible" && compatibility.reason === "version_mismatch";
  start.path = "incompatible";
  start.hasActed = true;
  const explanation = incompatibleMessage({
    name: start.name,
    port: ports.port,
    wsPort: ports.wsPort,
    expectedName: definition.identity.name ?? start.name,
    expectedVersion: definition.version,
    live: snapshot,
    holders: await describeHolders(world.host, observed.port),
    canRecover: proof !== null,
    isAuto: definition.port === "auto",
    overrides: { port: remembered.port, version: aboutVersion ? remembered.version : null },
  });
  return start.finish("incompatible", { ...explanation, canRecover: proof !== null });
}

/** The right server, perhaps, but another one of foster's own: it is not used, nor ended, under a second name. */
export async function refuseOtherServer(
  start: ServerStart,
  { observed, server }: { observed: Observation; server: ServerRecord },
): Promise<Outcome> {
  const { world, ports: { port }, remembered, definition } = start;
  const holders = await describeHolders(world.host, observed.port);
  start.path = "incompatible";
  start.hasActed = true;
  return start.finish(
    "incompatible",
    otherServerMessage(start.name, {
      port,
      holders,
      overriddenPort: remembered.port,
      isAuto: definition.port === "auto",
      server,
    }),
  );
}

/** A forced restart needs a listener that is ours; a free port needs no force. Null: it may go on. */
export async function refuseForce(start: ServerStart): Promise<Outcome | null> {
  const { world, name, definition, ports: { port }, endpoint, remembered } = start;
  const observed = await start.observe({ thorough: true });
  if (!isForeign(observed.port)) return null;
  const holders = await describeHolders(world.host, observed.port);
  return start.finish("refused", {
    message: `Refused to restart "${name}": nothing proves that the holder of port ${port} ` +
      `(${holders || "not visible from here"}) is foster's`,
    hint: definition.identity.name === null
      ? heldPortHint(name, {
        endpoint,
        overriddenPort: remembered.port,
        isAuto: definition.port === "auto",
        isNamed: false,
      })
      : joinHints(
        overridesHint(name, { port: remembered.port }),
        `foster recover "${name}" if it is the same server; else stop that process`,
      ),
  });
}
