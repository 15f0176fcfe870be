/**
 * The server that is kept up where its own boot is to count for as little as can be.
 *
 * @module
 */
import { dirname, fromFileUrl } from "@std/path";
import { freePort, opened, quiet } from "./machine.ts";

export const QUICK_SERVER = fromFileUrl(
  new URL("../../tests/fixtures/run_quick_server.ts", import.meta.url),
);

/** As foster is told of it. */
export function definition(bun: string, port: number | "auto") {
  return { command: bun, args: [QUICK_SERVER, "${port}"], port, restart: { max: 100_000 } };
}

/** From the spawn of the server alone to its open port. Milliseconds. */
export async function bootOnce(bun: string): Promise<number> {
  const port = freePort();
  const startedAt = performance.now();
  const child = quiet([bun, QUICK_SERVER, String(port)], { cwd: dirname(QUICK_SERVER) });
  try {
    await opened(port);
    return performance.now() - startedAt;
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
}
