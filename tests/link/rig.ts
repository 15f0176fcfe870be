/**
 * A connection or a link against the server of these tests, on the real network, with the real clock or with one that
 * the test moves.
 *
 * @module
 */
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { freePort as findFreePort } from "../fixtures/free_port.ts";
import type { Clock } from "../../src/host/host.ts";
import { Connection, type ConnectionOptions } from "../../src/link/connection.ts";
import type { LinkEvent } from "../../src/link/events.ts";
import { type Link, type LinkHost, type LinkOptions, linkUrl, openLink } from "../../src/link/mod.ts";
import type { Command } from "../../src/link/wire.ts";
import { Inbox } from "./editor_server.ts";

const machine = await createDenoHost();

/** How long a test waits for anything before it fails. Milliseconds of real time. */
const PATIENCE_MS = 15_000;

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

export interface TestConnection {
  connection: Connection;
  events: LinkEvent[];
  commands: Command[];
  /** All sockets opened. */
  sockets: WebSocket[];
  /** Ticks, turn by turn, until `done`. */
  until(done: () => boolean): Promise<void>;
  /** Ticks until an event of that type came, not counting those before the call. */
  event<T extends LinkEvent["type"]>(type: T): Promise<Extract<LinkEvent, { type: T }>>;
}

export function testConnection(
  port: number,
  options: Partial<ConnectionOptions> & { clock?: Clock } = {},
): TestConnection {
  const host = linkHost(options.clock);
  const events: LinkEvent[] = [];
  const commands: Command[] = [];
  let ids = 0;
  const connection = new Connection(host, {
    name: "docs",
    url: linkUrl("127.0.0.1", port),
    hello: {
      sessionId: "demo@0000",
      projectPath: "/games/demo",
      clientVersion: "2.4.2",
      runtimeVersion: "4.5.0",
      launchMode: "managed",
      editorPid: 812,
      readiness: "ready",
    },
    expectedVersion: null,
    versionMatches: (expected, actual) => expected === actual,
    newSessionId: () => `demo@000${ids += 1}`,
    backlogFull: () => false,
    onCommand: (command) => commands.push(command),
    onEvent: (event) => events.push(event),
    wake: () => undefined,
    ...options,
  });
  const until = async (done: () => boolean) => {
    const endMs = performance.now() + PATIENCE_MS;
    for (connection.tick(); !done(); connection.tick()) {
      if (performance.now() > endMs) throw new Error(`It never came: ${done}`);
      await turn();
    }
  };
  const event: TestConnection["event"] = async (type) => {
    const before = events.length;
    const found = () => events.slice(before).find((each) => each.type === type);
    await until(() => found() !== undefined);
    return found() as Extract<LinkEvent, { type: typeof type }>;
  };
  return { connection, events, commands, sockets: host.sockets, until, event };
}

/** Waits without ticking. */
export async function seen(done: () => boolean): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!done()) {
    if (performance.now() > endMs) throw new Error(`It never came: ${done}`);
    await turn();
  }
}

export interface TestLink {
  link: Link;
  events: Inbox<LinkEvent>;
}

export function testLink(port: number, options: Partial<LinkOptions> & { clock?: Clock } = {}): TestLink {
  const events = new Inbox<LinkEvent>();
  const link = openLink(linkHost(options.clock), {
    name: "docs",
    port,
    projectPath: "/games/demo",
    clientVersion: "2.4.2",
    runtimeVersion: "4.5.0",
    launchMode: "managed",
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { link, events };
}

/** A turn of the event loop in which the network gets its say too. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
