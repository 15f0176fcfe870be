/**
 * What a server says: answers, questions, notifications and batches of them, each on its way to the client.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import type { Answers } from "./answers.ts";
import type { Backpressure, ClientSide, Destination } from "./client_side.ts";
import type { ClientSession } from "./client_session.ts";
import type { ServerRefusal } from "./failures.ts";
import {
  CANCELLED,
  CONNECTION_CLOSED,
  errorLine,
  errorOf,
  idText,
  type JsonRpcId,
  partsOf,
  progressTokenOf,
  readServerLine,
  type ServerMessage,
  SUBSCRIPTION_KEY,
  subscriptionOf,
  withId,
  withParam,
} from "./message.ts";
import { isListen, type PendingTable } from "./pending.ts";
import { ATTEMPTS } from "./retry.ts";
import type { ServerRequests } from "./server_requests.ts";
import type { Failure, OpenRequest, Pending, Upstream } from "./upstream/upstream.ts";

export interface ServerMessagesOptions {
  /** The server's name, for people. */
  name: string;
  client: ClientSide;
  table: PendingTable;
  session: ClientSession;
  answers: Answers;
  serverRequests: ServerRequests;
  onRefused(upstream: Upstream, pending: Pending, refusal: ServerRefusal): Backpressure;
  onFailed(upstream: Upstream, pending: Pending, failure: Failure): void;
  send(upstream: Upstream, pending: Pending): void;
  warn(text: string): void;
}

/** A message over a connection; `own`: the client's message on whose own stream it came, else null. */
interface Heard<M> {
  message: M;
  line: Uint8Array;
  own: Pending | null;
}

type Kind<K extends ServerMessage["kind"]> = Extract<ServerMessage, { kind: K }>;
type FoundRequest = { pending: Pending; open: OpenRequest };

const encoder = new TextEncoder();
const PROGRESS = "notifications/progress";
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

export class ServerMessages {
  readonly #options: ServerMessagesOptions;

  constructor(options: ServerMessagesOptions) {
    this.#options = options;
  }

  take(upstream: Upstream, line: Uint8Array, own: Pending | null): Backpressure {
    const message = readServerLine(line);
    switch (message.kind) {
      case "answer":
        return this.#onAnswer(upstream, { message, line, own });
      case "request":
        return this.#onRequest(upstream, { message, line, own });
      case "notification":
        return this.#onNotification(upstream, { message, line, own });
      case "batch":
        return this.#onBatch(upstream, { message, line, own });
      case "garbage":
        return this.#onGarbage(upstream, { message, line, own });
    }
  }

