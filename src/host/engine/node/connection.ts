/**
 * TCP connections through `node:net`, for an engine that has nothing leaner.
 *
 * @module
 */
import type { Connection, ConnectOptions } from "../../host.ts";
import { Incoming } from "./incoming.ts";

/** Reads hardly further than its own reader does. @throws what the engine throws, or the signal's reason */
export async function connectTcp(
  hostname: string,
  port: number,
  { timeoutMs, signal }: ConnectOptions,
): Promise<Connection> {
  const { connect } = await import("node:net");
  signal?.throwIfAborted();
  return await new Promise<Connection>((resolve, reject) => {
    const socket = connect({ host: hostname, port, noDelay: true });
    const incoming = new Incoming({ stop: () => socket.pause(), goOn: () => socket.resume() });
    const connection: Connection = {
      read: () => incoming.read(),
      write: (bytes) =>
        new Promise((resolve, reject) => {
          if (incoming.closed !== null) return reject(incoming.closed);
          socket.write(bytes, (error) => error ? reject(error) : resolve());
        }),
      close() {
        incoming.drop();
        socket.destroy();
      },
    };

    const stop = () => {
      settle();
      socket.destroy();
      reject(signal?.reason ?? new Error(`connecting timed out after ${timeoutMs} ms`));
    };
    const timer = setTimeout(stop, timeoutMs);
    signal?.addEventListener("abort", stop, { once: true });
    const settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    };
    socket.once("connect", () => {
      settle();
      resolve(connection);
    });
    socket.on(
      "data",
      (chunk) => incoming.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)),
    );
    socket.on("end", () => incoming.end());
    // Stays on: a socket that is given up may still report an error, which would end the program.
    socket.on("error", (error) => {
      settle();
      reject(error);
      incoming.end(error);
    });
    socket.on("close", () => incoming.end());
  });
}
