/**
 * Keeps loopback connections away from proxies. Runtimes look at the proxy variables when they first connect, so this
 * comes before everything else; children get the variables as they were.
 *
 * @module
 */

const names = ["NO_PROXY", "no_proxy"] as const;
const loopback = ["127.0.0.1", "localhost", "::1", "[::1]"];

type ProxyEnv = Partial<Record<typeof names[number], string | undefined>>;

let original: ProxyEnv = {};
let extended = false;

/** Adds the loopback addresses to NO_PROXY and no_proxy of this process. Once: a second call does nothing. */
export function extendNoProxy(): void {
  if (extended) return;
  extended = true;
  original = Object.fromEntries(names.map((name) => [name, read(name)]));
  for (const name of names) {
    // A runtime asks one of the two first: it must find there what the user put into the other.
    write(name, withLoopback(original[name] ?? original.NO_PROXY ?? original.no_proxy));
  }
}

/** What {@link extendNoProxy} replaced, undefined where there was nothing. Empty before it was called. */
export function originalProxyEnv(): ProxyEnv {
  return { ...original };
}

/** A NO_PROXY value with the loopback addresses that it lacks, also beside `*`: Deno takes that for names only. */
export function withLoopback(value: string | undefined): string {
  const entries = (value ?? "").split(",").map((entry) => entry.trim()).filter((entry) => entry !== "");
  return [...entries, ...loopback.filter((address) => !entries.includes(address))].join(",");
}

function read(name: string): string | undefined {
  return typeof Deno === "undefined" ? process.env[name] : Deno.env.get(name);
}

function write(name: string, value: string): void {
  if (typeof Deno === "undefined") process.env[name] = value;
  else Deno.env.set(name, value);
}
