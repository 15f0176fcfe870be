import { isLoopback, localUrl } from "../base/local_url.ts";
import { HostError, type Net } from "./host.ts";

type Dialling = Pick<Net, "fetch" | "fetchAnywhere" | "connect" | "dial" | "webSocket">;

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

/** @throws HostError */
function checked(input: string | URL): URL {
  const local = localUrl(input);
  if (local.kind === "local") return local.url;
  throw refusal(local.why);
}

function refusal(why: string): HostError {
  return new HostError("denied", `foster connects to this machine only: ${why}`);
}
