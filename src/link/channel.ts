import { Fifo } from "./fifo.ts";
import { MESSAGE_LIMIT_BYTES, type Packet, utf8Bytes } from "./wire.ts";

/** How much may lie unread before the server is hung up on, in characters. */
const INBOUND_LIMIT = 16 * MESSAGE_LIMIT_BYTES;

/** The library's code for a message over the limit; a client may not put it on the wire itself, so this goes there. */
const TOO_BIG = { code: 1009, onWire: 4009 } as const;

/** The code for a connection that ended without a goodbye; Deno says 0 there. */
const ABNORMAL = 1006;

export interface Ended {
  code: number;
  reason: string;
  /** What the platform said went wrong; empty where it said nothing. */
  why: string;
}

/** One WebSocket, never used again: notes what happens to it until somebody looks. */
export class Channel {
  readonly #socket: WebSocket;
  readonly #wake: () => void;
  readonly #inbox = new Fifo<Packet>();
  #unread = 0;
  #opened = false;
  #why = "";
  #ended: Ended | null = null;
  #left = false;

  constructor(socket: WebSocket, wake: () => void) {
    this.#socket = socket;
    this.#wake = wake;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#opened = true;
      wake();
    };
    socket.onmessage = (event) => this.#keep(event.data);
    socket.onerror = (event) => {
      if ("message" in event && typeof event.message === "string") this.#why = event.message;
    };
    socket.onclose = (event) => this.#end(event.code === 0 ? ABNORMAL : event.code, event.reason);
  }

  /** True from the handshake on, for ever. */
  get opened(): boolean {
    return this.#opened;
  }

  /** How it ended; null while it has not. */
  get ended(): Ended | null {
    return this.#ended;
  }

  /** Whether the client said goodbye: nothing is to be taken or sent any more. */
  get left(): boolean {
    return this.#left;
  }

  /** Packets that nobody took yet. */
  get waiting(): number {
    return this.#inbox.size;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** The oldest packet not yet taken. */
  take(): Packet | undefined {
    const packet = this.#inbox.shift();
    if (typeof packet === "string") this.#unread -= packet.length;
    return packet;
  }

  /** False where the socket is not open. */
  send(text: string): boolean {
    if (this.#ended !== null || this.#socket.readyState !== this.#socket.OPEN) return false;
    this.#socket.send(text);
    return true;
  }

  /** Says goodbye and forgets the socket. Resolves when it is closed, which is the server's to answer. */
  leave(goodbye: { code: number; reason: string }): Promise<void> {
    this.#left = true;
    this.#detach();
    if (this.#socket.readyState === this.#socket.CLOSED) return Promise.resolve();
    return new Promise((resolve) => {
      this.#socket.onclose = () => {
        this.#socket.onclose = null;
        resolve();
      };
      this.#socket.close(goodbye.code, goodbye.reason);
    });
  }

  #keep(data: unknown): void {
    if (typeof data !== "string") {
      this.#inbox.push({ binaryBytes: data instanceof ArrayBuffer ? data.byteLength : 0 });
    } else if (isTooBig(data)) {
      return this.#hangUp(`message too big (limit ${MESSAGE_LIMIT_BYTES} bytes)`);
    } else if (this.#unread + data.length > INBOUND_LIMIT) {
      return this.#hangUp(`more than ${INBOUND_LIMIT} bytes unread`);
    } else {
      this.#unread += data.length;
      this.#inbox.push(data);
    }
    this.#wake();
  }

  #hangUp(reason: string): void {
    this.#socket.close(TOO_BIG.onWire, reason);
    this.#end(TOO_BIG.code, reason);
  }

  #end(code: number, reason: string): void {
    this.#ended = { code, reason, why: this.#why };
    this.#detach();
    this.#wake();
  }

  #detach(): void {
    this.#socket.onopen = null;
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    // Bun reports an error that nobody listens to as uncaught.
    this.#socket.onerror = () => undefined;
  }
}

function isTooBig(text: string): boolean {
  if (text.length * 3 <= MESSAGE_LIMIT_BYTES) return false;
  return text.length > MESSAGE_LIMIT_BYTES || utf8Bytes(text) > MESSAGE_LIMIT_BYTES;
}
