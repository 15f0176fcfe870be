/**
 * `up`, `restart`, `recover`: observes, decides, acts and observes again, under the server's lock.
 *
 * @module
 */
import { isElsewhere } from "../../registry/namespaces.ts";
import type { ServerRecord } from "../../registry/record.ts";
import { autoPort } from "../../registry/auto_ports.ts";
import type { ServerFolder } from "../../registry/store.ts";
import { type ServerDefinition, withOverrides } from "../../definitions/definition.ts";
import {
  foreignPortMessage,
  joinHints,
  otherServerMessage,
  overridesHint,
  reservedPortHint,
  seconds,
} from "../messages.ts";
import { describeHolders, type Observation, type RecentObservation } from "../observe/observe.ts";
import { hostnameOf, resolvePorts } from "../observe/ports.ts";
import { findOtherServer } from "../observe/other_server.ts";
import { findProof } from "../observe/proof.ts";
import { busyElsewhere, type Outcome, plainOutcome } from "../row.ts";
import type { World } from "../world.ts";
import { askWhoHolds, silent } from "./ask.ts";
import { type CommandRequest, resolveCommand, type ResolvedCommand } from "./command.ts";
import { decideStart, type StartDecision } from "./decide.ts";
import { abandon, crashed, giveUp, stopOnRequest } from "./fail.ts";
import { adopt, adoptExternal, settle, whetherTaken } from "./finish.ts";
import { waitForServer } from "./ready.ts";
import { changesOf, refuseForce, refuseIncompatible, refuseOtherServer, replace } from "./replace.ts";
import { ServerStart, type StartOptions } from "./server_start.ts";
import { spawnServer } from "./spawn.ts";

import { lostVariables } from "./variables_set.ts";

export { PLAIN_START, type StartOptions } from "./server_start.ts";

/** Another foster may end a server before it starts it: that comes on top of the start's own time. */
const LOCK_SLACK_MS = 15_000;
/** More turns than any chain of causes needs: a bound against going round for ever. */
const TURNS = 12;
/** How long a server that was ready before may be silent, handing over to a new process for example. */
const SILENCE_MS = 5000;

export async function startServer(
  world: World,
  definition: ServerDefinition,
  options: StartOptions,
): Promise<Outcome> {
  const folder = world.state.server(definition.key);
  const timeoutMs = options.timeoutMs ?? definition.ready.timeoutMs;
  const askedAt = world.host.clock.now();
  try {
    const lock = await folder.lock({
      waitMs: options.waitForReady ? timeoutMs + LOCK_SLACK_MS : 0,
      signal: world.signal,
      giveUp: () => folder.isAskedToStop(askedAt),
    });
    try {
      if (await folder.isAskedToStop(askedAt)) {
        const message = `"${definition.name}": stopped by foster down before it started`;
        return plainOutcome(definition, folder, { kind: "no", message });
      }
      if (lock === null) return busyElsewhere(definition, folder);
      return await startUnderLock(world, folder, { definition, options, timeoutMs });
    } finally {
      lock?.release();
    }
  } catch (error) {
    if (!world.signal.aborted) throw error;
    return plainOutcome(definition, folder, {
      kind: "interrupted",
      message: `"${definition.name}": interrupted`,
    });
  }
}

/** Another PID namespace's record is left alone where its port is free here: the server starts beside it. */
async function recordHere({ host }: World, folder: ServerFolder): Promise<ServerRecord | null> {
  const record = await folder.readOrHeal();
  if (record === null || !isElsewhere(record)) return record;
  return await host.net.canBind(hostnameOf(record.endpoint), record.port) ? null : record;
}

/** As {@link startServer}, for a caller that holds the lock already. Leaves no child behind that is not recorded. */
export async function startUnderLock(
  world: World,
  folder: ServerFolder,
  { definition, options, timeoutMs, recent = null }: {
    definition: ServerDefinition;
    options: StartOptions;
    timeoutMs: number;
    /** Of the server as it was a moment ago, where the caller has just looked. */
    recent?: RecentObservation | null;
  },
): Promise<Outcome> {
  await folder.clearStopRequest();
  const stored = await folder.overrides();
  const port = options.port === "auto" ? await anotherPort(world, definition) : options.port ?? stored.port;
  const overrides = { port, version: options.version ?? stored.version };
  const effective = withOverrides(definition, overrides);
  const start = new ServerStart(world, folder, {
    definition: effective,
    options,
    timeoutMs,
    overrides,
    stored,
    ports: await resolvePorts(world, effective),
    record: await recordHere(world, folder),
    recent,
  });
  if (options.restart === "force") {
    const refused = await refuseForce(start);
    if (refused !== null) return refused;
  }
  const { wsPort, wsMovedFrom } = start.ports;
  if (wsMovedFrom !== null) {
    world.warn(`"${start.name}": WebSocket port ${wsMovedFrom} is reserved, using ${wsPort}`);
  }
  try {
    for (let turn = 0; turn < TURNS; turn++) {
      world.signal.throwIfAborted();
      const outcome = await takeTurn(start);
      if (outcome !== null) return outcome;
    }
    return start.finish("not_ready", {
      message: `Cannot start "${start.name}": its port and processes kept changing while foster looked`,
      hint: `foster status "${start.name}"`,
    });
  } catch (error) {
    if (!world.signal.aborted) throw error;
    return await abandon(start);
  }
}

