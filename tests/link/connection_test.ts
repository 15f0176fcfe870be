import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CONNECT_TIMEOUT_MS } from "../../src/link/attempts.ts";
import { DRAIN_LIMIT } from "../../src/link/conversation.ts";
import { ACK_DEADLINE_MS } from "../../src/link/version_check.ts";
import { encodeResponse, MESSAGE_LIMIT_BYTES } from "../../src/link/wire.ts";
import { FakeClock } from "../host/fake_clock.ts";
import { EditorServer, type EditorServerOptions, type Peer } from "./editor_server.ts";
import { freePort, seen, type TestConnection, testConnection, turn } from "./rig.ts";

interface Met extends TestConnection {
  server: EditorServer;
  peer: Peer;
}

/** Runs `body` with a connection that the server acknowledged, then ends both. */
function met(
  name: string,
  body: (rig: Met) => Promise<void>,
  options: { server?: EditorServerOptions; connection?: Parameters<typeof testConnection>[1] } = {},
): void {
  Deno.test(name, async () => {
    const server = await EditorServer.start(options.server);
    const rig = testConnection(server.port, options.connection);
    try {
      await rig.event("open");
      const peer = await server.peers.next();
      if (options.server?.greet === undefined) await rig.until(() => rig.connection.serverVersion !== "");
      await body({ ...rig, server, peer });
    } finally {
      await end(rig, server);
    }
  });
}

async function end(rig: TestConnection, server?: EditorServer): Promise<void> {
  rig.connection.close();
  await server?.close();
  await rig.connection.closing;
}

const logs = (rig: TestConnection, level?: string) =>
  rig.events.filter((event) => event.type === "log")
    .filter((event) => level === undefined || event.level === level)
    .map(({ message }) => message);

const types = (rig: TestConnection) => rig.events.map(({ type }) => type).filter((type) => type !== "log");

met(
  "Connection sends the handshake before anything else when it opens",
  async ({ peer, connection, event }) => {
    assertEquals(peer.handshake.type, "handshake");
    assertEquals(
      [peer.handshake.session_id, peer.handshake.editor_pid, peer.handshake.readiness],
      ["demo@0000", 812, "ready"],
    );
    connection.state("scene_changed", { current_scene: "a" }, { again: false });
    assertEquals((await peer.messages.next()).event, "scene_changed");
    peer.socket.terminate();
    await event("closed");
  },
);

met("Connection passes the loopback guard of the server's upgrade", ({ server }) => {
  assertEquals(server.turnedDown, []);
  return Promise.resolve();
});

met("Connection tells open, acknowledgement and verdict in this order", async (rig) => {
  await rig.until(() => rig.connection.verified);
  assertEquals(types(rig), ["open", "ack", "verdict"]);
  assertEquals(rig.connection.serverVersion, "2.4.2");
});

met("Connection reconnects at once after a drop, with a fresh socket to the same address", async (rig) => {
  rig.peer.socket.terminate();
  await rig.event("closed");
  const next = rig.server.peers.next();
  await rig.event("open");
  assertEquals((await next).handshake.session_id, "demo@0000");
  assertEquals(rig.events.filter((event) => event.type === "reconnecting"), [
    { type: "reconnecting", attempt: 1, nextRetryS: 1 },
  ]);
  assertEquals(new Set(rig.sockets).size, 2);
  assertEquals(new Set(rig.sockets.map(({ url }) => url)).size, 1);
}, { connection: { clock: new FakeClock() } });

