/**
 * Brings a server up: looks, decides, acts and looks again, under the server's lock.
 *
 * @module
 */
import { loadClient } from "../../mcp/probe.ts";
import type { ServerFolder } from "../../registry/store.ts";
import { specHash, specParts } from "../../definitions/hash.ts";
import { askOwn, askStranger } from "../observe/ask.ts";
import { spawnAndWait, undoSpawn } from "./begin.ts";
import { findLaunch } from "./find_launch.ts";
import { describeHolders } from "../observe/holders.ts";
import type { Look } from "../observe/observe.ts";
import { foreignPortMessage, reservedPortHint } from "../messages.ts";
import { joinHints, overridesHint } from "../messages_kept.ts";
import { resolvePorts } from "../observe/ports.ts";
import { findProof } from "../observe/proof.ts";
import { changesOf, refuse, replace } from "./replace.ts";
import type { Outcome } from "../row.ts";
import { Session, type StartRequest } from "./session.ts";
import { adopt, adoptExternal, awaitOurs } from "./settle.ts";
import { decideStart, type StartDecision } from "./decide.ts";
import type { World } from "../world.ts";

/** More turns than any chain of causes needs: a bound against going round for ever. */
const TURNS = 12;

/** To be called by the holder of the server folder's lock. Never leaves a child behind that is not recorded. */
export async function bringUp(world: World, folder: ServerFolder, request: StartRequest): Promise<Outcome> {
  const session = await openSession(world, folder, request);
  try {
    for (let turn = 0; turn < TURNS; turn++) {
      world.signal.throwIfAborted();
      const outcome = await takeTurn(session);
      if (outcome !== null) return outcome;
    }
    return session.finish("notReady", {
      message: `Cannot start "${session.name}": its port and processes kept changing while foster looked`,
      hint: `foster status "${session.name}"`,
    });
  } catch (error) {
    if (!world.signal.aborted) throw error;
    return await abandon(session);
  }
}

async function openSession(world: World, folder: ServerFolder, request: StartRequest): Promise<Session> {
  const { definition } = request;
  await folder.clearStopRequest();
  const record = await folder.readOrHeal();
  const overrides = await folder.overrides();
  const ports = await resolvePorts(world, definition);
  const hash = { whole: specHash(definition), parts: specParts(definition) };
  const session = new Session(world, folder, request, ports, hash, overrides);
  session.record = record;
  if (ports.wsMovedFrom !== null) {
    world.warn(
      `"${definition.name}": WebSocket port ${ports.wsMovedFrom} is reserved, using ${ports.wsPort}`,
    );
  }
  return session;
}

type Question = Extract<StartDecision, { kind: "ask_holder" | "find_command" }>;
type Deed = Exclude<StartDecision, Question>;

/** Looks once and does what follows. Null means: look again. */
async function takeTurn(session: Session): Promise<Outcome | null> {
  const looking = session.look({ thorough: false });
  // What is looked at takes the system a moment, and a server with a record is most likely asked next.
  if (session.record !== null && session.request.definition.ready.check === "mcp") loadClient();
  const seen = await looking;
  let decision = decide(session, seen);
  // Questions change nothing: the same look serves for the next decision.
  while (isQuestion(decision)) {
    await answer(session, decision);
    decision = decide(session, seen);
  }
  return await act(session, { decision, seen });
}

function isQuestion(decision: StartDecision): decision is Question {
  return decision.kind === "ask_holder" || decision.kind === "find_command";
}

async function answer(session: Session, question: Question): Promise<void> {
  switch (question.kind) {
    case "ask_holder":
      session.asked = question.owned ? await askOwn(session) : await askStranger(session);
      break;
    case "find_command":
      session.launch = await findLaunch(session.world, session.folder, {
        ...session.request,
        ports: session.ports,
      });
  }
}

function decide(session: Session, seen: Look): StartDecision {
  const { definition, userAsked } = session.request;
  const proof = findProof({
    look: seen,
    live: session.asked?.snapshot ?? null,
    expectedName: definition.identity.name,
    userAsked,
  });
  return decideStart({
    guarded: session.guarded,
    look: seen,
    restart: session.request.restart && session.recovered === null,
    changed: changesOf(session),
    expectedName: definition.identity.name,
    live: session.asked,
    proof,
    command: session.launch === null ? "not_asked" : "tier" in session.launch ? "found" : "missing",
    reserved: session.ports.reserved,
  });
}

async function act(
  session: Session,
  { decision, seen }: { decision: Deed; seen: Look },
): Promise<Outcome | null> {
  const { world, folder, machine } = session;
  switch (decision.kind) {
    case "guarded":
      session.path = "guarded";
      machine.transition("guarded");
      return session.finish("guarded", { message: `"${session.name}" was started already`, hint: "" });
    case "no_command":
      session.path = "no_command";
      machine.diagnose("no_command", "");
      return session.finish(
        "noCommand",
        session.launch !== null && "message" in session.launch ? session.launch : {
          message: `Cannot start "${session.name}": no command`,
          hint: "",
        },
      );
    case "port_excluded":
      await world.host.files.remove(folder.paths.pidFile);
      session.path = "reserved";
      machine.diagnose("port_excluded", "");
      session.guarded = true;
      return session.finish("portExcluded", {
        message: `Cannot start "${session.name}": Windows reserves port ${session.ports.port}`,
        hint: joinHints(
          overridesHint(session.name, { port: session.kept.port }),
          reservedPortHint(session.ports.port),
        ),
      });
    case "spawn":
      return await spawnAndWait(session);
    case "adopt_managed":
      return await adopt(session, seen);
    case "adopt_external":
      return await adoptExternal(session, seen);
    case "await":
      return await awaitOurs(session, { wasReady: decision.wasReady, seen });
    case "replace":
      return await replace(session, decision);
    case "foreign_port": {
      const holders = await describeHolders(world.host, seen.port);
      const said = foreignPortMessage(session.name, {
        port: session.ports.port,
        holders,
        endpoint: session.endpoint,
        overriddenPort: session.kept.port,
      });
      machine.diagnose("foreign_port", said.message);
      return session.finish("foreignPort", said);
    }
    case "incompatible":
      return await refuse(session, seen);
    case "unknown":
      return session.finish("refused", {
        message: `Cannot tell whether "${session.name}" still runs: ${decision.why}`,
        hint: "foster doctor tools says what foster may not read here",
      });
  }
}

/** The user interrupted: what this start spawned is ended again. */
async function abandon(session: Session): Promise<Outcome> {
  if (session.child !== null) {
    const pid = session.record?.pid ?? null;
    await undoSpawn(session);
    await session.folder.event("interrupted", { pid });
  }
  return session.finish("interrupted", { message: `"${session.name}": interrupted`, hint: "" });
}
