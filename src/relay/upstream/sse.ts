/**
 * A server over the older transport: everything it says comes over one stream of events.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import { decideRedirect, redirectReason } from "../../mcp/redirect.ts";
import { MESSAGE_LIMIT_BYTES, oneLine } from "../lines.ts";
import { isInitialize, itemsOf } from "../pending.ts";
import { mayRunTwice } from "../retry.ts";
import { EventReader } from "./event_stream.ts";
import { readExcerpt, reasonOf, refusalOf } from "./http_answers.ts";
import { ExchangeError, HttpClient, type HttpResponse } from "./http_client.ts";
import { Turns } from "./turns.ts";
import type { Pending, Upstream, UpstreamOptions } from "./upstream.ts";

export interface SseOptions extends UpstreamOptions {
  endpoint: URL;
  /** Sent with every request; the values are secrets. */
  headers?: Readonly<Record<string, string>>;
}

const ENDPOINT_TIMEOUT_MS = 5000;

/** Opens the stream and waits until it names the place for messages. @throws Error or the signal's reason */
export async function openSse(
  host: Pick<Host, "net" | "clock">,
  options: SseOptions,
  signal: AbortSignal,
): Promise<Upstream> {
  const closing = new AbortController();
  const opening = host.clock.deadline(ENDPOINT_TIMEOUT_MS, signal);
  const giveUp = () => closing.abort(opening.reason);
  opening.addEventListener("abort", giveUp);
  const client = new HttpClient(host);
  try {
    const { response, url } = await openStream(client, options, closing.signal);
    const upstream = new SseUpstream(host, { ...options, endpoint: url, client, response, closing });
    await upstream.ready;
    return upstream;
  } catch (error) {
    closing.abort();
    client.close();
    throw error instanceof StreamError ? error : new Error(reasonOf(error), { cause: error });
  } finally {
    opening.removeEventListener("abort", giveUp);
  }
}

class StreamError extends Error {
  override readonly name = "StreamError";
}

async function openStream(
  client: HttpClient,
  { endpoint, headers }: SseOptions,
  signal: AbortSignal,
): Promise<{ response: HttpResponse; url: URL }> {
  let url = endpoint;
  for (let hops = 0;; hops++) {
    const sent = { ...headers, accept: "text/event-stream", "accept-encoding": "identity" };
    const response = await client.request({ method: "GET", url, headers: sent, isRepeatable: true, signal });
    const { status } = response;
    if (status === 200) return { response, url };
    response.discard();
    const location = response.headers.get("location") ?? null;
    const step = decideRedirect({ status, location, hops }, url);
    if (step === null) throw new StreamError(`HTTP ${status}`);
    if (step.kind === "refuse") {
      throw new StreamError(redirectReason({ status, location: step.location }, url));
    }
    url = step.url;
  }
}

interface SseUpstreamOptions extends SseOptions {
  client: HttpClient;
  response: HttpResponse;
  closing: AbortController;
}

class SseUpstream implements Upstream {
  readonly sharesStream = true;
  readonly hasSession = false;
  readonly isFresh = false;
  /** Rejects where the stream ends before it named the place for messages. */
  readonly ready: Promise<void>;
  readonly #options: SseUpstreamOptions;
  readonly #target = Promise.withResolvers<URL>();
  readonly #turns: Turns;
  readonly #posts = new Map<Pending, { abort: AbortController; wasBegun: boolean }>();
  #onAgreed: (() => void) | null = null;
  #handshake: Pending | null = null;
  #isRetired = false;

  constructor(host: Pick<Host, "clock">, options: SseUpstreamOptions) {
    this.#options = options;
    this.#turns = new Turns(host.clock);
    this.ready = this.#target.promise.then(() => {});
    this.#read();
  }

  get room(): Promise<void> | null {
    return this.#turns.room;
  }