Deno.test("Connection waits after each attempt: the first comes at once, the others 1, 2, 4 s later", async () => {
  const clock = new FakeClock();
  const rig = testConnection(await freePort(), { clock });
  const at: number[] = [];
  for (const waitMs of [0, 1_000, 2_000, 4_000]) {
    await failed(rig);
    await clock.advance(Math.max(waitMs - 1, 0));
    rig.connection.tick();
    assertEquals(attempts(rig), at.length + (waitMs === 0 ? 1 : 0));
    await clock.advance(waitMs === 0 ? 0 : 1);
    rig.connection.tick();
    at.push(clock.monotonic());
    assertEquals(attempts(rig), at.length);
  }
  assertEquals(at, [0, 1_000, 3_000, 7_000]);
  assertStringIncludes(logs(rig)[2] ?? "", "attempt 3; next retry in 4s");
  await end(rig);
});

Deno.test("Connection logs attempts 1 to 5, then every tenth, and never gives up", async () => {
  const clock = new FakeClock();
  const rig = testConnection(await freePort(), { clock });
  while (attempts(rig) < 21) {
    await failed(rig);
    await clock.advance(60_000);
    rig.connection.tick();
  }
  const logged = logs(rig, "info").map((message) => Number(/attempt (\d+);/.exec(message)?.[1]));
  assertEquals(logged, [1, 2, 3, 4, 5, 10, 20]);
  await end(rig);
});

Deno.test("Connection resets count and wait on success, so that the next drop is met at once", async () => {
  const clock = new FakeClock();
  const port = await freePort();
  const rig = testConnection(port, { clock });
  while (attempts(rig) < 3) {
    await failed(rig);
    await clock.advance(2_000);
    rig.connection.tick();
  }
  await failed(rig);
  const server = await EditorServer.start({ port });
  await clock.advance(4_000);
  await rig.event("open");
  const peer = await server.peers.next();
  await rig.until(() => rig.connection.serverVersion !== "");
  rig.events.length = 0;
  peer.socket.terminate();
  await rig.event("closed");
  await rig.event("open");
  assertEquals(rig.events.filter((event) => event.type === "reconnecting"), [
    { type: "reconnecting", attempt: 1, nextRetryS: 1 },
  ]);
  await end(rig, server);
});

function attempts(rig: TestConnection): number {
  return rig.events.filter((event) => event.type === "reconnecting").length;
}

/** Waits until the socket being opened was refused and that was noticed. */
async function failed(rig: TestConnection): Promise<void> {
  const before = rig.sockets.length;
  if (before === 0) rig.connection.tick();
  const socket = rig.sockets.at(-1);
  await seen(() => socket?.readyState === WebSocket.CLOSED);
  await turn();
  rig.connection.tick();
}

Deno.test("Connection that is blocked opens nothing and says why exactly once", async () => {
  const rig = testConnection(await freePort());
  rig.connection.block("wrong server");
  rig.connection.block("wrong server again");
  for (let n = 0; n < 5; n += 1) rig.connection.tick();
  assertEquals(rig.sockets.length, 0);
  assertEquals(logs(rig), ['server "docs": wrong server']);
  assertEquals(rig.connection.nextWakeMs, null);
});

met("Connection leaves with 1000 and says so, and does nothing where it is not connected", async (rig) => {
  rig.connection.disconnect();
  assertEquals(await rig.peer.closed, { code: 1000, reason: "Plugin unloading" });
  const before = rig.events.length;
  rig.connection.disconnect();
  assertEquals(rig.events.length, before);
});

met("Connection is not connected and has no server version from the moment it leaves", (rig) => {
  rig.connection.disconnect();
  assertEquals([rig.connection.connected, rig.connection.serverVersion], [false, ""]);
  assertEquals(types(rig).filter((type) => type === "closed").length, 1);
  return Promise.resolve();
});

met("Connection tells an opening and an end once each", async (rig) => {
  rig.peer.socket.close(1000, "done");
  assertEquals(await rig.event("closed"), { type: "closed", code: 1000, reason: "done" });
  await rig.event("open");
  rig.connection.disconnect();
  await rig.connection.closing;
  rig.connection.close();
  const told = types(rig).filter((type) => type === "open" || type === "closed");
  assertEquals(told, ["open", "closed", "open", "closed"]);
});

