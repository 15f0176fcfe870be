/**
 * Ends an earlier server so that the wanted one can start, or says why that may not be.
 *
 * @module
 */
import { changedKeys } from "../../definitions/hash.ts";
import { askStranger } from "../observe/ask.ts";
import { describeHolders } from "../observe/holders.ts";
import type { Look } from "../observe/observe.ts";
import { incompatibleMessage } from "../messages.ts";
import { findProof } from "../observe/proof.ts";
import type { Outcome } from "../row.ts";
import type { Session } from "./session.ts";
import type { ReplaceReason, StartDecision } from "./decide.ts";
import { type Ended, endServer } from "../stop/stop.ts";

/** The parts of the definition that are not what the recorded server was started from. */
export function changesOf(session: Session): string[] {
  const { record, hash, overrides } = session;
  if (record === null || record.spec_hash === hash.whole) return [];
  const keys = changedKeys(overrides.parts, hash.parts);
  return keys.length > 0 ? keys : ["the definition"];
}

const REASONS: Record<ReplaceReason, (session: Session) => string> = {
  asked: () => "restarted",
  definition_changed: (session) => `restarted because ${changesOf(session).join(", ")} changed`,
  version: (session) =>
    `replaced version ${session.asked?.snapshot.version || "unknown"} by ${
      session.request.definition.version ?? "this one"
    }`,
  silent: (session) => `restarted because it did not answer: ${session.asked?.reason ?? ""}`,
  port_lost: () => "ended because another process holds its port",
  proof: () => "replaced the holder of its port",
};

/** Ends what is ours, or what the proof names, so that the next look finds the port free. */
export async function replace(
  session: Session,
  { reason, proof }: Extract<StartDecision, { kind: "replace" }>,
): Promise<Outcome | null> {
  const { world, folder, machine, request } = session;
  const said = REASONS[reason](session);
  world.progress(session.name, said);
  machine.transition("stopping");
  await folder.event("stopping", { message: said, pid: session.record?.pid ?? null });
  const ended = await endServer(world, {
    folder,
    record: session.record,
    definition: request.definition,
    port: session.ports.port,
    graceMs: request.definition.stop.graceMs,
    portWaitMs: reason === "port_lost" ? 0 : request.portWaitMs,
    proof,
  });
  session.asked = null;
  session.recovered = {
    proof: session.recovered?.proof ?? proof?.kind ?? "managed_record",
    killed: [...new Set([...session.recovered?.killed ?? [], ...ended.ended])],
  };
  session.said = said;
  const ours = ended.after.owned.length > 0;
  if (ended.survivors.length > 0 || ours || (reason !== "port_lost" && ended.after.port.kind === "held")) {
    if (reason !== "proof" && !ours && ended.survivors.length === 0) {
      // Ours is gone and somebody else was quicker: the next look says who.
      await forget(session);
      return null;
    }
    return withSurvivors(await refuse(session, ended.after), ended);
  }
  await forget(session);
  return null;
}

function withSurvivors(outcome: Outcome, { survivors }: Ended): Outcome {
  if (survivors.length === 0) return outcome;
  const who = survivors.map(({ pid, why }) => `pid ${pid} (${why})`).join(", ");
  const message = `Cannot replace "${outcome.row.name}": ${who}`;
  return { ...outcome, row: { ...outcome.row, message, hint: "foster doctor processes" } };
}

async function forget(session: Session): Promise<void> {
  session.previous = session.record ?? session.previous;
  session.record = null;
  await session.folder.forget({ keepOverrides: true });
  session.machine.transition("stopped");
  session.machine.clear();
}

/** The holder of the port is not the server that is wanted, and nothing proves that it may be ended. */
export async function refuse(session: Session, seen: Look): Promise<Outcome> {
  const { world, machine, ports, request: { definition } } = session;
  session.asked ??= await askStranger(session);
  const canRecover = findProof({
    look: seen,
    live: session.asked.snapshot,
    expectedName: definition.identity.name,
    userAsked: true,
  }) !== null;
  const { compatibility } = session.asked;
  const aboutVersion = compatibility.kind === "incompatible" && compatibility.reason === "version_mismatch";
  const said = incompatibleMessage({
    name: session.name,
    port: ports.port,
    wsPort: ports.wsPort,
    expectedName: definition.identity.name ?? session.name,
    expectedVersion: definition.version,
    live: session.asked.snapshot,
    holders: await describeHolders(world.host, seen.port),
    canRecover,
    kept: { port: session.kept.port, version: aboutVersion ? session.kept.version : null },
  });
  machine.latchIncompatible({
    message: said.message,
    actualName: session.asked.snapshot.name,
    actualVersion: session.asked.snapshot.version,
    canRecover,
  });
  session.path = "incompatible";
  session.guarded = true;
  return session.finish("incompatible", said);
}
