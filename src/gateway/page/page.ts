/**
 * The page of the gateway: its text, and what it asks. Loaded when the first page comes.
 *
 * @module
 */
import { hmacSha256Hex } from "../../base/hash.ts";
import { printable } from "../../base/printable.ts";
import { OUTCOMES, rowDocument, type ServerRow } from "../../lifecycle/row.ts";
import type { World } from "../../lifecycle/world.ts";
import type { SupervisedServer } from "../../supervisor/enrolment.ts";
import type { PageAnswer } from "../../supervisor/control_wire.ts";
import { EventStream } from "../event_stream.ts";
import { isSameText } from "../guard.ts";
import { act, type Action, type ActionOptions, ACTIONS } from "./actions.ts";
import { pageDocument } from "./document.ts";
import { streamLog } from "./log_stream.ts";
import { Sampler, type SamplerOptions } from "./samples.ts";
import { askTools, knownTools } from "./tools.ts";

export interface PageOptions extends ActionOptions, SamplerOptions {
  /** The secret of control: the page's token follows from it, so that an open page outlives a supervisor. */
  secret: string;
  /** Keeps the supervisor from ending. Returns the function that ends this. */
  hold(): () => void;
}

const PAGE_LIMIT = 16;
const LOG_LIMIT = 32;
const CODE_LIMIT = 16;
const CODE_BYTES = 16;
const CODE_MS = 5 * 60_000;
const INTERVAL_MS = 2000;
/** How long the supervisor waits for a page to come, or to come back. */
const HELD_MS = 5 * 60_000;
/** A page that takes nothing for so long is let go. */
const DEAF_MS = 60_000;

const HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
};

interface Watcher {
  stream: EventStream;
  /** Since when it takes nothing, monotonic; null while it does. */
  fullSince: number | null;
  /** It missed something: it is sent everything again. */
  isBehind: boolean;
}

export class Page {
  readonly #world: World;
  readonly #options: PageOptions;
  readonly #token: string;
  readonly #sampler: Sampler;
  readonly #watchers = new Set<Watcher>();
  readonly #logs = new Set<EventStream>();
  /** One-time codes with the monotonic ms of their end. */
  readonly #codes = new Map<string, number>();
  /** What is being done, by the server's key. */
  readonly #busy = new Map<string, Action>();
  readonly #ending = new AbortController();
  #stopSampling: (() => void) | null = null;
  #sampling: Promise<void> | null = null;
  #release: (() => void) | null = null;
  #heldUntil = 0;

  constructor(world: World, options: PageOptions) {
    this.#world = world;
    this.#options = options;
    this.#token = hmacSha256Hex(options.secret, "foster page");
    this.#sampler = new Sampler(world, options);
  }