/** Chooses a new automatic port. Null where the definition says "auto" itself: it is no override then. */
async function anotherPort(world: World, { key, host, port }: ServerDefinition): Promise<number | null> {
  const { state, signal } = world;
  const chosen = await autoPort(world.host, { state, folder: key, hostname: host, signal, anew: true });
  return port === "auto" ? null : chosen;
}

type Question = Extract<StartDecision, { kind: "ask_holder" | "find_command" }>;
type Action = Exclude<StartDecision, Question>;

/** Observes once and does what follows. Null means: observe again. */
async function takeTurn(start: ServerStart): Promise<Outcome | null> {
  const observed = await start.observeForDecision();
  start.world.trace?.step(start.name, "observed");
  start.otherServer = await findOtherServer(start.world, { key: start.folder.key, port: observed.port });
  let decision = decide(start, observed);
  // Questions change nothing: the same observation serves for the next decision.
  while (isQuestion(decision)) {
    await answer(start, decision);
    start.world.trace?.step(
      start.name,
      decision.kind === "ask_holder" ? "asked who answers" : "found the command",
    );
    decision = decide(start, observed);
  }
  const outcome = await act(start, { decision, observed });
  start.world.trace?.step(start.name, decision.kind.replaceAll("_", " "));
  if (outcome !== null) {
    start.world.trace?.note(start.name, `startup path: ${outcome.row.startup_path || "none"}`);
  }
  return outcome;
}

function isQuestion(decision: StartDecision): decision is Question {
  return decision.kind === "ask_holder" || decision.kind === "find_command";
}

async function answer(start: ServerStart, question: Question): Promise<void> {
  switch (question.kind) {
    case "ask_holder":
      start.holder = await askWhoHolds(start, question);
      break;
    case "find_command":
      start.command = await resolveCommand(start.world, start.folder, commandRequest(start));
  }
}

function commandRequest(start: ServerStart): CommandRequest {
  const { definition, ports, options: { ownerPid }, stored } = start;
  // A supervised server is one session, however often it is started.
  const isSupervised = (start.record ?? start.previous)?.supervisor != null;
  return { definition, ports, ownerPid, sessionId: isSupervised ? stored.session?.id : null };
}

function decide(start: ServerStart, observed: Observation): StartDecision {
  const { definition, options, holder, command } = start;
  const expectedName = definition.identity.name;
  return decideStart({
    hasActed: start.hasActed,
    observed,
    restart: options.restart !== "no" && start.recovered === null,
    changed: changesOf(start),
    expectedName,
    isOtherServer: start.otherServer !== null,
    answer: holder,
    proof: findProof({
      observed,
      live: holder?.snapshot ?? null,
      expectedName,
      userAsked: options.recover,
    }),
    command: command === null ? "not_asked" : "tier" in command ? "found" : "missing",
    reserved: start.ports.reserved,
  });
}

async function act(
  start: ServerStart,
  { decision, observed }: { decision: Action; observed: Observation },
): Promise<Outcome | null> {
  const { world, folder, name, command, ports: { port }, remembered, endpoint } = start;
  switch (decision.kind) {
    case "guarded":
      start.path = "guarded";
      return start.finish("guarded", { message: `"${name}" was started already` });
    case "no_command":
      start.path = "no_command";
      if (command === null || "tier" in command) throw new Error(`"${name}" has a command`);
      return start.finish("no_command", command);
    case "port_excluded":
      await world.host.files.remove(folder.paths.pidFile);
      start.path = "reserved";
      return start.finish("port_excluded", {
        message: `Cannot start "${name}": Windows reserves port ${port}`,
        hint: joinHints(overridesHint(name, { port: remembered.port }), reservedPortHint(port)),
      });
    case "spawn":
      if (command === null || !("tier" in command)) throw new Error(`"${name}" has no command`);
      {
        const lost = start.options.allowUnset ? null : await lostVariables({ ...start, host: world.host });
        return lost === null ? await spawnUntilReady(start, command) : start.finish("usage", lost);
      }
    case "adopt_managed":
      return await adopt(start, observed);
    case "adopt_external":
      return await adoptExternal(start, observed);
    case "await":
      return await awaitOurs(start, { wasReady: decision.wasReady, observed });
    case "replace":
      return await replace(start, decision);
    case "foreign_port": {
      const holders = await describeHolders(world.host, observed.port);
      const isAuto = start.definition.port === "auto";
      const held = { port, holders, endpoint, overriddenPort: remembered.port, isAuto };
      return start.finish(
        "foreign_port",
        start.otherServer === null
          ? foreignPortMessage(name, held)
          : otherServerMessage(name, { ...held, server: start.otherServer }),
      );
    }
    case "incompatible":
      return start.otherServer === null
        ? await refuseIncompatible(start, observed)
        : await refuseOtherServer(start, { observed, server: start.otherServer });
    case "unknown":
      return start.finish("refused", {
        message: `Cannot tell whether "${name}" still runs: ${decision.why}`,
        hint: "foster doctor tools says what foster may not read here",
      });
  }
}

