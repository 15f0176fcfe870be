// The parts of Bun that foster's Bun host uses: present only where Bun runs.

interface BunServerSocket<T> {
  readonly data: T;
  readonly readyState: number;
  send(data: string | Uint8Array): number;
  close(code?: number, reason?: string): void;
  terminate(): void;
}

interface BunServer {
  readonly port: number;
  upgrade(request: Request, options?: { data?: unknown; headers?: HeadersInit }): boolean;
  stop(closeActiveConnections?: boolean): Promise<void>;
}

interface BunServeOptions<T> {
  hostname: string;
  port: number;
  idleTimeout?: number;
  maxRequestBodySize?: number;
  fetch(request: Request, server: BunServer): Response | undefined | Promise<Response | undefined>;
  error?(error: Error): Response;
  websocket?: {
    maxPayloadLength?: number;
    idleTimeout?: number;
    open?(socket: BunServerSocket<T>): void;
    message?(socket: BunServerSocket<T>, message: string | Uint8Array): void;
    close?(socket: BunServerSocket<T>, code: number, reason: string): void;
  };
}

interface BunSocket {
  /** How many bytes the system took; negative where the socket is closed. */
  write(bytes: Uint8Array): number;
  pause(): void;
  resume(): void;
  setNoDelay(noDelay: boolean): void;
  /** Closes it at once, what is unwritten with it. */
  terminate(): void;
}

interface BunSocketHandlers {
  binaryType: "uint8array";
  open(socket: BunSocket): void;
  data(socket: BunSocket, bytes: Uint8Array): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  close(socket: BunSocket, error?: Error): void;
  error(socket: BunSocket, error: Error): void;
  connectError(socket: BunSocket, error: Error): void;
}

declare const Bun: {
  readonly CryptoHasher: new (algorithm: "sha256", hmacKey?: string) => {
    update(content: string | Uint8Array): { digest(encoding: "hex"): string };
  };
  gc(isBlocking: boolean): void;
  readonly version: string;
  readonly main: string;
  spawn(command: string[], options: {
    cwd: string | undefined;
    env: Record<string, string>;
    detached: boolean;
    stdio: (number | "ignore")[];
  }): {
    readonly pid: number;
    readonly exited: Promise<number>;
    readonly exitCode: number | null;
    readonly signalCode: string | null;
    unref(): void;
  };
  shrink(): void;
  serve<T>(options: BunServeOptions<T>): BunServer;
  connect(options: { hostname: string; port: number; socket: BunSocketHandlers }): Promise<BunSocket>;
};

declare module "bun:ffi" {
  export const FFIType: {
    readonly i32: number;
    readonly u32: number;
    readonly i64: number;
    readonly u64: number;
    readonly ptr: number;
  };
  export function dlopen<K extends string>(
    path: string,
    symbols: Record<K, { args: number[]; returns: number }>,
  ): { symbols: Record<K, (...args: (number | bigint | Uint8Array | null)[]) => number>; close(): void };
}
