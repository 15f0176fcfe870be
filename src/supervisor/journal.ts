/**
 * What a bridge tells: to whoever runs it, and to the server's events.
 *
 * @module
 */
import type { EventName } from "../registry/events.ts";
import type { ServerFolder } from "../registry/store.ts";
import type { BridgeEvent } from "./types.ts";

export class BridgeJournal {
  readonly #folder: ServerFolder;
  readonly #onEvent: (event: BridgeEvent) => void;

  constructor(folder: ServerFolder, onEvent: (event: BridgeEvent) => void) {
    this.#folder = folder;
    this.#onEvent = onEvent;
  }

  say(event: BridgeEvent): void {
    this.#onEvent(event);
  }

  /** Writes an event down where that can be done. */
  async note(event: EventName, details: Parameters<ServerFolder["event"]>[1]): Promise<void> {
    await this.#folder.event(event, details).catch((error) => this.report(error));
  }

  /** Says what went wrong on the bridge's own side, and gives it in words. */
  report(error: unknown): string {
    const message = error instanceof Error ? error.message : String(error);
    this.#onEvent({ type: "problem", message });
    return message;
  }
}
