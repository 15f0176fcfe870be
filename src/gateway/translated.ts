/**
 * Conversations between a client of one revision and a server of the other: the pure translators, with lines, streams and
 * deadlines around them.
 *
 * @module
 */
import { isDeeperThan, parseExactly } from "../base/json.ts";
import {
  CODE,
  errorOf,
  type Fields,
  isRequest,
  isResponse,
  type Message,
  readMessage,
  type RequestId,
  type Step,
} from "../mcp/revisions/messages.ts";
import { NewerClient, type NewerClientOptions, PARKED_LIMIT_MS } from "../mcp/revisions/newer_client.ts";
import { OlderClient, QUESTION_LIMIT_MS } from "../mcp/revisions/older_client.ts";
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import { errorLine, readServerLine } from "../relay/message.ts";
import type { Conversation } from "./conversation.ts";
import { requestIds } from "./lost.ts";

type Translator = Pick<OlderClient, "fromClient" | "fromServer">;

/** Values in one another that every engine reads and writes, with room for what translation adds. */
const DEPTH_LIMIT = 2000;
const UNREADABLE =
  `it is no JSON, or has more than ${DEPTH_LIMIT} objects and arrays in one another, and can't be translated`;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface TranslatedOptions {
  /** Monotonic, in ms. */
  now(): number;
  open(client: ClientSide): Conversation;
  /** What nobody waited for went wrong. */
  onFault(error: unknown): void;
}

/** Carries messages between the client's side, a translator and the conversation with the server. */
abstract class Translated implements Conversation, ClientSide {
  readonly #client: ClientSide;
  readonly #server: Conversation;
  /** Called once it is closed. */
  onClosed: (() => void) | null = null;
  /** Exchanges of the server's side are the ids of the requests in them; what has no answer has a number below 0. */
  #nextUnanswered = -1;

  /** Answers that are missing, of each exchange that began as a batch. */
  readonly #openOf = new Map<number, number>();

  readonly #onFault: (error: unknown) => void;

  protected constructor(client: ClientSide, { open, onFault }: TranslatedOptions) {
    this.#client = client;
    this.#onFault = onFault;
    this.#server = open(this);
  }

  protected abstract readonly translator: Translator;

  async receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    const message = parsed(line);
    if (message === null) {
      const ids = requestIds(messages);
      for (const [index, id] of ids.entries()) {
        const error = { code: CODE.invalidRequest, message: `The request was not sent: ${UNREADABLE}` };
        const isLast = index === ids.length - 1;
        await this.#client.write(errorLine(id, error), { kind: "answer", exchange, isLast });
      }
      return;
    }
    const requests = message.filter(isRequest).length;
    if (requests > 1) this.#openOf.set(exchange, requests);
    for (const each of message) {
      await this.carry(this.translator.fromClient(each, exchange));
    }
  }

  cancel(exchange: number): void {
    this.carryAlone(this.cancelled_(exchange));
  }

  async finish(limitMs: number): Promise<void> {
    await this.#server.finish(limitMs);
  }

  async close(): Promise<void> {
    this.onClosed?.();
    await this.#server.close();
  }

  write(line: Uint8Array, to: Destination): Backpressure {
    const message = parsed(line);
    if (message === null) return this.#unreadable(line, to);
    const via = to.kind === "session" ? null : to.exchange;
    return this.carry(message.map((each) => this.translator.fromServer(each, via)).reduce(together, NOTHING));
  }

  /** Whoever waits for it is told so; a notification that can't be read is nobody's. */
  #unreadable(line: Uint8Array, to: Destination): Backpressure {
    if (to.kind === "answer") {
      // The server's side knows a request by its exchange.
      const error = errorOf(to.exchange, CODE.internal, `The server answered, but ${UNREADABLE}`);
      return this.carry(this.translator.fromServer(error));
    }
    const read = readServerLine(line);
    if (read.kind !== "request") return;
    const error = errorLine(read.id, { code: CODE.invalidRequest, message: `The request: ${UNREADABLE}` });
    return this.#server.receive(this.#nextUnanswered--, error, []);
  }

  cancelled(): void {}

  protected abstract cancelled_(exchange: number): Step;

  protected async carry({ toServer, toClient, cancelled = [] }: Step): Promise<void> {
    for (const exchange of cancelled) if (this.#isLast(exchange)) this.#client.cancelled?.(exchange);
    for (const { message, exchange } of toClient) {
      this.noteSent(message, exchange);
      await this.#client.write(encoder.encode(JSON.stringify(message)), this.#destination(message, exchange));
    }
    for (const message of toServer) {
      const cancels = cancelledId(message);
      if (cancels !== null) {
        this.#server.cancel(cancels);
        continue;
      }
      const exchange = isRequest(message) ? Number(message.id) : this.#nextUnanswered--;
      await this.#server.receive(exchange, encoder.encode(JSON.stringify(message)), [
        message as unknown as Fields,
      ]);
    }
  }

  #destination(message: Message, exchange: number | null): Destination {
    if (exchange === null) return { kind: "session" };
    if (!isResponse(message)) return { kind: "related", exchange };
    return { kind: "answer", exchange, isLast: this.#isLast(exchange) };
  }

  /** Counts one answer, or one that is not wanted any more. */
  #isLast(exchange: number): boolean {
    const left = (this.#openOf.get(exchange) ?? 1) - 1;
    if (left > 0) this.#openOf.set(exchange, left);
    else this.#openOf.delete(exchange);
    return left <= 0;
  }

  /** As `carry`, where nobody waits for it. */
  protected carryAlone(step: Step): void {
    this.carry(step).catch(this.#onFault);
  }

  /** Called with everything that the client is sent. */
  protected noteSent(_message: Message, _exchange: number | null): void {}
}