met("Connection forgets version and spill with the connection, but keeps the pause depth", async (rig) => {
  rig.connection.paused = true;
  rig.connection.paused = true;
  await flood(rig, DRAIN_LIMIT + 1);
  rig.connection.paused = false;
  rig.peer.socket.terminate();
  await seen(() => rig.sockets[0]?.readyState === WebSocket.CLOSED);
  assertEquals([rig.connection.connected, rig.connection.serverVersion], [true, "2.4.2"]);
  rig.connection.tick();
  assert(rig.connection.paused);
  rig.connection.paused = false;
  rig.connection.tick();
  assertEquals(
    [rig.connection.connected, rig.connection.serverVersion, rig.connection.spilled],
    [false, "", 0],
  );
});

met("Connection that is paused reads, sends and reconnects nothing", async (rig) => {
  rig.connection.paused = true;
  rig.peer.send({ request_id: "ab", command: "ping" });
  await seen(() => rig.connection.unread === 1);
  rig.connection.tick();
  assertEquals(rig.commands, []);
  assert(!rig.connection.send({ text: encodeResponse("ab", { data: {} }, "ready"), requestId: "ab" }));
  rig.connection.state("scene_changed", { current_scene: "a" }, { again: false });
  rig.peer.socket.terminate();
  await seen(() => rig.sockets[0]?.readyState === WebSocket.CLOSED);
  for (let n = 0; n < 5; n += 1) rig.connection.tick();
  assertEquals(rig.sockets.length, 1);
  rig.connection.paused = false;
  await rig.event("open");
  const peer = await rig.server.peers.next();
  assertEquals((await peer.messages.next()).data, { current_scene: "a" });
});

met("Connection counts its pauses and never below none", (rig) => {
  rig.connection.paused = false;
  rig.connection.paused = true;
  rig.connection.paused = true;
  rig.connection.paused = false;
  assert(rig.connection.paused);
  rig.connection.paused = false;
  assert(!rig.connection.paused);
  return Promise.resolve();
});

/** Lets `count` commands arrive without one of them being read. */
async function flood({ peer, connection }: Met, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) peer.send({ request_id: `${n}`, command: "ping" });
  await seen(() => connection.unread === count);
}

met("Connection reads 32 packets a tick; exactly 32 are no spill", async (rig) => {
  await flood(rig, DRAIN_LIMIT);
  rig.connection.tick();
  assertEquals([rig.commands.length, rig.connection.unread, rig.connection.spilled], [DRAIN_LIMIT, 0, 0]);
  assertEquals(logs(rig, "warn"), []);
});

met("Connection adds up what stays behind at each tick", async (rig) => {
  await flood(rig, 2 * DRAIN_LIMIT + 5);
  rig.connection.tick();
  assertEquals([rig.commands.length, rig.connection.spilled], [32, 37]);
  rig.connection.tick();
  assertEquals([rig.commands.length, rig.connection.spilled], [64, 42]);
  rig.connection.tick();
  assertEquals([rig.commands.length, rig.connection.spilled], [69, 42]);
  assertEquals(logs(rig, "warn").length, 1);
  assertEquals(
    rig.commands.map(({ requestId }) => Number(requestId)),
    Array.from({ length: 69 }, (_, n) => n),
  );
});

const line = (bytes: number) => {
  const frame = JSON.stringify({ request_id: "ab", status: "ok", data: { fill: "" } });
  return JSON.stringify({ request_id: "ab", status: "ok", data: { fill: "x".repeat(bytes - frame.length) } });
};

met(
  "Connection sends a message of exactly the limit, and refuses one byte more without an id",
  async (rig) => {
    assert(!rig.connection.send({ text: line(MESSAGE_LIMIT_BYTES + 1), requestId: null }));
    assert(rig.connection.send({ text: line(MESSAGE_LIMIT_BYTES), requestId: null }));
    assertEquals((await rig.peer.messages.next()).request_id, "ab");
    assertEquals(types(rig).includes("backpressure"), false);
  },
);

