/**
 * HTTP/1.1 over the loopback, as a relay needs it: it knows whether a request was written, sends none twice by itself
 * that must not run twice, has no limit of its own on requests at a time, and reads no further than its reader does.
 *
 * @module
 */
import { concat } from "../../base/bytes.ts";
import type { Connection, Host } from "../../host/host.ts";

const CONNECT_TIMEOUT_MS = 10_000;
const HEAD_LIMIT_BYTES = 64 * 1024;
const LINE_LIMIT_BYTES = 4096;
/** Head and body of a small request leave in one packet. */
const TOGETHER_BYTES = 64 * 1024;
/** Servers close idle connections after 5 s and more: a call must not meet that moment. */
const REUSE_MS = 4000;
const REUSE_ONCE_MS = 1000;
const IDLE_LIMIT = 16;

export interface HttpRequest {
  method: "GET" | "POST" | "DELETE";
  url: URL;
  headers: Readonly<Record<string, string>>;
  body?: Uint8Array;
  /** May be sent again where a kept connection turns out to be closed. */
  isRepeatable: boolean;
  signal: AbortSignal;
  /** Called once all of it is handed to the system, or can't be. */
  onWritten?(): void;
}

export interface HttpResponse {
  status: number;
  /** By lower-case name. */
  headers: ReadonlyMap<string, string>;
  /** The next bytes of the body, null at its end. @throws Error where it breaks off */
  read(): Promise<Uint8Array | null>;
  /** Nobody reads the rest. */
  discard(): void;
}

/** A request that has no answer. */
export class ExchangeError extends Error {
  override readonly name = "ExchangeError";
  /** `wasSent`: the server may have seen it. */
  constructor(readonly wasSent: boolean, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** A header that can't be sent. */
export class HeaderError extends Error {
  override readonly name = "HeaderError";
}

interface Idle {
  wire: Wire;
  sinceMs: number;
  limitMs: number;
}

export class HttpClient {
  readonly #host: Pick<Host, "net" | "clock">;
  readonly #onClosed: () => void;
  readonly #idle: Idle[] = [];
  #isClosed = false;

  /** `onClosed` is called when the server closes a connection that nobody used. */
  constructor(host: Pick<Host, "net" | "clock">, onClosed: () => void = () => {}) {
    this.#host = host;
    this.#onClosed = onClosed;
  }

  /** @throws HeaderError, ExchangeError or the signal's reason */
  async request(request: HttpRequest): Promise<HttpResponse> {
    const head = headOf(request);
    request.signal.throwIfAborted();
    const kept = this.#takeIdle(request.isRepeatable);
    if (kept !== null) {
      try {
        return await this.#exchange(kept, request, head);
      } catch (error) {
        const isStale = error instanceof ExchangeError && request.isRepeatable && !kept.hasRead;
        if (!isStale || request.signal.aborted) {
          request.onWritten?.();
          throw error;
        }
      }
    }
    try {
      return await this.#exchange(await this.#open(request), request, head);
    } catch (error) {
      request.onWritten?.();
      throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const { wire } of this.#idle.splice(0)) wire.close();
  }

  async #open({ url, signal }: HttpRequest): Promise<Wire> {
    try {
      const hostname = url.hostname.replace(/^\[|\]$/g, "");
      const port = Number(url.port || 80);
      return new Wire(
        await this.#host.net.connect(hostname, port, { timeoutMs: CONNECT_TIMEOUT_MS, signal }),
      );
    } catch (error) {
      signal.throwIfAborted();
      throw new ExchangeError(false, error);
    }
  }

  async #exchange(wire: Wire, request: HttpRequest, head: string): Promise<HttpResponse> {
    const { signal, body } = request;
    const stop = () => wire.close();
    signal.addEventListener("abort", stop, { once: true });
    const release = () => signal.removeEventListener("abort", stop);
    try {
      // An answer may come before all was written, and then counts: where none comes, reading says so.
      const onWritten = () => request.onWritten?.();
      wire.write(head, body).then(onWritten, onWritten);
      const { status, headers } = await wire.readHead();
      const framing = framingOf({ status, headers });
      const isKept = framing.kind !== "close" && wire.isPersistent &&
        headers.get("connection")?.toLowerCase() !== "close";
      const finish = (isWhole: boolean) => {
        release();
        if (isWhole && isKept && !this.#isClosed) this.#keep(wire, headers);
        else wire.close();
      };
      return decoded(responseOf(wire, { status, headers, framing, finish, signal }));
    } catch (error) {
      release();
      wire.close();
      signal.throwIfAborted();
      throw new ExchangeError(true, error);
    }
  }

  #keep(wire: Wire, headers: ReadonlyMap<string, string>): void {
    const said = Number(/timeout=(\d+)/.exec(headers.get("keep-alive") ?? "")?.[1] ?? Infinity);
    const idle: Idle = {
      wire,
      sinceMs: this.#host.clock.monotonic(),
      limitMs: Math.min(REUSE_MS, said * 1000 - 500),
    };
    this.#idle.push(idle);
    wire.whenDisturbed(() => {
      const at = this.#idle.indexOf(idle);
      if (at === -1) return;
      this.#idle.splice(at, 1);
      wire.close();
      this.#onClosed();
    });
    if (this.#idle.length > IDLE_LIMIT) this.#idle.shift()?.wire.close();
  }

  #takeIdle(isRepeatable: boolean): Wire | null {
    const now = this.#host.clock.monotonic();
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      const limitMs = isRepeatable ? idle.limitMs : Math.min(REUSE_ONCE_MS, idle.limitMs);
      if (now - idle.sinceMs <= limitMs) {
        idle.wire.hasRead = false;
        return idle.wire;
      }
      // A call does not trust it any more, another request may: but the newest was looked at first.
      idle.wire.close();
    }
    return null;
  }
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** @throws HeaderError */
function headOf({ method, url, headers, body }: HttpRequest): string {
  let head = `${method} ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    if (!TOKEN.test(name)) throw new HeaderError(`"${name}" can't be the name of a header`);
    if (!VALUE.test(value)) throw new HeaderError(`the header "${name}" has a value that can't be sent`);
    head += `${name}: ${value}\r\n`;
  }
  return `${head}${body === undefined ? "" : `content-length: ${body.length}\r\n`}\r\n`;
}

