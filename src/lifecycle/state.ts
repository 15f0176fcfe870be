/**
 * The server's state machine: which state may follow which, as one total table.
 *
 * @module
 */
import { STATE_CODES, type StateLabel } from "../registry/state_label.ts";

export type Diagnosis = "crashed" | "no_command" | "port_excluded" | "incompatible" | "foreign_port";

const DIAGNOSES: ReadonlySet<StateLabel> = new Set<Diagnosis>([
  "crashed",
  "no_command",
  "port_excluded",
  "incompatible",
  "foreign_port",
]);

type Row = Record<StateLabel, boolean>;

/** Every state may stay as it is and may be stopped; all else is named. */
function row(...allowed: StateLabel[]): Row {
  const cells: Row = {
    uninitialized: false,
    spawning: false,
    ready: false,
    incompatible: false,
    crashed: false,
    no_command: false,
    port_excluded: false,
    foreign_port: false,
    guarded: false,
    stopping: true,
    stopped: true,
  };
  for (const state of allowed) cells[state] = true;
  return cells;
}

const EVERY = Object.keys(STATE_CODES) as StateLabel[];

const TRANSITIONS: Record<StateLabel, Row> = {
  uninitialized: row(...EVERY),
  spawning: row("spawning", "ready", "crashed", "foreign_port", "incompatible"),
  ready: row("ready", "incompatible", "crashed"),
  incompatible: row("incompatible"),
  crashed: row("crashed"),
  no_command: row("no_command"),
  port_excluded: row("port_excluded"),
  foreign_port: row("foreign_port", "ready", "incompatible"),
  guarded: row("guarded"),
  stopping: row("incompatible", "uninitialized"),
  stopped: row(...EVERY),
};

export function isLegal(from: StateLabel, to: StateLabel): boolean {
  return from === to || TRANSITIONS[from][to];
}

export function isDiagnosis(state: StateLabel): state is Diagnosis {
  return DIAGNOSES.has(state);
}

export function isHealthy(state: StateLabel): boolean {
  return state === "ready";
}

/** Only an incompatible server keeps clients away; a foreign port and a crash do not. */
export function blocksClients(state: StateLabel): boolean {
  return state === "incompatible";
}

export interface Incompatibility {
  message: string;
  actualName: string;
  actualVersion: string;
  canRecover: boolean;
}

/** The part of the status output that stays the same for ever. */
export interface StateSnapshot {
  state: number;
  exit_ms: number;
  actual_name: string;
  actual_version: string;
  expected_version: string;
  message: string;
  can_recover_incompatible: boolean;
  connection_blocked: boolean;
}

/** One server's state during one verb. An illegal step changes nothing, answers false and is reported. */
export class StateMachine {
  #state: StateLabel;
  #exitMs = 0;
  #actualName = "";
  #actualVersion = "";
  #message = "";
  #canRecover = false;
  #blocked = false;
  readonly #warn: (message: string) => void;
  readonly expectedVersion: string;

  constructor(options: { expectedVersion: string; warn: (message: string) => void; state?: StateLabel }) {
    this.#state = options.state ?? "uninitialized";
    this.#warn = options.warn;
    this.expectedVersion = options.expectedVersion;
  }

  get state(): StateLabel {
    return this.#state;
  }

  transition(to: StateLabel): boolean {
    if (!isLegal(this.#state, to)) {
      this.#warn(`state ${this.#state} cannot become ${to}`);
      return false;
    }
    this.#state = to;
    return true;
  }

  /** Writes a diagnosis whatever the table says, unless there is one already: the first one stays. */
  diagnose(diagnosis: StateLabel, message: string): boolean {
    if (!isDiagnosis(diagnosis)) {
      this.#warn(`${diagnosis} is not a diagnosis`);
      return false;
    }
    if (isDiagnosis(this.#state)) return false;
    this.#state = diagnosis;
    this.#message = message;
    return true;
  }

  /** Becomes incompatible and blocks the connection; nothing changes where the step is refused. */
  latchIncompatible(found: Incompatibility): boolean {
    if (!this.transition("incompatible")) return false;
    this.#blocked = true;
    this.#message = found.message;
    this.#actualName = found.actualName;
    this.#actualVersion = found.actualVersion;
    this.#canRecover = found.canRecover;
    return true;
  }

  crashedAfter(exitMs: number, message: string): boolean {
    if (!this.diagnose("crashed", message)) return false;
    this.#exitMs = exitMs;
    return true;
  }

  /** After a successful recovery or restart: nothing of the old diagnosis is left. */
  clear(): void {
    this.#exitMs = 0;
    this.#actualName = "";
    this.#actualVersion = "";
    this.#message = "";
    this.#canRecover = false;
    this.#blocked = false;
  }

  snapshot(): StateSnapshot {
    return {
      state: STATE_CODES[this.#state],
      exit_ms: this.#exitMs,
      actual_name: this.#actualName,
      actual_version: this.#actualVersion,
      expected_version: this.expectedVersion,
      message: this.#message,
      can_recover_incompatible: this.#canRecover,
      connection_blocked: this.#blocked,
    };
  }
}
