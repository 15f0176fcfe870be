/**
 * Finds out which revision the server speaks, and translates where the client speaks the other.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import {
  type Fields,
  fieldsAt,
  META,
  NEWER_REVISION,
  OLDER_REVISIONS,
  type Request,
  type Response,
} from "../mcp/revisions/messages.ts";
import type { NewerClientOptions } from "../mcp/revisions/newer_client.ts";
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import { CONNECTION_CLOSED, NOT_READY, parseLine } from "../relay/message.ts";
import type { Conversation } from "./conversation.ts";
import type { Spoken } from "./discovery.ts";
import { requestIds } from "./lost.ts";

export interface AdaptiveOptions {
  client: ClientSide;
  /** One object for all conversations with the server. */
  spoken: Spoken;
  direct(client: ClientSide): Conversation;
  /** `onSession` is told how an older server's session went: as {@link NewerClientOptions.onSession}. */
  translated(client: ClientSide, onSession?: NewerClientOptions["onSession"]): Conversation;
  /** False refuses where the revisions differ. */
  mayTranslate: boolean;
  name: string;
  /** The process that was asked is of no use: it speaks the other revision. */
  onOther?(): void;
  /** What is known of the server's revisions changed. */
  onSpoken?(): void;
  /** Monotonic, in ms. */
  now?(): number;
  /** It is closed, and asks nothing any more. */
  onClosed?(): void;
  /** What nobody waits for went wrong. */
  onFault?(error: unknown): void;
}

const UNSUPPORTED_VERSION = -32022;
/** What may wait until the server has said which revision it speaks. */
const HELD_LIMIT = 1000;
const encoder = new TextEncoder();

interface Held {
  exchange: number;
  line: Uint8Array;
  messages: readonly Fields[];
}

/** What both directions share: which way is taken, and what waits until that is known. */
abstract class Adaptive implements Conversation, ClientSide {
  protected readonly options: AdaptiveOptions;
  protected chosen: Conversation | null = null;
  protected held: Held[] = [];

  constructor(options: AdaptiveOptions) {
    this.options = options;
  }

  abstract receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void>;
  abstract write(line: Uint8Array, to: Destination): Backpressure;

  cancel(exchange: number): void {
    this.held = this.held.filter((each) => each.exchange !== exchange);
    this.chosen?.cancel(exchange);
  }

  cancelled(exchange: number): void {
    this.options.client.cancelled?.(exchange);
  }

  async finish(limitMs: number): Promise<void> {
    await this.chosen?.finish(limitMs);
  }

  async close(): Promise<void> {
    await this.chosen?.close();
  }

  /** Keeps it until the way is known. */
  protected async hold(held: Held): Promise<void> {
    if (this.held.length < HELD_LIMIT) return void this.held.push(held);
    const message = `"${this.options.name}" has not said yet which revision it speaks, and ${HELD_LIMIT} ` +
      "requests wait for that already: try again later";
    await this.fail(held, { code: NOT_READY, message });
  }

  /** Takes the way, and sends on it what waits. */
  protected async choose(conversation: Conversation): Promise<void> {
    this.chosen = conversation;
    // One by one: what is cancelled meanwhile is not sent.
    for (let next = this.held.shift(); next !== undefined; next = this.held.shift()) {
      await conversation.receive(next.exchange, next.line, next.messages);
    }
  }

  protected learn(news: Partial<Spoken>): void {
    const { spoken, onSpoken } = this.options;
    const before = { ...spoken };
    Object.assign(spoken, news);
    const isNew = before.older !== spoken.older || before.newer !== spoken.newer ||
      before.version !== spoken.version;
    if (isNew) onSpoken?.();
  }

  protected async refuse(held: Held, revisions: { server: string; client: string }): Promise<void> {
    const { name } = this.options;
    const message = `"${name}" speaks MCP ${revisions.server}, this client MCP ${revisions.client}, and ` +
      "--no-translate forbids foster to translate between them: without it both work together";
    await this.fail(held, { code: REFUSED, message });
  }

