import { Queue } from "../base/queue.ts";
import { encodeResponse, MESSAGE_LIMIT_BYTES, type Packet, utf8Bytes } from "./wire.ts";

/** How much may lie unread before the server is hung up on. A packet counts its characters and a little for itself. */
const UNREAD_LIMIT = 16 * MESSAGE_LIMIT_BYTES;
const PACKET_OVERHEAD = 64;

/** The library's code for a message over the limit; a client may not put it on the wire itself, so 4009 goes there. */
const TOO_BIG = { code: 1009, onWire: 4009 } as const;

/** The code for a connection that ended without a goodbye; Deno says 0 there. */
const ABNORMAL = 1006;

export interface SocketEnd {
  code: number;
  reason: string;
  /** What the platform said went wrong; empty where it said nothing. */
  why: string;
}

export interface Outgoing {
  text: string;
  /** Id of the request it answers; null for everything else. */
  requestId: string | null;
}

/** The sizes behind a refusal, in bytes. */
export interface Overflow {
  bufferedBytes: number;
  messageBytes: number;
  limitBytes: number;
}

export type SendResult =
  | { kind: "sent" }
  /** The answer was too big: an error that says so was sent in its place. */
  | { kind: "replaced"; overflow: Overflow }
  /** Not even that error fits. */
  | { kind: "dropped"; overflow: Overflow }
  /** Not open, or no answer and no room: the caller tries again. */
  | { kind: "refused" };

/** One WebSocket, never used again: keeps what comes in until it is taken, and what goes out within the limit. */
export class Socket {
  readonly #socket: WebSocket;
  readonly #wake: () => void;
  readonly #packets = new Queue<Packet>();
  #unread = 0;
  #opened = false;
  #why = "";
  #end: SocketEnd | null = null;
  #left = false;

  /** `wake` is called whenever there is something new to look at. */
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
    socket.onclose = (event) => this.#ended(event.code === 0 ? ABNORMAL : event.code, event.reason);
  }

  /** True from the handshake on, for ever. */
  get opened(): boolean {
    return this.#opened;
  }

  /** How it ended; null while it has not. */
  get end(): SocketEnd | null {
    return this.#end;
  }

  /** Whether the client said goodbye: nothing is to be taken or sent any more. */
  get left(): boolean {
    return this.#left;
  }

  /** Packets that nobody took yet. */
  get unread(): number {
    return this.#packets.size;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** The oldest packet not yet taken. */
  take(): Packet | undefined {
    const packet = this.#packets.shift();
    if (packet !== undefined) this.#unread -= weightOf(packet);
    return packet;
  }

  /** Sends within the limit, which counts what waits in the socket already. `readiness` goes into a replacement. */
  send({ text, requestId }: Outgoing, readiness: string): SendResult {
    if (this.#end !== null || this.#socket.readyState !== this.#socket.OPEN) return { kind: "refused" };
    const { bufferedBytes } = this;
    if (fits(text, bufferedBytes)) {
      this.#socket.send(text);
      return { kind: "sent" };
    }
    if (requestId === null) return { kind: "refused" };
    const overflow = { bufferedBytes, messageBytes: utf8Bytes(text), limitBytes: MESSAGE_LIMIT_BYTES };
    const replacement = overflowResponse(requestId, overflow, readiness);
    if (!fits(replacement, bufferedBytes)) return { kind: "dropped", overflow };
    this.#socket.send(replacement);
    return { kind: "replaced", overflow };
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
    const packet: Packet = typeof data === "string"
      ? data
      : { binaryBytes: data instanceof ArrayBuffer ? data.byteLength : 0 };
    if (typeof data === "string" && !fits(data, 0)) {
      return this.#hangUp(`message too big (limit ${MESSAGE_LIMIT_BYTES} bytes)`);
    }
    if (this.#unread + weightOf(packet) > UNREAD_LIMIT) {
      return this.#hangUp(`more than ${UNREAD_LIMIT} bytes unread`);
    }
    this.#unread += weightOf(packet);
    this.#packets.push(packet);
    this.#wake();
  }

  #hangUp(reason: string): void {
    this.#socket.close(TOO_BIG.onWire, reason);
    this.#ended(TOO_BIG.code, reason);
  }

  #ended(code: number, reason: string): void {
    this.#end = { code, reason, why: this.#why };
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

function weightOf(packet: Packet): number {
  return PACKET_OVERHEAD + (typeof packet === "string" ? packet.length : 0);
}

/** Whether `text` stays within the limit beside `bufferedBytes`; exactly the limit does. */
function fits(text: string, bufferedBytes: number): boolean {
  // Counting the bytes of a text costs as much as sending it: most are short enough, or too long, at first sight.
  if (bufferedBytes + text.length * 3 <= MESSAGE_LIMIT_BYTES) return true;
  if (bufferedBytes + text.length > MESSAGE_LIMIT_BYTES) return false;
  return bufferedBytes + utf8Bytes(text) <= MESSAGE_LIMIT_BYTES;
}

function overflowResponse(requestId: string, overflow: Overflow, readiness: string): string {
  const { bufferedBytes, messageBytes, limitBytes } = overflow;
  const message =
    `The answer of ${messageBytes} bytes does not fit: ${bufferedBytes} bytes wait to be read ` +
    `and the limit is ${limitBytes}. Ask for less at a time.`;
  const data = { buffered_bytes: bufferedBytes, message_bytes: messageBytes, limit_bytes: limitBytes };
  const error = { code: "INTERNAL_ERROR", message, data };
  return encodeResponse(requestId, { status: "error", data: {}, error }, readiness);
}
