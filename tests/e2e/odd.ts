/**
 * A server that misbehaves in one way behind `foster connect`, for a test.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";
import { notes } from "../fixtures/connect_client.ts";
import { RawClient, type RawOptions } from "../fixtures/raw_client.ts";
import { unless } from "../skip.ts";
import { binary, Foster } from "./harness.ts";

const SERVER = fromFileUrl(new URL("../fixtures/odd_server.ts", import.meta.url));
/** Of a connect in memory, far below what any of these servers sends. */
export const LIMIT_MIB = binary === null ? 260 : 120;
/** With the whole of the largest body that is read. */
export const BODY_LIMIT_MIB = LIMIT_MIB + 64;
export const MAY_HAVE_RUN = /may or may not have run/;

type Transport = "http" | "sse" | "stdio";
export const ALL: readonly Transport[] = ["http", "sse", "stdio"];

interface Odd {
  foster: Foster;
  client: RawClient;
  /** What the server noted so far that begins so. */
  noted(start: string): Promise<string[]>;
  restart(): Promise<void>;
}

interface OddOptions extends RawOptions {
  transport?: Transport;
  definition?: Record<string, unknown>;
}

export function definitionOf(
  foster: Foster,
  mode: string,
  { transport = "http", modern, definition }: OddOptions,
) {
  const own = transport === "stdio" ? [] : ["--port=${port}", ...transport === "sse" ? ["--sse"] : []];
  const args = [mode, `--notes=${join(foster.folder, "notes")}`, ...own, ...modern ? ["--modern"] : []];
  return {
    command: "deno",
    args: ["run", "-A", "-q", "--no-config", "--no-lock", SERVER, ...args],
    restart: { interval: "200ms", backoff: "50ms", max: 50 },
    ready: { timeout: "20s", probeTimeout: "500ms" },
    stop: { grace: "1s" },
    ...transport === "stdio" ? { transport } : { port: "auto" },
    ...transport === "sse" ? { transport, path: "/sse" } : {},
    ...definition,
  };
}

export function behind(
  mode: string,
  title: string,
  body: (odd: Odd) => Promise<void>,
  { on = ["http"], only = null, ...options }: OddOptions & {
    on?: readonly Transport[];
    only?: string | null;
  } = {},
): void {
  for (const transport of on) {
    const revision = options.modern ? ", 2026-07-28" : "";
    Deno.test(unless(only, `connect over ${transport}${revision}, server "${mode}": ${title}`), async () => {
      await using foster = await Foster.create();
      await foster.define({ odd: definitionOf(foster, mode, { ...options, transport }) });
      await using client = await RawClient.open(foster, "odd", options);
      await body({
        foster,
        client,
        noted: async (start) =>
          (await notes(join(foster.folder, "notes"))).filter((line) => line.startsWith(start)),
        restart: async () => void await foster.expect(0, ["restart", "odd"]),
      });
    });
  }
}