type Framing = { kind: "empty" } | { kind: "length"; bytes: number } | { kind: "chunked" } | {
  kind: "close";
};

/** @throws Error */
function framingOf(
  { status, headers }: { status: number; headers: ReadonlyMap<string, string> },
): Framing {
  if (status === 204 || status === 304) return { kind: "empty" };
  if (headers.has("transfer-encoding")) {
    if (/(?:^|,)\s*chunked\s*$/i.test(headers.get("transfer-encoding") ?? "")) return { kind: "chunked" };
    return { kind: "close" };
  }
  const length = headers.get("content-length");
  if (length === undefined) return { kind: "close" };
  if (!/^\d{1,15}$/.test(length)) throw new Error(`an answer with the content-length ${length}`);
  return Number(length) === 0 ? { kind: "empty" } : { kind: "length", bytes: Number(length) };
}

interface ResponseParts {
  status: number;
  headers: ReadonlyMap<string, string>;
  framing: Framing;
  signal: AbortSignal;
  finish(isWhole: boolean): void;
}

function responseOf(wire: Wire, { status, headers, framing, finish, signal }: ResponseParts): HttpResponse {
  let leftBytes = framing.kind === "length" ? framing.bytes : 0;
  let isOver = framing.kind === "empty";
  if (isOver) finish(true);
  const end = () => {
    isOver = true;
    finish(true);
    return null;
  };
  const broken = () => new Error("the connection was closed within an answer");
  const next = async (): Promise<Uint8Array | null> => {
    switch (framing.kind) {
      case "empty":
        return null;
      case "close":
        return await wire.some(Infinity) ?? end();
      case "length": {
        const bytes = await wire.some(leftBytes);
        if (bytes === null) throw broken();
        leftBytes -= bytes.length;
        if (leftBytes === 0) end();
        return bytes;
      }
      case "chunked": {
        if (leftBytes === 0) {
          leftBytes = await wire.chunkSize();
          if (leftBytes === 0) return end();
        }
        const bytes = await wire.some(leftBytes);
        if (bytes === null) throw broken();
        leftBytes -= bytes.length;
        if (leftBytes === 0) await wire.chunkEnd();
        return bytes;
      }
    }
  };
  return {
    status,
    headers,
    async read() {
      if (isOver) return null;
      try {
        return await next();
      } catch (error) {
        isOver = true;
        finish(false);
        signal.throwIfAborted();
        throw error;
      }
    },
    discard() {
      if (isOver) return;
      isOver = true;
      finish(false);
    },
  };
}

/** Unpacked at once: engines keep all that one piece becomes, which may be a thousand times as much. */
const PACKED_BYTES = 1024;

const ENCODINGS: Readonly<Record<string, "gzip" | "deflate">> = {
  "gzip": "gzip",
  "x-gzip": "gzip",
  "deflate": "deflate",
};

/** Some servers pack an answer although nobody asked for it. @throws Error where it is packed in another way */
function decoded(response: HttpResponse): HttpResponse {
  const encoding = response.headers.get("content-encoding")?.toLowerCase() ?? "identity";
  if (encoding === "identity" || encoding === "") return response;
  const known = Object.hasOwn(ENCODINGS, encoding) ? ENCODINGS[encoding] : undefined;
  if (known === undefined) {
    response.discard();
    throw new Error(`its answer is encoded as ${encoding}, which was not asked for`);
  }
  let rest = new Uint8Array();
  const packed = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const bytes = rest.length > 0 ? rest : await response.read() as Uint8Array<ArrayBuffer> | null;
      if (bytes === null) return controller.close();
      controller.enqueue(bytes.slice(0, PACKED_BYTES));
      rest = bytes.subarray(PACKED_BYTES);
    },
    cancel: () => response.discard(),
  }, { highWaterMark: 0 });
  const reader = packed.pipeThrough(new DecompressionStream(known)).getReader();
  return {
    status: response.status,
    headers: response.headers,
    read: async () => (await reader.read()).value ?? null,
    discard() {
      response.discard();
      reader.cancel().catch(() => {});
    },
  };
}

