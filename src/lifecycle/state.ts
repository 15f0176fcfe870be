/**
 * The states of a server's record: which one follows which event, as one total table.
 *
 * @module
 */
import type { StateLabel } from "../registry/state_label.ts";

export type StateEvent =
  /** A new process is about to be spawned. */
  | "spawn"
  /** foster's own check found the server ready. */
  | "ready"
  /** No process of it is left, or it was stopped again because it did not become ready. */
  | "crash"
  /** Somebody wants it to end. */
  | "stop"
  /** Its processes are gone. */
  | "end"
  /** Processes may be its own, and nothing proves it yet. */
  | "doubt"
  /** A client's session said that the server is, or is not, the one that is wanted: words revive nothing. */
  | "client_accepts"
  | "client_rejects";

type Row = Record<StateEvent, StateLabel>;

/** What foster itself saw or did counts in every state. */
const SEEN = {
  spawn: "spawning",
  ready: "ready",
  crash: "crashed",
  stop: "stopping",
  end: "stopped",
  doubt: "spawning",
} as const;

/** A state in which the word of a client changes nothing. */
function deaf(state: StateLabel): Row {
  return { ...SEEN, client_accepts: state, client_rejects: state };
}

const HEARS: Row = { ...SEEN, client_accepts: "ready", client_rejects: "incompatible" };

const NEXT: Record<StateLabel, Row> = {
  uninitialized: HEARS,
  spawning: HEARS,
  ready: HEARS,
  incompatible: HEARS,
  crashed: { ...deaf("crashed"), doubt: "crashed" },
  no_command: deaf("no_command"),
  port_excluded: deaf("port_excluded"),
  foreign_port: HEARS,
  guarded: deaf("guarded"),
  // A failed recovery may leave the wrong server behind.
  stopping: { ...deaf("stopping"), client_rejects: "incompatible" },
  stopped: HEARS,
};

export function nextState(state: StateLabel, event: StateEvent): StateLabel {
  return NEXT[state][event];
}

/** The record after the event. Every state that is written to a record comes from here. */
export function advance<R extends { state: StateLabel }>(record: R, event: StateEvent): R {
  return { ...record, state: nextState(record.state, event) };
}