  protected async fail({ exchange, messages }: Held, error: Fields): Promise<void> {
    const ids = requestIds(messages);
    for (const [index, id] of ids.entries()) {
      const line = encoder.encode(`{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}`);
      await this.options.client.write(line, { kind: "answer", exchange, isLast: index === ids.length - 1 });
    }
  }
}

/**
 * A client of an older revision: its own initialize is the question. What the server was known to speak says which way it
 * is asked first; another one may have taken its place.
 */
export class AdaptiveOlder extends Adaptive {
  /** Until the client has its answer. */
  #handshake: Held | null = null;
  /** What the server said to initialize, where it refused that. */
  #refusal: Uint8Array | null = null;
  /** The revision of a client that may not be translated for, once the server turned out to speak another. */
  #refused: string | null = null;

  override async receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    const held = { exchange, line, messages };
    if (this.#refused !== null) {
      return await this.refuse(held, { server: NEWER_REVISION, client: this.#refused });
    }
    if (this.#handshake !== null) return await this.hold(held);
    if (this.chosen !== null) return await this.chosen.receive(exchange, line, messages);
    this.#handshake = held;
    if (this.options.spoken.older === false) await this.#askNewer(this.#handshake);
    else await this.#askOlder(this.#handshake);
  }

  async #askOlder(handshake: Held): Promise<void> {
    await this.#letGo();
    this.chosen = this.options.direct(this);
    await this.chosen.receive(handshake.exchange, handshake.line, handshake.messages);
  }

  async #askNewer(handshake: Held): Promise<void> {
    await this.#letGo();
    const probe = new ProbedClient(
      this.options.client,
      handshake.exchange,
      (line) => this.#onDiscovered(handshake, line),
    );
    this.chosen = this.options.translated(probe);
    await this.chosen.receive(handshake.exchange, handshake.line, handshake.messages);
  }

  /** First the end of the process that was asked: there is one at a time. */
  async #letGo(): Promise<void> {
    const before = this.chosen;
    this.chosen = null;
    await before?.close();
  }

  override write(line: Uint8Array, to: Destination): Backpressure {
    const handshake = this.#handshake;
    if (handshake === null || to.kind !== "answer" || to.exchange !== handshake.exchange) {
      return this.options.client.write(line, to);
    }
    return this.#onInitialized(handshake, line);
  }

  async #onInitialized(handshake: Held, line: Uint8Array): Promise<void> {
    const { result, error } = answerOf(line);
    if (result !== null) {
      const { protocolVersion } = result;
      this.learn({
        older: true,
        ...(typeof protocolVersion === "string" ? { version: protocolVersion } : {}),
      });
    }
    // Any refusal may mean that the server knows no initialize: what it says in the newer revision decides.
    if (error === null || isOfFoster(error) || this.#refusal !== null) {
      return await this.#answer(handshake, line);
    }
    this.#refusal = line;
    await this.#askNewer(handshake);
  }

  async #onDiscovered(handshake: Held, line: Uint8Array): Promise<void> {
    const { result, error } = answerOf(line);
    if (result !== null) {
      this.learn({ older: false, newer: true });
      if (this.options.mayTranslate) return await this.#answer(handshake, line);
      const { protocolVersion } = fieldsAt(handshake.messages[0] ?? {}, "params");
      this.#refused = String(protocolVersion);
      for (const held of [handshake, ...this.held.splice(0)]) {
        await this.refuse(held, { server: NEWER_REVISION, client: this.#refused });
      }
      await this.chosen?.close();
      return;
    }
    if (this.#refusal !== null) return await this.#answer(handshake, this.#refusal);
    if (isOfFoster(error)) return await this.#answer(handshake, line);
    // It spoke the newer revision once, and does not any more.
    this.learn({ older: null, newer: null });
    this.#refusal = line;
    await this.#askOlder(handshake);
  }

  async #answer({ exchange }: Held, line: Uint8Array): Promise<void> {
    this.#handshake = null;
    this.#refusal = null;
    await this.options.client.write(line, { kind: "answer", exchange, isLast: true });
    if (this.chosen !== null) await this.choose(this.chosen);
  }
}

