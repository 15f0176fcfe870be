/**
 * What `doctor` looks at to judge ports. Neither binds nor connects.
 *
 * @module
 */
import { basename } from "@std/path";
import { type Host, HostError, type PortRange } from "../host/host.ts";
import { type Holder, isTaken, type PortClaim, type PortHolders, type PortsSeen } from "./ports.ts";

type LookHost = { processes: Host["processes"]; net: Pick<Host["net"], "reservedRanges"> };

const LAST_PORT = 65_535;
/** How many ports are tried to find a free one to suggest. */
const TRIES = 20;

export async function lookAtPorts(
  host: LookHost,
  { claims, serverOf }: { claims: readonly PortClaim[]; serverOf: ReadonlyMap<number, string> },
): Promise<PortsSeen> {
  const reserved = await reservedRanges(host);
  const holders = new Map<number, PortHolders>();
  const taken = new Set(claims.map(({ port }) => port));
  for (const port of [...taken]) holders.set(port, await holdersOf(host, port, serverOf));
  for (const [port, found] of holders) {
    const asking = found.kind === "unknown" || found.holders.length + found.unnamed > 0 ||
      claims.filter((claim) => claim.port === port).length > 1 ||
      reserved.some(([first, last]) => port >= first && port <= last);
    if (asking) await noteTakenAfter(host, port, taken);
  }
  return { claims, holders, reserved, taken };
}

async function holdersOf(
  { processes }: LookHost,
  port: number,
  serverOf: ReadonlyMap<number, string>,
): Promise<PortHolders> {
  const seen = await processes.listeners(port);
  if (seen.kind === "unknown") return seen;
  const pids = [...new Set(seen.listeners.map(({ pid }) => pid))];
  const facts = await processes.inspect(pids);
  const programs = new Map(
    await Promise.all(pids.map(async (pid) => {
      const { executable } = await processes.paths(pid);
      return [pid, executable === null ? null : basename(executable)] as const;
    })),
  );
  const holders = seen.listeners.map(({ pid, address }): Holder => {
    const process = facts.get(pid);
    return {
      pid,
      address,
      program: programs.get(pid) ?? null,
      startTime: process?.kind === "seen" ? process.facts.startTime : null,
      ownerKey: serverOf.get(pid) ?? null,
    };
  });
  return { kind: "known", holders, unnamed: seen.unnamed };
}

/** Up to the first port after `port` that nobody wants or has. */
async function noteTakenAfter({ processes }: LookHost, port: number, taken: Set<number>): Promise<void> {
  for (let next = port + 1, tries = 0; next <= LAST_PORT && tries < TRIES; next++) {
    if (taken.has(next)) continue;
    tries++;
    if (!isTaken(await processes.listeners(next))) return;
    taken.add(next);
  }
}

async function reservedRanges({ net }: LookHost): Promise<PortRange[]> {
  try {
    return await net.reservedRanges();
  } catch (error) {
    if (error instanceof HostError) return [];
    throw error;
  }
}
