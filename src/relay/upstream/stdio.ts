/**
 * A server as foster's own child, line by line.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";
import type { Host, PipedChild } from "../../host/host.ts";
import { describeExit } from "../../lifecycle/messages.ts";
import { idAtEdge, type LineRead, MESSAGE_LIMIT_BYTES, oneLine, readLines, withEnd } from "../lines.ts";
import { fieldsAt, META, NEWER_REVISION } from "../../mcp/revisions/messages.ts";
import { CONNECTION_CLOSED, errorLine, parseLine } from "../message.ts";
import type { Pending, Upstream, UpstreamOptions } from "./upstream.ts";

export interface StdioUpstreamOptions extends UpstreamOptions {
  child: PipedChild;
  /** Ends the child and what it started, where closing its input was not enough. */
  end(): Promise<void>;
  /** Its input is about to be closed: it is asked to end. */
  onShut?(): void;
  /** What the child writes that is no message, a banner say. Never rejects. */
  onText(line: Uint8Array): Promise<void>;
  /** The child answered a handshake. */
  onServer(server: ServerInfo): void;
}

/** What a server says of itself. */
export interface ServerInfo {
  name: string | null;
  version: string | null;
  protocol: string | null;
}

/** An answer to a handshake is not longer. */
const INFO_LIMIT_BYTES = 256 * 1024;
const LAST_WORDS_MS = 200;
/** A process that ended has said all once so many looks in a row bring nothing, */
const QUIET_LOOKS = 4;
const QUIET_LOOK_MS = 50;
/** or after so long: one that it started may hold its output open, and talk, for ever. */
const LAST_WORDS_LIMIT_MS = 2000;
/** What may wait for the child to read it. */
const ROOM_BYTES = 256 * 1024;

export class StdioUpstream implements Upstream {
  readonly sharesStream = true;
  readonly hasSession = false;
  readonly isFresh = true;
  readonly #host: Pick<Host, "clock">;
  readonly #options: StdioUpstreamOptions;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #over: Promise<void>;
  #isOver = false;
  /** Why nothing more of its output can be used. */
  #broken: string | null = null;
  #isClosing = false;
  #unwrittenBytes = 0;
  #lastWrite: Promise<void> = Promise.resolve();
  /** Whether it ever said something that is a message. */
  spoke = false;
  /** Whether it was ended while it lived, and took what it was sent. */
  wasGivenUp = false;
  #isText = false;
  #isKnown = false;
  /** Lines that were read. */
  #heard = 0;
  /** The last of them waits for its reader. */
  #isHeld = false;
  #isRefusing = false;

  constructor(host: Pick<Host, "clock">, options: StdioUpstreamOptions) {
    this.#host = host;
    this.#options = options;
    this.#input = options.child.stdin.getWriter();
    this.#input.closed.catch(() => {});
    this.#over = this.#read();
    // Who closes it hears of what went wrong; else its end is told by events.
    this.#over.catch(() => {});
  }

  get room(): Promise<void> | null {
    return this.#unwrittenBytes < ROOM_BYTES ? null : this.#lastWrite;
  }

