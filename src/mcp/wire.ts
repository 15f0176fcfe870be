import { excerptOf } from "../base/text.ts";
import type { Host } from "../host/host.ts";
import { Attempt } from "./attempt.ts";
import { discard, readStart, watchedBody } from "./body.ts";
import { connectionFailure, type ProbeFailure } from "./outcome.ts";
import { fetchFollowing } from "./redirect.ts";

const ERROR_BODY_LIMIT_BYTES = 64 * 1024;
const SESSION_CLOSE_TIMEOUT_MS = 250;

export type WireHost = Pick<Host, "clock"> & { net: Pick<Host["net"], "fetch"> };

/**
 * The fetch that a probing client is given. It holds every request to the running attempt's deadline and byte limit,
 * remembers how the last one failed, and knows which sessions were opened, so that they can be closed whatever happens.
 */
export class Wire {
  readonly #host: WireHost;
  readonly #streams: boolean;
  readonly #added: Readonly<Record<string, string>>;
  /** Where each session was opened, which a redirect may have moved. */
  readonly #sessions = new Map<string, URL>();
  #attempt: Attempt;
  #protocol: string | null = null;
  #lastFailure: ProbeFailure | null = null;
  readonly #breaking = new AbortController();
  #brokenBy: ProbeFailure | null = null;

  /** Without `streams`, GET streams are turned down here: a check has no use for one. `headers` go with each request. */
  constructor(
    host: WireHost,
    attempt: Attempt,
    options: { streams: boolean; headers?: Readonly<Record<string, string>> },
  ) {
    this.#host = host;
    this.#attempt = attempt;
    this.#streams = options.streams;
    this.#added = options.headers ?? {};
  }

  /** How the last request failed; null where it was answered well. */
  get lastFailure(): ProbeFailure | null {
    return this.#lastFailure;
  }

  /** Why no more answers can come: a stream ended or broke off. */
  get brokenBy(): ProbeFailure | null {
    return this.#brokenBy;
  }

  /** Waits for `work`, no longer than the attempt and the streams last. @throws as {@link Attempt.hold} */
  hold<T>(work: Promise<T>): Promise<T> {
    return this.#attempt.hold(work, this.#breaking.signal);
  }

  /** Puts later requests under another attempt. */
  begin(attempt: Attempt): void {
    this.#attempt = attempt;
    this.#lastFailure = null;
  }

  readonly fetch = async (input: string | URL, init: RequestInit = {}): Promise<Response> => {
    const isStream = (init.method ?? "GET") === "GET";
    if (isStream && !this.#streams) return new Response(null, { status: 405 });

    const headers = new Headers(init.headers);
    for (const [name, value] of Object.entries(this.#added)) headers.set(name, value);
    this.#protocol = headers.get("mcp-protocol-version") ?? this.#protocol;
    this.#lastFailure = null;
    // A stream outlives the attempt that opened it; closing the client ends it.
    const signals = isStream ? [init.signal] : [init.signal, this.#attempt.signal];
    const signal = AbortSignal.any(signals.filter((one) => one != null));

    try {
      const { response, url } = await fetchFollowing(this.#host.net, new URL(input), {
        ...init,
        headers,
        signal,
      });
      const session = response.headers.get("mcp-session-id");
      if (session !== null && response.ok) this.#sessions.set(session, url);
      return response.ok ? this.#watched(response, isStream, signal) : await this.#failed(response, url);
    } catch (error) {
      // Closing the client breaks its requests off, which is no failure of the server.
      if (!signal.aborted) this.#lastFailure = connectionFailure(error);
      throw error;
    }
  };

  /**
   * A request of foster's own within a session that is open: nothing of it is kept, and whoever reads its answer counts
   * the bytes. @throws what fetch throws
   */
  async post(
    to: URL,
    { headers, body }: { headers: Record<string, string>; body: string },
  ): Promise<Response> {
    this.#lastFailure = null;
    const { signal } = this.#attempt;
    try {
      const init = { method: "POST", headers: { ...headers, ...this.#added }, body, signal };
      const { response, url } = await fetchFollowing(this.#host.net, to, init);
      return response.ok ? response : await this.#failed(response, url);
    } catch (error) {
      if (!signal.aborted) this.#lastFailure = connectionFailure(error);
      throw error;
    }
  }

  /** Closes every session that was opened. Never throws: a server that is gone has none. */
  async closeSessions(): Promise<void> {
    const lost = this.#lastFailure?.kind === "connection" && this.#lastFailure.reason === "refused";
    const sessions = lost ? [] : [...this.#sessions];
    this.#sessions.clear();
    await Promise.all(sessions.map(([session, url]) => this.#closeSession(session, url)));
  }

  async #closeSession(session: string, url: URL): Promise<void> {
    const attempt = new Attempt(this.#host.clock, {
      timeoutMs: SESSION_CLOSE_TIMEOUT_MS,
      limitBytes: ERROR_BODY_LIMIT_BYTES,
    });
    const headers = new Headers({ ...this.#added, "mcp-session-id": session });
    if (this.#protocol !== null) headers.set("mcp-protocol-version", this.#protocol);
    try {
      const { signal } = attempt;
      await discard(
        await this.#host.net.fetch(url, { method: "DELETE", headers, redirect: "manual", signal }),
      );
    } catch {
      // The session can't outlive a server that can't be reached, and a server may refuse to close one.
    } finally {
      attempt.end();
    }
  }

  #watched(response: Response, isStream: boolean, signal: AbortSignal): Response {
    if (response.body === null) return response;
    const body = watchedBody(response.body, {
      onBytes: (count) => this.#attempt.receive(count),
      onEnd: () => {
        if (isStream) this.#break({ kind: "answer", detail: "the event stream ended" });
      },
      onError: (error) => {
        if (!signal.aborted) this.#break(connectionFailure(error));
      },
    });
    return new Response(body, init(response));
  }

  #break(failure: ProbeFailure): void {
    this.#brokenBy ??= failure;
    this.#breaking.abort(new Error(`the connection is over: ${failure.kind}`));
  }

  async #failed(response: Response, from: URL): Promise<Response> {
    const { status } = response;
    const { text } = await readStart(response, ERROR_BODY_LIMIT_BYTES);
    const location = response.headers.get("location");
    this.#lastFailure = status >= 300 && status < 400 && location !== null
      ? { kind: "redirect", status, location, from }
      : { kind: "http", status, detail: excerptOf(text) };
    return new Response(text === "" ? null : text, init(response));
  }
}

function init(response: Response): ResponseInit {
  return { status: response.status, statusText: response.statusText, headers: response.headers };
}
