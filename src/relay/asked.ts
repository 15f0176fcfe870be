/**
 * What servers asked the client, and which of them is to have the answer.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type ClientResponse, encodeLine, type JsonRpcId, keyOf, parseLine } from "./message.ts";
import { parcelOf } from "./parcel.ts";
import type { Upstream } from "./upstream/upstream.ts";

interface Question {
  upstream: Upstream;
  /** As the server gave it. */
  id: JsonRpcId;
  /** As the client knows it. */
  shownId: JsonRpcId;
}

export class Asked {
  readonly #toClient: (line: Uint8Array) => void;
  readonly #open = new Map<string, Question>();
  #renamed = 0;

  constructor(toClient: (line: Uint8Array) => void) {
    this.#toClient = toClient;
  }

  /** A new life of a server counts its questions from the start: one whose id is still open gets another. */
  ask(upstream: Upstream, { id, line }: { id: JsonRpcId; line: Uint8Array }): void {
    const before = this.#open.get(keyOf(id));
    // Told again by a resumed stream.
    if (before?.upstream === upstream) return;
    const shownId = before === undefined ? id : `foster-asked-${++this.#renamed}`;
    this.#open.set(keyOf(shownId), { upstream, id, shownId });
    this.#toClient(shownId === id ? line : withId(line, shownId));
  }

  /** Passes the client's answer to whoever asked; nobody else is told. */
  answer(line: Uint8Array, message: ClientResponse): void {
    const question = this.forget(message.id);
    if (question === null) return;
    const { upstream, id } = question;
    const original = id === message.id ? line : withId(line, id);
    const parcel = parcelOf(original, { ...message, id });
    parcel.upstream = upstream;
    upstream.send(parcel);
  }

  forget(id: JsonRpcId): Question | null {
    const question = this.#open.get(keyOf(id)) ?? null;
    this.#open.delete(keyOf(id));
    return question;
  }

  /** Tells the client that nobody waits for its answers any more. */
  cancelAll(upstream: Upstream): void {
    for (const [key, question] of [...this.#open]) {
      if (question.upstream !== upstream) continue;
      this.#open.delete(key);
      const params = { requestId: question.shownId, reason: "the server that asked is gone" };
      this.#toClient(encodeLine({ jsonrpc: "2.0", method: "notifications/cancelled", params }));
    }
  }
}

function withId(line: Uint8Array, id: JsonRpcId): Uint8Array {
  const value = parseLine(line);
  return isObject(value) ? encodeLine({ ...value, id }) : line;
}
