/**
 * Whether a live server is the one that is wanted.
 *
 * @module
 */
import { satisfies, valid } from "semver";
import type { ServerDefinition } from "../../definitions/definition.ts";
import type { ServerRecord } from "../../registry/record.ts";
import type { StatusSnapshot } from "../../mcp/snapshot.ts";

export type Compatibility =
  | { kind: "compatible"; reason: "exact" | "range" | "any" }
  | { kind: "incompatible"; reason: "unknown" | "version_mismatch" | "ws_port_mismatch" | "name_mismatch" };

export interface Expectation {
  /** Null: whoever answers on our own process is right. */
  name: string | null;
  /** Exact version, semver range, or null for any. */
  version: string | null;
  /** Null where the server has no WebSocket side or its answer can't tell. */
  wsPort: number | null;
}

/** Compares a snapshot with what is expected; version and WebSocket port count only under the expected name. */
export function judge(live: StatusSnapshot, expected: Expectation): Compatibility {
  const verified = expected.name === null || live.name === expected.name;
  const { version, wsPort } = live;
  if (!verified) return { kind: "incompatible", reason: "name_mismatch" };
  if (expected.version !== null) {
    if (version === "") return { kind: "incompatible", reason: "unknown" };
    if (!versionMatches(expected.version, version)) {
      return { kind: "incompatible", reason: "version_mismatch" };
    }
  }
  if (expected.wsPort !== null && wsPort !== expected.wsPort) {
    return { kind: "incompatible", reason: "ws_port_mismatch" };
  }
  if (expected.version === null) return { kind: "compatible", reason: "any" };
  return { kind: "compatible", reason: version === expected.version ? "exact" : "range" };
}

/** Compares a snapshot with what the definition wants; `wsPort` is the one that a start would get. */
export function compareWithDefinition(
  live: StatusSnapshot,
  { definition, record, wsPort }: {
    definition: ServerDefinition;
    record: Pick<ServerRecord, "ws_port" | "version"> | null;
    wsPort: number | null;
  },
): Compatibility {
  const { identity, ready, version } = definition;
  const tellsWsPort = identity.statusPath !== null && ready.check !== "tcp";
  const expectedPort = expectedWsPort(
    { wsPort: record?.ws_port ?? null, version: record?.version ?? null },
    { wsPort: tellsWsPort ? wsPort : null, version },
  );
  // A check that only connects learns neither name nor version.
  const learnsNothing = ready.check === "tcp" && live.name === "";
  return judge(live, {
    name: learnsNothing ? null : identity.name,
    version: learnsNothing ? null : version,
    wsPort: expectedPort,
  });
}

/** The recorded WebSocket port counts only under the wanted version; else it is the freshly resolved one. */
export function expectedWsPort(
  recorded: { wsPort: number | null; version: string | null },
  wanted: { version: string | null; wsPort: number | null },
): number | null {
  const usable = recorded.wsPort !== null && recorded.wsPort > 0 && wanted.version !== null &&
    recorded.version === wanted.version;
  return usable && wanted.wsPort !== null ? recorded.wsPort : wanted.wsPort;
}

/** Whether `actual` is exactly the expected version or within the expected semver range; null expects nothing. */
export function versionMatches(expected: string | null, actual: string): boolean {
  if (expected === null || expected === actual) return true;
  if (valid(expected) !== null) return false;
  return satisfies(actual, expected);
}
