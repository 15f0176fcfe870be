/**
 * One server in depth: record, processes, and what it answers right now. Neither starts nor ends anything.
 *
 * @module
 */
import { verdict } from "../registry/identity.ts";
import type { LastExit, ServerRecord } from "../registry/record.ts";
import { readLeases } from "../registry/leases.ts";
import { STATE_CODES, type StateLabel } from "../registry/state_label.ts";
import { readAutoPorts } from "../registry/auto_ports.ts";
import type { ServerDefinition } from "../spec/definition.ts";
import { withOverrides } from "../spec/with_overrides.ts";
import { judge } from "./compatibility.ts";
import { describeHolders } from "./holders.ts";
import { type ListedRow, listServers } from "./inspect.ts";
import { askHolder, attemptReady } from "./live.ts";
import { look } from "./look.ts";
import { endpointOf } from "./ports.ts";
import { emptyRow } from "./row.ts";
import type { World } from "./world.ts";

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
  const row = target.record === null
    ? await withoutRecord(world, target)
    : await withRecord(world, target, target.record);
  return { ...row, elapsed_ms: Math.round(world.host.clock.monotonic() - startedAt) };
}

async function withRecord(world: World, target: StatusTarget, record: ServerRecord): Promise<StatusRow> {
  const { host, state } = world;
  const slot = state.slot(target.key);
  const [listed] = await listServers(host, [{ key: target.key, stored: { kind: "record", record } }]);
  const base: ListedRow = listed ?? { ...emptyRow(target.name, target.key), process: "gone" };
  const leases = await readLeases(host, slot.paths.leases);
  const supervisor = record.supervisor === null
    ? undefined
    : await host.processes.inspect([record.supervisor.pid]);
  const supervised = record.supervisor !== null &&
    verdict(supervisor?.get(record.supervisor.pid), record.supervisor.start_token).kind === "ours";
  const startedAt = Date.parse(record.ready_at ?? record.started_at);
  const row: StatusRow = {
    ...base,
    expected_version: target.definition?.version ?? null,
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
    if (record.last_exit !== null) {
      const exit = record.last_exit;
      const how = exit.signal !== null ? `signal ${exit.signal}` : `exit code ${exit.code ?? "unknown"}`;
      row.message = `it ended with ${how} at ${exit.at}`;
    }
    row.hint =
      `foster up "${target.name}" starts it; foster logs "${target.name}" --crash shows its last words`;
    return row;
  }
  if (target.definition === null) return row;
  const definition = withOverrides(target.definition, await slot.notes());
  const attempt = await attemptReady(host, {
    definition,
    endpoint: record.endpoint,
    timeoutMs: definition.ready.probeTimeoutMs,
    signal: world.signal,
  });
  if (attempt.kind !== "ready") {
    return {
      ...row,
      state: "spawning",
      state_code: STATE_CODES.spawning,
      message: `its process lives, but it is not ready: ${attempt.reason}`,
      hint: `foster logs "${target.name}"; foster up "${target.name}" restarts it if it stays so`,
    };
  }
  const compatibility = judge(attempt.live, {
    name: definition.ready.check === "tcp" ? null : definition.identity.name,
    version: definition.ready.check === "tcp" ? null : definition.version,
    wsPort: null,
  });
  const { name, version } = attempt.live;
  const answered: StatusRow = {
    ...row,
    state: compatibility.kind === "compatible" ? "ready" : "incompatible",
    server: { name, version, protocol: attempt.protocol },
    actual_name: name,
    actual_version: version,
    connection_blocked: compatibility.kind === "incompatible",
  };
  answered.state_code = STATE_CODES[answered.state];
  if (compatibility.kind === "incompatible") {
    answered.message = `it is ${name} ${version}, not what its definition wants (${compatibility.reason})`;
    answered.hint = `foster up "${target.name}" replaces it`;
  }
  return answered;
}

/** Nothing of ours: perhaps somebody else's server of that name is there. */
async function withoutRecord(world: World, target: StatusTarget): Promise<StatusRow> {
  const { host, state } = world;
  const nothing: StatusRow = {
    ...emptyRow(target.name, target.key),
    state: "stopped",
    state_code: STATE_CODES.stopped,
    process: "gone",
    message: "it is not running",
    hint: `foster up "${target.name}" starts it`,
    exit_ms: 0,
    actual_name: "",
    actual_version: "",
    uptime_ms: null,
    restarts: 0,
    last_exit: null,
    next_attempt: null,
    supervised: false,
    leases: 0,
    log: state.slot(target.key).paths.log,
    expected_version: target.definition?.version ?? null,
  };
  const stored = await state.slot(target.key).read();
  if (stored.kind === "corrupt") {
    const [listed] = await listServers(host, [{ key: target.key, stored }]);
    return { ...nothing, ...listed, name: target.name, log: nothing.log };
  }
  const { definition } = target;
  if (definition === null || definition.transport === "stdio") return nothing;
  const port = definition.port === "auto" ? (await readAutoPorts(host, state))[target.key] : definition.port;
  if (port === undefined) return nothing;
  const seen = await look(host, {
    slot: state.slot(target.key),
    record: null,
    hostname: definition.host,
    port,
    brand: { names: [], flags: [] },
    thorough: false,
  });
  if (seen.port.kind === "free") return { ...nothing, port };
  const endpoint = endpointOf(definition, port);
  const holders = await describeHolders(host, seen.port);
  const held = {
    ...nothing,
    port,
    message: `it is not running; port ${port} is held by ${holders || "another user"}`,
  };
  if (definition.identity.name === null) return held;
  const live = await askHolder(host, {
    definition,
    endpoint,
    timeoutMs: definition.ready.probeTimeoutMs,
    signal: world.signal,
  });
  if (live.name !== definition.identity.name) return held;
  const compatibility = judge(live, { ...definition.identity, version: definition.version, wsPort: null });
  const ready = compatibility.kind === "compatible";
  const shown: StateLabel = ready ? "ready" : "incompatible";
  return {
    ...held,
    state: shown,
    state_code: STATE_CODES[shown],
    adoption: "external",
    endpoint,
    actual_name: live.name,
    actual_version: live.version,
    server: { name: live.name, version: live.version, protocol: null },
    message: ready
      ? `external: started by somebody else (${holders})`
      : `external and not the wanted one (${holders})`,
    hint: ready ? "" : `foster up "${target.name}" says what can be done`,
    connection_blocked: !ready,
  };
}
