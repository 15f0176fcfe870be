/**
 * The network under Bun: `Bun.serve` for serving, `node:net` (loaded when first needed) for looking at ports.
 *
 * @module
 */
import type { Server } from "node:net";
import { asHostError, hostErrorCode, isUnavailable, systemCode } from "../node/error.ts";
import type { EngineParts } from "../node/host.ts";
import { connectTcp } from "./connection.ts";
import {
  type DialResult,
  HostError,
  type HttpServer,
  type ServeOptions,
  type ServerSocket,
  type UpgradeResult,
} from "../../host.ts";

/** What a WebSocket carries from the request to its end. */
interface SocketData {
  opened(socket: ServerSocket): void;
  socket: ServerSocket | null;
}

export const bunNet: EngineParts["net"] = {
  fetch(input, init) {
    // Bun gives up an answer that is silent for five minutes, and a supervisor may have nothing to say for days.
    const waiting: RequestInit & { timeout: false } = { ...init, timeout: false };
    return fetch(input, waiting);
  },

  connect: connectTcp,

  async dial(hostname, port, timeoutMs) {
    const { connect } = await import("node:net");
    return await new Promise<DialResult>((resolve) => {
      const socket = connect({ host: hostname, port });
      const settle = (result: DialResult) => {
        clearTimeout(timer);
        socket.destroy();
        resolve(result);
      };
      const timer = setTimeout(() => settle("timeout"), timeoutMs);
      socket.once("connect", () => settle("open"));
      // Stays on: a socket that is already given up may still report an error, which would end the program.
      socket.on("error", (error) => settle(dialResultOf(error)));
    });
  },

  async tryBind(hostname, port) {
    try {
      await close(await listen(hostname, port));
      return "free";
    } catch (error) {
      if (isUnavailable(error)) return "unavailable";
      // Windows says "denied" of a reserved port.
      if (["busy", "denied"].includes(hostErrorCode(error))) return "taken";
      throw asHostError(`Cannot try port ${port} on ${hostname}`, error);
    }
  },

  serve: (options) => new Promise((resolve) => resolve(serve(options))),

  webSocket: (url) => new WebSocket(url),
};

function serve(options: ServeOptions): HttpServer {
  const upgraded = new WeakSet<Response>();
  try {
    const server = Bun.serve<SocketData>({
      hostname: options.hostname,
      port: options.port,
      // A stream of server events is silent for as long as there is nothing to say.
      idleTimeout: 0,
      async fetch(request, bun) {
        const response = await options.handle(request, () => {
          const result = upgrade(request, bun);
          upgraded.add(result.response);
          return result;
        });
        // Bun has the connection once it is upgraded, and wants no response then.
        return upgraded.has(response) ? undefined : response;
      },
      // Without it Bun answers with a page of its own that shows the program's text.
      error: (error) => new Response(`${error.message}\n`, { status: 500 }),
      websocket: {
        idleTimeout: 0,
        open(socket) {
          const own: ServerSocket = {
            onmessage: null,
            onclose: null,
            send: (data) => void socket.send(data),
            close: (code, reason) => socket.close(code, reason),
          };
          socket.data.socket = own;
          socket.data.opened(own);
        },
        message: (socket, message) => socket.data.socket?.onmessage?.(message),
        close: (socket, code, reason) => socket.data.socket?.onclose?.(code, reason),
      },
    });
    return { port: server.port, close: () => server.stop(true) };
  } catch (error) {
    throw asHostError(`Cannot serve on ${options.hostname} port ${options.port}`, error);
  }
}

/** @throws HostError where the request asks for no WebSocket */
function upgrade(request: Request, server: BunServer): UpgradeResult {
  const socket = Promise.withResolvers<ServerSocket>();
  const data: SocketData = { opened: socket.resolve, socket: null };
  if (!server.upgrade(request, { data })) {
    throw new HostError(
      "failed",
      `Cannot upgrade ${request.method} ${request.url}: it asks for no WebSocket`,
    );
  }
  return { response: new Response(null), socket: socket.promise };
}

function dialResultOf(error: unknown): DialResult {
  switch (systemCode(error)) {
    case "ECONNREFUSED":
      return "refused";
    case "ETIMEDOUT":
      return "timeout";
  }
  return "failed";
}

async function listen(hostname: string, port: number): Promise<Server> {
  const { createServer } = await import("node:net");
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: hostname, port, exclusive: true }, () => resolve(server));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
