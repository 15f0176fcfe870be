import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Clients } from "../../src/demo/clients.ts";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { freePort } from "../fixtures/free_port.ts";
import type { Host } from "../../src/host/host.ts";

const host = await createDenoHost();

interface Peer {
  socket: WebSocket;
  send(message: unknown): void;
  next(): Promise<Record<string, unknown>>;
  closed: Promise<{ code: number; reason: string }>;
}

/** A WebSocket client whose messages can be waited for one by one. */
async function connectPeer(port: number): Promise<Peer> {
  const socket = host.net.webSocket(`ws://127.0.0.1:${port}`);
  const queue: Record<string, unknown>[] = [];
  const waiting: ((message: Record<string, unknown>) => void)[] = [];
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    const waiter = waiting.shift();
    if (waiter === undefined) queue.push(message);
    else waiter(message);
  };
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ code, reason });
  });
  await new Promise((resolve) => socket.onopen = resolve);
  return {
    socket,
    closed,
    send: (message) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
    next: () => {
      const message = queue.shift();
      return message === undefined
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve(message);
    },
  };
}

function handshakeOf(sessionId: string): Record<string, unknown> {
  return {
    type: "handshake",
    session_id: sessionId,
    godot_version: "4.4",
    project_path: "/game",
    plugin_version: "9.9",
  };
}

interface Stage {
  clients: Clients;
  port: number;
  errors: string[];
  /** A peer that has introduced itself and got its ack. */
  introduce(sessionId: string): Promise<Peer>;
}

/** `hurry` makes five and ten seconds pass at once. */
async function withClients(test: (stage: Stage) => Promise<void>, hurry = false): Promise<void> {
  const errors: string[] = [];
  const sleep: Host["clock"]["sleep"] = (ms, signal) => host.clock.sleep(hurry ? ms / 100 : ms, signal);
  const clients = new Clients({
    ...host,
    clock: { ...host.clock, sleep, now: () => host.clock.now() },
    terminal: { ...host.terminal, err: (text: string) => void errors.push(text) },
  }, "1.0.0");
  const port = await freePort(host.net);
  await clients.listen("127.0.0.1", port);
  const peers: Peer[] = [];
  try {
    await test({
      clients,
      port,
      errors,
      async introduce(sessionId) {
        const peer = await connectPeer(port);
        peers.push(peer);
        peer.send(handshakeOf(sessionId));
        assertEquals(await peer.next(), { type: "handshake_ack", server_version: "1.0.0" });
        return peer;
      },
    });
  } finally {
    await clients.close();
    await Promise.all(peers.map((peer) => peer.closed));
  }
}

const ANY = { sessionId: null };

Deno.test("Clients acknowledges a valid handshake with the server's own version", async () => {
  await withClients(async ({ clients, introduce }) => {
    await introduce("game@0001");
    const [session] = clients.describe();
    assertEquals([session?.session_id, session?.plugin_version, session?.active], ["game@0001", "9.9", true]);
  });
});

for (const [name, message] of [["is no JSON", "hello"], ["lacks a field", { type: "handshake" }]] as const) {
  Deno.test(`Clients closes without an ack when the first message ${name}`, async () => {
    await withClients(async ({ clients, port }) => {
      const peer = await connectPeer(port);
      let answered = false;
      peer.socket.addEventListener("message", () => answered = true);
      peer.send(message);
      assertEquals((await peer.closed).code, 1000);
      assertEquals([answered, clients.describe()], [false, []]);
    });
  });
}

Deno.test("Clients closes without an ack when no handshake comes in time", async () => {
  await withClients(async ({ clients, port }) => {
    const peer = await connectPeer(port);
    assertEquals((await peer.closed).code, 1000);
    assertEquals(clients.describe(), []);
  }, true);
});

Deno.test("Clients turns away a second peer when the session id is live, and keeps the first", async () => {
  await withClients(async ({ clients, port, introduce }) => {
    const first = await introduce("game@0001");
    const second = await connectPeer(port);
    second.send(handshakeOf("game@0001"));
    assertEquals(await second.closed, { code: 4001, reason: "session id already registered" });

    const call = clients.call("ping", {}, ANY);
    const command = await first.next();
    first.send({ request_id: command.request_id, status: "ok", data: { pong: true } });
    assertEquals((await call).kind, "answered");
  });
});

