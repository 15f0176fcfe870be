/**
 * One server in depth: record, processes, and what it answers right now. Neither starts nor ends anything.
 *
 * @module
 */
import { HostError } from "../../host/host.ts";
import { verdict } from "../../registry/identity.ts";
import type { LastExit, ServerRecord } from "../../registry/record.ts";
import { readLeases } from "../../registry/process_files.ts";
import type { StateLabel } from "../../registry/state_label.ts";
import type { ServerFolder } from "../../registry/store.ts";
import { type ServerDefinition, withOverrides } from "../../definitions/definition.ts";
import type { StatusSnapshot } from "../../mcp/snapshot.ts";
import { readAutoPorts } from "../../registry/auto_ports.ts";
import { compareWithDefinition } from "./compatibility.ts";
import { lastReason, type ListedRow, listServers } from "./list.ts";
import { askHolder, attemptReady } from "./live.ts";
import { describeHolders, isForeign } from "./observe.ts";
import { findOtherServer } from "./other_server.ts";
import {
  describeExit,
  describeServer,
  heldPortHint,
  joinHints,
  type Overrides,
  overridesHint,
} from "../messages.ts";
import { observeWantedPort } from "./ports.ts";
import { findProof } from "./proof.ts";
import { emptyRow } from "../row.ts";
import type { World } from "../world.ts";

export interface StatusRow extends ListedRow {
  exit_ms: number;
  actual_name: string;
  actual_version: string;
  uptime_ms: number | null;
  restarts: number;
  last_exit: LastExit | null;
  next_attempt: string | null;
  supervised: boolean;
  leases: number;
}

export interface StatusTarget {
  name: string;
  key: string;
  definition: ServerDefinition | null;
  record: ServerRecord | null;
}

export async function inspectServer(world: World, target: StatusTarget): Promise<StatusRow> {
  const startedAt = world.host.clock.monotonic();
  const overrides = await overridesOf(world.state.server(target.key));
  const definition = target.definition === null ? null : withOverrides(target.definition, overrides);
  const seen: Target = { ...target, definition, overrides };
  const row = target.record === null
    ? await withoutRecord(world, seen)
    : await withRecord(world, seen, target.record);
  return { ...row, elapsed_ms: Math.round(world.host.clock.monotonic() - startedAt) };
}

/** With what `--port` and `--version` said worked into the definition. */
interface Target extends StatusTarget {
  overrides: Overrides;
}

async function overridesOf(folder: ServerFolder): Promise<Overrides> {
  try {
    const { port, version } = await folder.overrides();
    return { port, version };
  } catch (error) {
    if (error instanceof HostError) return { port: null, version: null };
    throw error;
  }
}

async function withRecord(world: World, target: Target, record: ServerRecord): Promise<StatusRow> {
  const { host, state } = world;
  const folder = state.server(target.key);
  const [listed] = await listServers(host, [{ key: target.key, stored: { kind: "record", record } }]);
  const base: ListedRow = listed ?? { ...emptyRow(target.name, target.key), process: "gone" };
  const leases = await readLeases(host, folder.paths.leases);
  const supervisor = record.supervisor === null
    ? undefined
    : await host.processes.inspect([record.supervisor.pid]);
  const supervised = record.supervisor !== null &&
    verdict(supervisor?.get(record.supervisor.pid), record.supervisor.start_token).kind === "ours";
  const startedAt = Date.parse(record.ready_at ?? record.started_at);
  const row: StatusRow = {
    ...base,
    expected_version: target.definition?.version ?? target.overrides.version,
    exit_ms: record.last_exit === null
      ? 0
      : Math.max(0, Date.parse(record.last_exit.at) - Date.parse(record.started_at)),
    actual_name: record.server_name ?? "",
    actual_version: record.version ?? "",
    uptime_ms: base.process === "ours" ? Math.max(0, Math.round(host.clock.now() - startedAt)) : null,
    restarts: record.restarts,
    last_exit: record.last_exit,
    next_attempt: record.next_attempt,
    supervised,
    leases: leases.live.length + leases.unknown,
  };
  if (base.process !== "ours" && base.process !== "unknown") {
    return await gone(world, target, { row, record });
  }
  const { definition, overrides } = target;
  if (definition === null) return row;
  const attempt = await attemptReady(host, {
    definition,
    endpoint: record.endpoint,
    signal: world.signal,
  });
  if (attempt.kind !== "ready") {
    return {
      ...row,
      state: "spawning",
      message: `its process lives, but it is not ready: ${attempt.reason}`,
      hint: `foster logs "${target.name}"; foster up "${target.name}" restarts it if it stays so`,
    };
  }
  const wsPort = definition.wsPort === null ? null : record.ws_port ?? await wantedWsPort(world, definition);
  const compatibility = compareWithDefinition(attempt.live, { definition, record, wsPort });
  const { name, version } = attempt.live;
  const answered: StatusRow = {
    ...row,
    state: compatibility.kind === "compatible" ? "ready" : "incompatible",
    server: { name, version, protocol: attempt.protocol },
    actual_name: name,
    actual_version: version,
    connection_blocked: compatibility.kind === "incompatible",
  };
  if (compatibility.kind === "incompatible") {
    answered.can_recover_incompatible = await canRecover(world, target, attempt.live);
    answered.message = `it is ${name} ${version}, not what its definition wants (${compatibility.reason})`;
    answered.hint = joinHints(
      overridesHint(target.name, overrides),
      `foster up "${target.name}" replaces it`,
    );
  }
  return answered;
}

