/**
 * A network of one machine in memory: who listens is read from the table of processes.
 *
 * @module
 */
import {
  type Connection,
  type ConnectOptions,
  type DialResult,
  HostError,
  type HttpServer,
  type Net,
  type PortRange,
  type ServeOptions,
} from "../../src/host/host.ts";
import { loopbackOnly } from "../../src/host/loopback.ts";
import type { FakeProcesses } from "./fake_processes.ts";

function conflicts(hostname: string, held: string, v6only: boolean): boolean {
  const isV6 = (address: string) => address.includes(":");
  const wild = held === "*" || (held === "::" && !v6only);
  if (wild || hostname === "localhost" || held === "localhost" || hostname === held) return true;
  if (isV6(hostname) !== isV6(held)) return hostname === "::" && !v6only;
  return ["0.0.0.0", "::"].some((any) => hostname === any || held === any);
}

export class FakeNet implements Net {
  /** Answers every request that no server of {@link FakeNet.serve} takes. Without it connections are refused. */
  onFetch: ((request: Request) => Response | Promise<Response>) | null = null;
  /** Gives the client's end of a WebSocket. */
  onWebSocket: ((url: string) => WebSocket) | null = null;
  /** What dialling a port gives, whoever listens there. */
  readonly dialAnswers = new Map<number, DialResult>();
  /** Reserved port ranges, as Windows has them: nothing can be bound there. */
  reserved: PortRange[] = [];

  /** Set to let addresses of one port be bound beside one another as Linux does; else one listener takes them all. */
  separateAddresses = false;
  /** Ports where a listener on `::` leaves the IPv4 addresses to others. */
  readonly v6only = new Set<number>();

  readonly #processes: FakeProcesses;
  readonly #servers = new Map<number, ServeOptions>();
  readonly #gate = loopbackOnly({
    fetch: (input, init) => this.fetchAnywhere(input, init),
    dial: async (_hostname, port) => {
      await Promise.resolve();
      return this.dialAnswers.get(port) ?? (this.#isTaken(port) ? "open" : "refused");
    },
    connect: (hostname, port) =>
      Promise.reject(new HostError("unsupported", `No fake connection to ${hostname}:${port}`)),
    webSocket: (url) => {
      if (this.onWebSocket === null) throw new HostError("unsupported", `No fake WebSocket for ${url}`);
      return this.onWebSocket(url);
    },
  });
  #nextPort = 49_152;

  constructor(processes: FakeProcesses) {
    this.#processes = processes;
  }

  fetch(input: string | URL, init?: RequestInit): Promise<Response> {
    return this.#gate.fetch(input, init);
  }

  async fetchAnywhere(input: string | URL, init?: RequestInit): Promise<Response> {
    const request = new Request(input, init);
    request.signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const stop = () => aborted.reject(request.signal.reason);
    request.signal.addEventListener("abort", stop, { once: true });
    try {
      return await Promise.race([this.#answer(request), aborted.promise]);
    } finally {
      request.signal.removeEventListener("abort", stop);
    }
  }

  connect(hostname: string, port: number, options: ConnectOptions): Promise<Connection> {
    return this.#gate.connect(hostname, port, options);
  }

  dial(hostname: string, port: number, timeoutMs = 1000): Promise<DialResult> {
    return this.#gate.dial(hostname, port, timeoutMs);
  }

  async canBind(hostname: string, port: number): Promise<boolean> {
    await Promise.resolve();
    const others = this.#processes.listening(port).map(({ address }) => address);
    const taken = (this.#processes.unnamed.get(port) ?? 0) > 0 ||
      others.some((address) =>
        !this.separateAddresses || conflicts(hostname, address, this.v6only.has(port))
      );
    return !taken && !this.reserved.some(([first, last]) => first <= port && port <= last);
  }

  async reservedRanges(): Promise<PortRange[]> {
    await Promise.resolve();
    return this.reserved.slice();
  }

  async serve(options: ServeOptions): Promise<HttpServer> {
    const port = options.port === 0 ? await this.#freePort(options.hostname) : options.port;
    if (!(await this.canBind(options.hostname, port))) {
      throw new HostError("busy", `Cannot serve on ${options.hostname} port ${port}: it is taken`);
    }
    const own = this.#processes.get(this.#processes.selfPid);
    own.listens.push({ port, address: options.hostname });
    this.#servers.set(port, options);
    return {
      port,
      close: async () => {
        await Promise.resolve();
        own.listens = own.listens.filter((each) => each.port !== port);
        this.#servers.delete(port);
      },
    };
  }

  webSocket(url: string): WebSocket {
    return this.#gate.webSocket(url);
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const server = this.#servers.get(Number(url.port));
    if (server !== undefined) {
      return await server.handle(request, () => {
        throw new HostError("unsupported", "The fake network upgrades no connection");
      });
    }
    if (this.onFetch === null) throw new TypeError(`Connection refused: ${url.host}`);
    return await this.onFetch(request);
  }

  async #freePort(hostname: string): Promise<number> {
    while (!(await this.canBind(hostname, this.#nextPort))) this.#nextPort += 1;
    return this.#nextPort++;
  }

  #isTaken(port: number): boolean {
    return this.#processes.listening(port).length > 0 || (this.#processes.unnamed.get(port) ?? 0) > 0;
  }
}
