/**
 * Bodies of requests, up to a limit.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";

/** The largest body of a request to a server. */
export const BODY_LIMIT_BYTES = 64 * 1024 * 1024;

/** The whole body; null where it is over the limit. */
export async function readBody(request: Request, limitBytes: number): Promise<Uint8Array | null> {
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  if (length > limitBytes) return null;
  // A stated length bounds what the engine reads.
  if (Number.isSafeInteger(length)) return new Uint8Array(await request.arrayBuffer());
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > limitBytes) return null;
    chunks.push(chunk);
  }
  return concat(chunks);
}