/** The process of a record is gone: why, and whether the next start would find its port free. */
async function gone(
  world: World,
  target: Target,
  { row, record }: { row: StatusRow; record: ServerRecord },
): Promise<StatusRow> {
  const { name, overrides } = target;
  const reason = await lastReason(world.host, world.state.server(target.key));
  const ended = {
    ...row,
    message: reason || (endOf(record)),
    hint: joinHints(
      reason === "" ? "" : overridesHint(name, overrides),
      `foster up "${name}" starts it`,
      reason === ""
        ? `foster logs "${name}" --crash shows its last words`
        : `foster logs "${name}" shows what it said`,
    ),
  };
  const found = await observeWantedPort(world, target);
  if (found === null || !isForeign(found.observed.port) || target.definition?.identity.name !== null) {
    return ended;
  }
  const holders = await describeHolders(world.host, found.observed.port);
  const other = await findOtherServer(world, { key: target.key, port: found.observed.port });
  const held = `port ${found.port} is held by ${
    other === null ? holders || "another user" : describeServer(other, holders)
  }`;
  return {
    ...ended,
    message: ended.message === "" ? held : `${ended.message}; ${held}`,
    hint: heldPortHint(name, {
      endpoint: found.endpoint,
      overriddenPort: overrides.port,
      isAuto: target.definition?.port === "auto",
      isNamed: false,
    }),
  };
}

function endOf({ pid, last_exit }: ServerRecord): string {
  if (last_exit !== null) return `it ended with ${describeExit(last_exit)} at ${last_exit.at}`;
  return pid === null ? "" : `its process (pid ${pid}) is gone`;
}

/** The WebSocket port that a start would get, null where there is none, or none yet. */
async function wantedWsPort(
  { host, state }: World,
  { key, wsPort }: ServerDefinition,
): Promise<number | null> {
  return wsPort === "auto" ? (await readAutoPorts(host, state))[`${key}:ws`] ?? null : wsPort;
}

/** Whether `foster recover` would have a proof against the holder of the port; ends nothing. */
async function canRecover(world: World, target: Target, live: StatusSnapshot): Promise<boolean> {
  const found = await observeWantedPort(world, target);
  const expectedName = target.definition?.identity.name ?? null;
  return found !== null &&
    findProof({ observed: found.observed, live, expectedName, userAsked: true }) !== null;
}

/** Nothing of ours: perhaps somebody else's server of that name is there. */
async function withoutRecord(world: World, target: Target): Promise<StatusRow> {
  const { host, state } = world;
  const { name, overrides } = target;
  const nothing: StatusRow = {
    ...emptyRow(target.name, target.key),
    state: "stopped",
    process: "gone",
    message: "it is not running",
    hint: joinHints(overridesHint(name, overrides), `foster up "${name}" starts it`),
    exit_ms: 0,
    actual_name: "",
    actual_version: "",
    uptime_ms: null,
    restarts: 0,
    last_exit: null,
    next_attempt: null,
    supervised: false,
    leases: 0,
    log: state.server(target.key).paths.log,
    expected_version: target.definition?.version ?? overrides.version,
  };
  const stored = await state.server(target.key).read();
  if (stored.kind === "corrupt") {
    const [listed] = await listServers(host, [{ key: target.key, stored }]);
    return { ...nothing, ...listed, name: target.name, log: nothing.log };
  }
  const { definition } = target;
  const found = await observeWantedPort(world, target);
  if (definition === null || found === null) return nothing;
  const { observed, port, endpoint } = found;
  if (observed.port.kind === "free") return { ...nothing, port };
  const holders = await describeHolders(host, observed.port);
  const other = await findOtherServer(world, { key: target.key, port: observed.port });
  if (other !== null) {
    const message = `it is not running; port ${port} is held by ${describeServer(other, holders)}`;
    return { ...nothing, port, message, hint: `foster down ${other.key} ends that one` };
  }
  const held = {
    ...nothing,
    port,
    message: `it is not running; port ${port} is held by ${holders || "another user"}`,
    hint: isForeign(observed.port)
      ? heldPortHint(name, {
        endpoint,
        overriddenPort: overrides.port,
        isAuto: definition.port === "auto",
        isNamed: definition.identity.name !== null,
      })
      : nothing.hint,
  };
  if (definition.identity.name === null) return held;
  const live = await askHolder(host, {
    definition,
    endpoint,
    signal: world.signal,
  });
  if (live.name !== definition.identity.name) return held;
  const wsPort = await wantedWsPort(world, definition);
  const compatibility = compareWithDefinition(live, { definition, record: null, wsPort });
  const ready = compatibility.kind === "compatible";
  const shown: StateLabel = ready ? "ready" : "incompatible";
  const recoverable = !ready && await canRecover(world, target, live);
  const advice = recoverable
    ? `foster recover "${name}" replaces it`
    : `foster up "${name}" says what can be done`;
  return {
    ...held,
    state: shown,
    adoption: "external",
    endpoint,
    actual_name: live.name,
    actual_version: live.version,
    server: { name: live.name, version: live.version, protocol: null },
    message: ready
      ? `external: started by somebody else (${holders})`
      : `external and not the wanted one (${holders})`,
    hint: ready ? "" : joinHints(overridesHint(name, overrides), advice),
    connection_blocked: !ready,
    can_recover_incompatible: recoverable,
  };
}
