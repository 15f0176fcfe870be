/**
 * What a bridge tells: to whoever runs it, and to the server's events.
 *
 * @module
 */
import type { EventName } from "../registry/events.ts";
import type { ServerSlot } from "../registry/store.ts";
import type { BridgeEvent } from "./types.ts";

export class BridgeJournal {
  readonly #slot: ServerSlot;
  readonly #onEvent: (event: BridgeEvent) => void;

  constructor(slot: ServerSlot, onEvent: (event: BridgeEvent) => void) {
    this.#slot = slot;
    this.#onEvent = onEvent;
  }

  say(event: BridgeEvent): void {
    this.#onEvent(event);
  }

  /** Writes an event down where that can be done. */
  async note(event: EventName, details: Parameters<ServerSlot["event"]>[1]): Promise<void> {
    await this.#slot.event(event, details).catch((error) => this.report(error));
  }

  /** Says what went wrong on the bridge's own side, and gives it in words. */
  report(error: unknown): string {
    const message = error instanceof Error ? error.message : String(error);
    this.#onEvent({ type: "problem", message });
    return message;
  }
}
