/**
 * What a bridge is told, what it says, and how it ends.
 *
 * @module
 */
import type { Outcome, ServerRow } from "../lifecycle/row.ts";
import type { StartedBy } from "../registry/record.ts";
import type { ServerDefinition } from "../definitions/definition.ts";

export type BridgeEvent =
  | { type: "ready"; row: ServerRow }
  | { type: "adopted"; pid: number | null }
  | { type: "probe_failed"; misses: number; reason: string }
  | { type: "exited"; reason: string }
  | { type: "restarting"; reason: string; attempt: number; delay_ms: number }
  | { type: "start_failed"; row: ServerRow }
  /** Something could not be done or written down; the watch goes on. */
  | { type: "problem"; message: string }
  | { type: "exhausted"; message: string; reason: string; restarts: number; max: number }
  | { type: "refused"; message: string }
  | { type: "stopped"; reason: string };

export interface BridgeOptions {
  definition: ServerDefinition;
  startedBy: StartedBy;
  timeoutMs: number | null;
  ownerPid: number | null;
  /** How long a server that a client started stays without clients; null for ever. */
  idleMs: number | null;
  /** Only keeps what runs already: a server that was taken away meanwhile is not started again. */
  adoptOnly: boolean;
  /** The definition as it stands now, for a server that another foster started from a changed one. */
  reload(): Promise<ServerDefinition>;
  onEvent(event: BridgeEvent): void;
}

/** How the bridge ended: as asked, or with an outcome that tells why. */
export type BridgeEnd = { kind: "stopped" } | { kind: "failed"; outcome: Outcome };
