/**
 * Where a server listens that does not listen where it was asked to.
 *
 * @module
 */
import type { Host, Listener } from "../../host/host.ts";
import { isInTheWay } from "./observe.ts";

/** More ports than a machine usually has listeners: looking at each costs a moment. */
const PORTS = 256;

/** Addresses as `127.0.0.1:8000`: of another family on the wanted port, else on other ports. Empty where nothing tells. */
export async function findElsewhere(
  { processes }: Pick<Host, "processes">,
  { pids, hostname, port }: { pids: ReadonlySet<number>; hostname: string; port: number },
): Promise<string[]> {
  if (pids.size === 0) return [];
  const [likely = null] = pids;
  const ownOn = async (at: number): Promise<Listener[]> => {
    const seen = await processes.listeners(at, likely);
    return seen.kind === "known" ? seen.listeners.filter(({ pid }) => pids.has(pid)) : [];
  };
  const otherFamily = (await ownOn(port)).filter(({ address }) => !isInTheWay(address, hostname));
  if (otherFamily.length > 0) return addresses(otherFamily, port);
  const found: string[] = [];
  for (const at of [...await processes.listeningPorts() ?? []].slice(0, PORTS)) {
    if (at !== port) found.push(...addresses(await ownOn(at), at));
  }
  return found;
}

function addresses(listeners: readonly Listener[], port: number): string[] {
  const written = ({ address }: Listener) =>
    address.includes(":") && !address.startsWith("[") ? `[${address}]` : address;
  return [...new Set(listeners.map((listener) => `${written(listener)}:${port}`))];
}
