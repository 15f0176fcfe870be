/**
 * Ports that foster chose for servers with `"port": "auto"`: chosen once and the same for ever, in `ports.json`.
 *
 * @module
 */
import { join } from "node:path";
import { decodeJsonOrNull, goodItems, integer } from "../base/decode.ts";
import { type Host, HostError } from "../host/host.ts";
import { acquireLock } from "./lock.ts";
import { ownTextOrNull } from "./own_text.ts";
import { FILE_MODE, statePaths } from "./paths.ts";
import type { StateFolder } from "./store.ts";

/** Under which the gateway keeps its port: no server has this key. */
export const GATEWAY_PORT = "/gateway";

export interface PortRange {
  first: number;
  last: number;
}

/** Below the ranges that systems hand out to outgoing connections, above what well-known servers use. */
const RANGE: PortRange = { first: 20000, last: 31999 };

/** What `FOSTER_AUTO_PORTS` says, `FIRST-LAST`; the usual range where it says nothing usable. */
export function portRange(text: string | undefined): PortRange {
  const [, first = "", last = ""] = /^\s*(\d{4,5})-(\d{4,5})\s*$/.exec(text ?? "") ?? [];
  const range = { first: Number(first), last: Number(last) };
  return range.first >= 1024 && range.last <= 65535 && range.first <= range.last ? range : RANGE;
}

const ATTEMPTS = 200;
const LOCK_WAIT_MS = 10_000;

const chosenPorts = goodItems(integer(1024, 65_535)).table;

/** Reads the chosen ports; a file that can't be read holds none. */
export function parsePorts(text: string): Record<string, number> {
  return decodeJsonOrNull(text, chosenPorts) ?? {};
}

export async function readAutoPorts(
  host: Pick<Host, "files">,
  state: StateFolder,
): Promise<Record<string, number>> {
  return parsePorts((await ownTextOrNull(host, statePaths(state.path).ports))?.text ?? "");
}

/** The port kept under `server folder` (a server's key, or its key and a suffix), chosen now if there is none yet. */
export async function autoPort(
  host: Pick<Host, "files" | "clock" | "random" | "net" | "env">,
  { state, folder, hostname, signal, anew = false }: {
    state: StateFolder;
    folder: string;
    hostname: string;
    signal: AbortSignal;
    /** Another one than the one that is kept. */
    anew?: boolean;
  },
): Promise<number> {
  const known = (await readAutoPorts(host, state))[folder];
  if (known !== undefined && !anew) return known;
  await state.prepare();
  const lock = await acquireLock(host, join(state.path, "ports.lock"), { waitMs: LOCK_WAIT_MS, signal });
  if (lock === null) throw new HostError("busy", "another foster holds ports.lock in the state folder");
  try {
    const ports = await readAutoPorts(host, state);
    const now = ports[folder];
    if (now !== undefined && !anew) return now;
    const taken = new Set(Object.values(ports));
    const { first, last } = portRange(host.env.get("FOSTER_AUTO_PORTS"));
    const size = last - first + 1;
    const start = Math.floor(host.random.unit() * size);
    for (let step = 0, tries = 0; step < size && tries < ATTEMPTS; step++) {
      const port = first + (start + step) % size;
      if (taken.has(port)) continue;
      tries++;
      if (!await host.net.canBind(hostname, port)) continue;
      const text = JSON.stringify({ ...ports, [folder]: port }, null, 2) + "\n";
      await host.files.writeAtomic(statePaths(state.path).ports, text, FILE_MODE);
      return port;
    }
    throw new HostError("busy", `no free port found between ${first} and ${last}`);
  } finally {
    lock.release();
  }
}
