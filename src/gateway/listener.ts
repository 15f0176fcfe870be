/**
 * The one listener of the supervisor: the guard first, then control, the page, or what speaks MCP.
 *
 * @module
 */
import type { Host, HttpServer } from "../host/host.ts";
import { BODY_LIMIT_BYTES } from "./body.ts";
import { CONTROL_PREFIX, decideGuard, type GuardRules, PAGE_PREFIX } from "./guard.ts";

const REFUSED = -32000;

export interface ListenerOptions {
  hostname: string;
  /** 0 for any. */
  port: number;
  hosts: readonly string[];
  token: string | null;
  /** `name` is what stands after {@link CONTROL_PREFIX}. */
  onControl(name: string, request: Request): Promise<Response>;
  /** `/` and `/healthz`. */
  onOpen(request: Request): Promise<Response>;
  /** What the page asks. `name` is what stands after {@link PAGE_PREFIX}. */
  onPage(name: string, request: Request): Promise<Response>;
  /** All that passed the guard. */
  onRequest(request: Request): Promise<Response>;
}

/** @throws HostError `busy` where the port is taken */
export async function openListener(host: Pick<Host, "net">, options: ListenerOptions): Promise<HttpServer> {
  const { hostname, hosts, token } = options;
  let port = options.port;
  const server = await host.net.serve({
    hostname,
    port,
    // Whoever says --listen means it; the verb wants a token then.
    beyondLoopback: true,
    handle: (request) => answer(options, { port, hosts, token, limitBytes: BODY_LIMIT_BYTES }, request),
  });
  port = server.port;
  return server;
}

async function answer(options: ListenerOptions, rules: GuardRules, request: Request): Promise<Response> {
  const decision = decideGuard(rules, request);
  switch (decision.kind) {
    case "refuse":
      return refusedUnread(decision.status, decision.message);
    case "preflight":
      return preflight(decision.origin, request.headers.get("access-control-request-headers"));
    case "open":
      return await options.onOpen(request);
    case "control":
      return await options.onControl(new URL(request.url).pathname.slice(CONTROL_PREFIX.length), request);
    case "page":
      return await options.onPage(new URL(request.url).pathname.slice(PAGE_PREFIX.length), request);
    case "pass": {
      const response = await options.onRequest(request);
      const origin = request.headers.get("origin");
      if (origin !== null) allow(response.headers, origin);
      return response;
    }
  }
}

/** A refusal before anything of the request was read: an error of JSON-RPC all the same, which clients show. */
export function refusedUnread(status: number, message: string): Response {
  const headers: Record<string, string> = { "content-type": "application/json" };
  // Without an address of metadata: clients must not take it for an invitation to OAuth.
  if (status === 401) headers["www-authenticate"] = "Bearer";
  const body = { jsonrpc: "2.0", error: { code: REFUSED, message }, id: null };
  return new Response(JSON.stringify(body) + "\n", { status, headers });
}

const ALLOWED_HEADERS =
  "authorization, content-type, accept, last-event-id, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name";

/** Parameters of tools may have headers of their own, which a wildcard does not name. */
function preflight(origin: string, asked: string | null): Response {
  const parameters = (asked ?? "").toLowerCase().split(",").map((name) => name.trim()).filter((name) =>
    /^mcp-param-[a-z0-9_-]{1,64}$/.test(name)
  );
  const headers = new Headers({
    "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
    "access-control-allow-headers": [ALLOWED_HEADERS, ...parameters].join(", "),
    "access-control-max-age": "600",
  });
  allow(headers, origin);
  return new Response(null, { status: 204, headers });
}

function allow(headers: Headers, origin: string): void {
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", "mcp-session-id");
  headers.append("vary", "Origin");
}
