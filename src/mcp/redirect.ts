/**
 * Which redirects foster follows: the same for every verb.
 *
 * @module
 */

export type RedirectStep =
  /** The same request, with method and body, to another place of the same server. */
  | { kind: "follow"; url: URL }
  | { kind: "refuse"; location: string };

/** More hops than any server needs. */
export const REDIRECT_LIMIT = 5;

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
