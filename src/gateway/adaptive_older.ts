/**
 * An older client: its own initialize finds out whether the server speaks an older revision.
 *
 * @module
 */
import { type Fields, fieldsAt, NEWER_REVISION } from "../mcp/revisions/messages.ts";
import type { Backpressure, ClientSide, Destination } from "../relay/client_side.ts";
import { Adaptive, answerOf, type Held, isOfFoster } from "./adaptive.ts";

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