const decoder = new TextDecoder("latin1");
const NEWLINE = 10;

/** The bytes of one connection. */
class Wire {
  readonly #connection: Connection;
  #buffer: Uint8Array = new Uint8Array();
  /** Asked for while the connection was idle: it tells of its end. */
  #early: Promise<Uint8Array | null> | null = null;
  #onDisturbed: (() => void) | null = null;
  isPersistent = true;
  /** Whether anything came since it was last taken. */
  hasRead = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async write(head: string, body: Uint8Array | undefined): Promise<void> {
    const start = Uint8Array.from(head, (char) => char.charCodeAt(0));
    if (body === undefined || body.length <= TOGETHER_BYTES) {
      await this.#connection.write(body === undefined ? start : concat([start, body]));
      return;
    }
    await Promise.all([this.#connection.write(start), this.#connection.write(body)]);
  }

  close(): void {
    this.#onDisturbed = null;
    this.#connection.close();
  }

  /** Calls back when anything happens before the next request: the connection is then of no use. */
  whenDisturbed(action: () => void): void {
    this.#onDisturbed = action;
    this.#early ??= this.#connection.read();
    const disturbed = () => this.#onDisturbed?.();
    this.#early.then(disturbed, disturbed);
    if (this.#buffer.length > 0) disturbed();
  }

  /** @throws Error where there is none, or an endless one */
  async readHead(): Promise<{ status: number; headers: Map<string, string> }> {
    this.#onDisturbed = null;
    while (true) {
      const lines = await this.#headLines();
      const [, minor, code] = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(lines[0] ?? "") ?? [];
      if (code === undefined) throw new Error("what answers does not speak HTTP");
      const status = Number(code);
      if (status < 200 && status !== 101) continue;
      const headers = new Map<string, string>();
      for (const line of lines.slice(1)) {
        const colon = line.indexOf(":");
        if (colon < 1) continue;
        const name = line.slice(0, colon).trim().toLowerCase();
        const value = line.slice(colon + 1).trim();
        headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value);
      }
      this.isPersistent = minor === "1" || /keep-alive/i.test(headers.get("connection") ?? "");
      return { status, headers };
    }
  }

  async #headLines(): Promise<string[]> {
    const lines: string[] = [];
    let leftBytes = HEAD_LIMIT_BYTES;
    while (true) {
      const line = await this.#line(leftBytes);
      leftBytes -= line.length + 2;
      if (line !== "") lines.push(line);
      else if (lines.length > 0) return lines;
    }
  }

  /** At least one byte and at most `limitBytes`; null at the end. */
  async some(limitBytes: number): Promise<Uint8Array | null> {
    if (this.#buffer.length === 0 && !await this.#fill()) return null;
    const bytes = this.#buffer.length <= limitBytes ? this.#buffer : this.#buffer.subarray(0, limitBytes);
    this.#buffer = this.#buffer.subarray(bytes.length);
    return bytes;
  }

  async chunkSize(): Promise<number> {
    const line = await this.#line(LINE_LIMIT_BYTES);
    const size = /^\s*([0-9a-f]{1,12})\s*(?:;|$)/i.exec(line)?.[1];
    if (size === undefined) throw new Error("an answer with a broken chunk");
    const bytes = Number.parseInt(size, 16);
    if (bytes > 0) return bytes;
    let leftBytes = HEAD_LIMIT_BYTES;
    for (let trailer = await this.#line(leftBytes); trailer !== ""; trailer = await this.#line(leftBytes)) {
      leftBytes -= trailer.length + 2;
    }
    return 0;
  }

  async chunkEnd(): Promise<void> {
    if (await this.#line(LINE_LIMIT_BYTES) !== "") throw new Error("an answer with a broken chunk");
  }

  async #line(limitBytes: number): Promise<string> {
    let from = 0;
    while (true) {
      const end = this.#buffer.indexOf(NEWLINE, from);
      if (end > limitBytes || (end === -1 && this.#buffer.length > limitBytes)) {
        throw new Error("an answer with endless headers");
      }
      if (end !== -1) {
        const line = decoder.decode(this.#buffer.subarray(0, end));
        this.#buffer = this.#buffer.subarray(end + 1);
        return line.endsWith("\r") ? line.slice(0, -1) : line;
      }
      from = this.#buffer.length;
      if (!await this.#fill()) throw new Error("connection closed before an answer");
    }
  }

  async #fill(): Promise<boolean> {
    const reading = this.#early ?? this.#connection.read();
    this.#early = null;
    const bytes = await reading;
    if (bytes === null) return false;
    this.hasRead = true;
    this.#buffer = this.#buffer.length === 0 ? bytes : concat([this.#buffer, bytes]);
    return true;
  }
}