  send(pending: Pending): Promise<void> {
    const post = { abort: new AbortController(), wasBegun: false };
    this.#posts.set(pending, post);
    return new Promise((written) => {
      const run = () => {
        post.wasBegun = true;
        return isInitialize(pending) ? this.#agreement(pending, written) : this.#post(pending, written);
      };
      this.#turns.take(pending, run).finally(() => {
        this.#posts.delete(pending);
        written();
      });
    });
  }

  /** Resolves with the answer, which comes over the stream. */
  #agreement(pending: Pending, written: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.#onAgreed = resolve;
      this.#handshake = pending;
      this.#options.closing.signal.addEventListener("abort", () => resolve(), { once: true });
      this.#post(pending, written).finally(() => pending.open.size === 0 && resolve());
    });
  }

  cancel(pending: Pending): boolean {
    const post = this.#posts.get(pending);
    if (post === undefined || post.wasBegun) return false;
    post.abort.abort();
    return true;
  }

  isAlive(): Promise<boolean> {
    return Promise.resolve(!this.#options.closing.signal.aborted);
  }

  retire(): void {
    this.#isRetired = true;
  }

  close(): Promise<void> {
    this.#options.closing.abort();
    this.#options.client.close();
    return Promise.resolve();
  }

  async #read(): Promise<void> {
    const { response, endpoint, events, client, closing } = this.#options;
    const reader = new EventReader(MESSAGE_LIMIT_BYTES);
    let reason = "its stream ended";
    try {
      for (let chunk = await response.read(); chunk !== null; chunk = await response.read()) {
        for (const { name, data } of reader.add(chunk)) {
          if (data === null) continue;
          if (name === "endpoint") this.#target.resolve(sameOrigin(data, endpoint));
          else if (name === "message") await this.#take(oneLine(data));
        }
      }
    } catch (error) {
      reason = reasonOf(error);
    }
    this.#target.reject(new StreamError(reason));
    if (closing.signal.aborted) return;
    closing.abort();
    client.close();
    // What it can't have seen is told first: the rest may have run.
    for (const [pending, { wasBegun }] of this.#posts) {
      if (!wasBegun) events.failed(this, pending, { phase: "unsent", reason });
    }
    events.lost(this, reason, { sameProcess: null });
  }

  async #take(line: Uint8Array): Promise<void> {
    await this.#options.events.message(this, line, null);
    if (this.#handshake?.open.size === 0) {
      this.#handshake = null;
      this.#onAgreed?.();
    }
  }

  async #post(pending: Pending, written: () => void): Promise<void> {
    const { events, client, closing: { signal }, headers } = this.#options;
    if (this.#posts.get(pending)?.abort.signal.aborted) return;
    if (this.#isRetired || signal.aborted) {
      return events.failed(this, pending, { phase: "unsent", reason: "its turn did not come" });
    }
    try {
      const response = await client.request({
        method: "POST",
        url: await this.#target.promise,
        headers: { ...headers, "content-type": "application/json", "accept-encoding": "identity" },
        body: pending.line,
        isRepeatable: mayRunTwice(pending.message),
        signal,
        onWritten: written,
      });
      const { status } = response;
      if (status >= 200 && status < 300) return await readToEnd(response);
      const body = await readExcerpt(response);
      await events.refused(this, pending, refusalOf(pending, { status, body }));
    } catch (error) {
      if (signal.aborted) return;
      const wasSent = !(error instanceof ExchangeError) || error.wasSent;
      const isRequest = itemsOf(pending.message).some((item) => item.kind === "request");
      // Where the stream lives the answer may still come; where it does not, its end says so.
      if (!wasSent || (isRequest && pending.open.size > 0)) {
        events.failed(this, pending, { phase: wasSent ? "sent" : "unsent", reason: reasonOf(error) });
      }
    }
  }
}

/** A body of no meaning, which leaves the connection to the next message. */
async function readToEnd(response: HttpResponse): Promise<void> {
  let leftBytes = 64 * 1024;
  for (let part = await response.read(); part !== null; part = await response.read()) {
    leftBytes -= part.length;
    if (leftBytes < 0) return response.discard();
  }
}

/** @throws Error where messages would go to somebody else */
function sameOrigin(data: Uint8Array, endpoint: URL): URL {
  const target = new URL(new TextDecoder().decode(data), endpoint);
  if (target.origin !== endpoint.origin) throw new StreamError(`it names ${target.origin} for messages`);
  return target;
}
