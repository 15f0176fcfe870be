import type { JsonObject } from "./wire.ts";

export const READINESS_EVENT = "readiness_changed";
const STATE_EVENTS: ReadonlySet<string> = new Set(["scene_changed", "play_state_changed", READINESS_EVENT]);

/** Whether an event tells the present state: only its latest value matters, and a new connection hears it again. */
export function isStateEvent(event: string): boolean {
  return STATE_EVENTS.has(event);
}

/** What the server ought to know and what it was told; a value counts as told only once it was sent. */
export class StateEvents {
  #wanted = new Map<string, { data: JsonObject; json: string }>();
  #told = new Map<string, string>();

  /** Notes the present value. With `again` it is sent even where the server has it already. */
  want(event: string, data: JsonObject, options: { again: boolean }): void {
    this.#wanted.set(event, { data, json: JSON.stringify(data) });
    if (options.again) this.#told.delete(event);
  }

  /** A new connection knows nothing but the readiness that its handshake gives. */
  begin(readiness: string): void {
    this.#told.clear();
    this.#told.set(READINESS_EVENT, JSON.stringify({ readiness }));
  }

  /** What is still to be sent. */
  untold(): { event: string; data: JsonObject }[] {
    const result: { event: string; data: JsonObject }[] = [];
    for (const [event, { data, json }] of this.#wanted) {
      if (this.#told.get(event) !== json) result.push({ event, data });
    }
    return result;
  }

  markTold(event: string): void {
    const value = this.#wanted.get(event);
    if (value !== undefined) this.#told.set(event, value.json);
  }
}
