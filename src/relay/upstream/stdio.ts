/**
 * A server as foster's own child, line by line.
 *
 * @module
 */
import type { Host, PipedChild } from "../../host/host.ts";
import { describeExit } from "../../lifecycle/messages.ts";
import { readLines, withEnd } from "../lines.ts";
import type { Parcel } from "../parcel.ts";
import type { Upstream, UpstreamEvents } from "./upstream.ts";

export interface StdioUpstreamOptions {
  child: PipedChild;
  events: UpstreamEvents;
  /** Ends the child and what it started, where closing its input was not enough. */
  end(): Promise<void>;
}

const LAST_WORDS_MS = 200;

export class StdioUpstream implements Upstream {
  readonly sharesStream = true;
  readonly #host: Pick<Host, "clock">;
  readonly #options: StdioUpstreamOptions;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #over: Promise<void>;
  #isOver = false;
  #isClosing = false;
  /** Whether it ever said anything. */
  spoke = false;

  constructor(host: Pick<Host, "clock">, options: StdioUpstreamOptions) {
    this.#host = host;
    this.#options = options;
    this.#input = options.child.stdin.getWriter();
    this.#input.closed.catch(() => {});
    this.#over = this.#read();
  }

  send(parcel: Parcel): void {
    // A child that reads no more is about to end, and its end says so.
    this.#input.write(withEnd(parcel.line)).catch(() => {});
  }

  abandon(): boolean {
    return false;
  }

  isAlive(): Promise<boolean> {
    return Promise.resolve(!this.#isOver);
  }

  retire(): void {
    this.#isClosing = true;
    this.#shut().catch(() => {});
  }

  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    await Promise.race([this.#shut(), this.#host.clock.sleep(graceMs)]);
    await Promise.race([this.#over, this.#host.clock.sleep(graceMs)]);
    await this.#options.end();
  }

  async #shut(): Promise<void> {
    await this.#input.close().catch(() => {});
  }

  async #read(): Promise<void> {
    const { child, events } = this.#options;
    const lines = this.#readAll();
    const exit = await Promise.race([lines.then(() => null), child.exited]);
    // What it wrote before it ended is still on its way; a grandchild may hold the pipe open for ever.
    if (exit !== null) await Promise.race([lines, this.#host.clock.sleep(LAST_WORDS_MS)]);
    this.#isOver = true;
    if (this.#isClosing) return;
    this.#isClosing = true;
    await this.#options.end();
    events.lost(this, exit === null ? "it closed its output" : `it ended with ${describeExit(exit)}`);
  }

  async #readAll(): Promise<void> {
    try {
      for await (const line of readLines(this.#options.child.stdout)) {
        this.spoke = true;
        if (!this.#isOver) this.#options.events.line(this, line);
      }
    } catch {
      // A broken pipe is the end of it too.
    }
  }
}
