/**
 * TCP connections through `node:net`, which both engines have.
 *
 * @module
 */
import type { Connection, ConnectOptions } from "../../host.ts";

/** What is read ahead of the reader. */
const aheadBytes = 64 * 1024;

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
    const incoming: Uint8Array[] = [];
    let incomingBytes = 0;
    let [over, failure]: [boolean, Error | null] = [false, null];
    let waiting: { resolve(bytes: Uint8Array | null): void; reject(error: Error): void } | null = null;

    const wake = () => {
      if (waiting === null) return;
      const { resolve, reject } = waiting;
      const bytes = incoming.shift();
      if (bytes === undefined && failure === null && !over) return;
      waiting = null;
      if (bytes !== undefined) {
        const wasFull = incomingBytes >= aheadBytes;
        incomingBytes -= bytes.length;
        if (wasFull && incomingBytes < aheadBytes && socket.isPaused()) socket.resume();
        resolve(bytes);
      } else if (failure !== null) reject(failure);
      else resolve(null);
    };
    const connection: Connection = {
      read: () =>
        new Promise((resolve, reject) => {
          waiting = { resolve, reject };
          wake();
        }),
      write: (bytes) =>
        new Promise((resolve, reject) => {
          if (failure !== null || over) return reject(failure ?? new Error("the connection is closed"));
          socket.write(bytes, (error) => error ? reject(error) : resolve());
        }),
      close() {
        over = true;
        incoming.length = 0;
        socket.destroy();
        wake();
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
    socket.on("data", (chunk) => {
      if (over) return;
      incoming.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      incomingBytes += chunk.byteLength;
      // A reader that waits takes it at once: only what nobody waits for stops the socket.
      wake();
      if (incomingBytes >= aheadBytes) socket.pause();
    });
    socket.on("end", () => {
      over = true;
      wake();
    });
    // Stays on: a socket that is given up may still report an error, which would end the program.
    socket.on("error", (error) => {
      settle();
      failure = error;
      reject(error);
      wake();
    });
    socket.on("close", () => {
      over = true;
      wake();
    });
  });
}
