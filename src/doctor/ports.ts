/**
 * What is wrong with ports: the decision, over who claims them and who listens.
 *
 * @module
 */
import type { ShellHint } from "../base/shell_hint.ts";
import type { PortRange } from "../host/host.ts";
import { isInTheWay, isWildcard } from "../lifecycle/observe/observe.ts";
import { isReserved, LAST_PORT, suggestPort } from "../lifecycle/observe/ports.ts";
import { GATEWAY_PORT } from "../registry/auto_ports.ts";
import { type Finding, type Level, quoted } from "./findings.ts";

/** A server that is to have a port. */
export interface PortClaim {
  port: number;
  key: string;
  name: string;
  /** Where it is to listen, as one dials it. */
  hostname: string;
  /** Which of its ports. */
  use: "http" | "ws";
  /** `preset`: nobody asked for it yet; `reserved`: kept in the state folder for a server out of scope. */
  from: "definition" | "preset" | "record" | "reserved";
  /** Chosen by foster, not by the user. */
  auto: boolean;
}

export interface Holder {
  pid: number;
  /** Program's name, null where it can't be read. */
  program: string | null;
  startTime: string | null;
  address: string;
  /** Proven to be a server of this state folder, and of which. */
  ownerKey: string | null;
}

export type PortHolders =
  | { kind: "known"; holders: Holder[]; unnamed: number }
  | { kind: "unknown"; why: string };

export interface PortsObservation {
  claims: readonly PortClaim[];
  holders: ReadonlyMap<number, PortHolders>;
  reserved: readonly PortRange[];
  /** Ports that somebody has or wants: never suggested. */
  taken: ReadonlySet<number>;
}

/** How far a port is moved away, at most. */
const SPAN = 2048;

export function judgePorts(seen: PortsObservation, shell: ShellHint): Finding[] {
  const byPort = [...Map.groupBy(seen.claims, ({ port }) => port)].sort(([a], [b]) => a - b);
  return byPort.flatMap(([port, claims]) => {
    const holders = seen.holders.get(port) ?? { kind: "known" as const, holders: [], unnamed: 0 };
    return [
      ...shared(claims, seen, shell),
      ...reservedPort(claims, seen, shell),
      ...held(claims, holders, { seen, shell }),
      ...doubleBound(port, holders, shell),
    ];
  });
}

function isGateway({ key }: PortClaim): boolean {
  return key === GATEWAY_PORT;
}

function nameOf(claim: PortClaim): string {
  return isGateway(claim) ? claim.name : quoted(claim.name);
}

function finding(level: Level, code: string, { message, fix }: Pick<Finding, "message" | "fix">): Finding {
  return { level, section: "ports", code, message, fix };
}

/** Several servers that want one port can't be up at the same time. A preset that nobody uses is no matter. */
function shared(claims: readonly PortClaim[], seen: PortsObservation, shell: ShellHint): Finding[] {
  const [first] = claims;
  const others = claims.filter(({ key }) => key !== first?.key);
  if (first === undefined || others.length === 0) return [];
  const names = [
    ...new Set(
      claims.map((claim) =>
        claim.name === claim.key || isGateway(claim) ? nameOf(claim) : `${nameOf(claim)} (${claim.key})`
      ),
    ),
  ];
  const wanted = claims.filter(({ from }) => from !== "preset");
  const severalWanted = new Set(wanted.map(({ key }) => key)).size > 1;
  return [finding(severalWanted ? "warn" : "info", "shared_port", {
    message: `port ${first.port} is wanted by ${names.join(" and ")}: only one of them can be up`,
    fix: moveAway(wanted.at(-1) ?? claims.at(-1) ?? first, seen, shell),
  })];
}

function reservedPort(claims: readonly PortClaim[], seen: PortsObservation, shell: ShellHint): Finding[] {
  return claims.flatMap((claim) => {
    const range = seen.reserved.find((each) => isReserved(claim.port, [each]));
    if (range === undefined) return [];
    const where =
      `port ${claim.port} of ${nameOf(claim)} lies in the range ${range.join("–")} that Windows ` +
      "reserves";
    if (claim.use === "ws") {
      return [finding("info", "reserved_port", {
        message: `${where}: its WebSocket port moves to the next free one`,
        fix: shell.foster("up", claim.key),
      })];
    }
    return [finding(claim.from === "preset" ? "info" : "error", "reserved_port", {
      message: `${where}: nobody can listen on it (as administrator: net stop winnat, then net start winnat)`,
      fix: moveAway(claim, seen, shell),
    })];
  });
}

