/**
 * A server over the older transport: everything it says comes over one stream of events.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import { EventReader } from "./event_stream.ts";
import { httpFailureLines, reasonOf } from "./http_answers.ts";
import { oneLine } from "../lines.ts";
import { parseLine } from "../message.ts";
import type { Parcel } from "../parcel.ts";
import type { Opened, OpenRequest, Upstream, UpstreamEvents } from "./upstream.ts";

const ENDPOINT_TIMEOUT_MS = 5000;

/** Opens the stream and waits until it names the place for messages. */
export async function openSse(
  host: Pick<Host, "net" | "clock">,
  { endpoint, events, signal }: Pick<OpenRequest, "events" | "signal"> & { endpoint: URL },
): Promise<Opened> {
  const closing = new AbortController();
  const opening = host.clock.deadline(ENDPOINT_TIMEOUT_MS, signal);
  const giveUp = () => closing.abort(opening.reason);
  opening.addEventListener("abort", giveUp);
  try {
    const init = { headers: { accept: "text/event-stream" }, redirect: "manual" as const, timeout: false };
    const response = await host.net.fetch(endpoint, { ...init, signal: closing.signal });
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      return { kind: "later", reason: `HTTP ${response.status}` };
    }
    const upstream = new SseUpstream(host, { stream: response.body, endpoint, events, closing });
    await upstream.ready;
    return { kind: "open", upstream };
  } catch (error) {
    closing.abort();
    return { kind: "later", reason: reasonOf(error) };
  } finally {
    opening.removeEventListener("abort", giveUp);
  }
}

interface SseUpstreamOptions {
  stream: ReadableStream<Uint8Array>;
  endpoint: URL;
  events: UpstreamEvents;
  closing: AbortController;
}

class SseUpstream implements Upstream {
  readonly sharesStream = true;
  /** Rejects where the stream ends before it named the place for messages. */
  readonly ready: Promise<void>;
  readonly #host: Pick<Host, "net" | "clock">;
  readonly #options: SseUpstreamOptions;
  readonly #target = Promise.withResolvers<URL>();
  #tail: Promise<void> = Promise.resolve();

  constructor(host: Pick<Host, "net" | "clock">, options: SseUpstreamOptions) {
    this.#host = host;
    this.#options = options;
    this.ready = this.#target.promise.then(() => {});
    this.#read();
  }

  send(parcel: Parcel): void {
    this.#tail = this.#tail.then(() => this.#post(parcel));
  }

  abandon(): boolean {
    return false;
  }

  isAlive(): Promise<boolean> {
    return Promise.resolve(!this.#options.closing.signal.aborted);
  }

  retire(): void {
    this.#options.closing.abort();
  }

  close(): Promise<void> {
    this.retire();
    return Promise.resolve();
  }

  async #read(): Promise<void> {
    const { stream, endpoint, events, closing } = this.#options;
    const reader = new EventReader();
    let reason = "its stream ended";
    try {
      for await (const chunk of stream) {
        for (const { name, data } of reader.add(chunk)) {
          if (data === null) continue;
          if (name === "endpoint") this.#target.resolve(sameOrigin(data, endpoint));
          else if (name === "message") events.line(this, oneLine(data));
        }
      }
    } catch (error) {
      reason = reasonOf(error);
    }
    this.#target.reject(new Error(reason));
    if (closing.signal.aborted) return;
    closing.abort();
    events.lost(this, reason);
  }

  async #post(parcel: Parcel): Promise<void> {
    const { events, closing: { signal } } = this.#options;
    try {
      const response = await this.#host.net.fetch(await this.#target.promise, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: parcel.line as Uint8Array<ArrayBuffer>,
        redirect: "manual",
        signal,
      });
      const text = await response.text();
      if (response.ok) return;
      const refusal = { status: response.status, text, body: parseLine(new TextEncoder().encode(text)) };
      for (const line of httpFailureLines(parcel, refusal)) events.line(this, line);
    } catch (error) {
      // Where the stream lives the answer may still come; where it does not, its end says so.
      if (!signal.aborted) events.failed(this, parcel, { phase: "sent", reason: reasonOf(error) });
    }
  }
}

/** @throws Error where messages would go to somebody else */
function sameOrigin(data: Uint8Array, endpoint: URL): URL {
  const target = new URL(new TextDecoder().decode(data), endpoint);
  if (target.origin !== endpoint.origin) throw new Error(`it names ${target.origin} for messages`);
  return target;
}
