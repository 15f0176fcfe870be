/**
 * Finds out which revision the server speaks, and translates where the client speaks the other.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type Fields, META, NEWER_REVISION } from "../mcp/revisions/messages.ts";
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import type { Conversation } from "./conversation.ts";
import type { Spoken } from "./discovery.ts";

export interface AdaptiveOptions {
  client: ClientSide;
  /** One object for all conversations with the server. */
  spoken: Spoken;
  direct(client: ClientSide): Conversation;
  translated(client: ClientSide): Conversation;
  /** False refuses where the revisions differ. */
  mayTranslate: boolean;
  name: string;
  /** The process that was asked is of no use: it speaks the other revision. */
  onOther?(): void;
  /** Monotonic, in ms. */
  now?(): number;
  /** It is closed, and asks nothing any more. */
  onClosed?(): void;
}

const UNSUPPORTED_VERSION = -32022;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

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

  /** Takes the way, and sends on it what waits. */
  protected async choose(conversation: Conversation): Promise<void> {
    this.chosen = conversation;
    // One by one: what is cancelled meanwhile is not sent.
    for (let next = this.held.shift(); next !== undefined; next = this.held.shift()) {
      await conversation.receive(next.exchange, next.line, next.messages);
    }
  }

  protected async refuse(exchange: number, messages: readonly Fields[], speaks: string): Promise<void> {
    const message = `"${this.options.name}" speaks ${speaks} and the client does not: ` +
      "leave --no-translate out, so that foster translates";
    for (const { id } of messages) {
      if (id === undefined) continue;
      const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32603, message } }));
      await this.options.client.write(line, { kind: "answer", exchange, isLast: true });
    }
  }
}

/** A client of an older revision: its own initialize is the question. */
export class AdaptiveOlder extends Adaptive {
  #handshake: Held | null = null;
  #isChoosing = false;

  override async receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    if (this.#isChoosing) return void this.held.push({ exchange, line, messages });
    if (this.chosen !== null) {
      if (messages[0]?.method === "initialize") this.#handshake = { exchange, line, messages };
      return await this.chosen.receive(exchange, line, messages);
    }
    const { spoken, direct, translated, mayTranslate } = this.options;
    this.#handshake = { exchange, line, messages };
    if (spoken.older !== false) this.chosen = direct(this);
    else if (mayTranslate) this.chosen = translated(this.options.client);
    else return await this.refuse(exchange, messages, NEWER_REVISION);
    await this.chosen.receive(exchange, line, messages);
  }

  override write(line: Uint8Array, to: Destination): Backpressure {
    if (to.kind !== "answer" || to.exchange !== this.#handshake?.exchange) {
      return this.options.client.write(line, to);
    }
    return this.#onHandshake(line, to);
  }

  async #onHandshake(line: Uint8Array, to: Extract<Destination, { kind: "answer" }>): Promise<void> {
    const handshake = this.#handshake;
    this.#handshake = null;
    const answer: unknown = JSON.parse(decoder.decode(line));
    const error = isObject(answer) && isObject(answer.error) ? answer.error : null;
    const { spoken, translated, mayTranslate } = this.options;
    if (error === null) spoken.older = true;
    // Any refusal may mean that the server knows no initialize: what it says in the newer revision decides.
    const isToTranslate = error !== null && handshake !== null && spoken.newer !== false &&
      isNoFaultOfFoster(error.code);
    if (!isToTranslate) return await this.options.client.write(line, to);
    if (!mayTranslate) return await this.refuse(to.exchange, handshake.messages, NEWER_REVISION);
    // First the end of the process that was asked: there is one at a time. What comes meanwhile waits.
    this.#isChoosing = true;
    await this.chosen?.close().finally(() => this.#isChoosing = false);
    const probe = new ProbedClient(this.options.client, to.exchange, async (isAccepted, second) => {
      spoken.newer = isAccepted;
      if (isAccepted) spoken.older = false;
      await this.options.client.write(isAccepted ? second : line, to);
    });
    this.held.unshift(handshake);
    await this.choose(translated(probe));
  }
}

/** Clients of the newer revision: one discover of foster's own is the question. */
export class AdaptiveNewer extends Adaptive {
  #isAsking = false;
  #askedMs = 0;
  /** The answer is being acted upon: what comes meanwhile waits. */
  #isChoosing = false;
  /** The server gave no answer to the question: that it speaks the older revision has to show. */
  #isInDoubt = false;