  /** A page is about to come: it is waited for. */
  expect(): Omit<PageAnswer, "endpoint"> {
    const now = this.#world.host.clock.monotonic();
    for (const [code, endsAt] of this.#codes) {
      if (endsAt <= now || this.#codes.size >= CODE_LIMIT) this.#codes.delete(code);
    }
    const code = this.#world.host.random.hex(CODE_BYTES);
    this.#codes.set(code, now + CODE_MS);
    this.#hold();
    return { token: this.#token, code };
  }

  /** The page itself: no secret stands in it. */
  document({ method }: Pick<Request, "method">): Response {
    const { html, policy } = pageDocument();
    const headers = {
      ...HEADERS,
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy,
      "cross-origin-opener-policy": "same-origin",
      "x-frame-options": "DENY",
      "permissions-policy": "camera=(), geolocation=(), microphone=()",
    };
    return new Response(method === "HEAD" ? null : html, { headers });
  }

  /** `name` is what stands after `/ui/`. */
  async answer(name: string, request: Request): Promise<Response> {
    const { method } = request;
    const [, given = ""] = /^Bearer (\S+)$/.exec(request.headers.get("authorization") ?? "") ?? [];
    if (name === "token" && method === "POST") return this.#exchange(given);
    if (!isSameText(given, this.#token)) {
      return said(401, "This page's token is missing or wrong: foster ui prints the address with it");
    }
    if (name === "watch" && method === "GET") return await this.#watch();
    const [, encoded = "", what] = /^servers\/([^/]+)\/([a-z]+)$/.exec(name) ?? [];
    if (what === undefined) return said(404, "There is nothing here");
    const key = decoded(encoded);
    const server = key === null ? null : this.#sampler.find(key);
    if (server === null) return said(404, "foster knows no such server any more");
    const action = ACTIONS.find((each) => each === what);
    if (action !== undefined && method === "POST") return await this.#act(server, action);
    if (what === "logs" && method === "GET") return this.#log(server.key);
    if (what === "tools" && method === "GET") return json(knownTools(this.#options.hosting, server.key));
    if (what === "tools" && method === "POST") return await this.#askTools(server);
    return said(405, `${method} is not for this`);
  }

  close(): void {
    this.#ending.abort();
    this.#rest();
    for (const { stream } of this.#watchers) stream.end();
    for (const stream of this.#logs) stream.end();
    this.#watchers.clear();
    this.#release?.();
    this.#release = null;
  }

  /** Something happened that a page should show at once. */
  noteNews(): void {
    if (this.#stopSampling !== null) void this.#sample();
  }

  #exchange(code: string): Response {
    const known = [...this.#codes].find(([each]) => isSameText(each, code));
    const isGood = known !== undefined && known[1] > this.#world.host.clock.monotonic();
    if (known !== undefined) this.#codes.delete(known[0]);
    return isGood
      ? json({ token: this.#token })
      : said(401, "This address was for one use and some minutes: foster ui prints a new one");
  }

  async #act(server: SupervisedServer, action: Action): Promise<Response> {
    const { name, key } = server;
    const busy = this.#busy.get(key);
    if (busy !== undefined) return said(409, `"${name}": ${busy} is still under way`);
    this.#busy.set(key, action);
    const release = this.#options.hold();
    try {
      const { kind, row } = await act(this.#world, this.#options, { action, server });
      return json({ ok: kind === "done", kind, exit_code: OUTCOMES[kind].exit, server: shownRow(row) });
    } finally {
      this.#busy.delete(key);
      release();
      this.noteNews();
    }
  }

  #log(key: string): Response {
    if (this.#logs.size >= LOG_LIMIT) return said(503, `${LOG_LIMIT} logs are open: close a page first`);
    const { host, state } = this.#world;
    const stream: EventStream = streamLog(host, {
      path: state.server(key).paths.log,
      signal: this.#ending.signal,
      onGone: () => void this.#logs.delete(stream),
    });
    this.#logs.add(stream);
    return streamed(stream);
  }

  async #askTools(server: SupervisedServer): Promise<Response> {
    const release = this.#options.hold();
    try {
      const { signal } = this.#ending;
      const asked = await askTools(this.#world, { hosting: this.#options.hosting, server, signal });
      return asked.kind === "listed" ? json(asked) : said(502, asked.message);
    } finally {
      release();
    }
  }

  // What all open pages are shown

  async #watch(): Promise<Response> {
    if (this.#watchers.size >= PAGE_LIMIT) {
      return said(503, `${PAGE_LIMIT} pages watch already: close one first`);
    }
    const watcher: Watcher = {
      fullSince: null,
      isBehind: true,
      stream: new EventStream(() => {
        this.#watchers.delete(watcher);
        if (this.#watchers.size === 0) this.#rest();
      }),
    };
    this.#watchers.add(watcher);
    this.#hold();
    this.#stopSampling ??= this.#world.host.clock.every(INTERVAL_MS, () => void this.#sample());
    // All pages are sent it: what one alone was told of the others would miss.
    await this.#sample();
    if (watcher.isBehind) this.#sendWhole(watcher);
    return streamed(watcher.stream);
  }

  /** Nobody watches any more. */
  #rest(): void {
    this.#stopSampling?.();
    this.#stopSampling = null;
  }

  /** Never rejects. */
  #sample(): Promise<void> {
    this.#hold();
    return this.#sampling ??= this.#sampler.sample().then((update) => {
      const line = encoded({ type: "update", ...update, busy: Object.fromEntries(this.#busy) });
      for (const watcher of this.#watchers) {
        if (this.#isDeaf(watcher)) continue;
        if (watcher.isBehind) this.#sendWhole(watcher);
        else this.#send(watcher, line);
      }
    }).catch((error) => this.#world.warn(`the page can't be shown: ${String(error)}`)).finally(() => {
      this.#sampling = null;
    });
  }

  /** Whether it still has to take what it was sent before; one that takes nothing for long is let go. */
  #isDeaf(watcher: Watcher): boolean {
    if (watcher.fullSince === null) return false;
    watcher.isBehind = true;
    if (this.#world.host.clock.monotonic() - watcher.fullSince > DEAF_MS) {
      this.#watchers.delete(watcher);
      watcher.stream.end();
    }
    return true;
  }

  #sendWhole(watcher: Watcher): void {
    const { samples, events, last } = this.#sampler.history();
    if (last === null) return;
    watcher.isBehind = false;
    const { supervisor, servers } = last;
    const busy = Object.fromEntries(this.#busy);
    const interval_ms = INTERVAL_MS;
    this.#send(watcher, encoded({ type: "whole", interval_ms, supervisor, servers, samples, events, busy }));
  }

  #send(watcher: Watcher, line: Uint8Array): void {
    const room = watcher.stream.message(line, null);
    if (room === undefined) return;
    watcher.fullSince ??= this.#world.host.clock.monotonic();
    room.then(() => {
      watcher.fullSince = null;
    }, () => {});
  }

  /** A supervisor without anything else to do waits for pages, and a while after the last one. */
  #hold(): void {
    const { clock } = this.#world.host;
    this.#heldUntil = clock.monotonic() + HELD_MS;
    if (this.#release !== null) return;
    const release = this.#options.hold();
    this.#release = release;
    const wait = async () => {
      for (let left = HELD_MS; left > 0; left = this.#heldUntil - clock.monotonic()) {
        await clock.sleep(left, this.#ending.signal);
      }
    };
    wait().catch(() => {}).finally(() => {
      release();
      this.#release = null;
    });
  }
}

function said(status: number, message: string): Response {
  return json({ message }, status);
}

function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value) + "\n", {
    status,
    headers: { ...HEADERS, "content-type": "application/json" },
  });
}

function streamed({ body }: EventStream): Response {
  return new Response(body, { headers: { ...HEADERS, "content-type": "text/event-stream" } });
}

function encoded(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function decoded(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

/** What the verb prints, without what a terminal would not show either. */
function shownRow(row: ServerRow): ServerRow {
  return rowDocument({ ...row, message: printable(row.message), hint: printable(row.hint) });
}
