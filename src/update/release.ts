/**
 * A release as its address shows it: which files with which sums, of which version. All that comes from there is bounded,
 * and believed only once its sum fits.
 *
 * @module
 */
import { sha256Hex } from "../base/hash.ts";
import { isLoopback } from "../base/local_url.ts";
import type { Host } from "../host/host.ts";

type ReleaseHost = Pick<Host, "net" | "clock">;

export interface Release {
  /** Without a slash at the end. */
  base: string;
  /** SHA-256 in hex, by the file's name. */
  sums: ReadonlyMap<string, string>;
  /** Null where the release does not say it. */
  version: string | null;
}

/** Something about the release is not as it has to be: nothing was changed. */
export class ReleaseError extends Error {
  override readonly name = "ReleaseError";
  readonly code = "release";
  constructor(message: string, readonly hint = "", options?: ErrorOptions) {
    super(message, options);
  }
}

const HEADERS_MS = 20_000;
/** No byte for so long: the download has ended without saying so. */
const STALLED_MS = 30_000;
const SUMS_LIMIT_BYTES = 256 * 1024;
const VERSION_LIMIT_BYTES = 256;
const MAX_REDIRECTS = 5;
/** Where hosts of repositories keep the files of a release: they send everybody there. */
const STORAGE: Readonly<Record<string, RegExp>> = {
  "github.com": /^(?:objects|release-assets)\.githubusercontent\.com$/,
};

/** https, or http on this machine. @throws ReleaseError */
export function checkedBase(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isSafe = url !== null &&
    (url.protocol === "https:" || url.protocol === "http:" && isLoopback(url.hostname));
  if (!isSafe) throw new ReleaseError(`${text} is neither an https address nor on this machine`);
  return text.replace(/\/+$/, "");
}

/** @throws ReleaseError, or the signal's reason */
export async function readRelease(host: ReleaseHost, base: string, signal: AbortSignal): Promise<Release> {
  const text = await fetchText(host, `${base}/SHA256SUMS`, { limitBytes: SUMS_LIMIT_BYTES, signal });
  const sums = sumsIn(text);
  if (sums.size === 0) throw new ReleaseError(`${base}/SHA256SUMS holds no checksums`);
  return { base, sums, version: await versionOf(host, { base, sums, signal }) };
}

/** Lines as `sha256sum` writes them; others are none. */
export function sumsIn(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).map((line) => /^([0-9a-f]{64}) [ *](\S+)$/.exec(line));
  return new Map(lines.flatMap((match) => match === null ? [] : [[match[2] ?? "", match[1] ?? ""]]));
}

async function versionOf(
  host: ReleaseHost,
  { base, sums, signal }: { base: string; sums: ReadonlyMap<string, string>; signal: AbortSignal },
): Promise<string | null> {
  const sum = sums.get("VERSION");
  if (sum !== undefined) {
    const text = await fetchText(host, `${base}/VERSION`, { limitBytes: VERSION_LIMIT_BYTES, signal });
    if (sha256Hex(text) !== sum) throw wrongSum(`${base}/VERSION`);
    return text.trim();
  }
  const named = [...sums.keys()].map((name) =>
    /^foster-(\d+\.\d+\.\d+[^/]*?)-(?:linux|macos|windows)-/.exec(name)?.[1]
  );
  return named.find((each) => each !== undefined) ?? null;
}

async function fetchText(
  host: ReleaseHost,
  url: string,
  options: { limitBytes: number; signal: AbortSignal },
): Promise<string> {
  return new TextDecoder().decode(
    await download(host, url, { ...options, kind: "text", onProgress: () => {} }),
  );
}

export interface DownloadOptions {
  limitBytes: number;
  kind: "text" | "binary";
  signal: AbortSignal;
  onProgress(bytes: number, total: number | null): void;
}

