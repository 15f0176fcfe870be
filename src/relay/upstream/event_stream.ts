/**
 * Server-sent events, as bytes.
 *
 * @module
 */
import { concat } from "../../base/bytes.ts";

const NEWLINE = 10;
const RETURN = 13;
const COLON = 58;
const BLANK = 32;

export interface ServerSentEvent {
  name: string;
  /** Null where the event carries none. */
  data: Uint8Array | null;
}

/** Cuts a stream of bytes into events; what it learns on the way is there for a resumption. */
export class EventReader {
  #line: Uint8Array[] = [];
  #name = "";
  #data: Uint8Array[] = [];
  /** Of the last event that had one. */
  lastId: string | null = null;
  /** How long the server asks to wait before a reconnection; milliseconds. */
  retryMs: number | null = null;

  /** The events that are complete with this chunk. */
  *add(chunk: Uint8Array): Generator<ServerSentEvent> {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const line = concat([...this.#line, chunk.subarray(from, end)]);
      this.#line = [];
      from = end + 1;
      const event = this.#take(line.at(-1) === RETURN ? line.subarray(0, -1) : line);
      if (event !== null) yield event;
    }
    if (from < chunk.length) this.#line.push(chunk.subarray(from));
  }

  #take(line: Uint8Array): ServerSentEvent | null {
    if (line.length > 0) {
      this.#field(line);
      return null;
    }
    const [first, ...more] = this.#data;
    const event: ServerSentEvent = {
      name: this.#name === "" ? "message" : this.#name,
      data: first === undefined
        ? null
        : more.reduce((all, part) => concat([all, NEWLINE_BYTES, part]), first),
    };
    this.#name = "";
    this.#data = [];
    return event;
  }

  #field(line: Uint8Array): void {
    const colon = line.indexOf(COLON);
    // A line that begins with a colon keeps the connection alive.
    if (colon === 0) return;
    const name = decoder.decode(colon === -1 ? line : line.subarray(0, colon));
    const from = line[colon + 1] === BLANK ? colon + 2 : colon + 1;
    const value = colon === -1 ? new Uint8Array() : line.subarray(from);
    switch (name) {
      case "data":
        this.#data.push(value);
        return;
      case "event":
        this.#name = decoder.decode(value);
        return;
      case "id":
        this.lastId = decoder.decode(value) || null;
        return;
      case "retry": {
        const text = decoder.decode(value);
        if (/^[0-9]{1,9}$/.test(text)) this.retryMs = Number(text);
        return;
      }
    }
  }
}

const NEWLINE_BYTES = new Uint8Array([NEWLINE]);
const decoder = new TextDecoder();
