import type { Holder, Observation } from "../../src/lifecycle/observe/observe.ts";
import type { Owned } from "../../src/lifecycle/observe/ownership.ts";
import { type StatusSnapshot, UNREACHED } from "../../src/mcp/snapshot.ts";

/** A look at a place where nothing is, with whatever else is said. */
export function observationOf(given: Partial<Observation> = {}): Observation {
  return {
    record: null,
    process: { kind: "gone" },
    liveness: { kind: "dead" },
    owned: [],
    listenerPids: new Set(),
    port: { kind: "free" },
    pidFilePid: 0,
    pending: [],
    ...given,
  };
}

export function holder(pid: number, given: Partial<Holder> = {}): Holder {
  return {
    pid,
    startTime: `token-${pid}`,
    owned: false,
    signed: false,
    serves: true,
    parentPid: 1,
    groupId: 5,
    ...given,
  };
}

export function held(...holders: Holder[]): Observation["port"] {
  return { kind: "held", holders, unnamed: 0 };
}

export function owned(pid: number, given: Partial<Owned> = {}): Owned {
  return { pid, start_token: `token-${pid}`, groupId: pid, why: "record", ...given };
}

/** What a server answers about itself. */
export function says(given: Partial<StatusSnapshot>): StatusSnapshot {
  return { ...UNREACHED, reachable: true, statusCode: 200, ...given };
}
