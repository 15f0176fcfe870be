/**
 * The tools of a server as the page lists them.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";
import { printable } from "../../base/printable.ts";
import { requestHeaders, transportOf } from "../../lifecycle/observe/live.ts";
import type { World } from "../../lifecycle/world.ts";
import { handshake } from "../../mcp/probe.ts";
import { recordIn } from "../../registry/store.ts";
import type { SupervisedServer } from "../../supervisor/enrolment.ts";
import { definitionOf } from "../../supervisor/supervisor.ts";
import type { Hosting } from "../hosting.ts";

export interface PageTool {
  name: string;
  title: string;
  description: string;
  /** Of its arguments, as JSON text. */
  schema: string;
}

export type AskedTools = { kind: "listed"; at: number; tools: PageTool[] } | {
  kind: "failed";
  message: string;
};

const TOOL_LIMIT = 1000;
const TEXT_LIMIT = 4000;
const CHECK_MS = 60_000;
const PROBE_MS = 10_000;

/** As it listed them last; nothing is started or asked for it. */
export function knownTools(hosting: Hosting, key: string): { at: number | null; tools: PageTool[] | null } {
  const known = hosting.gateway.find(key)?.lastTools ?? null;
  return { at: known?.at ?? null, tools: known === null ? null : shownTools(known.items) };
}

/** Asks the server, which is started for it where it is not there. */
export async function askTools(
  world: World,
  { hosting, server, signal }: { hosting: Hosting; server: SupervisedServer; signal: AbortSignal },
): Promise<AskedTools> {
  const found = hosting.gateway.find(server.key);
  if (found === null) return await probeTools(world, server, signal);
  const result = await found.check(Math.min(CHECK_MS, found.definition.ready.timeoutMs));
  if (result.kind === "ready") {
    return { kind: "listed", at: world.host.clock.now(), tools: shownTools(result.listed) };
  }
  return { kind: "failed", message: [result.message, result.hint].filter((part) => part !== "").join("\n") };
}

/** Of a server that `up` alone brought in: the gateway has none of its requests. */
async function probeTools(world: World, server: SupervisedServer, signal: AbortSignal): Promise<AskedTools> {
  const { host, state } = world;
  const record = recordIn(await state.server(server.key).read());
  if (record === null) return { kind: "failed", message: "It is not running" };
  const definition = await definitionOf(world, server).catch(() => null);
  const outcome = await handshake(host, {
    endpoint: new URL(record.endpoint),
    transport: definition === null ? "streamable-http" : transportOf(definition),
    requiredTools: [],
    headers: definition === null ? {} : () => requestHeaders(host, definition, record.endpoint),
    timeoutMs: PROBE_MS,
    signal,
  });
  if (outcome.kind !== "ok") return { kind: "failed", message: outcome.reason };
  return { kind: "listed", at: host.clock.now(), tools: shownTools(outcome.tools.map((name) => ({ name }))) };
}

function shownTools(items: readonly unknown[]): PageTool[] {
  const text = (value: unknown) => typeof value === "string" ? printable(value).slice(0, TEXT_LIMIT) : "";
  return items.filter((item) => isObject(item)).slice(0, TOOL_LIMIT).map((tool) => ({
    name: text(tool.name),
    title: text(tool.title),
    description: text(tool.description),
    schema: text(JSON.stringify(tool.inputSchema ?? null, null, 2)),
  }));
}
