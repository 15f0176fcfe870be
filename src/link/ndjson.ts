/**
 * A link as lines of JSON: what the server sends comes out, what the driving program writes goes in.
 *
 * When the input ends the session stays: its pauses are taken back, and commands, those still waiting included, are
 * answered with an error, so that the server does not wait for somebody who is gone.
 *
 * @module
 */
import { type InputLine, readLines } from "./lines.ts";
import { backpressureLine, eventLine, parseInput } from "./ndjson_wire.ts";
import { DEFERRED, type HandlerResult } from "./results.ts";
import type { HandlerParams } from "./dispatcher.ts";
import { type Link, type LinkEnd, type LinkHost, type LinkOptions, openLink } from "./session.ts";
import type { VersionVerdict } from "./version_check.ts";
import { type JsonObject, MESSAGE_LIMIT_BYTES, type Reply, utf8Bytes } from "./wire.ts";

/** Input is read only while no more than this waits in the socket. Bytes. */
const READ_AHEAD_BYTES = MESSAGE_LIMIT_BYTES / 4;

/** Longest input line; with what waits in the socket it stays within twice the message limit. Bytes. */
export const INPUT_LINE_LIMIT_BYTES = 2 * MESSAGE_LIMIT_BYTES - READ_AHEAD_BYTES;

/** What a line may grow by on its way to the wire. Bytes. */
const ENVELOPE_BYTES = 256;

const NOBODY_THERE: Reply = {
  status: "error",
  error: {
    code: "INTERNAL_ERROR",
    message: "Nobody answers commands here: the input of foster link is closed",
  },
};

export interface LinkNdjsonOptions {
  link: Omit<LinkOptions, "handlers" | "fallback" | "onEvent">;
  input: ReadableStream<Uint8Array>;
  /** Takes one line without its end. */
  output(line: string): void;
  /** Ends the link. */
  signal: AbortSignal;
  /** Told after the line of each verdict. */
  onVerdict?(verdict: VersionVerdict): void;
}

export type LinkNdjsonEnd = LinkEnd | { kind: "interrupted" };

/** Runs a link until a `close` line, the signal, or a verdict that rules the server out. */
export async function runLinkNdjson(host: LinkHost, options: LinkNdjsonOptions): Promise<LinkNdjsonEnd> {
  const reader = options.input.getReader();
  const bridge = new Bridge(host, options);
  const interrupted = Promise.withResolvers<LinkNdjsonEnd>();
  const interrupt = () => interrupted.resolve({ kind: "interrupted" });
  options.signal.addEventListener("abort", interrupt, { once: true });
  if (options.signal.aborted) interrupt();
  const feeding = bridge.feed(reader);
  const end = await Promise.race([bridge.link.ended, interrupted.promise]);
  options.signal.removeEventListener("abort", interrupt);
  await bridge.link.close();
  await reader.cancel().catch(() => undefined);
  await feeding;
  return end;
}

class Bridge {
  readonly link: Link;
  readonly #options: LinkNdjsonOptions;
  #listening = true;
  #over = false;
  #pauses = 0;
  /** Answers that came while paused. */
  #held: { requestId: string; reply: Reply; bytes: number }[] = [];
  #heldBytes = 0;

  constructor(host: LinkHost, options: LinkNdjsonOptions) {
    this.#options = options;
    this.link = openLink(host, {
      ...options.link,
      fallback: (params, command) => this.#command(params, command),
      onEvent: (event) => {
        const line = eventLine(event);
        if (line !== null) this.#say(line);
        if (event.type === "verdict") options.onVerdict?.(event.verdict);
      },
    });
    void this.link.ended.then(() => this.#over = true);
  }

  /** Takes in the input to its end; never throws. */
  async feed(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    try {
      for await (const line of readLines(reader, INPUT_LINE_LIMIT_BYTES)) {
        if (this.#over) return;
        await this.#take(line);
      }
    } catch (cause) {
      this.#warn(`reading the input failed: ${cause instanceof Error ? cause.message : cause}`);
    }
    if (!this.#over) await this.#inputEnded();
  }

  #command({ _request_id, ...params }: HandlerParams, command: string): HandlerResult {
    if (!this.#listening) {
      this.#warn(`answered "${command}" with an error: the input is closed`);
      return NOBODY_THERE;
    }
    this.#say({ type: "command", request_id: _request_id, command, params });
    return DEFERRED;
  }

  async #take(line: InputLine): Promise<void> {
    switch (line.kind) {
      case "line":
        return await this.#apply(line.text);
      case "too_long":
        return this.#warn(
          `input line ignored: its ${line.bytes} bytes are over the limit of ${INPUT_LINE_LIMIT_BYTES}`,
        );
      case "not_text":
        return this.#warn("input line ignored: it is not UTF-8");
    }
  }

  async #apply(text: string): Promise<void> {
    const input = parseInput(text);
    switch (input.kind) {
      case "bad":
        return this.#warn(`input line ignored: ${input.why}`);
      case "readiness":
        return this.link.setReadiness(input.readiness);
      case "pause":
        this.#pauses += 1;
        return this.link.pause();
      case "resume":
        return await this.#resume();
      case "close":
        return await this.link.close();
      case "event":
        await this.#makeRoom(utf8Bytes(text));
        if (!this.link.sendEvent(input.event, input.data)) this.#warn(`event "${input.event}" was not sent`);
        return;
      case "response":
        return await this.#respond(input.requestId, input.reply, utf8Bytes(text));
    }
  }

  async #respond(requestId: string, reply: Reply, bytes: number): Promise<void> {
    if (this.link.paused) {
      if (this.#heldBytes + bytes > MESSAGE_LIMIT_BYTES) {
        return this.#warn("answer dropped: too much waits for the end of the pause");
      }
      this.#heldBytes += bytes;
      this.#held.push({ requestId, reply, bytes });
      return;
    }
    await this.#makeRoom(bytes);
    this.link.respond(requestId, reply);
  }

  async #resume(): Promise<void> {
    this.#pauses = Math.max(this.#pauses - 1, 0);
    this.link.resume();
    if (this.link.paused) return;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const { requestId, reply, bytes } of held) await this.#respond(requestId, reply, bytes);
  }

  /** Waits, reading nothing, until the socket takes `bytes` more. */
  async #makeRoom(bytes: number): Promise<void> {
    const allowed = Math.max(Math.min(READ_AHEAD_BYTES, MESSAGE_LIMIT_BYTES - bytes - ENVELOPE_BYTES), 0);
    if (this.link.bufferedBytes <= allowed) return;
    this.#say(backpressureLine("waiting", this.#sizes(bytes)));
    await this.link.room(allowed);
    this.#say(backpressureLine("resumed", this.#sizes(bytes)));
  }

  #sizes(messageBytes: number): { bufferedBytes: number; messageBytes: number; limitBytes: number } {
    return { bufferedBytes: this.link.bufferedBytes, messageBytes, limitBytes: MESSAGE_LIMIT_BYTES };
  }

  async #inputEnded(): Promise<void> {
    while (this.#pauses > 0) await this.#resume();
    this.#listening = false;
    for (const requestId of this.link.pending) this.link.respond(requestId, NOBODY_THERE);
  }

  #warn(message: string): void {
    this.#say({ type: "log", level: "warn", message });
  }

  #say(line: JsonObject): void {
    this.#options.output(JSON.stringify(line));
  }
}
