/**
 * Who may speak to the listener: one decision for each request, before anything of its body is read.
 *
 * @module
 */

export interface GuardRules {
  port: number;
  /** Names besides the loopback's own that `--host` allows. */
  hosts: readonly string[];
  /** Null with `--no-token`. */
  token: string | null;
  limitBytes: number;
}

/** What the guard looks at. */
export interface GuardedRequest {
  method: string;
  url: string;
  headers: Headers;
}

export type GuardDecision =
  | { kind: "pass" }
  /** `/` and `/healthz`: no data, so no token. */
  | { kind: "open" }
  /** Control: its own secret is asked for, whatever else is open. */
  | { kind: "control" }
  /** What the gateway's own page asks: its own token is asked for, as for control. */
  | { kind: "page" }
  | { kind: "preflight"; origin: string }
  | { kind: "refuse"; status: 401 | 403 | 404 | 405 | 413 | 431; message: string };

/** Where clients that found no metadata look for an authorization server. */
const OAUTH_PATHS: readonly string[] = ["/register", "/authorize", "/token"];
const HEADER_LIMIT_BYTES = 16 * 1024;
export const CONTROL_PREFIX = "/control/";
export const PAGE_PREFIX = "/ui/";

/** In the order of its checks: Host, Origin, Sec-Fetch-Site, preflight, what needs no token, token, sizes. */
export function decideGuard(rules: GuardRules, request: GuardedRequest): GuardDecision {
  const { headers } = request;
  const host = headers.get("host");
  if (host === null || !isOwnHost(rules, host)) {
    return refuse(
      403,
      `Host ${JSON.stringify(host ?? "")} is not this gateway's: ` +
        `write http://127.0.0.1:${rules.port}, or allow the name with foster serve --host NAME`,
    );
  }
  const origin = headers.get("origin");
  if (origin !== null && !isAllowedOrigin(rules, origin)) {
    return refuse(
      403,
      `Origin ${JSON.stringify(origin)} may not use this gateway: only pages of this machine may`,
    );
  }
  if (headers.get("sec-fetch-site") === "cross-site") {
    return refuse(403, "A page of another site may not use this gateway");
  }
  if (sizeOf(headers) > HEADER_LIMIT_BYTES) {
    return refuse(431, "The request's headers are over 16 KiB: send fewer or shorter ones");
  }
  const { pathname, searchParams } = new URL(request.url);
  if (pathname.startsWith(CONTROL_PREFIX)) {
    // No page of a browser has business here.
    return origin === null ? { kind: "control" } : refuse(403, "Control is not for pages");
  }
  if (pathname.startsWith(PAGE_PREFIX)) {
    // It starts and stops servers: no other page of this machine may.
    return origin === null || isOwnOrigin(rules, origin)
      ? { kind: "page" }
      : refuse(403, "Only the gateway's own page may ask for this");
  }
  if (request.method === "OPTIONS" && origin !== null) return { kind: "preflight", origin };
  // A 401 would send clients to look for an authorization server again.
  if (pathname.startsWith("/.well-known/") || OAUTH_PATHS.includes(pathname)) {
    return refuse(404, "There is no authorization server here");
  }
  if (pathname === "/" || pathname === "/healthz") {
    return request.method === "GET" || request.method === "HEAD"
      ? { kind: "open" }
      : refuse(405, `${request.method} is not for ${pathname}`);
  }
  const denied = deniedToken(rules, { headers, searchParams });
  if (denied !== null) return refuse(401, denied);
  if (Number(headers.get("content-length") ?? 0) > rules.limitBytes) {
    return refuse(413, `The body is over ${rules.limitBytes} bytes: send less at once`);
  }
  return { kind: "pass" };
}

function refuse(
  status: Extract<GuardDecision, { kind: "refuse" }>["status"],
  message: string,
): GuardDecision {
  return { kind: "refuse", status, message };
}

/** Compared as text: a URL parser would pass `x@127.0.0.1`. Two Host headers are joined by a comma, which no name has. */
function isOwnHost({ port, hosts }: GuardRules, host: string): boolean {
  return host === `127.0.0.1:${port}` || host === `localhost:${port}` || host === `[::1]:${port}` ||
    hosts.some((name) => host === name || host === `${name}:${port}`);
}

function isAllowedOrigin(rules: GuardRules, origin: string): boolean {
  // Without a token any page of this machine would be let in: only the gateway's own is.
  if (rules.token === null) return isOwnOrigin(rules, origin);
  return /^https?:\/\/(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/.test(origin) ||
    rules.hosts.some((name) => origin === `http://${name}:${rules.port}` || origin === `https://${name}`);
}

function isOwnOrigin(rules: GuardRules, origin: string): boolean {
  return (origin.startsWith("http://") && isOwnHost(rules, origin.slice("http://".length))) ||
    rules.hosts.some((name) => origin === `https://${name}`);
}

function deniedToken(
  rules: GuardRules,
  { headers, searchParams }: { headers: Headers; searchParams: URLSearchParams },
): string | null {
  if (rules.token === null) return null;
  const how =
    'send "Authorization: Bearer TOKEN" with the text of the file gateway.token in the state folder';
  const given = headers.get("authorization");
  if (given === null) {
    return [...searchParams.values()].some((value) => isSameText(value, rules.token ?? ""))
      ? `A token in the address ends up in logs and is not taken: ${how}`
      : `A token is needed: ${how}`;
  }
  const [, token] = /^Bearer +(\S+) *$/i.exec(given) ?? [];
  if (token === undefined) return `The Authorization header is no bearer token: ${how}`;
  const [unexpanded] = /\$\{[^}]*\}?|\$[A-Z_]+/.exec(token) ?? [];
  if (unexpanded !== undefined) {
    return `The token is the text ${unexpanded}, which the client did not replace by the variable's value: ` +
      `write the token itself, or set that variable where the client starts`;
  }
  return isSameText(token, rules.token) ? null : `The token is not this gateway's: ${how}`;
}

/** In a time that does not depend on where they differ. */
export function isSameText(one: string, other: string): boolean {
  const [a, b] = [new TextEncoder().encode(one), new TextEncoder().encode(other)];
  let difference = a.length ^ b.length;
  for (let at = 0; at < a.length; at++) difference |= (a[at] ?? 0) ^ (b[at] ?? 0);
  return difference === 0;
}

function sizeOf(headers: Headers): number {
  let size = 0;
  for (const [name, value] of headers) size += name.length + value.length + 4;
  return size;
}
