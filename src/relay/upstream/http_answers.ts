/**
 * What an HTTP answer that is no success means for the message that it answers.
 *
 * @module
 */
import { concat } from "../../base/bytes.ts";
import { isObject } from "../../base/json.ts";
import { excerptOf } from "../../base/text.ts";
import { classifyProbeError, connectionFailure } from "../../mcp/outcome.ts";
import {
  type ClientRequest,
  CONNECTION_CLOSED,
  errorLine,
  idText,
  isLikeId,
  METHOD_NOT_FOUND,
  parseLine,
  type RpcError,
} from "../message.ts";
import { oneLine } from "../lines.ts";
import type { Refusal } from "../retry.ts";
import type { HttpResponse } from "./http_client.ts";
import type { Pending } from "./upstream.ts";

const REFUSAL_LIMIT_BYTES = 64 * 1024;

/** Reads a body whole. @throws Error where it is larger */
export async function readBody(response: HttpResponse, limitBytes: number): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (let part = await response.read(); part !== null; part = await response.read()) {
    bytes += part.length;
    if (bytes > limitBytes) {
      response.discard();
      throw new TooLargeError(limitBytes);
    }
    // Nothing but blanks in front of a message needs no room.
    if (parts.length > 0 || part.some((byte) => byte > 0x20)) parts.push(part);
  }
  return parts;
}

export class TooLargeError extends Error {
  override readonly name = "TooLargeError";
  constructor(limitBytes: number) {
    super(`its answer is larger than ${Math.round(limitBytes / 1024 / 1024)} MiB`);
  }
}

/** The first 64 KiB of a body. */
export async function readExcerpt(response: HttpResponse): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let leftBytes = REFUSAL_LIMIT_BYTES;
  for (let part = await response.read(); part !== null; part = await response.read()) {
    parts.push(part.subarray(0, leftBytes));
    leftBytes -= part.length;
    if (leftBytes <= 0) break;
  }
  response.discard();
  return concat(parts);
}

/** How the server refused it, and the answers that the client would get. */
export function refusalOf(
  pending: Pending,
  { status, body }: { status: number; body: Uint8Array },
): Refusal & { lines: readonly Uint8Array[] } {
  const text = new TextDecoder().decode(body);
  const value = parseLine(body);
  const said = isObject(value) ? saidError(value) : null;
  const code = said?.code ?? null;
  const { may_have_run: mayHaveRun, is_ending: isEnding } = isObject(said?.data) ? said.data : {};
  const refusal = {
    status,
    code,
    text: said?.message ?? text,
    wasNotRun: mayHaveRun === false,
    mayHaveRun: mayHaveRun === true,
    isEnding: status === 503 && isEnding === true,
  };
  if (isObject(value) && "error" in value && answersOne(pending, value)) {
    return { ...refusal, lines: [oneLine(body)] };
  }
  const lines = [...pending.open.values()].map(({ wireId, request }) =>
    errorLine(wireId, said ?? statusError(request, { status, text }))
  );
  return { ...refusal, lines };
}

function saidError({ error }: Record<string, unknown>): RpcError | null {
  if (!isObject(error)) return null;
  const { code, message } = error;
  return typeof code === "number" && typeof message === "string" ? { ...error, code, message } : null;
}

function answersOne(pending: Pending, { id }: Record<string, unknown>): boolean {
  const text = idText(id);
  return text !== null && [...pending.open.keys()].some((wireId) => isLikeId(wireId, text));
}

function statusError(request: ClientRequest, { status, text }: { status: number; text: string }): RpcError {
  const excerpt = excerptOf(text);
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
  if (error instanceof TooLargeError) return error.message;
  return classifyProbeError(connectionFailure(error)).reason;
}
