/**
 * Links for tests: against the editor server on the real network, or over wires that the test holds in its hands, with
 * time that stands still until the test moves it.
 *
 * @module
 */
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { freePort as findFreePort } from "../fixtures/free_port.ts";
import type { Clock } from "../../src/host/host.ts";
import { type Link, type LinkEvent, type LinkHost, type LinkOptions, openLink } from "../../src/link/mod.ts";
import type { JsonObject } from "../../src/link/wire.ts";
import { FakeClock, settle } from "../host/fake_clock.ts";
import { Inbox } from "./editor_server.ts";

const machine = await createDenoHost();

/** How long a test waits for anything before it fails. Milliseconds of real time. */
const PATIENCE_MS = 15_000;

const OPTIONS = {
  name: "docs",
  projectPath: "/games/demo",
  clientVersion: "2.4.2",
  runtimeVersion: "4.5.0",
  launchMode: "managed",
} as const;

/** The real machine, with `clock` in place of its own and all sockets it opened noted. */
export function linkHost(clock: Clock = machine.clock): LinkHost & { sockets: WebSocket[] } {
  const sockets: WebSocket[] = [];
  const webSocket = (url: string) => {
    const socket = machine.net.webSocket(url);
    sockets.push(socket);
    return socket;
  };
  return {
    clock,
    random: machine.random,
    processes: machine.processes,
    net: { ...machine.net, webSocket },
    sockets,
  };
}

export const freePort = (): Promise<number> => findFreePort(machine.net);

export interface TestLink {
  link: Link;
  events: Inbox<LinkEvent>;
  sockets: WebSocket[];
}

export function testLink(port: number, options: Partial<LinkOptions> & { clock?: Clock } = {}): TestLink {
  const events = new Inbox<LinkEvent>();
  const host = linkHost(options.clock);
  const link = openLink(host, { ...OPTIONS, port, onEvent: (event) => events.push(event), ...options });
  return { link, events, sockets: host.sockets };
}

/** Waits until `done`. */
export async function seen(done: () => boolean): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!done()) {
    if (performance.now() > endMs) throw new Error(`It never came: ${done}`);
    await turn();
  }
}

/** A turn of the event loop in which the network gets its say too. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

// ------------------------------------------------------------------------------------------------------- fake wires

/** The client's end of a WebSocket whose other end is the test. */
export class FakeSocket extends EventTarget implements WebSocket {
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;
  readonly extensions = "";
  readonly protocol = "";
  binaryType: BinaryType = "blob";
  readyState = 0;
  /** What the test says waits in the socket. */
  bufferedAmount = 0;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onerror: ((event: Event | ErrorEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  /** Everything the link sent, the handshake first. */
  readonly sent: JsonObject[] = [];
  /** How the link left; null while it has not. */
  left: { code: number | undefined; reason: string | undefined } | null = null;

  constructor(readonly url: string) {
    super();
  }

  open(): void {
    this.readyState = this.OPEN;
    this.onopen?.(new Event("open"));
  }

  receive(message: unknown): void {
    this.receiveRaw(JSON.stringify(message));
  }

  receiveRaw(data: string | ArrayBuffer): void {
    this.onmessage?.(new MessageEvent("message", { data }));
  }

  /** Ends it from the server's side, or by an error. */
  drop({ code = 1006, reason = "", error }: { code?: number; reason?: string; error?: string } = {}): void {
    this.readyState = this.CLOSED;
    if (error !== undefined) this.onerror?.(new ErrorEvent("error", { message: error }));
    this.onclose?.(new CloseEvent("close", { code, reason }));
  }

  send(data: string | ArrayBufferLike | Blob | ArrayBufferView): void {
    if (this.readyState !== this.OPEN) throw new Error("not open");
    this.sent.push(JSON.parse(String(data)));
  }

  close(code?: number, reason?: string): void {
    if (this.readyState >= this.CLOSING) return;
    this.left = { code, reason };
    this.readyState = this.CLOSED;
    void Promise.resolve().then(() => this.onclose?.(new CloseEvent("close", { code, reason })));
  }
}

/** A link over fake wires. */
export class WiredLink {
  readonly clock: FakeClock;
  readonly sockets: FakeSocket[] = [];
  readonly events: LinkEvent[] = [];
  readonly link: Link;

  constructor(options: Partial<LinkOptions> = {}, clock: FakeClock = new FakeClock()) {
    this.clock = clock;
    this.link = openLink({
      clock,
      random: machine.random,
      processes: { selfPid: 812 },
      net: {
        ...machine.net,
        webSocket: (url) => {
          const socket = new FakeSocket(url);
          this.sockets.push(socket);
          return socket;
        },
      },
    }, {
      ...OPTIONS,
      port: 9500,
      sessionId: "demo@0000",
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  /** The newest socket. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("no socket was opened");
    return socket;
  }

  /** Everything sent on the newest socket after its handshake. */
  get sent(): JsonObject[] {
    return this.socket.sent.slice(1);
  }

  /** Types of the events so far, log lines left out. */
  get types(): string[] {
    return this.events.map(({ type }) => type).filter((type) => type !== "log");
  }

  get attempts(): number {
    return this.types.filter((type) => type === "reconnecting").length;
  }

  logs(level?: string): string[] {
    return this.events.filter((event) => event.type === "log")
      .filter((event) => level === undefined || event.level === level)
      .map(({ message }) => message);
  }

  /** Lets the link do what it can do without the clock. */
  async turn(): Promise<void> {
    for (let turns = 0; turns < 3; turns += 1) await settle();
  }

  /** Lets time pass, and the link act on it. */
  async advance(ms: number): Promise<void> {
    await this.turn();
    await this.clock.advance(ms);
    await this.turn();
  }

  async open(): Promise<void> {
    await this.turn();
    this.socket.open();
    await this.turn();
  }

  /** Opens the newest socket and acknowledges. */
  async accept(version: unknown = "2.4.2"): Promise<void> {
    await this.open();
    await this.receive({ type: "handshake_ack", server_version: version });
  }

  async receive(...messages: unknown[]): Promise<void> {
    for (const message of messages) this.socket.receive(message);
    await this.turn();
  }

  async command(command: string, params: JsonObject = {}, requestId = command): Promise<void> {
    await this.receive({ request_id: requestId, command, params });
  }

  async drop(how?: Parameters<FakeSocket["drop"]>[0]): Promise<void> {
    this.socket.drop(how);
    await this.turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.link.close();
  }
}
