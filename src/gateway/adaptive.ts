/**
 * Which way a client takes to a server: in the revision that both speak, or by translation.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { type Fields, fieldsAt } from "../mcp/revisions/messages.ts";
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

/** What may wait until the server has said which revision it speaks. */
const HELD_LIMIT = 1000;
const REFUSED = -32603;
const encoder = new TextEncoder();

export interface Held {
  exchange: number;
  line: Uint8Array;
  messages: readonly Fields[];
}

/** What both directions share: which way is taken, and what waits until that is known. */
export abstract class Adaptive implements Conversation, ClientSide {
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
 * Whether an error is foster's own: that the server is not there, or not in time, says nothing of its revision. Servers use
 * the same codes for a request without a session, and say nothing of whether it ran.
 */
export function isOfFoster(error: Fields | null): boolean {
  if (error?.code !== CONNECTION_CLOSED && error?.code !== NOT_READY) return false;
  return typeof fieldsAt(error, "data").may_have_run === "boolean";
}

export function answerOf(line: Uint8Array): { result: Fields | null; error: Fields | null } {
  const answer = parseLine(line);
  if (!isObject(answer)) return { result: null, error: {} };
  const { result, error } = answer;
  return {
    result: isObject(result) ? result : null,
    error: isObject(result) ? null : isObject(error) ? error : {},
  };
}