/** Clients of the newer revision: one discover of foster's own is the question. */
export class AdaptiveNewer extends Adaptive {
  #isAsking = false;
  #askedMs = 0;
  /** The answer is being acted upon: what comes meanwhile waits. */
  #isChoosing = false;
  /** The server may be another process by now: it is asked before the next request. */
  #mustAsk = false;
  /** Whether the way taken follows an answer of this server, not what is remembered of it. */
  #wasAsked = false;
  /** The older server refused a session: what is known of it is nothing. */
  #isRefused = false;
  /** Since when the older server owes an answer to the first initialize; null where it does not. */
  #sessionMs: number | null = null;

  override async receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    const isSettled = !this.#isAsking && !this.#isChoosing && !this.#mustAsk && !this.#isRefused;
    if (this.chosen !== null && isSettled) return await this.chosen.receive(exchange, line, messages);
    await this.hold({ exchange, line, messages });
    if (this.#isAsking || this.#isChoosing) return;
    if (this.#isRefused) return await this.#startOver();
    if (!this.#mustAsk && this.options.spoken.newer === false) return await this.#translate();
    await this.#ask();
  }

  /** The process that the requests go to may be another one now, and of another revision. */
  noteRestart(): void {
    if (this.chosen !== null && this.#wasAsked && this.options.spoken.newer === true) this.#mustAsk = true;
  }

  /** The server came back as another one, which does not take the session that its predecessor had. */
  noteSessionRefused(): void {
    this.learn({ newer: null });
    this.#isRefused = true;
  }

  async #ask(): Promise<void> {
    const [first] = this.held;
    if (first === undefined) return;
    this.#mustAsk = false;
    this.#wasAsked = true;
    this.#isAsking = true;
    this.#askedMs = this.options.now?.() ?? 0;
    this.chosen ??= this.options.direct(this);
    const meta = fieldsAt(fieldsAt(first.messages[0] ?? {}, "params"), "_meta");
    const probe = {
      jsonrpc: "2.0",
      id: PROBE_ID,
      method: "server/discover",
      params: {
        _meta: {
          [META.version]: NEWER_REVISION,
          [META.clientCapabilities]: meta[META.clientCapabilities] ?? {},
          ...(isObject(meta[META.clientInfo]) ? { [META.clientInfo]: meta[META.clientInfo] } : {}),
        },
      },
    };
    await this.chosen.receive(PROBE_EXCHANGE, encoder.encode(JSON.stringify(probe)), [probe]);
  }

  /** Since when it waits for the server to say which revision it speaks; null where it does not. */
  get askedMs(): number | null {
    return this.#isAsking ? this.#askedMs : null;
  }

  get sessionMs(): number | null {
    return this.#sessionMs;
  }

  /** The older server is silent: who waits for its session is told so, and the next request asks for one again. */
  async noteNoSession(): Promise<void> {
    this.#sessionMs = null;
    await this.chosen?.finish(0);
  }

  override async close(): Promise<void> {
    this.#isAsking = false;
    this.#sessionMs = null;
    this.options.onClosed?.();
    await super.close();
  }

  /** The server ended, or was silent, when it was asked: it is asked the old way. */
  async noteNoAnswer(): Promise<void> {
    if (!this.#isAsking) return;
    this.chosen?.cancel(PROBE_EXCHANGE);
    await this.#onProbe(false);
  }

  override write(line: Uint8Array, to: Destination): Backpressure {
    if (to.kind === "session" || to.exchange !== PROBE_EXCHANGE) return this.options.client.write(line, to);
    if (to.kind !== "answer" || !this.#isAsking) return;
    const { error } = answerOf(line);
    if (error !== null && isOfFoster(error)) return this.#failHeld(error);
    return this.#onProbe(error === null || error.code === UNSUPPORTED_VERSION);
  }

  /** There is no server: all who wait are answered so, and the next request asks once more. */
  async #failHeld(error: Fields): Promise<void> {
    this.#isAsking = false;
    const before = this.chosen;
    this.chosen = null;
    for (const held of this.held.splice(0)) await this.fail(held, error);
    await before?.close();
  }

  async #onProbe(isNewer: boolean): Promise<void> {
    this.#isAsking = false;
    const { chosen } = this;
    if (isNewer && chosen !== null) {
      this.learn({ newer: true });
      return await this.choose(chosen);
    }
    // That it speaks the older one shows once it takes a session.
    await this.#letGo();
    this.options.onOther?.();
    await this.#translate();
  }

  async #letGo(): Promise<void> {
    const before = this.chosen;
    this.#isChoosing = true;
    try {
      await before?.close();
    } finally {
      this.#isChoosing = false;
      this.chosen = null;
    }
  }

  async #startOver(): Promise<void> {
    this.#isRefused = false;
    await this.#letGo();
    await this.#ask();
  }

