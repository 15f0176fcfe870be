/**
 * What an HTTP answer that is no success means for the message that it answers.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";
import { classifyProbeError, connectionFailure } from "../../mcp/outcome.ts";
import {
  type ClientRequest,
  CONNECTION_CLOSED,
  encodeLine,
  errorLine,
  METHOD_NOT_FOUND,
} from "../message.ts";
import type { Parcel } from "../parcel.ts";

export interface Refusal {
  status: number;
  text: string;
  /** The text as JSON, undefined where it is none. */
  body: unknown;
}

const EXCERPT_CHARS = 200;

/** For a message that named a session. Not every server says it with the status that is meant for it. */
export function isUnknownSession(parcel: Parcel, { status, text, body }: Refusal): boolean {
  if (answersOne(parcel, body)) return false;
  return status === 404 || (status === 400 && /session/i.test(text));
}

/** An answer for every request of the parcel. */
export function httpFailureLines(parcel: Parcel, refusal: Refusal): Uint8Array[] {
  if (answersOne(parcel, refusal.body)) return [encodeLine(refusal.body)];
  return [...parcel.open.values()].map((request) => errorLine(request.id, errorOf(request, refusal)));
}

function answersOne(parcel: Parcel, body: unknown): boolean {
  return isObject(body) && "error" in body &&
    [...parcel.open.values()].some((request) => request.id === body.id);
}

function errorOf(request: ClientRequest, { status, text, body }: Refusal): { code: number; message: string } {
  if (isObject(body) && isObject(body.error)) {
    const { code, message } = body.error;
    if (typeof code === "number" && typeof message === "string") return { ...body.error, code, message };
  }
  const line = text.replaceAll(/\s+/g, " ").trim();
  const excerpt = line.length > EXCERPT_CHARS ? `${line.slice(0, EXCERPT_CHARS)}…` : line;
  return {
    // To a client that asks which revision is spoken this says: an older one.
    code: request.method === "server/discover" ? METHOD_NOT_FOUND : CONNECTION_CLOSED,
    message: excerpt === ""
      ? `The server answered HTTP ${status}`
      : `The server answered HTTP ${status}: ${excerpt}`,
  };
}

/** Why a connection failed, for people. */
export function reasonOf(error: unknown): string {
  return classifyProbeError(connectionFailure(error)).reason;
}
