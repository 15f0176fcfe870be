/**
 * Which redirects foster follows: the same for every verb.
 *
 * @module
 */
import type { Host } from "../host/host.ts";

export type RedirectStep =
  /** The same request, with method and body, to another place of the same server. */
  | { kind: "follow"; url: URL }
  | { kind: "refuse"; location: string };

/** More hops than any server needs. */
const REDIRECT_LIMIT = 5;

/** Null where the answer is no redirect. */
export function decideRedirect(
  { status, location, hops }: { status: number; location: string | null; hops: number },
  from: URL,
): RedirectStep | null {
  if (status < 300 || status >= 400 || location === null) return null;
  const url = URL.parse(location, from);
  if (url === null) return { kind: "refuse", location };
  const isSame = url.origin === from.origin && (status === 307 || status === 308) && hops < REDIRECT_LIMIT;
  return isSame ? { kind: "follow", url } : { kind: "refuse", location: url.href };
}

/** For people: where it leads, and what to write where that is on the same server. */
export function redirectReason(
  { status, location }: { status: number; location: string },
  from: URL,
): string {
  const url = URL.parse(location, from);
  const path = url !== null && url.origin === from.origin && url.pathname !== from.pathname
    ? `; write "path": "${url.pathname}" in its definition`
    : "";
  return `HTTP ${status}: redirects to ${location}, which foster does not follow${path}`;
}

/** A request with what it is redirected to, and where its answer came from. @throws what fetch throws */
export async function fetchFollowing(
  net: Pick<Host["net"], "fetch">,
  from: URL,
  init: RequestInit,
): Promise<{ response: Response; url: URL }> {
  let url = from;
  for (let hops = 0;; hops++) {
    const response = await net.fetch(url, { ...init, redirect: "manual" });
    const location = response.headers.get("location");
    const step = decideRedirect({ status: response.status, location, hops }, url);
    if (step?.kind !== "follow") return { response, url };
    await response.body?.cancel();
    url = step.url;
  }
}
