/** What a text means as the address of something on this machine. */
export type LocalUrl = { kind: "local"; url: URL } | { kind: "refused"; why: string };

/**
 * The URL that `reference` names, seen from `from` where that is given: on the loopback, and then of the same origin.
 * For whatever comes from a definition, a record, a redirect or a server's answer. Never throws.
 */
export function localUrl(reference: string | URL, from: URL | null = null): LocalUrl {
  // The parser would drop some of these and read a backslash as a slash: "/\t/host" then leaves the origin.
  if (typeof reference === "string" && /[\s\\\p{Cc}]/u.test(reference)) {
    return { kind: "refused", why: "an address has no blanks, backslashes or control characters" };
  }
  const base = from?.href;
  if (!URL.canParse(reference, base)) return { kind: "refused", why: "it is no address" };
  const url = new URL(reference, base);
  if (!/^(?:http|ws)s?:$/.test(url.protocol)) {
    return { kind: "refused", why: `${url.protocol} is no HTTP address` };
  }
  if (url.username !== "" || url.password !== "") {
    return { kind: "refused", why: `an address on ${url.host} has a user name in it` };
  }
  if (from !== null && url.origin !== from.origin) {
    return { kind: "refused", why: `${url.origin} is not ${from.origin}` };
  }
  if (!isLoopback(url.hostname)) return { kind: "refused", why: `${url.host} is not this machine` };
  return { kind: "local", url };
}

/** Takes an IPv6 address with and without brackets. Names other than `localhost` are not looked up. */
export function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host) ||
    /^::ffff:(?:127(?:\.\d{1,3}){3}|7f[\da-f]{2}:[\da-f]{1,4})$/.test(host);
}

/** A host as it stands in a URL: an IPv6 address in brackets. */
export function bracketed(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}
