import { encodeResponse, MESSAGE_LIMIT_BYTES, utf8Bytes } from "./wire.ts";

/** The sizes behind a refusal, in bytes. */
export interface Overflow {
  bufferedBytes: number;
  messageBytes: number;
  limitBytes: number;
}

export interface Outgoing {
  text: string;
  /** Id of the request it answers; null for everything else. */
  requestId: string | null;
}

export type OutboundPlan =
  | { kind: "send" }
  /** The answer is too big: `text` takes its place and counts as sent. */
  | { kind: "replace"; text: string; overflow: Overflow }
  /** Not even that fits. */
  | { kind: "drop"; overflow: Overflow }
  /** No answer to anything: the caller tries again. */
  | { kind: "refuse"; overflow: Overflow };

/** Whether the socket takes `text` without going beyond the limit; exactly the limit is allowed. */
export function fitsOutbound(text: string, bufferedBytes: number): boolean {
  if (bufferedBytes + text.length * 3 <= MESSAGE_LIMIT_BYTES) return true;
  if (bufferedBytes + text.length > MESSAGE_LIMIT_BYTES) return false;
  return bufferedBytes + utf8Bytes(text) <= MESSAGE_LIMIT_BYTES;
}

/** Decides what becomes of a message with `bufferedBytes` already waiting in the socket. */
export function planOutbound(
  message: Outgoing,
  socket: { bufferedBytes: number; readiness: string },
): OutboundPlan {
  const { bufferedBytes, readiness } = socket;
  if (fitsOutbound(message.text, bufferedBytes)) return { kind: "send" };
  const overflow = { bufferedBytes, messageBytes: utf8Bytes(message.text), limitBytes: MESSAGE_LIMIT_BYTES };
  if (message.requestId === null) return { kind: "refuse", overflow };
  const text = replacement(message.requestId, overflow, readiness);
  return fitsOutbound(text, bufferedBytes) ? { kind: "replace", text, overflow } : { kind: "drop", overflow };
}

function replacement(requestId: string, overflow: Overflow, readiness: string): string {
  const { bufferedBytes, messageBytes, limitBytes } = overflow;
  const message =
    `The answer of ${messageBytes} bytes does not fit: ${bufferedBytes} bytes wait to be read ` +
    `and the limit is ${limitBytes}. Ask for less at a time.`;
  const data = { buffered_bytes: bufferedBytes, message_bytes: messageBytes, limit_bytes: limitBytes };
  const error = { code: "INTERNAL_ERROR", message, data };
  return encodeResponse(requestId, { status: "error", data: {}, error }, readiness);
}
