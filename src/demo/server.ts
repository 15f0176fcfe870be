import { aborted } from "../base/abort.ts";
import { bracketed } from "../base/local_url.ts";
import { type Host, HostError, type HttpServer } from "../host/host.ts";
import { Clients } from "./clients.ts";
import { guardRequest, refusal } from "./guard.ts";
import { McpSide } from "./mcp_side.ts";
import { holdPidFile } from "./pid_file.ts";
import { buildServer } from "./tools.ts";

/** Name that the demo server gives itself in its handshake and its status. */
export const DEMO_NAME = "foster-demo";
/** Where the demo server answers who it is. */
export const DEMO_STATUS_PATH = "/foster/status";
const DEMO_VERSION = "1.0.0";

export interface DemoOptions {
  port: number;
  /** Port of the WebSocket side; null for none. */
  wsPort: number | null;
  /** Loopback address to listen on. */
  host: string;
  /** Path of the MCP endpoint. */
  path: string;
  pidFile: string | null;
  name?: string;
  version?: string;
  /** Waits this long before it listens, as a server that starts slowly does. */
  delayMs?: number;
}

/** Why the demo server could not start, in one line for stderr. */
export class DemoServerError extends Error {
  override readonly name = "DemoServerError";
  /** What the process should exit with. */
  readonly exitCode = 1;
  constructor(readonly code: "port_in_use" | "not_started", message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/**
 * Runs the demo server until `stop` is aborted, then closes all connections and removes its pid file.
 *
 * @throws DemoServerError where it can't listen or can't write its pid file
 */
export async function runDemoServer(host: Host, options: DemoOptions, stop: AbortSignal): Promise<void> {
  if (options.delayMs !== undefined) await host.clock.sleep(options.delayMs, stop).catch(() => {});
  if (stop.aborted) return;

  const name = options.name ?? DEMO_NAME;
  const version = options.version ?? DEMO_VERSION;
  const clients = new Clients(host, version);
  const mcp = new McpSide(host, () => buildServer({ host, name, version, clients }));
  let wsPort = 0;
  let server: HttpServer | null = null;
  let releasePidFile: (() => Promise<void>) | null = null;

  try {
    server = await listen(host, options, async (request) => {
      const verdict = guardRequest(request.headers);
      if (verdict.kind === "refused") return refusal(verdict.reason);
      const { pathname } = new URL(request.url);
      if (pathname === options.path) return await mcp.handle(request);
      if (pathname !== DEMO_STATUS_PATH) return new Response("Not found\n", { status: 404 });
      if (request.method !== "GET") return new Response("Method not allowed\n", { status: 405 });
      return Response.json({
        name,
        server_version: version,
        ws_port: wsPort,
        tool_surface: "full",
        pid: host.processes.selfPid,
      });
    });
    if (options.wsPort !== null) wsPort = await listenForClients(host, clients, options);
    if (options.pidFile !== null) releasePidFile = await takePidFile(host, options.pidFile);

    host.terminal.out(
      `${name} ${version} listening on http://${bracketed(options.host)}:${server.port}${options.path}` +
        ` (pid ${host.processes.selfPid}${wsPort === 0 ? "" : `, WebSocket on ${wsPort}`})\n`,
    );
    await aborted(stop);
  } finally {
    await Promise.all([mcp.close(), clients.close()]);
    await server?.close();
    await releasePidFile?.();
  }
}

async function listen(
  host: Pick<Host, "net">,
  options: Pick<DemoOptions, "host" | "port">,
  handle: (request: Request) => Promise<Response>,
): Promise<HttpServer> {
  try {
    return await host.net.serve({ hostname: options.host, port: options.port, handle });
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== "busy") throw notStarted(error);
    const message =
      `Cannot start the demo server: port ${options.port} is in use. Choose another with --port.`;
    throw new DemoServerError("port_in_use", message, { cause: error });
  }
}

/** The port, or 0 where another process has it: the MCP side is worth having on its own. */
async function listenForClients(
  host: Pick<Host, "terminal">,
  clients: Clients,
  options: DemoOptions,
): Promise<number> {
  const port = options.wsPort ?? 0;
  try {
    await clients.listen(options.host, port);
    return port;
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== "busy") throw notStarted(error);
    host.terminal.err(`WebSocket port ${port} is in use: the demo server goes on without it\n`);
    return 0;
  }
}

async function takePidFile(host: Host, path: string): Promise<() => Promise<void>> {
  try {
    return await holdPidFile(host, path);
  } catch (error) {
    throw notStarted(error);
  }
}

function notStarted(error: unknown): DemoServerError {
  const why = error instanceof Error ? error.message : String(error);
  return new DemoServerError("not_started", `Cannot start the demo server: ${why}`, { cause: error });
}
