/**
 * Requests that the server makes of the client, and which connection is to have the answer.
 *
 * @module
 */
import { type ClientResponse, encodeLine, type JsonRpcId, withId, withParam } from "./message.ts";
import type { Pending, Upstream } from "./upstream/upstream.ts";

interface ServerRequest {
  upstream: Upstream;
  /** As the server gave it. */
  id: JsonRpcId;
  /** The client's request on whose stream it came. */
  related: Pending | null;
}

/** A server that asks without end is answered with errors. */
const LIMIT = 1000;

export class ServerRequests {
  readonly #open = new Map<JsonRpcId, ServerRequest>();
  readonly #newId: () => JsonRpcId;

  constructor(newId: () => JsonRpcId) {
    this.#newId = newId;
  }

  /**
   * The line that the client is to see. Every process of a server counts its requests from the start: one whose id is
   * still open gets another. Null where a resumed stream said it again; `full` where there are too many.
   */
  open(
    upstream: Upstream,
    { id, line, related }: { id: JsonRpcId; line: Uint8Array; related: Pending | null },
  ): Uint8Array | null | "full" {
    const before = this.#open.get(id);
    if (before?.upstream === upstream) return null;
    if (this.#open.size >= LIMIT) return "full";
    const shownId = before === undefined ? id : this.#newId();
    this.#open.set(shownId, { upstream, id, related });
    return shownId === id ? line : withId(line, shownId);
  }

  /** Where the client's answer goes, and its bytes; null where no server waits for it. */
  answer(
    line: Uint8Array,
    message: ClientResponse,
  ): { upstream: Upstream; line: Uint8Array; id: JsonRpcId } | null {
    const request = this.#open.get(message.id);
    if (request === undefined) return null;
    this.#open.delete(message.id);
    const { upstream, id } = request;
    return { upstream, id, line: id === message.id ? line : withId(line, id) };
  }

  /** A server takes a request back: the line that tells the client, null where the client knows of none. */
  takenBack(upstream: Upstream, { id, line }: { id: JsonRpcId; line: Uint8Array }): Uint8Array | null {
    for (const [shownId, request] of this.#open) {
      if (request.upstream !== upstream || request.id !== id) continue;
      this.#open.delete(shownId);
      return shownId === id ? line : withParam(line, ["requestId"], shownId);
    }
    return null;
  }

  /** The connection is gone: what tells the client that no server waits for its answers any more. */
  cancelAll(upstream: Upstream): { line: Uint8Array; related: Pending | null }[] {
    const cancelled: { line: Uint8Array; related: Pending | null }[] = [];
    for (const [shownId, request] of [...this.#open]) {
      if (request.upstream !== upstream) continue;
      this.#open.delete(shownId);
      const params = { requestId: 0, reason: "the server that asked is gone" };
      const line = encodeLine({ jsonrpc: "2.0", method: "notifications/cancelled", params });
      cancelled.push({ line: withParam(line, ["requestId"], shownId), related: request.related });
    }
    return cancelled;
  }
}
