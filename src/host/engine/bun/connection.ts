/**
 * TCP connections through Bun's own sockets: `node:net` would cost each program 2.8 MiB.
 *
 * @module
 */
import type { Connection, ConnectOptions } from "../../host.ts";
import { Incoming } from "../node/incoming.ts";

/** Bytes that the system has not taken yet. */
interface Unwritten {
  bytes: Uint8Array;
  resolve(): void;
  reject(error: Error): void;
}

/** Reads hardly further than its own reader does. @throws what Bun throws, or the signal's reason */
export async function connectTcp(
  hostname: string,
  port: number,
  { timeoutMs, signal }: ConnectOptions,
): Promise<Connection> {
  signal?.throwIfAborted();
  const connection = new BunConnection();
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal?.reason ?? new Error(`connecting timed out after ${timeoutMs} ms`));
  const timer = setTimeout(stop, timeoutMs);
  signal?.addEventListener("abort", stop, { once: true });
  const connecting = Bun.connect({ hostname, port, socket: connection.handlers });
  try {
    await Promise.race([connecting, givenUp]);
    return connection;
  } catch (error) {
    connection.close();
    connecting.catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

class BunConnection implements Connection {
  #socket: BunSocket | null = null;
  readonly #unwritten: Unwritten[] = [];
  readonly #incoming = new Incoming({
    stop: () => this.#socket?.pause(),
    goOn: () => this.#socket?.resume(),
  });

  readonly handlers: BunSocketHandlers = {
    binaryType: "uint8array",
    open: (socket) => {
      this.#socket = socket;
      socket.setNoDelay(true);
      // Given up while it was being made.
      if (this.#incoming.closed !== null) socket.terminate();
    },
    data: (_socket, bytes) => this.#incoming.push(bytes),
    drain: () => this.#writeOn(),
    end: () => this.#incoming.end(),
    close: (_socket, error) => this.#end(error ?? null),
    error: (_socket, error) => this.#end(error),
    connectError: () => {},
  };

  read(): Promise<Uint8Array | null> {
    return this.#incoming.read();
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#incoming.closed !== null) return reject(this.#incoming.closed);
      this.#unwritten.push({ bytes, resolve, reject });
      if (this.#unwritten.length === 1) this.#writeOn();
    });
  }

  close(): void {
    this.#incoming.drop();
    this.#refuseUnwritten();
    this.#socket?.terminate();
  }

  #writeOn(): void {
    for (let first = this.#unwritten[0]; first !== undefined; first = this.#unwritten[0]) {
      const count = first.bytes.length === 0 ? 0 : this.#socket?.write(first.bytes) ?? -1;
      if (count < 0) return this.#end(new Error("the connection is closed"));
      first.bytes = first.bytes.subarray(count);
      if (first.bytes.length > 0) return;
      this.#unwritten.shift();
      first.resolve();
    }
  }

  #end(error: Error | null): void {
    this.#incoming.end(error);
    this.#refuseUnwritten();
  }

  #refuseUnwritten(): void {
    const reason = this.#incoming.closed ?? new Error("the connection is closed");
    for (const { reject } of this.#unwritten.splice(0)) reject(reason);
  }
}