function held(
  claims: readonly PortClaim[],
  found: PortHolders,
  { seen, shell }: { seen: PortsObservation; shell: ShellHint },
): Finding[] {
  const [claim] = [...claims].sort((a, b) => Number(a.from === "preset") - Number(b.from === "preset"));
  if (claim === undefined) return [];
  const what = `port ${claim.port} of ${nameOf(claim)}`;
  if (found.kind === "unknown") {
    return [finding("info", "unknown_holder", {
      message: `it can't be told who listens on ${what}: ${found.why}`,
      fix: shell.foster("doctor", "tools"),
    })];
  }
  const keys = new Set(claims.map(({ key }) => key));
  const inTheWay = found.holders.filter(({ address }) => isInTheWay(address, claim.hostname));
  const foreign = [
    ...new Map(
      inTheWay.filter(({ ownerKey }) => ownerKey === null || !keys.has(ownerKey)).map((
        each,
      ) => [each.pid, each]),
    ).values(),
  ];
  const hidden = inTheWay.length === 0 && found.unnamed > 0;
  if (foreign.length === 0 && !hidden) return [];
  const level = claim.from === "definition" || claim.from === "record" ? "warn" : "info";
  const by = hidden
    ? "a process that can't be seen from here (another user's?)"
    : foreign.map(describe).join(" and ");
  const chosen = claim.auto ? " (chosen by foster)" : "";
  return [finding(level, claim.auto ? "auto_port_taken" : "foreign_holder", {
    message: `${what}${chosen} is held by ${by}`,
    fix: moveAway(claim, seen, shell),
  })];
}

function describe({ pid, program, startTime, ownerKey }: Holder): string {
  const name = program === null ? "" : ` ${program}`;
  const owner = ownerKey === null
    ? ", which foster did not start"
    : ownerKey === GATEWAY_PORT
    ? ", foster's supervisor"
    : `, the server ${quoted(ownerKey)}`;
  return `pid ${pid}${name} (${startTime ?? "start time unknown"})${owner}`;
}

/** One on all interfaces and another on one of them: which of the two a client reaches is undefined. */
function doubleBound(port: number, found: PortHolders, shell: ShellHint): Finding[] {
  if (found.kind === "unknown") return [];
  const wild = found.holders.filter(({ address }) => isWildcard(address));
  for (const wide of wild) {
    const other = found.holders.find((holder) =>
      holder.pid !== wide.pid && holder.address !== wide.address && isOnLoopback(holder.address) &&
      // Workers of one server share its sockets.
      !found.holders.some((each) => each.pid === holder.pid && each.address === wide.address)
    );
    if (other === undefined) continue;
    return [finding("warn", "double_bind", {
      message:
        `port ${port} is bound twice: on ${wide.address} by pid ${wide.pid} (${
          wide.program ?? "?"
        }) and on ` +
        `${other.address} by pid ${other.pid} (${other.program ?? "?"})`,
      fix: shell.show([wide.pid, other.pid]),
    })];
  }
  return [];
}

function isOnLoopback(address: string): boolean {
  return ["127.0.0.1", "::1"].some((hostname) => isInTheWay(address, hostname));
}

/** The command that gives a server in scope another port; a WebSocket port only its own definition can move. */
function moveAway(claim: PortClaim, seen: PortsObservation, shell: ShellHint): string {
  if (isGateway(claim)) return shell.foster("serve", "--port", "auto");
  const free = freeAfter(claim.port, seen);
  const inScope = claim.from === "definition" || claim.from === "preset";
  if (claim.use === "ws" || !inScope || free === null) return shell.foster("status", claim.key);
  return shell.foster("up", claim.name, "--port", String(free));
}

function freeAfter(port: number, { taken, reserved }: PortsObservation): number | null {
  for (let next = port + 1; next <= Math.min(port + SPAN, LAST_PORT); next++) {
    next = suggestPort(next, reserved);
    if (!taken.has(next) && !isReserved(next, reserved)) return next;
  }
  return null;
}
