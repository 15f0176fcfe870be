/**
 * The network under Deno.
 *
 * @module
 */
import { asHostError, hostErrorCode, isUnavailable } from "../node/error.ts";
import type { EngineParts } from "../node/host.ts";
import type { TryBind } from "../../can_bind.ts";
import {
  type DialResult,
  HostError,
  type HttpServer,
  type ServeOptions,
  type ServerSocket,
  type UpgradeResult,
} from "../../host.ts";

const goingAway = 1001;

export const denoNet: EngineParts["net"] = {
  fetch: (input, init) => fetch(input, init),

  connect: async (...to) => await (await import("../node/connection.ts")).connectTcp(...to),

  dial(hostname, port, timeoutMs) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve("timeout"), timeoutMs);
      // One that opens after the timeout is closed all the same.
      Deno.connect({ hostname, port }).then((connection) => {
        connection.close();
        return "open" as const;
      }, dialResultOf).then((result) => {
        clearTimeout(timer);
        resolve(result);
      });
    });
  },

  tryBind: (address, port) => new Promise((resolve) => resolve(tryBind(address, port))),

  serve: (options) => new Promise((resolve) => resolve(serve(options))),

  webSocket: (url) => new WebSocket(url),
};

function tryBind(hostname: string, port: number): Awaited<ReturnType<TryBind>> {
  try {
    Deno.listen({ hostname, port }).close();
    return "free";
  } catch (error) {
    if (isUnavailable(error)) return "unavailable";
    // Windows says "denied" of a reserved port.
    if (["busy", "denied"].includes(hostErrorCode(error))) return "taken";
    throw asHostError(`Cannot try port ${port} on ${hostname}`, error);
  }
}

function serve(options: ServeOptions): HttpServer {
  const sockets = new Set<ServerSocket>();
  const closing = new AbortController();
  try {
    const server = Deno.serve({
      hostname: options.hostname,
      port: options.port,
      signal: closing.signal,
      onListen() {},
      onError: (error) =>
        new Response(`${error instanceof Error ? error.message : String(error)}\n`, { status: 500 }),
    }, (request) => options.handle(request, () => upgrade(request, sockets)));
    return {
      port: server.addr.port,
      async close() {
        for (const socket of sockets) socket.close(goingAway, "");
        closing.abort();
        await server.finished;
      },
    };
  } catch (error) {
    throw asHostError(`Cannot serve on ${options.hostname} port ${options.port}`, error);
  }
}

/** @throws HostError where the request asks for no WebSocket */
function upgrade(request: Request, sockets: Set<ServerSocket>): UpgradeResult {
  const { socket, response } = upgraded(request);
  socket.binaryType = "arraybuffer";
  const opened = Promise.withResolvers<ServerSocket>();
  // Whoever does not wait for the socket is not told either.
  opened.promise.catch(() => {});
  const own: ServerSocket = {
    onmessage: null,
    onclose: null,
    send(data) {
      if (socket.readyState === WebSocket.OPEN) socket.send(data);
    },
    close: (code, reason) => socket.close(code, reason),
  };
  socket.onopen = () => {
    sockets.add(own);
    opened.resolve(own);
  };
  socket.onmessage = ({ data }) => own.onmessage?.(typeof data === "string" ? data : new Uint8Array(data));
  socket.onclose = ({ code, reason }) => {
    sockets.delete(own);
    opened.reject(new HostError("failed", "The WebSocket closed before it was open"));
    own.onclose?.(code, reason);
  };
  return { response, socket: opened.promise };
}

function upgraded(request: Request): Deno.WebSocketUpgrade {
  try {
    // 0: the other end may be silent for as long as it likes.
    return Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  } catch (error) {
    throw asHostError(`Cannot upgrade ${request.method} ${request.url}`, error);
  }
}

function dialResultOf(error: unknown): DialResult {
  if (error instanceof Deno.errors.ConnectionRefused) return "refused";
  return error instanceof Deno.errors.TimedOut ? "timeout" : "failed";
}
