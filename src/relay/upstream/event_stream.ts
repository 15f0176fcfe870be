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
const MARK = [0xef, 0xbb, 0xbf];

export interface ServerSentEvent {
  name: string;
  /** Null where the event carries none. */
  data: Uint8Array | null;
}

/** Cuts a stream of bytes into events; what it learns on the way is there for a resumption. */
export class EventReader {
  readonly #limitBytes: number;
  #line: Uint8Array[] = [];
  #lineBytes = 0;
  #name = "";
  readonly #data = new EventData();
  #isStart = true;
  /** The last line ended with a CR: a LF that follows belongs to it. */
  #afterReturn = false;
  /** Of the last event that had one. */
  lastId: string | null = null;
  /** How long the server asks to wait before a reconnection; milliseconds. */
  retryMs: number | null = null;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Puts the reader before the first byte of another stream; what it learned stays. */
  restart(): void {
    this.#line = [];
    this.#lineBytes = 0;
    this.#name = "";
    this.#data.clear();
    this.#isStart = true;
    this.#afterReturn = false;
  }

  /** The events that are complete with this chunk. @throws Error where an event is larger than the limit */
  *add(chunk: Uint8Array): Generator<ServerSentEvent> {
    let from = 0;
    let nextReturn = chunk.indexOf(RETURN);
    let nextLine = chunk.indexOf(NEWLINE);
    while (from < chunk.length) {
      if (this.#afterReturn) {
        this.#afterReturn = false;
        if (chunk[from] === NEWLINE) {
          from++;
          nextLine = chunk.indexOf(NEWLINE, from);
          continue;
        }
      }
      if (nextReturn !== -1 && nextReturn < from) nextReturn = chunk.indexOf(RETURN, from);
      const end = nextReturn === -1
        ? nextLine
        : nextLine === -1
        ? nextReturn
        : Math.min(nextLine, nextReturn);
      if (end === -1) {
        this.#keep(chunk.subarray(from));
        return;
      }
      this.#afterReturn = chunk[end] === RETURN;
      const part = chunk.subarray(from, end);
      const line = this.#line.length === 0 ? part : concat([...this.#line, part]);
      this.#line = [];
      this.#lineBytes = 0;
      from = end + 1;
      if (!this.#afterReturn) nextLine = chunk.indexOf(NEWLINE, from);
      const event = this.#take(line);
      if (event !== null) yield event;
    }
  }

  #keep(part: Uint8Array): void {
    this.#line.push(part);
    this.#lineBytes += part.length;
    this.#check();
  }

  #check(): void {
    if (this.#lineBytes + this.#data.bytes <= this.#limitBytes) return;
    throw new Error(`an event of more than ${this.#limitBytes} bytes`);
  }

  #take(read: Uint8Array): ServerSentEvent | null {
    const line = this.#isStart && MARK.every((byte, index) => read[index] === byte) ? read.subarray(3) : read;
    this.#isStart = false;
    if (line.length > 0) {
      this.#field(line);
      return null;
    }
    const event: ServerSentEvent = {
      name: this.#name === "" ? "message" : this.#name,
      data: this.#data.take(),
    };
    this.#name = "";
    return event;
  }

  #field(line: Uint8Array): void {
    const colon = line.indexOf(COLON);
    // A line that begins with a colon keeps the connection alive.
    if (colon === 0) return;
    const name = colon === -1 ? line : line.subarray(0, colon);
    const from = line[colon + 1] === BLANK ? colon + 2 : colon + 1;
    const value = colon === -1 ? EMPTY : line.subarray(from);
    switch (name.length > 5 ? "" : decoder.decode(name)) {
      case "data":
        this.#data.add(value);
        this.#check();
        return;
      case "event":
        this.#name = decoder.decode(value);
        return;
      case "id":
        if (!value.includes(0)) this.lastId = decoder.decode(value) || null;
        return;
      case "retry": {
        const text = decoder.decode(value);
        if (/^[0-9]{1,9}$/.test(text)) this.retryMs = Number(text);
        return;
      }
    }
  }
}

/** The data lines of one event, joined as they come: one line is not copied, many are copied once. */
class EventData {
  #only: Uint8Array | null = null;
  #buffer: Uint8Array | null = null;
  bytes = 0;

  add(value: Uint8Array): void {
    if (this.#only === null && this.#buffer === null) {
      this.#only = value;
      this.bytes = value.length;
      return;
    }
    const needed = this.bytes + 1 + value.length;
    if (this.#buffer === null || this.#buffer.length < needed) {
      const larger = new Uint8Array(Math.max(1024, needed * 2));
      larger.set(this.#buffer?.subarray(0, this.bytes) ?? this.#only ?? EMPTY);
      this.#buffer = larger;
      this.#only = null;
    }
    this.#buffer[this.bytes] = NEWLINE;
    this.#buffer.set(value, this.bytes + 1);
    this.bytes = needed;
  }

  take(): Uint8Array | null {
    const data = this.#only ?? this.#buffer?.subarray(0, this.bytes) ?? null;
    this.clear();
    return data;
  }

  clear(): void {
    this.#only = null;
    this.#buffer = null;
    this.bytes = 0;
  }
}

const EMPTY = new Uint8Array();
const decoder = new TextDecoder();