  override async receive(exchange: number, line: Uint8Array, messages: readonly Fields[]): Promise<void> {
    if (this.chosen !== null && !this.#isAsking && !this.#isChoosing) {
      return await this.chosen.receive(exchange, line, messages);
    }
    const { spoken, direct } = this.options;
    this.held.push({ exchange, line, messages });
    if (this.#isAsking || this.#isChoosing) return;
    if (spoken.newer === true) return await this.choose(direct(this.options.client));
    if (spoken.newer === false) return await this.#translate();
    this.#isAsking = true;
    this.#askedMs = this.options.now?.() ?? 0;
    this.chosen = direct(this);
    const meta =
      messages.map(({ params }) => isObject(params) && isObject(params._meta) ? params._meta : null)[0] ?? {};
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

  override async close(): Promise<void> {
    this.#isAsking = false;
    this.options.onClosed?.();
    await super.close();
  }

  /** The server ended, or was silent, when it was asked: it is asked the old way. */
  async noteNoAnswer(): Promise<void> {
    if (!this.#isAsking) return;
    this.#isInDoubt = true;
    this.chosen?.cancel(PROBE_EXCHANGE);
    await this.#onProbe(false);
  }

  override write(line: Uint8Array, to: Destination): Backpressure {
    if (to.kind === "session" || to.exchange !== PROBE_EXCHANGE) {
      if (this.#isInDoubt && to.kind === "answer") this.#noteShown(line);
      return this.options.client.write(line, to);
    }
    if (to.kind !== "answer" || !this.#isAsking) return;
    const answer: unknown = JSON.parse(decoder.decode(line));
    const error = isObject(answer) && isObject(answer.error) ? answer.error : null;
    if (error !== null && !isNoFaultOfFoster(error.code)) return this.#failHeld(error);
    return this.#onProbe(error === null || error.code === UNSUPPORTED_VERSION);
  }

  /** There is no server: all who wait are answered so, and the next request asks once more. */
  async #failHeld(error: Fields): Promise<void> {
    this.#isAsking = false;
    const before = this.chosen;
    this.chosen = null;
    for (const { exchange, messages } of this.held.splice(0)) {
      for (const { id } of messages) {
        if (id === undefined) continue;
        const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", id, error }));
        await this.options.client.write(line, { kind: "answer", exchange, isLast: true });
      }
    }
    await before?.close();
  }

  async #onProbe(isNewer: boolean): Promise<void> {
    this.#isAsking = false;
    if (!this.#isInDoubt) this.options.spoken.newer = isNewer;
    const { chosen } = this;
    if (isNewer && chosen !== null) return await this.choose(chosen);
    this.#isChoosing = true;
    try {
      await chosen?.close();
    } finally {
      this.#isChoosing = false;
    }
    this.options.onOther?.();
    await this.#translate();
  }

  /** An answer of the older revision's session: the silence before meant that revision. */
  #noteShown(line: Uint8Array): void {
    this.#isInDoubt = false;
    const answer: unknown = JSON.parse(decoder.decode(line));
    if (isObject(answer) && isObject(answer.result)) this.options.spoken.newer = false;
  }

  async #translate(): Promise<void> {
    if (this.options.mayTranslate) return await this.choose(this.options.translated(this));
    this.chosen = null;
    for (const { exchange, messages } of this.held.splice(0)) {
      await this.refuse(exchange, messages, "an older revision");
    }
  }
}

const PROBE_ID = 1_999_999_999;
const PROBE_EXCHANGE = Number.MIN_SAFE_INTEGER;

/** The relay's own errors: that the server is not there, or not in time, says nothing of its revision. */
function isNoFaultOfFoster(code: unknown): boolean {
  return code !== -32000 && code !== -32001;
}

/** Looks at the first answer of an exchange before the client gets it. */
class ProbedClient implements ClientSide {
  readonly #client: ClientSide;
  readonly #exchange: number;
  #onAnswer: ((isAccepted: boolean, line: Uint8Array) => Promise<void>) | null;

  constructor(
    client: ClientSide,
    exchange: number,
    onAnswer: (isAccepted: boolean, line: Uint8Array) => Promise<void>,
  ) {
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
    const answer: unknown = JSON.parse(decoder.decode(line));
    return onAnswer(isObject(answer) && isObject(answer.result), line);
  }

  cancelled(exchange: number): void {
    this.#client.cancelled?.(exchange);
  }
}