met("Connection counts what waits in the socket towards the limit", async (rig) => {
  assert(rig.connection.send({ text: line(MESSAGE_LIMIT_BYTES - 1_000), requestId: null }));
  assertEquals(rig.connection.bufferedBytes, MESSAGE_LIMIT_BYTES - 1_000);
  assert(!rig.connection.send({ text: line(1_001), requestId: null }));
  assert(rig.connection.send({ text: line(1_000), requestId: null }));
  await rig.peer.messages.next();
  await rig.peer.messages.next();
});

met(
  "Connection puts an error in the place of an answer over the limit, which counts as sent",
  async (rig) => {
    assert(rig.connection.send({ text: line(MESSAGE_LIMIT_BYTES + 1), requestId: "ab" }));
    const sent = await rig.peer.messages.next();
    assertEquals(sent, {
      request_id: "ab",
      status: "error",
      data: {},
      error: {
        code: "INTERNAL_ERROR",
        message: (sent.error as { message: string }).message,
        data: {
          buffered_bytes: 0,
          message_bytes: MESSAGE_LIMIT_BYTES + 1,
          limit_bytes: MESSAGE_LIMIT_BYTES,
        },
      },
      readiness: "ready",
    });
    assertEquals(types(rig).at(-1), "backpressure");
  },
);

met("Connection drops, logs and fails an answer where not even the error fits", async (rig) => {
  assert(rig.connection.send({ text: line(MESSAGE_LIMIT_BYTES - 100), requestId: null }));
  assert(!rig.connection.send({ text: line(500), requestId: "ab" }));
  assertEquals(logs(rig, "error").length, 1);
  assertEquals(rig.events.findLast(({ type }) => type === "backpressure"), {
    type: "backpressure",
    requestId: "ab",
    action: "dropped",
    overflow: {
      bufferedBytes: MESSAGE_LIMIT_BYTES - 100,
      messageBytes: 500,
      limitBytes: MESSAGE_LIMIT_BYTES,
    },
  });
  await rig.peer.messages.next();
});

met("Connection sends a state that did not fit as soon as it does", async (rig) => {
  assert(rig.connection.send({ text: line(MESSAGE_LIMIT_BYTES), requestId: null }));
  rig.connection.state("scene_changed", { current_scene: "a" }, { again: false });
  rig.connection.state("scene_changed", { current_scene: "b" }, { again: false });
  rig.connection.tick();
  assert(rig.connection.nextWakeMs !== null);
  await rig.until(() => rig.connection.bufferedBytes === 0);
  rig.connection.tick();
  await rig.peer.messages.next();
  assertEquals((await rig.peer.messages.next()).data, { current_scene: "b" });
  assertEquals(rig.connection.nextWakeMs, null);
});

met("Connection takes the handshake's readiness for sent", async (rig) => {
  rig.connection.state("readiness_changed", { readiness: "ready" }, { again: false });
  rig.connection.state("readiness_changed", { readiness: "playing" }, { again: false });
  assertEquals((await rig.peer.messages.next()).data, { readiness: "playing" });
});

Deno.test("Connection blocks itself and leaves where the version is another one", async () => {
  const server = await EditorServer.start({ version: "2.3.0" });
  const rig = testConnection(server.port, { expectedVersion: "2.4.2" });
  await rig.event("blocked");
  const peer = await server.peers.next();
  assertEquals((await peer.closed).code, 1000);
  assertEquals(types(rig), ["open", "ack", "verdict", "closed", "blocked"]);
  assertStringIncludes(
    logs(rig, "error")[0] ?? "",
    'server "docs": it says version 2.3.0, but version 2.4.2',
  );
  rig.connection.tick();
  assertEquals(rig.sockets.length, 1);
  await end(rig, server);
});

