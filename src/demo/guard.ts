/**
 * Keeps browsers and rebound host names away from a server on loopback.
 *
 * @module
 */

export type GuardVerdict = { kind: "allowed" } | { kind: "refused"; reason: string };

const LOOPBACK = String.raw`(?:127\.0\.0\.1|localhost|\[::1\])\.?(?::\d{1,5})?`;
const LOOPBACK_HOST = new RegExp(`^${LOOPBACK}$`, "i");
const LOOPBACK_ORIGIN = new RegExp(`^(?:https?|wss?)://${LOOPBACK}$`, "i");

/** Decides from the Host, Origin and Sec-Fetch-Site headers whether a request may reach any route at all. */
export function guardRequest(headers: Pick<Headers, "get">): GuardVerdict {
  const host = headers.get("host");
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");

  // A header sent twice is read as one value joined by a comma, which none of the three may contain.
  for (const [name, value] of [["Host", host], ["Origin", origin], ["Sec-Fetch-Site", site]] as const) {
    if (value?.includes(",")) return { kind: "refused", reason: `${name} is given more than once` };
  }
  if (host === null) return { kind: "refused", reason: "Host is missing" };
  if (!LOOPBACK_HOST.test(host.trim())) return { kind: "refused", reason: "Host is not loopback" };
  if (origin !== null && origin.trim() !== "" && !LOOPBACK_ORIGIN.test(origin.trim())) {
    return { kind: "refused", reason: "Origin is not loopback" };
  }
  const from = site?.trim().toLowerCase();
  if (from === "cross-site" || from === "same-site") {
    return { kind: "refused", reason: `Sec-Fetch-Site is ${from}` };
  }
  return { kind: "allowed" };
}

/** What a refused request is answered with. */
export function refusal(reason: string): Response {
  return new Response(`Forbidden: ${reason}\n`, {
    status: 403,
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
}