/** Spawns the server and waits until it is ready and recorded, or why it will not be. Null means: observe again. */
async function spawnUntilReady(start: ServerStart, command: ResolvedCommand): Promise<Outcome | null> {
  const failed = await spawnServer(start, command);
  if (failed !== null) return failed;
  if (!start.options.waitForReady) return start.finish("done", { state: "spawning" });
  while (true) {
    const exited = start.child?.exited ?? null;
    const result = await waitForServer(start, { exited, timeoutMs: start.timeoutMs });
    switch (result.kind) {
      case "ready": {
        const settled = await settle(start, result);
        if (settled === "ask_again") continue;
        return settled === "observe_again" ? null : settled;
      }
      case "permanent": {
        const taken = await whetherTaken(start, await start.observe({ thorough: true }));
        if (taken === "ask_again") continue;
        if (taken === "observe_again") return null;
        return await giveUp(start, `it is not ready: ${result.reason}`);
      }
      case "timeout":
        // Nobody waits a second time.
        start.doubted = true;
        if (await whetherTaken(start, await start.observe({ thorough: true })) !== "no") return null;
        return await giveUp(start, `not ready after ${seconds(start.timeoutMs)}: ${result.last}`, {
          moreTimeHelps: true,
          listened: result.listened,
        });
      case "asked_to_stop":
        return await stopOnRequest(start);
      case "dead": {
        const fresh = await refreshedCommand(start, command);
        if (fresh === null) return await crashed(start, { exit: result.exit, command });
        const refused = await spawnServer(start, fresh);
        if (refused !== null) return refused;
      }
    }
  }
}

/** A cached package may be stale: once, the launcher fetches it anew, if the server never got anywhere. */
async function refreshedCommand(
  start: ServerStart,
  { tier }: ResolvedCommand,
): Promise<ResolvedCommand | null> {
  const { world, folder, definition: { refreshArgs } } = start;
  if (start.refreshed || refreshArgs === null || tier !== "uvx") return null;
  if (await folder.pidFile(0) !== 0) return null;
  const command = await resolveCommand(world, folder, { ...commandRequest(start), refresh: true });
  if (!("tier" in command)) return null;
  start.refreshed = true;
  world.progress(start.name, `trying once more with ${refreshArgs.join(" ")}`);
  await folder.event("refresh_retry", { message: refreshArgs.join(" ") });
  return command;
}

/** Ours lives but does not listen: still starting, handing over, or stuck. */
async function awaitOurs(
  start: ServerStart,
  { wasReady, observed }: { wasReady: boolean; observed: Observation },
): Promise<Outcome | null> {
  const { name, options } = start;
  if (!options.waitForReady && !wasReady) return start.finish("done", { state: "spawning" });
  const timeoutMs = wasReady ? Math.min(SILENCE_MS, start.timeoutMs) : start.timeoutMs;
  const result = await waitForServer(start, { exited: null, timeoutMs });
  switch (result.kind) {
    case "ready":
    case "dead":
      // The next observation finds who answers, or what is left.
      start.holder = null;
      return null;
    case "asked_to_stop":
      return start.finish("no", { message: `"${name}": stopped by foster down`, state: "spawning" });
    case "permanent":
    case "timeout": {
      const why = result.kind === "timeout" ? result.last : result.reason;
      if (wasReady) {
        start.holder = silent(why, start.holder?.snapshot);
        return await replace(start, { kind: "replace", reason: "silent", proof: null });
      }
      if (observed.owned.length > 0) {
        return await giveUp(start, `not ready after ${seconds(start.timeoutMs)}: ${why}`, {
          moreTimeHelps: result.kind === "timeout",
          listened: result.kind !== "timeout" || result.listened,
        });
      }
      const pids = observed.pending.join(", ");
      return start.finish("not_ready", {
        message: `"${name}" was started by a foster that ended (${pids}), and never listened: ${why}`,
        hint: `end it by hand: kill ${observed.pending.join(" ")}`,
      });
    }
  }
}