/** An older client at a server of the newer revision. */
export class TranslatedOlder extends Translated {
  protected override readonly translator = new OlderClient();
  /** Monotonic ms at which the questions of an exchange have waited long enough. */
  readonly #deadlines = new Map<number, number>();
  readonly #now: () => number;
  #isGone = false;

  constructor(client: ClientSide, options: TranslatedOptions) {
    super(client, options);
    this.#now = options.now;
  }

  /** The server's process was let go, and its streams with it: they are opened again with the next request. */
  noteGone(): void {
    this.#isGone = true;
  }

  override async receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    const wasGone = this.#isGone;
    this.#isGone = false;
    await super.receive(exchange, line, messages);
    if (wasGone) await this.carry(this.translator.reopenListen());
  }

  /** Called about twice a second. */
  tick(): void {
    const now = this.#now();
    for (const [exchange, at] of this.#deadlines) {
      if (at > now) continue;
      this.#deadlines.delete(exchange);
      this.carryAlone(this.translator.expire(exchange));
    }
  }

  protected override cancelled_(): Step {
    return { toServer: [], toClient: [] };
  }

  protected override noteSent(message: Message, exchange: number | null): void {
    if (exchange === null) return;
    if (isRequest(message)) this.#deadlines.set(exchange, this.#now() + QUESTION_LIMIT_MS);
    else if (isResponse(message)) this.#deadlines.delete(exchange);
  }
}

/** Clients of the newer revision at one session of an older server. */
export class TranslatedNewer extends Translated {
  protected override readonly translator: NewerClient;
  readonly #parked = new Map<string, number>();
  readonly #now: () => number;

  constructor(
    client: ClientSide,
    { now, open, onFault, ...options }: NewerClientOptions & TranslatedOptions,
  ) {
    super(client, { now, open, onFault });
    this.#now = now;
    this.translator = new NewerClient({
      ...options,
      newHandle: () => {
        const handle = options.newHandle();
        this.#parked.set(handle, now() + PARKED_LIMIT_MS);
        return handle;
      },
    });
  }

  /** Called about twice a second. */
  tick(): void {
    const now = this.#now();
    for (const [handle, at] of this.#parked) {
      if (at > now) continue;
      this.#parked.delete(handle);
      this.carryAlone(this.translator.expire(handle));
    }
  }

  protected override cancelled_(exchange: number): Step {
    return this.translator.cancel(exchange);
  }
}

/** The messages of a line; null where one of them is none. */
function parsed(line: Uint8Array): Message[] | null {
  if (isDeeperThan(line, DEPTH_LIMIT)) return null;
  let value: unknown;
  try {
    value = parseExactly(decoder.decode(line));
  } catch {
    return null;
  }
  const messages = (Array.isArray(value) ? value : [value]).map(readMessage);
  return messages.every((each) => each !== null) ? messages : null;
}

/** The request of the server's side that a cancellation names. */
function cancelledId(message: Message): number | null {
  if (isResponse(message) || isRequest(message) || message.method !== "notifications/cancelled") return null;
  const id = message.params?.requestId as RequestId | undefined;
  return typeof id === "number" ? id : null;
}

const NOTHING: Step = { toServer: [], toClient: [] };

function together(one: Step, other: Step): Step {
  return {
    toServer: [...one.toServer, ...other.toServer],
    toClient: [...one.toClient, ...other.toClient],
    cancelled: [...one.cancelled ?? [], ...other.cancelled ?? []],
  };
}