  #onGarbage(upstream: Upstream, { message: { text }, line, own }: Heard<Kind<"garbage">>): Backpressure {
    const { name, onRefused, warn } = this.#options;
    if (own !== null && own.open.size > 0 && text !== "") {
      // To a client its end is the answer; foster's own question is answered by it.
      const error = { code: CONNECTION_CLOSED, message: text };
      const lines = own.own === null ? [] : [...own.open.keys()].map((id) => errorLine(id, error));
      return onRefused(upstream, own, { status: 200, code: null, text, lines });
    }
    if (upstream.takeText !== undefined) return upstream.takeText(line);
    return warn(`"${name}" sent something that is no JSON-RPC message`);
  }

  #onAnswer(upstream: Upstream, { message, line, own }: Heard<Kind<"answer">>): Backpressure {
    const { client, table, session, answers } = this.#options;
    const found = message.id === null ? onlyOpen(own, upstream) : table.find(upstream, message.id, own);
    // An error that names no request is the server's last word on something that it could not read.
    if (message.id === null && found === null) return client.write(line, { kind: "session" });
    // Answered already, cancelled, or asked by somebody else.
    if (found === null) return;
    const { pending, open } = found;
    // A server that closes in good order answers its subscriptions: they are opened again.
    if (isListen(pending) && !message.isError && pending.attempts < ATTEMPTS) {
      return this.#onListenEnded(upstream, found);
    }
    const shown = message.id === open.request.id ? line : withId(line, open.request.id);
    if (pending.own !== null) {
      answers.settle(pending, open);
      return pending.own.answer(line, message.isError);
    }
    if (message.isError) return this.#onError(upstream, { ...found, line: shown });
    session.noteAnswer(open.request, line);
    return answers.give(pending, open, shown);
  }

  #onListenEnded(upstream: Upstream, { pending, open }: FoundRequest): Backpressure {
    if (pending.attempts < ATTEMPTS) {
      const reason = "the server ended the subscription";
      return this.#options.onFailed(upstream, pending, { phase: "sent", reason });
    }
    const id = open.request.id;
    const result = `{"resultType":"complete","_meta":{"${SUBSCRIPTION_KEY}":${id}}}`;
    const line = encoder.encode(`{"jsonrpc":"2.0","id":${id},"result":${result}}`);
    return this.#options.answers.give(pending, open, line);
  }

  /** An error may be how the server says that it lost the session. */
  #onError(upstream: Upstream, { pending, open, line }: FoundRequest & { line: Uint8Array }): Backpressure {
    const error = errorOf(line);
    const mayHaveRun = isObject(error?.data) && error.data.may_have_run === true;
    const refusal = { status: 200, code: error?.code ?? null, text: error?.message ?? "", mayHaveRun };
    return this.#options.onRefused(upstream, pending, { ...refusal, lines: [line], open });
  }

  #onRequest(upstream: Upstream, { message: { id }, line, own }: Heard<{ id: JsonRpcId }>): Backpressure {
    const { client, table, serverRequests, send } = this.#options;
    const shown = serverRequests.open(upstream, { id, line, related: own });
    if (shown === null) return;
    if (shown !== "full") return client.write(shown, relatedTo(own));
    const error = errorLine(id, { code: -32603, message: "too many requests of the server's are open" });
    send(upstream, table.create(error, { kind: "response", id }, {}));
  }

  #onNotification(
    upstream: Upstream,
    { message: { method, params }, line, own }: Heard<Kind<"notification">>,
  ): Backpressure {
    const { client, table, serverRequests } = this.#options;
    switch (method) {
      case ACKNOWLEDGED: {
        const id = subscriptionOf(params);
        const pending = id === null ? null : table.find(upstream, id, own)?.pending ?? null;
        if (pending?.isConfirmed) return;
        if (pending !== null) pending.isConfirmed = true;
        return client.write(withClientSubscription(line, pending), relatedTo(pending ?? own));
      }
      case CANCELLED: {
        const id = idText(params.requestId);
        const ended = id === null ? null : table.find(upstream, id, own);
        if (ended !== null && isListen(ended.pending)) return this.#onListenEnded(upstream, ended);
        const shown = id === null ? null : serverRequests.takenBack(upstream, { id, line });
        return client.write(shown ?? line, relatedTo(own));
      }
      case PROGRESS: {
        const token = idText(params.progressToken);
        const pending = own ?? (token === null ? null : table.withToken(token));
        return client.write(withClientToken(line, { pending, token }), relatedTo(pending));
      }
      default: {
        const id = own === null ? subscriptionOf(params) : null;
        const listen = id === null ? null : table.find(upstream, id, null)?.pending ?? null;
        return client.write(withClientSubscription(line, own ?? listen), relatedTo(own ?? listen));
      }
    }
  }

  async #onBatch(upstream: Upstream, { message: { items }, line, own }: Heard<Kind<"batch">>): Promise<void> {
    const { table, answers } = this.#options;
    const found = items.map((item) =>
      item.kind === "answer" && item.id !== null ? table.find(upstream, item.id, own) : null
    );
    const [first] = found;
    const isWhole = first != null && first.pending.own === null && first.pending.message.kind === "batch" &&
      found.every((each) => each?.pending === first.pending && each.open.wireId === each.open.request.id);
    if (isWhole) return await answers.giveAll(line, found.flatMap((each) => each ?? []));
    for (const part of partsOf(line)) await this.take(upstream, part, own);
  }
}

/** The one request that an answer without an id can mean. */
function onlyOpen(own: Pending | null, upstream: Upstream): FoundRequest | null {
  if (own === null || own.upstream !== upstream || own.open.size !== 1) return null;
  const [open] = own.open.values();
  return open === undefined ? null : { pending: own, open };
}

/** A subscription's message with the id that the client gave it. */
function withClientSubscription(line: Uint8Array, pending: Pending | null): Uint8Array {
  if (pending === null || !isListen(pending)) return line;
  const [open] = pending.open.values();
  if (open === undefined || open.wireId === open.request.id) return line;
  return withParam(line, ["_meta", SUBSCRIPTION_KEY], open.request.id);
}

/** Progress with the token that the client gave. */
function withClientToken(
  line: Uint8Array,
  { pending, token }: { pending: Pending | null; token: string | null },
): Uint8Array {
  const open = [...pending?.open.values() ?? []].find(({ wireToken }) => wireToken === token);
  const given = open === undefined ? null : progressTokenOf(open.request.params);
  return given === null || given === token ? line : withParam(line, ["progressToken"], given);
}

/** Where what belongs to a message of the client's goes; what belongs to none is for the session at large. */
export function relatedTo(pending: Pending | null): Destination {
  if (pending === null || pending.exchange === null) return { kind: "session" };
  return { kind: "related", exchange: pending.exchange };
}