  send(pending: Pending): Promise<void> {
    if (this.#isOver) return Promise.resolve().then(() => this.#noteUnsent(pending));
    const line = withEnd(oneLine(pending.line));
    this.#unwrittenBytes += line.length;
    this.#lastWrite = this.#input.write(line).then(() => true, () => false).then((isWritten) => {
      this.#unwrittenBytes -= line.length;
      if (isWritten) return;
      this.#isRefusing = true;
      this.#noteUnsent(pending);
    });
    return this.#lastWrite;
  }

  /** A line that was not written whole was read by nobody: the next process may have it. */
  #noteUnsent(pending: Pending): void {
    this.#options.events.failed(this, pending, { phase: "unsent", reason: "it reads no more" });
  }

  cancel(): boolean {
    return false;
  }

  isAlive(): Promise<boolean> {
    return Promise.resolve(!this.#isOver);
  }

  retire(): void {
    this.#shut().catch(() => {});
  }

  async close(graceMs: number): Promise<void> {
    this.wasGivenUp = !this.#isOver && !this.#isRefusing;
    this.#isClosing = true;
    await Promise.race([this.#shut(), this.#host.clock.sleep(graceMs)]);
    await Promise.race([this.#over, this.#host.clock.sleep(graceMs)]);
    await this.#options.end();
  }

  takeText(line: Uint8Array): Promise<void> {
    this.#isText = true;
    return this.#options.onText(line);
  }

  #noteMessage(line: Uint8Array): void {
    this.spoke = true;
    if (this.#isKnown || line.length > INFO_LIMIT_BYTES) return;
    const server = serverInfoIn(line);
    if (server === null) return;
    this.#isKnown = true;
    this.#options.onServer(server);
  }

  async #shut(): Promise<void> {
    this.#options.onShut?.();
    await this.#input.close().catch(() => {});
  }

  async #read(): Promise<void> {
    const { child, events } = this.#options;
    const lines = this.#readAll();
    const exit = await Promise.race([lines.then(() => null), child.exited]);
    if (exit !== null) await Promise.race([lines, this.#untilQuiet()]);
    this.#isOver = true;
    if (this.#isClosing) return;
    this.#isClosing = true;
    // What it can't have read is told first: the rest may have run.
    await Promise.race([this.#lastWrite, this.#host.clock.sleep(LAST_WORDS_MS)]);
    const reason = this.#broken !== null
      ? this.#broken
      : exit === null
      ? "it closed its output"
      : `it ended with ${describeExit(exit)}`;
    try {
      await this.#options.end();
    } finally {
      events.lost(this, reason, { sameProcess: false });
    }
  }

  /** What it wrote before it ended is still on its way. Many short looks: between two of them everything that came is read. */
  async #untilQuiet(): Promise<void> {
    const { clock } = this.#host;
    const endsAt = clock.monotonic() + LAST_WORDS_LIMIT_MS;
    for (let quiet = 0; quiet < QUIET_LOOKS && clock.monotonic() < endsAt;) {
      const heard = this.#heard;
      await clock.sleep(QUIET_LOOK_MS);
      quiet = heard === this.#heard && !this.#isHeld ? quiet + 1 : 0;
    }
  }

  async #readAll(): Promise<void> {
    try {
      for await (const read of readLines(this.#options.child.stdout, MESSAGE_LIMIT_BYTES)) {
        if (this.#isOver) continue;
        this.#heard++;
        const line = read.kind === "line" ? read.line : overlongAnswer(read);
        if (line === null) {
          // It may be the answer that somebody waits for.
          this.#broken = `it sent more than ${
            MESSAGE_LIMIT_BYTES / 1024 / 1024
          } MiB that don't show whose they are`;
          return;
        }
        this.#isText = false;
        const room = this.#options.events.message(this, line, null);
        if (!this.#isText) this.#noteMessage(line);
        if (!(room instanceof Promise)) continue;
        this.#isHeld = true;
        await room;
        this.#isHeld = false;
      }
    } catch {
      // A broken pipe is the end of it too.
    }
  }
}

/** The error that stands for an answer which is too large, null where it can't be told whose answer it is. */
function overlongAnswer(read: Extract<LineRead, { kind: "overlong" }>): Uint8Array | null {
  const id = idAtEdge(read);
  if (id === null) return null;
  const message = `its answer is larger than ${MESSAGE_LIMIT_BYTES / 1024 / 1024} MiB`;
  return errorLine(id, { code: CONNECTION_CLOSED, message });
}

/** Null where the line is no answer to a handshake. */
function serverInfoIn(line: Uint8Array): ServerInfo | null {
  const message = parseLine(line);
  const result = fieldsAt(isObject(message) ? message : undefined, "result");
  const meta = fieldsAt(result, "_meta")[META.serverInfo];
  const info = isObject(result.serverInfo) ? result.serverInfo : meta;
  if (!isObject(info)) return null;
  const said = (value: unknown) => typeof value === "string" ? value : null;
  const protocol = said(result.protocolVersion) ?? NEWER_REVISION;
  return { name: said(info.name), version: said(info.version), protocol };
}
