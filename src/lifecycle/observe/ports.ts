/**
 * Which ports a server is to get: the definition's, the reserved ones, or those that were said on the command line.
 *
 * @module
 */
import { bracketed } from "../../base/local_url.ts";
import type { PortRange } from "../../host/host.ts";
import { autoPort, readAutoPorts } from "../../registry/auto_ports.ts";
import type { ServerRecord } from "../../registry/record.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import type { World } from "../world.ts";
import type { Observation } from "./observe.ts";
import { observeDefined } from "./observe_defined.ts";

export interface Ports {
  port: number;
  wsPort: number | null;
  /** The HTTP port is one that the system keeps for itself: it is diagnosed, never moved. */
  reserved: boolean;
  /** Where the WebSocket port was moved away from, null where it stays. */
  wsMovedFrom: number | null;
}

export async function resolvePorts(world: World, definition: ServerDefinition): Promise<Ports> {
  const chosen = async (wanted: number | "auto", folder: string) =>
    wanted === "auto"
      ? await autoPort(world.host, {
        state: world.state,
        folder,
        hostname: definition.host,
        signal: world.signal,
      })
      : wanted;
  const port = await chosen(definition.port, definition.key);
  const wsWanted = definition.wsPort === null
    ? null
    : await chosen(definition.wsPort, `${definition.key}:ws`);
  const ranges = await world.host.net.reservedRanges([port, ...wsWanted === null ? [] : [wsWanted]]);
  const wsPort = wsWanted === null ? null : suggestPort(wsWanted, ranges);
  return {
    port,
    wsPort,
    reserved: isReserved(port, ranges),
    wsMovedFrom: wsPort === wsWanted ? null : wsWanted,
  };
}

/** What is on the port that a start would get, and who holds it; null where no port was chosen yet. */
export async function observeWantedPort(
  { host, state }: World,
  { definition, record }: { definition: ServerDefinition | null; record: ServerRecord | null },
): Promise<{ observed: Observation; port: number; endpoint: string } | null> {
  if (definition === null || definition.transport === "stdio") return null;
  const port = definition.port === "auto"
    ? (await readAutoPorts(host, state))[definition.key]
    : definition.port;
  if (port === undefined) return null;
  const observed = await observeDefined(host, definition, {
    folder: state.server(definition.key),
    record,
    port,
    thorough: false,
  });
  return { observed, port, endpoint: endpointOf(definition, port) };
}

/** As one dials it: an IPv6 address without its brackets. */
export function hostnameOf(endpoint: string): string {
  return new URL(endpoint).hostname.replace(/^\[|\]$/g, "");
}

export function endpointOf(definition: Pick<ServerDefinition, "host" | "path">, port: number): string {
  return `http://${bracketed(definition.host)}:${port}${definition.path}`;
}

const SPAN = 2048;
export const LAST_PORT = 65_535;

/** Whether a port lies in one of the ranges, both ends included. */
export function isReserved(port: number, ranges: readonly PortRange[]): boolean {
  return rangeOf(port, ranges) !== undefined;
}

/** The first port from `start` on that is not reserved, looking at 2 048 ports; `start` itself where there is none. */
export function suggestPort(start: number, ranges: readonly PortRange[]): number {
  const last = Math.min(start + SPAN - 1, LAST_PORT);
  let port = start;
  while (port <= last) {
    const range = rangeOf(port, ranges);
    if (range === undefined) return port;
    port = range[1] + 1;
  }
  return start;
}

function rangeOf(port: number, ranges: readonly PortRange[]): PortRange | undefined {
  return ranges.find(([first, last]) => port >= first && port <= last);
}
