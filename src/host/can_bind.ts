/** Binds and lets go again: `unavailable` where this machine has no such address. */
export type TryBind = (address: string, port: number) => Promise<"free" | "taken" | "unavailable">;

/** As {@link Net.canBind}. A server on `localhost` may take either family, so both have to be free. */
export async function canBind(tryBind: TryBind, hostname: string, port: number): Promise<boolean> {
  const addresses = hostname === "localhost" ? ["127.0.0.1", "::1"] : [hostname];
  const found = await Promise.all(addresses.map((address) => tryBind(address, port)));
  return found.includes("free") && !found.includes("taken");
}
