/**
 * Port ranges that Windows keeps for itself: nobody can listen on a port inside one, although nobody holds it.
 *
 * @module
 */
import type { PortRange } from "../../host/host.ts";

const SPAN = 2048;
const LAST_PORT = 65_535;

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
