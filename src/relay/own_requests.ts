/**
 * Requests of foster's own, on the client's behalf: the client hears nothing of them.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import type { ClientSession } from "./client_session.ts";
import type { Destination } from "./client_side.ts";
import { fetchList } from "./lists.ts";
import {
  encodeLine,
  errorOf,
  METHOD_NOT_FOUND,
  type Params,
  parseLine,
  requestLine,
  resultOf,
  type RpcError,
} from "./message.ts";
import type { PendingTable } from "./pending.ts";
import type { Pending, Upstream } from "./upstream/upstream.ts";

export interface OwnRequestsOptions {
  table: PendingTable;
  /** How long a client waits for a server that starts. */
  timeoutMs: number;
  signal: AbortSignal;
  send(upstream: Upstream, pending: Pending): void;
}

/** A request of foster's own that the server answered with an error. */
export class RefusedRequest extends Error {
  override readonly name = "RefusedRequest";
  readonly code: number | null;

  constructor(error: RpcError | null) {
    super(error?.message ?? "an error");
    this.code = error?.code ?? null;
  }
}

interface Named {
  method: string;
  params: Params;
}

const TIMEOUT_MS = 15_000;

export class OwnRequests {
  readonly #clock: Host["clock"];
  readonly #options: OwnRequestsOptions;

  constructor(clock: Host["clock"], options: OwnRequestsOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** `isFirst`: nothing was asked over this connection yet. @throws Error where the server does not answer it well */
  ask(upstream: Upstream, { method, params }: Named, { isFirst = false } = {}): Promise<Params> {
    const { table, timeoutMs, signal, send } = this.#options;
    // A process that still starts is given the time that a client would wait for it.
    const limitMs = isFirst && upstream.isFresh ? Math.max(TIMEOUT_MS, timeoutMs) : TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const answered = new AbortController();
      const done = (action: () => void) => {
        answered.abort();
        action();
      };
      const message = { kind: "request" as const, id: "0", method, params };
      const pending = table.create(requestLine("0", method, params), message, {
        own: {
          answer: (line, isError) =>
            done(() =>
              isError ? reject(new RefusedRequest(errorOf(line))) : resolve(resultOf(parseLine(line)))
            ),
          fail: (reason) => done(() => reject(new Error(reason))),
        },
      });
      table.add(pending);
      const over = this.#clock.deadline(limitMs, signal);
      over.addEventListener("abort", () => {
        if (pending.state === "done") return;
        table.remove(pending);
        pending.own?.fail(
          signal.aborted ? "nobody waits for it any more" : `no answer within ${limitMs / 1000} s`,
        );
      }, { once: true, signal: answered.signal });
      send(upstream, pending);
    });
  }

  tell(upstream: Upstream, { method, params }: Named): void {
    const { table, send } = this.#options;
    const line = encodeLine({ jsonrpc: "2.0", method, params });
    send(upstream, table.create(line, { kind: "notification", method, params }, {}));
  }

  /**
   * False only where the server refuses a request that is safe to make: one that is gone, or silent, may have run the call
   * before. One that has no such list says so by its session, too.
   */
  async mayKnowSession(upstream: Upstream): Promise<boolean> {
    try {
      await this.ask(upstream, { method: "tools/list", params: {} });
      return true;
    } catch (error) {
      return !(error instanceof RefusedRequest) || error.code === METHOD_NOT_FOUND;
    }
  }

  /** Whole list of tools, asked for with the `_meta` of a request of the client's. @throws Error */
  async tools(upstream: Upstream, meta: Record<string, unknown>): Promise<unknown[]> {
    return await fetchList({ items: "tools" }, {
      params: (cursor) => ({ ...(cursor === null ? {} : { cursor }), _meta: meta }),
      ask: (params) => this.ask(upstream, { method: "tools/list", params }),
    });
  }

  /** What tells the client of the lists that differ from what it holds. A server that is lost meanwhile has none. */
  async changes(
    upstream: Upstream,
    session: ClientSession,
  ): Promise<{ line: Uint8Array; to: Destination }[]> {
    const changed: { line: Uint8Array; to: Destination }[] = [];
    const told = new Set<string>();
    try {
      for (const kind of session.knownLists()) {
        const items = await fetchList(kind, {
          params: (cursor) => session.listParams(kind.method, cursor),
          ask: (params) => this.ask(upstream, { method: kind.method, params }),
        }).catch(emptyWhereRefused);
        if (!session.isChanged(kind, items) || told.has(kind.changed)) continue;
        told.add(kind.changed);
        changed.push(...session.changeLines(kind, this.#options.table.all()));
      }
    } catch {
      return [];
    }
    return changed;
  }
}

/** A server that knows no such list has an empty one. @throws what it is given where no answer came */
function emptyWhereRefused(error: unknown): unknown[] {
  if (error instanceof RefusedRequest) return [];
  throw error;
}