Deno.test("Connection gives a server 5 s from the opening to acknowledge, then blocks itself", async () => {
  const clock = new FakeClock();
  const server = await EditorServer.start({ greet: () => undefined });
  const rig = testConnection(server.port, { clock });
  await clock.advance(1_000);
  await rig.event("open");
  await clock.advance(ACK_DEADLINE_MS - 1);
  rig.connection.tick();
  assertEquals(types(rig), ["open"]);
  await clock.advance(1);
  rig.connection.tick();
  assertEquals(types(rig), ["open", "verdict", "closed", "blocked"]);
  assertEquals((await (await server.peers.next()).closed).code, 1000);
  await end(rig, server);
});

Deno.test("Connection accepts an acknowledgement that is read in the tick of the deadline", async () => {
  const clock = new FakeClock();
  const server = await EditorServer.start({ greet: () => undefined });
  const rig = testConnection(server.port, { clock });
  await rig.event("open");
  (await server.peers.next()).ack("2.4.2");
  await seen(() => rig.connection.unread === 1);
  await clock.advance(60_000);
  rig.connection.tick();
  assertEquals(types(rig), ["open", "ack", "verdict"]);
  assert(rig.connection.verified);
  await end(rig, server);
});

Deno.test("Connection gives each connection its own 5 s to acknowledge", async () => {
  const clock = new FakeClock();
  const server = await EditorServer.start({ greet: () => undefined });
  const rig = testConnection(server.port, { clock });
  await rig.event("open");
  await clock.advance(4_000);
  (await server.peers.next()).socket.terminate();
  await rig.event("closed");
  await rig.event("open");
  await clock.advance(4_000);
  rig.connection.tick();
  assert(!rig.connection.blocked);
  await clock.advance(1_000);
  rig.connection.tick();
  assert(rig.connection.blocked);
  await end(rig, server);
});

Deno.test("Connection takes a new id at once where the server has its own, and leaves the first peer alone", async () => {
  const server = await EditorServer.start();
  const first = testConnection(server.port);
  await first.event("verdict");
  const second = testConnection(server.port, { clock: new FakeClock() });
  await second.event("closed");
  assertEquals(second.events.findLast(({ type }) => type === "closed"), {
    type: "closed",
    code: 4001,
    reason: "session id already registered",
  });
  await second.event("verdict");
  assertEquals(second.connection.sessionId, "demo@0001");
  assertEquals([...server.sessions.keys()], ["demo@0000", "demo@0001"]);
  assertStringIncludes(logs(second, "warn")[0] ?? "", "demo@0000 is taken; going on as demo@0001");
  first.connection.tick();
  assert(first.connection.connected);
  await end(first);
  await end(second, server);
});

Deno.test("Connection meets a server that accepts and drops with growing delays", async () => {
  const clock = new FakeClock();
  const server = await EditorServer.start({ greet: (peer) => peer.socket.close(1000, "no") });
  const rig = testConnection(server.port, { clock });
  await rig.until(() => types(rig).filter((type) => type === "closed").length === 4);
  const atOnce = attempts(rig);
  for (let n = 0; n < 20; n += 1) {
    await turn();
    rig.connection.tick();
  }
  assertEquals(attempts(rig), atOnce);
  assertEquals(rig.connection.nextWakeMs, 1_000);
  assertStringIncludes(logs(rig, "info").at(-1) ?? "", "(1000 no)");
  await clock.advance(1_000);
  await rig.event("open");
  assertEquals(rig.events.findLast((event) => event.type === "reconnecting")?.attempt, 2);
  await end(rig, server);
});

met("Connection ignores what it does not know, warns of what it can't read, and lives on", async (rig) => {
  rig.peer.socket.send("{nope");
  rig.peer.socket.send(new Uint8Array([1, 2, 3]));
  for (const each of [[], 5, "text", null, { type: "weather" }, { command: "x" }]) rig.peer.send(each);
  rig.peer.send({ request_id: "ab", command: "ping" });
  await rig.until(() => rig.commands.length === 1);
  assertEquals(logs(rig, "warn"), [
    'server "docs": ignored text that is not JSON (5 characters)',
    'server "docs": ignored a binary frame of 3 bytes',
  ]);
});