Deno.test("Clients takes a session id again when its peer has gone", async () => {
  await withClients(async ({ introduce }) => {
    const first = await introduce("game@0001");
    first.socket.close();
    await first.closed;
    await introduce("game@0001");
  });
});

Deno.test("Clients.call() matches responses to commands when they come out of order", async () => {
  await withClients(async ({ clients, introduce }) => {
    const peer = await introduce("game@0001");
    const calls = [clients.call("first", { n: 1 }, ANY), clients.call("second", { n: 2 }, ANY)];
    const commands = [await peer.next(), await peer.next()];
    assertEquals(commands.map(({ command, params }) => [command, params]), [["first", { n: 1 }], ["second", {
      n: 2,
    }]]);
    for (const { request_id, command } of commands.reverse()) {
      assert(typeof request_id === "string" && /^[0-9a-f]{32}$/.test(request_id));
      peer.send({ request_id, status: "ok", data: { command } });
    }
    const data = (await Promise.all(calls)).map((result) =>
      result.kind === "answered" && result.response.data
    );
    assertEquals(data, [{ command: "first" }, { command: "second" }]);
  });
});

Deno.test("Clients.call() fails when nobody is there", async () => {
  await withClients(async ({ clients }) => {
    const result = await clients.call("ping", {}, ANY);
    assertEquals(result.kind === "failed" && result.code, "SESSION_NOT_FOUND");
    const named = await clients.call("ping", {}, { sessionId: "game@0001" });
    assertEquals(named.kind === "failed" && named.message, `There is no session "game@0001"`);
  });
});

Deno.test("Clients.call() gives up when the client does not answer, and ignores the late answer", async () => {
  await withClients(async ({ clients, introduce }) => {
    const peer = await introduce("game@0001");
    const call = clients.call("ping", {}, ANY);
    const command = await peer.next();
    const result = await call;
    assertEquals(result.kind === "failed" && result.code, "COMMAND_TIMEOUT");
    peer.send({ request_id: command.request_id, status: "ok" });
    const again = clients.call("ping", {}, ANY);
    peer.send({ request_id: (await peer.next()).request_id, status: "error", error: { code: "X" } });
    assertEquals((await again).kind, "answered");
  }, true);
});

Deno.test("Clients.call() fails at once when the client goes", async () => {
  await withClients(async ({ clients, introduce }) => {
    const peer = await introduce("game@0001");
    const call = clients.call("ping", {}, ANY);
    await peer.next();
    peer.socket.close();
    const result = await call;
    assertEquals(result.kind === "failed" && result.code, "PLUGIN_DISCONNECTED");
  });
});

Deno.test("Clients remembers events and skips unreadable ones", async () => {
  await withClients(async ({ clients, errors, introduce }) => {
    const peer = await introduce("game@0001");
    peer.send({ type: "event", event: "scene_changed", data: { current_scene: "a" } });
    peer.send({ type: "event", event: "scene_changed", data: [] });
    peer.send({ type: "event", event: "readiness_changed", data: { readiness: "playing" } });
    const call = clients.call("sync", {}, ANY);
    peer.send({ request_id: (await peer.next()).request_id, status: "ok" });
    await call;
    const [session] = clients.describe();
    assertEquals(session?.readiness, "playing");
    assertEquals(session?.events, [
      { event: "scene_changed", data: { current_scene: "a" } },
      { event: "readiness_changed", data: { readiness: "playing" } },
    ]);
    assertStringIncludes(errors.join(""), "unreadable event");
  });
});

Deno.test("Clients ends the session when a response is malformed", async () => {
  await withClients(async ({ clients, introduce }) => {
    const peer = await introduce("game@0001");
    peer.send({ request_id: "1" });
    assertEquals((await peer.closed).code, 1000);
    assertEquals(clients.describe(), []);
  });
});

Deno.test("Clients ends the connection when a message is larger than 4 MiB", async () => {
  await withClients(async ({ introduce }) => {
    const peer = await introduce("game@0001");
    peer.send("x".repeat(4 * 1024 * 1024 + 1));
    assertEquals((await peer.closed).code, 1009);
  });
});

Deno.test("Clients answers plain HTTP with 426", async () => {
  await withClients(async ({ port }) => {
    const response = await fetch(`http://127.0.0.1:${port}/`);
    assertEquals([response.status, await response.text()], [426, "This port speaks WebSocket.\n"]);
  });
});
