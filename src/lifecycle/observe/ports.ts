/**
 * Which ports a server is to get: the definition's, the reserved ones, or those that were said on the command line.
 *
 * @module
 */
import { autoPort } from "../../registry/auto_ports.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { isReserved, suggestPort } from "./reservations.ts";
import type { World } from "../world.ts";

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
  const ranges = await world.host.net.reservedRanges();
  const wsPort = wsWanted === null ? null : suggestPort(wsWanted, ranges);
  return {
    port,
    wsPort,
    reserved: isReserved(port, ranges),
    wsMovedFrom: wsPort === wsWanted ? null : wsWanted,
  };
}

/** As one dials it: an IPv6 address without its brackets. */
export function hostnameOf(endpoint: string): string {
  return new URL(endpoint).hostname.replace(/^\[|\]$/g, "");
}

export function endpointOf(definition: Pick<ServerDefinition, "host" | "path">, port: number): string {
  const host = definition.host.includes(":") ? `[${definition.host}]` : definition.host;
  return `http://${host}:${port}${definition.path}`;
}