met("Connection takes the first acknowledgement and ignores a second", async (rig) => {
  rig.peer.ack("9.9.9");
  rig.peer.send({ request_id: "ab", command: "ping" });
  await rig.until(() => rig.commands.length === 1);
  assertEquals(rig.connection.serverVersion, "2.4.2");
  assertEquals(types(rig), ["open", "ack", "verdict"]);
  assertEquals(logs(rig, "warn"), ['server "docs": ignored a second acknowledgement']);
});

met("Connection waits on for a version after an acknowledgement with a number", async (rig) => {
  rig.peer.ack(2.4);
  await rig.event("ack");
  assertEquals(rig.connection.serverVersion, "");
  rig.peer.ack("2.4.2");
  await rig.event("verdict");
  assertEquals(types(rig), ["open", "ack", "ack", "verdict"]);
}, { server: { greet: () => undefined } });

met("Connection takes a drop in the middle of a frame for a drop", async (rig) => {
  rig.peer.socket._socket.write(new Uint8Array([0x81, 0x7e, 0x10, 0x00, 0x41, 0x42]));
  rig.peer.socket._socket.destroy();
  assertEquals((await rig.event("closed")).code, 1006);
  await rig.event("open");
});

met("Connection hangs up with 1009 on a message over 4 MiB, and comes back", async (rig) => {
  rig.peer.socket.send("x".repeat(MESSAGE_LIMIT_BYTES + 1));
  assertEquals((await rig.event("closed")).code, 1009);
  assertEquals((await rig.peer.closed).code, 4009);
  await rig.event("open");
});

met("Connection reads a message of exactly 4 MiB", async (rig) => {
  rig.peer.socket.send("x".repeat(MESSAGE_LIMIT_BYTES));
  rig.peer.send({ request_id: "ab", command: "ping" });
  await rig.until(() => rig.commands.length === 1);
  assertEquals(types(rig), ["open", "ack", "verdict"]);
});

Deno.test("Connection keeps trying where something else listens", async () => {
  const others: [string, (connection: Deno.Conn) => Promise<unknown>][] = [
    ["HTTP", (connection) => connection.write(new TextEncoder().encode("HTTP/1.1 404 Not Found\r\n\r\n"))],
    ["noise", (connection) => connection.write(new Uint8Array([0, 255, 10, 13, 10]))],
    ["a hang-up", () => Promise.resolve()],
  ];
  for (const [what, answer] of others) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      for await (const connection of listener) {
        await connection.read(new Uint8Array(4_096));
        await answer(connection);
        connection.close();
      }
    })();
    const rig = testConnection(listener.addr.port, { clock: new FakeClock() });
    await rig.event("reconnecting");
    await failed(rig);
    assertEquals(types(rig), ["reconnecting"], what);
    await end(rig);
    listener.close();
    await serving;
  }
});

Deno.test("Connection gives up a half-open socket after 5 s and tries again", async () => {
  const clock = new FakeClock();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const rig = testConnection(listener.addr.port, { clock });
  rig.connection.tick();
  const held = await listener.accept();
  await clock.advance(CONNECT_TIMEOUT_MS - 1);
  rig.connection.tick();
  assertEquals([rig.sockets.length, rig.connection.nextWakeMs], [1, CONNECT_TIMEOUT_MS]);
  await clock.advance(1);
  rig.connection.tick();
  rig.connection.tick();
  assertEquals(rig.sockets.length, 2);
  assertStringIncludes(logs(rig)[0] ?? "", "no WebSocket handshake within 5000 ms");
  await rig.connection.closing;
  const again = await listener.accept();
  await end(rig);
  for (const each of [held, again, listener]) each.close();
});
