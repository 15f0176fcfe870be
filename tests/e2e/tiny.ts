import { fromFileUrl } from "@std/path";

const TINY = fromFileUrl(new URL("../fixtures/tiny_server.ts", import.meta.url));

/** The command line of the tiny server, its port apart. */
export function tinyArgs(...options: string[]): string[] {
  return ["run", "-A", "-q", "--no-config", "--no-lock", TINY, ...options];
}

/** A definition of the tiny server; `options` as in `--delay=500`. */
export function tiny(
  port: number | "auto",
  { options = [], ...more }: { options?: string[] } & Record<string, unknown> = {},
): Record<string, unknown> {
  return { command: "deno", args: tinyArgs("--port=${port}", ...options), port, ...more };
}
