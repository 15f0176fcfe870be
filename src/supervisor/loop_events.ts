/**
 * What the loop of a supervised server is given, what it tells, and how it ends.
 *
 * @module
 */
import type { Outcome, ServerRow } from "../lifecycle/row.ts";
import type { EventName } from "../registry/events.ts";
import type { ProcessIdentity, StartedBy } from "../registry/record.ts";
import type { ServerFolder } from "../registry/store.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import type { EndWatcher } from "./end_watcher.ts";

export type LoopEvent =
  | { type: "ready"; row: ServerRow }
  | { type: "adopted"; pid: number | null }
  | { type: "probe_failed"; misses: number; reason: string }
  | { type: "exited"; reason: string }
  | { type: "restarting"; reason: string; attempt: number; delay_ms: number }
  | { type: "start_failed"; outcome: Outcome }
  /** Something could not be done or written down; the watch goes on. */
  | { type: "problem"; message: string }
  | { type: "exhausted"; message: string; reason: string; restarts: number; max: number }
  | { type: "refused"; message: string }
  | { type: "stopped"; reason: string };

export interface LoopOptions {
  definition: ServerDefinition;
  startedBy: StartedBy;
  timeoutMs: number | null;
  /** The server ends with this process. */
  owner: ProcessIdentity | null;
  /** Sees the ends of processes that are not this process's own children. */
  ends: EndWatcher;
  /** Since when the oldest call through this process's own gateway runs, monotonic; left out without a gateway. */
  oldestCallMs?(): number | null;
  /** How long a server that a client started stays without clients; null for ever. */
  idleMs: number | null;
  /** Only keeps what runs already: a server that was taken away meanwhile is not started again. */
  adoptOnly: boolean;
  /** The definition as it stands now, for a server that another foster started from a changed one. */
  reload(): Promise<ServerDefinition>;
  onEvent(event: LoopEvent): void;
}

/** How the loop ended: as asked, or with an outcome that tells why. */
export type LoopEnd = { kind: "stopped" } | { kind: "failed"; outcome: Outcome };

/** Tells what happens: to who runs the loop, and to the server's events. */
export class LoopJournal {
  readonly #folder: ServerFolder;
  readonly #onEvent: (event: LoopEvent) => void;

  constructor(folder: ServerFolder, onEvent: (event: LoopEvent) => void) {
    this.#folder = folder;
    this.#onEvent = onEvent;
  }

  say(event: LoopEvent): void {
    this.#onEvent(event);
  }

  /** Writes an event down where that can be done. */
  async note(event: EventName, details: Parameters<ServerFolder["event"]>[1]): Promise<void> {
    await this.#folder.event(event, details).catch((error) => this.report(error));
  }

  /** Says what went wrong on foster's own side, and gives it in words. */
  report(error: unknown): string {
    const message = error instanceof Error ? error.message : String(error);
    this.#onEvent({ type: "problem", message });
    return message;
  }
}
