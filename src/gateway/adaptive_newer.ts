/**
 * Clients of the newer revision: the server is asked in it, and in the older one where it does not answer.
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
import type { Backpressure, Destination } from "../relay/client_side.ts";
import { Adaptive, answerOf, isOfFoster } from "./adaptive.ts";

const UNSUPPORTED_VERSION = -32022;
const PROBE_ID = 1_999_999_999;
const PROBE_EXCHANGE = Number.MIN_SAFE_INTEGER;
const encoder = new TextEncoder();

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