/** A file of the release with the sum that the release names. @throws ReleaseError, or the signal's reason */
export async function downloadFile(
  host: ReleaseHost,
  { base, sums }: Release,
  { name, ...options }: Omit<DownloadOptions, "kind"> & { name: string },
): Promise<Uint8Array> {
  const sum = sums.get(name);
  if (sum === undefined) {
    throw new ReleaseError(
      `${base}/SHA256SUMS has no ${name}`,
      "that release may have no program for this system",
    );
  }
  const bytes = await download(host, `${base}/${name}`, { ...options, kind: "binary" });
  if (sha256Hex(bytes) !== sum) throw wrongSum(`${base}/${name}`);
  return bytes;
}

function wrongSum(url: string): ReleaseError {
  return new ReleaseError(
    `the checksum of ${url} is not the one in SHA256SUMS: nothing was changed`,
    "try again; if it stays so, do not use that download",
  );
}

async function download(host: ReleaseHost, url: string, options: DownloadOptions): Promise<Uint8Array> {
  const stalled = new AbortController();
  const signal = AbortSignal.any([options.signal, stalled.signal]);
  let [seen, seenAt] = [-1, host.clock.monotonic()];
  let received = 0;
  const stopWatching = host.clock.every(1000, () => {
    const now = host.clock.monotonic();
    if (received !== seen) [seen, seenAt] = [received, now];
    if (now - seenAt > (received === 0 ? HEADERS_MS : STALLED_MS)) {
      stalled.abort(new ReleaseError(`${url} stopped answering`, "try again"));
    }
  });
  try {
    const response = await followed(host, url, signal);
    refuseOdd(url, response, options.kind);
    const announced = Number(response.headers.get("content-length") ?? NaN);
    const isPlain = response.headers.get("content-encoding") === null;
    const total = isPlain && Number.isSafeInteger(announced) ? announced : null;
    if (total !== null && total > options.limitBytes) throw tooLarge(url);
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body ?? []) {
      received += chunk.length;
      if (received > options.limitBytes) throw tooLarge(url);
      chunks.push(chunk);
      options.onProgress(received, total);
    }
    if (total !== null && received !== total) throw brokenOff(url);
    return joined(chunks, received);
  } catch (cause) {
    if (cause instanceof ReleaseError) throw cause;
    options.signal.throwIfAborted();
    if (stalled.signal.reason instanceof ReleaseError) throw stalled.signal.reason;
    if (received > 0) throw brokenOff(url, cause);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ReleaseError(`${url} can't be reached: ${why}`, "is this machine online?", { cause });
  } finally {
    stopWatching();
    // Whatever was not read is not waited for.
    stalled.abort();
  }
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function tooLarge(url: string): ReleaseError {
  return new ReleaseError(`${url} is larger than it can be: nothing was changed`);
}

function brokenOff(url: string, cause?: unknown): ReleaseError {
  return new ReleaseError(`${url} broke off before its end: nothing was changed`, "try again", { cause });
}

async function followed({ net }: ReleaseHost, from: string, signal: AbortSignal): Promise<Response> {
  let url = new URL(from);
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await net.fetchAnywhere(url, { redirect: "manual", signal });
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    const next = new URL(location, url);
    if (!mayFollow(new URL(from), next)) {
      throw new ReleaseError(`${from} leads to ${next.origin}, which is another place: nothing was changed`);
    }
    url = next;
  }
  throw new ReleaseError(`${from} leads on and on`);
}

/** On the same origin, or to where the host of the release keeps its files. */
export function mayFollow(from: URL, to: URL): boolean {
  if (to.origin === from.origin) return true;
  return from.protocol === "https:" && to.protocol === "https:" &&
    (STORAGE[from.host]?.test(to.host) ?? false);
}

/** A page of a portal that wants a login comes with 200, too. */
function refuseOdd(url: string, { status, headers }: Response, kind: DownloadOptions["kind"]): void {
  if (status === 404) throw new ReleaseError(`${url} is not there`, "there may be no such release");
  if (status !== 200) throw new ReleaseError(`${url} answered with ${status}`, "try again later");
  const type = (headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  const isOdd = kind === "binary"
    ? /^text\/|json|xml|html/.test(type)
    : !/^(?:|text\/plain|application\/octet-stream|binary\/octet-stream|application\/x-.*)$/.test(type);
  if (isOdd) {
    throw new ReleaseError(
      `${url} answered with ${type}, which is no file of a release: nothing was changed`,
    );
  }
}