  /** How the older server took a session; true where those who wait for it are not to be answered with its refusal. */
  readonly #onSession = (
    answer: Response,
    waiting: readonly { message: Request; exchange: number }[],
  ): boolean => {
    this.#sessionMs = null;
    if ("result" in answer) {
      const { protocolVersion } = answer.result;
      this.learn({
        newer: false,
        older: true,
        ...(typeof protocolVersion === "string" ? { version: protocolVersion } : {}),
      });
      return false;
    }
    if (isOfFoster({ ...answer.error })) return false;
    this.learn({ newer: null });
    this.#isRefused = true;
    // It was asked just now, and speaks neither.
    if (this.#wasAsked) return false;
    for (const { message, exchange } of waiting) {
      this.held.push({
        exchange,
        line: encoder.encode(JSON.stringify(message)),
        messages: [message as unknown as Fields],
      });
    }
    this.#startOver().catch((error: unknown) => this.options.onFault?.(error));
    return true;
  };

  async #translate(): Promise<void> {
    if (this.options.mayTranslate) {
      this.#sessionMs = this.options.now?.() ?? 0;
      return await this.choose(this.options.translated(this, this.#onSession));
    }
    this.chosen = null;
    const server = this.options.spoken.version ?? OLDER_REVISIONS[0] + " or older";
    for (const held of this.held.splice(0)) await this.refuse(held, { server, client: NEWER_REVISION });
  }
}

const PROBE_ID = 1_999_999_999;
const PROBE_EXCHANGE = Number.MIN_SAFE_INTEGER;
const REFUSED = -32603;

/**
 * Whether an error is foster's own: that the server is not there, or not in time, says nothing of its revision. Servers use
 * the same codes for a request without a session, and say nothing of whether it ran.
 */
function isOfFoster(error: Fields | null): boolean {
  if (error?.code !== CONNECTION_CLOSED && error?.code !== NOT_READY) return false;
  return typeof fieldsAt(error, "data").may_have_run === "boolean";
}

function answerOf(line: Uint8Array): { result: Fields | null; error: Fields | null } {
  const answer = parseLine(line);
  if (!isObject(answer)) return { result: null, error: {} };
  const { result, error } = answer;
  return {
    result: isObject(result) ? result : null,
    error: isObject(result) ? null : isObject(error) ? error : {},
  };
}

/** Looks at the first answer of an exchange before the client gets it. */
class ProbedClient implements ClientSide {
  readonly #client: ClientSide;
  readonly #exchange: number;
  #onAnswer: ((line: Uint8Array) => Promise<void>) | null;

  constructor(client: ClientSide, exchange: number, onAnswer: (line: Uint8Array) => Promise<void>) {
    this.#client = client;
    this.#exchange = exchange;
    this.#onAnswer = onAnswer;
  }

  write(line: Uint8Array, to: Destination): Backpressure {
    const onAnswer = this.#onAnswer;
    if (onAnswer === null || to.kind !== "answer" || to.exchange !== this.#exchange) {
      return this.#client.write(line, to);
    }
    this.#onAnswer = null;
    return onAnswer(line);
  }

  cancelled(exchange: number): void {
    this.#client.cancelled?.(exchange);
  }
}
