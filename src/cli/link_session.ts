/**
 * What a server's WebSocket session is opened with, and when one that was blocked goes on.
 *
 * @module
 */
import { valid } from "semver";
import { type ServerDefinition, withOverrides } from "../definitions/definition.ts";
import { loadDefinitions } from "../definitions/load.ts";
import { judge } from "../lifecycle/observe/compatibility.ts";
import { askHolder } from "../lifecycle/observe/live.ts";
import { endpointOf } from "../lifecycle/observe/ports.ts";
import { readAutoPorts } from "../registry/auto_ports.ts";
import type { ServerRecord } from "../registry/record.ts";
import { recordIn } from "../registry/store.ts";
import { VERSION } from "../version.ts";
import { UsageError } from "./args.ts";
import type { Target } from "./targets.ts";
import type { Context } from "./verb.ts";

/** How often a blocked link looks at the server's record. Milliseconds. */
const RECORD_POLL_MS = 500;

/** How often it asks a server without a record, which foster did not start. Milliseconds. */
const EXTERNAL_POLL_MS = 5_000;

export interface LinkSession {
  port: number;
  hostname: string;
  expectedVersion: string | null;
  clientName: string | null;
  /** `plugin_version`. */
  clientVersion: string;
  /** `godot_version`. */
  runtimeVersion: string;
  /** `server_launch_mode`. */
  launchMode: string;
  commandTimeoutsMs: Readonly<Record<string, number>>;
  /** With the overrides of its start; null where only its record is there. */
  definition: ServerDefinition | null;
  record: ServerRecord | null;
}

/**
 * As definition, overrides and record have it now.
 *
 * @throws UsageError where the server has no WebSocket side or no port yet
 */
export async function linkSession(context: Context, target: Target): Promise<LinkSession> {
  const folder = context.state.server(target.key);
  const record = recordIn(await folder.read());
  const overrides = await folder.overrides();
  const definition = target.definition === null ? null : withOverrides(target.definition, overrides);
  const link = definition?.link ?? null;
  const expectedVersion = definition?.version ?? record?.version ?? null;
  const exactVersion = expectedVersion !== null && valid(expectedVersion) !== null ? expectedVersion : null;
  return {
    port: await wsPortOf(context, { ...target, record }),
    hostname: definition?.host ?? "127.0.0.1",
    expectedVersion,
    clientName: link?.clientName ?? null,
    clientVersion: overrides.version ?? link?.clientVersion ?? exactVersion ?? VERSION,
    runtimeVersion: link?.runtimeVersion ?? "unknown",
    launchMode: link?.launchMode ?? record?.launch_tier ?? "unknown",
    commandTimeoutsMs: link?.commandTimeoutsMs ?? {},
    definition,
    record,
  };
}

/** The target as its definition file has it by now; as it was where that can't be read or does not have it any more. */
export async function reread(context: Context, target: Target): Promise<Target> {
  const { host, callerFolder } = context;
  try {
    const { file } = await context.definitions();
    if (file === null) return target;
    const definitions = await loadDefinitions(host, { configFlag: file, callerFolder });
    return { ...target, definition: definitions.find(target.name) ?? target.definition };
  } catch {
    return target;
  }
}

/** Why no socket is opened to a server of this record at all; null where one is. */
export function reasonToWait({ name, record }: { name: string; record: ServerRecord | null }): string | null {
  if (record?.state !== "incompatible") return null;
  return `it is known to be incompatible${record.version === null ? "" : ` (version ${record.version})`}. ` +
    `foster status "${name}" says more; foster recover "${name}" replaces it`;
}

/** What is remembered of a server that was found to be a wrong one. */
export interface BlockedServer {
  /** Instance token of its record; null where it had none. */
  token: string | null;
  /** Whether its record has been seen since that did not call it right. */
  sawWrong: boolean;
}

/**
 * Whether the link may go on: there is a server that is starting or ready, and either another one than the blocked one
 * or called right again after it was called wrong.
 */
export function mayGoOn(blocked: BlockedServer, record: ServerRecord | null): boolean {
  if (!isRight(record)) return false;
  return blocked.sawWrong || record?.token !== blocked.token;
}

function isRight(record: ServerRecord | null): boolean {
  return record?.state === "spawning" || record?.state === "ready";
}

/** Resolves when the link may go on. @throws the signal's reason */
export async function untilRecovered(
  { host, state }: Pick<Context, "host" | "state">,
  target: Pick<Target, "key">,
  { session, blocked, signal }: { session: LinkSession; blocked: BlockedServer; signal: AbortSignal },
): Promise<void> {
  const folder = state.server(target.key);
  let { sawWrong } = blocked;
  let askAtMs = host.clock.monotonic() + EXTERNAL_POLL_MS;
  for (;;) {
    await host.clock.sleep(RECORD_POLL_MS, signal);
    const record = recordIn(await folder.read());
    if (mayGoOn({ ...blocked, sawWrong }, record)) return;
    if (!isRight(record)) sawWrong = true;
    if (record !== null || host.clock.monotonic() < askAtMs) continue;
    if (await isExternalRight(host, session, signal)) return;
    askAtMs = host.clock.monotonic() + EXTERNAL_POLL_MS;
  }
}

/** Whether a server that foster did not start says itself that it is the one that is wanted. */
async function isExternalRight(
  host: Context["host"],
  { definition, port: wsPort }: LinkSession,
  signal: AbortSignal,
): Promise<boolean> {
  if (definition === null || typeof definition.port !== "number") return false;
  const { identity: { name }, version } = definition;
  if (name === null) return false;
  const endpoint = endpointOf(definition, definition.port);
  const live = await askHolder(host, { definition, endpoint, signal });
  return live.reachable &&
    judge(live, { name, version, wsPort: live.wsPort > 0 ? wsPort : null }).kind === "compatible";
}

async function wsPortOf(
  context: Pick<Context, "host" | "state">,
  { name, key, definition, record }: Pick<Target, "name" | "key" | "definition" | "record">,
): Promise<number> {
  if (record?.ws_port != null) return record.ws_port;
  const wanted = definition?.wsPort ?? null;
  if (wanted === null) throw new UsageError(`"${name}" has no WebSocket side`, `give it a "wsPort"`);
  const port = wanted === "auto" ? (await readAutoPorts(context.host, context.state))[`${key}:ws`] : wanted;
  if (port === undefined) {
    throw new UsageError(`"${name}" has no WebSocket port yet`, `foster up "${name}" gives it one`);
  }
  return port;
}
