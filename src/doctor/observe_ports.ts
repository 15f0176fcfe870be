/**
 * Gathers what `doctor` judges of ports: who claims them, and who listens. Neither binds nor connects.
 *
 * @module
 */
import { basename } from "node:path";
import { type ServerDefinition, withOverrides } from "../definitions/definition.ts";
import { type Host, HostError, type PortObservation, type PortRange } from "../host/host.ts";
import { hostnameOf, isReserved, LAST_PORT } from "../lifecycle/observe/ports.ts";
import { GATEWAY_PORT, readAutoPorts } from "../registry/auto_ports.ts";
import type { StateFolder } from "../registry/store.ts";
import { isHeld, type ManagedServer } from "./observe.ts";
import type { Holder, PortClaim, PortHolders, PortsObservation } from "./ports.ts";

type PortsHost = { processes: Host["processes"]; net: Pick<Host["net"], "reservedRanges"> };

/** How many ports are tried to find a free one to suggest. */
const TRIES = 20;
const LOOPBACK = "127.0.0.1";
const NOBODY: PortObservation = { kind: "known", listeners: [], unnamed: 0 };

/** A definition in scope. */
export interface KnownDefinition {
  definition: ServerDefinition;
  /** It stands in a definition file: no preset. */
  inFile: boolean;
}

/** Every port that a server in scope, a record or a reservation wants. */
export async function claimsOf(
  host: Pick<Host, "files">,
  { state, definitions, managed }: {
    state: StateFolder;
    definitions: readonly KnownDefinition[];
    managed: readonly ManagedServer[];
  },
): Promise<PortClaim[]> {
  const reserved = await readAutoPorts(host, state).catch(ifRefused({} as Record<string, number>));
  const managedKeys = new Set(managed.map(({ key }) => key));
  const claims: PortClaim[] = [];
  for (const { definition: written, inFile } of definitions) {
    if (written.transport === "stdio") continue;
    const { key, name, host: hostname } = written;
    const overrides = await state.server(key).overrides().catch(ifRefused({}));
    const definition = withOverrides(written, overrides);
    const from = inFile || managedKeys.has(key) ? "definition" : "preset";
    const wanted = [
      { use: "http" as const, port: definition.port, folder: key },
      { use: "ws" as const, port: definition.wsPort, folder: `${key}:ws` },
    ];
    for (const { use, port, folder } of wanted) {
      const number = port === "auto" ? reserved[folder] : port;
      if (number != null) {
        claims.push({ port: number, key, name, hostname, use, from, auto: port === "auto" });
      }
    }
  }
  const inScope = new Set(definitions.map(({ definition }) => definition.key));
  for (const { key, record } of managed) {
    if (inScope.has(key)) continue;
    const { name, port, ws_port } = record;
    const claim = { key, name, hostname: hostnameOf(record.endpoint), from: "record", auto: false } as const;
    claims.push({ ...claim, port, use: "http" });
    if (ws_port !== null) claims.push({ ...claim, port: ws_port, use: "ws" });
  }
  for (const [folder, port] of Object.entries(reserved)) {
    const key = folder.replace(/:ws$/, "");
    if (inScope.has(key) || managedKeys.has(key)) continue;
    if (key === GATEWAY_PORT) {
      const name = "the gateway";
      claims.push({ port, key, name, hostname: LOOPBACK, use: "http", from: "record", auto: true });
      continue;
    }
    const use = folder === key ? "http" : "ws";
    claims.push({ port, key, name: key, hostname: LOOPBACK, use, from: "reserved", auto: true });
  }
  return claims;
}

function ifRefused<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof HostError) return instead;
    throw error;
  };
}

/**
 * @param serverOf the key of the server that each process is proven to be of, given who listens on which port
 * @param likely by port, who is recorded to listen there: it is looked at first
 */
export async function observePorts(
  host: PortsHost,
  { claims, serverOf, likely = new Map() }: {
    claims: readonly PortClaim[];
    likely?: ReadonlyMap<number, number>;
    serverOf(listening: ReadonlyMap<number, ReadonlySet<number>>): ReadonlyMap<number, string>;
  },
): Promise<PortsObservation> {
  const reserved = await host.net.reservedRanges().catch(ifRefused<PortRange[]>([]));
  const ports = [...new Set(claims.map(({ port }) => port))];
  const found = new Map<number, PortObservation>();
  const held = await host.processes.listeningPorts();
  const ask = (port: number): Promise<PortObservation> =>
    held === null || held.has(port)
      ? host.processes.listeners(port, likely.get(port) ?? null)
      : Promise.resolve(NOBODY);
  for (const port of ports) found.set(port, await ask(port));
  const listening = new Map([...found].map(([port, each]) => [port, pidsOf(each)]));
  const owners = serverOf(listening);
  const holders = new Map<number, PortHolders>();
  for (const [port, each] of found) holders.set(port, await namedHolders(host, each, owners));
  const taken = new Set(ports);
  const claimed = Map.groupBy(claims, ({ port }) => port);
  for (const [port, each] of found) {
    const isContested = isHeld(each) || isReserved(port, reserved) || (claimed.get(port)?.length ?? 0) > 1;
    if (isContested) await noteTakenAfter(ask, port, taken);
  }
  return { claims, holders, reserved, taken };
}

function pidsOf(found: PortObservation): Set<number> {
  return new Set(found.kind === "known" ? found.listeners.map(({ pid }) => pid) : []);
}

async function namedHolders(
  { processes }: PortsHost,
  found: PortObservation,
  owners: ReadonlyMap<number, string>,
): Promise<PortHolders> {
  if (found.kind === "unknown") return found;
  const pids = [...pidsOf(found)];
  const facts = await processes.inspect(pids);
  const programs = new Map(
    await Promise.all(pids.map(async (pid) => {
      const { executable } = await processes.paths(pid);
      return [pid, executable === null ? null : basename(executable)] as const;
    })),
  );
  const holders = found.listeners.map(({ pid, address }): Holder => {
    const process = facts.get(pid);
    return {
      pid,
      address,
      program: programs.get(pid) ?? null,
      startTime: process?.kind === "seen" ? process.facts.startTime : null,
      ownerKey: owners.get(pid) ?? null,
    };
  });
  return { kind: "known", holders, unnamed: found.unnamed };
}

/** Up to the first port after `port` that is neither claimed nor held. */
async function noteTakenAfter(
  ask: (port: number) => Promise<PortObservation>,
  port: number,
  taken: Set<number>,
): Promise<void> {
  for (let next = port + 1, tries = 0; next <= LAST_PORT && tries < TRIES; next++) {
    if (taken.has(next)) continue;
    tries++;
    if (!isHeld(await ask(next))) return;
    taken.add(next);
  }
}
