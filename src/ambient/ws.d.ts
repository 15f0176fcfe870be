// The parts of the WebSocket server library that tests and benchmarks use. It ships no types.

export interface UpgradeRequest {
  readonly rawHeaders: string[];
  readonly headers: Record<string, string | undefined>;
}

export interface ServerPeer {
  /** The connection below, for frames that no library would send. */
  readonly _socket: { write(bytes: Uint8Array): boolean; destroy(): void };
  readonly bufferedAmount: number;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
  /** Stops reading from the connection. */
  pause(): void;
  resume(): void;
  on(event: "message", listener: (data: Uint8Array, isBinary: boolean) => void): void;
  on(event: "close", listener: (code: number, reason: Uint8Array) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
}

export interface ServerOptions {
  host: string;
  port: number;
  /** Bytes. */
  maxPayload?: number;
  verifyClient?(
    info: { req: UpgradeRequest },
    decide: (accepted: boolean, status?: number, message?: string) => void,
  ): void;
}

export class WebSocketServer {
  constructor(options: ServerOptions);
  address(): { port: number };
  on(event: "connection", listener: (peer: ServerPeer, request: UpgradeRequest) => void): void;
  on(event: "listening", listener: () => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  close(done: () => void): void;
}
