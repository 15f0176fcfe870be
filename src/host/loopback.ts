import { isLoopback, localUrl } from "../base/local_url.ts";
import { type ConnectOptions, HostError, type Net } from "./host.ts";

type Dialling = Pick<Net, "fetch" | "fetchAnywhere" | "connect" | "dial" | "webSocket">;

/** Nothing listens where other machines reach it, unless that is what was asked for. */
export function servingLocally(serve: Net["serve"]): Net["serve"] {
  return async (options) => {
    if (options.beyondLoopback || isLoopback(options.hostname)) return await serve(options);
    const why = "foster serves on this machine only";
    throw new HostError("unsupported", `Cannot serve on ${options.hostname}: ${why}`);
  };
}

/**
 * The one gate between foster and the network: whatever the caller was told, nothing but the loopback is dialled, and
 * no redirect is followed past this gate. Only {@link Net.fetchAnywhere} leaves the machine.
 */
export function loopbackOnly(net: Omit<Dialling, "fetchAnywhere">): Dialling {
  return {
    fetch: (input, init) =>
      new Promise((resolve) => resolve(net.fetch(checked(input), { ...init, redirect: "manual" }))),
    fetchAnywhere: net.fetch,
    dial: (hostname, port, timeoutMs) =>
      isLoopback(hostname) ? net.dial(hostname, port, timeoutMs) : Promise.resolve("failed"),
    connect: (hostname, port, options) =>
      isLoopback(hostname)
        ? net.connect(hostname, port, options)
        : Promise.reject(refusal(`${hostname} is not this machine`)),
    webSocket: (url) => net.webSocket(checked(url).href),
  };
}

/**
 * Looks whether anybody listens before it dials: on Windows a port of this machine that nobody listens on takes two seconds
 * to refuse.
 */
export function lookingFirst(
  net: Omit<Dialling, "fetchAnywhere">,
  isListening: (hostname: string, port: number) => boolean,
): Omit<Dialling, "fetchAnywhere"> {
  return {
    ...net,
    async fetch(input: string | URL, init?: RequestInit) {
      init?.signal?.throwIfAborted();
      const { hostname, port, protocol } = new URL(input);
      const number = Number(port) || (protocol === "https:" ? 443 : 80);
      if (isLoopback(hostname) && !isListening(hostname, number)) throw refused(hostname, number);
      return await net.fetch(input, init);
    },
    async dial(hostname: string, port: number, timeoutMs: number) {
      return isListening(hostname, port) ? await net.dial(hostname, port, timeoutMs) : "refused";
    },
    async connect(hostname: string, port: number, options: ConnectOptions) {
      options.signal?.throwIfAborted();
      if (!isListening(hostname, port)) throw refused(hostname, port);
      return await net.connect(hostname, port, options);
    },
  };
}

/** As engines say it. */
function refused(hostname: string, port: number): Error {
  return Object.assign(new Error(`connect ECONNREFUSED ${hostname}:${port}`), { code: "ECONNREFUSED" });
}

/** @throws HostError */
function checked(input: string | URL): URL {
  const local = localUrl(input);
  if (local.kind === "local") return local.url;
  throw refusal(local.why);
}

function refusal(why: string): HostError {
  return new HostError("denied", `foster connects to this machine only: ${why}`);
}
