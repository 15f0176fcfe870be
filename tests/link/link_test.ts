import { assert, assertEquals } from "@std/assert";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { DEFERRED, type HandlerParams, linkUrl, openLink } from "../../src/link/mod.ts";
import { MESSAGE_LIMIT_BYTES } from "../../src/link/wire.ts";
import { FakeClock } from "../host/fake_clock.ts";
import { EditorServer, type EditorServerOptions, type Peer } from "./editor_server.ts";
import { freePort, seen, type TestLink, testLink, turn } from "./rig.ts";

interface Linked extends TestLink {
  server: EditorServer;
  peer: Peer;
}

function linked(
  name: string,
  options: { server?: EditorServerOptions; link?: Parameters<typeof testLink>[1] },
  body: (rig: Linked) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const server = await EditorServer.start(options.server);
    const rig = testLink(server.port, options.link);
    try {
      const peer = await server.peers.next();
      await body({ ...rig, server, peer });
    } finally {
      await rig.link.close();
      await server.close();
    }
  });
}

Deno.test("openLink() works as its example says", async () => {
  const server = await EditorServer.start({ version: "2.4.2" });
  const told: string[] = [];

  const link = openLink(await createDenoHost(), {
    name: "godot-ai",
    port: server.port,
    projectPath: "/home/me/games/demo",
    clientVersion: "2.4.2",
    runtimeVersion: "4.5.0",
    launchMode: "managed",
    expectedVersion: "2.4.2",
    handlers: {
      get_scene: () => ({ data: { path: "res://main.tscn" } }),
      render: async ({ frames }) => ({ data: { frames: await Promise.resolve(frames) } }),
    },
    onEvent: (event) => told.push(event.type),
  });
  const verdict = await link.firstVerdict;
  if (verdict?.kind === "ready") link.sendEvent("scene_changed", { current_scene: "res://main.tscn" });

  const peer = await server.peers.next();
  assertEquals((await peer.messages.next()).data, { current_scene: "res://main.tscn" });
  const scene = await peer.command("get_scene");
  assertEquals([scene.status, scene.data, scene.readiness], ["ok", { path: "res://main.tscn" }, "ready"]);
  assertEquals((await peer.command("render", { frames: 3 })).data, { frames: 3 });
  assertEquals((await peer.command("get_scenes")).status, "error");
  await link.close();
  assertEquals(await peer.closed, { code: 1000, reason: "Plugin unloading" });
  await link.ended;
  assertEquals(told, ["open", "ack", "verdict", "closed"]);
  await server.close();
});

linked("Link passes the loopback guard of the server's upgrade", {}, ({ server }) => {
  assertEquals(server.turnedDown, []);
  return Promise.resolve();
});

linked("Link fills in what the options leave out", {}, ({ peer, link }) => {
  assertEquals(peer.sessionId.slice(0, 5), "demo@");
  assertEquals(peer.sessionId, link.sessionId);
  assertEquals([peer.handshake.editor_pid, peer.handshake.readiness], [Deno.pid, "ready"]);
  return Promise.resolve();
});

linked("Link runs commands only after the verdict", {
  server: {
    greet: (peer) => {
      peer.send({ request_id: "early", command: "ping", params: {} });
    },
  },
  link: { handlers: { ping: () => ({ data: {} }) } },
}, async ({ peer, events }) => {
  await events.find(({ type }) => type === "open");
  for (let n = 0; n < 20; n += 1) await turn();
  assertEquals(peer.messages.all, []);
  peer.ack("2.4.2");
  assertEquals((await peer.messages.next()).request_id, "early");
});

linked("Link answers a burst of commands in order without losing one", {
  link: { handlers: { echo: ({ n, fill }) => ({ data: { n, fill } }) } },
}, async ({ peer }) => {
  const fill = "x".repeat(1_024);
  const answers = await Promise.all(
    Array.from({ length: 5_000 }, (_, n) => peer.command("echo", { n, fill })),
  );
  assertEquals(
    answers.map(({ data }) => (data as { n: number }).n),
    Array.from({ length: 5_000 }, (_, n) => n),
  );
  assert(answers.every(({ status }) => status === "ok"));
});

linked("Link answers out of order, each answer under its own id", {
  link: {
    handlers: {
      slow: async ({ n }) => {
        for (let turns = 0; turns < 5 - Number(n); turns += 1) await turn();
        return { data: { n } };
      },
    },
  },
}, async ({ peer }) => {
  const answers = await Promise.all([0, 2, 4].map((n) => peer.command("slow", { n })));
  assertEquals(answers.map(({ data }) => data), [{ n: 0 }, { n: 2 }, { n: 4 }]);
  assertEquals(peer.messages.all.map(({ data }) => data), [{ n: 4 }, { n: 2 }, { n: 0 }]);
});

linked("Link answers everything, however slowly the server reads", {
  link: { handlers: { big: () => ({ data: { fill: "x".repeat(1 << 20) } }) } },
}, async ({ peer, link }) => {
  await link.firstVerdict;
  peer.socket.pause();
  const answers = Promise.all(Array.from({ length: 24 }, () => peer.command("big")));
  let most = 0;
  for (let n = 0; n < 100; n += 1) {
    await turn();
    most = Math.max(most, link.bufferedBytes);
  }
  assert(most <= MESSAGE_LIMIT_BYTES, `${most}`);
  peer.socket.resume();
  assertEquals((await answers).map(({ status }) => status), Array(24).fill("ok"));
});

linked("Link survives 100 000 packets at once", {
  link: { handlers: { ping: () => ({ data: {} }) } },
}, async ({ peer, link }) => {
  await link.firstVerdict;
  link.pause();
  for (let n = 0; n < 100_000; n += 1) {
    peer.socket.send(n % 2 === 0 ? `{"request_id":"${n}","command":"ping"}` : '{"type":"noise"}');
  }
  link.resume();
  await peer.messages.find(({ request_id }) => request_id === "99998");
  assertEquals(peer.messages.all.length, 50_000);
  assert(link.connected);
});

linked(
  "Link hangs up on a server that floods it while it is paused",
  {},
  async ({ peer, link, events, server }) => {
    await link.firstVerdict;
    link.pause();
    const fill = JSON.stringify({ type: "noise", fill: "x".repeat(4_000_000) });
    for (let n = 0; n < 18; n += 1) peer.socket.send(fill);
    assertEquals((await peer.closed).code, 4009);
    link.resume();
    const closed = await events.find(({ type }) => type === "closed");
    assertEquals(closed.type === "closed" && closed.code, 1009);
    assertEquals((await server.peers.next()).sessionId, peer.sessionId);
  },
);

const parked: HandlerParams[] = [];
linked("Link answers later, and forgets what was asked on a connection that is gone", {
  link: {
    handlers: {
      later: (params) => {
        parked.push(params);
        return DEFERRED;
      },
    },
  },
}, async ({ peer, link, events, server }) => {
  const first = peer.command("later", { n: 1 });
  await events.find(({ type }) => type === "verdict");
  while (parked.length < 1) await turn();
  assert(link.respond(parked[0]?._request_id ?? "", { data: { n: 1 } }));
  assertEquals((await first).data, { n: 1 });
  void peer.command("later", { n: 2 });
  while (parked.length < 2) await turn();
  assertEquals(link.pending, [parked[1]?._request_id]);
  peer.socket.terminate();
  await events.find(({ type }) => type === "closed");
  assertEquals(link.pending, []);
  const again = await server.peers.next();
  await events.find(({ type }) => type === "verdict");
  assert(!link.respond(parked[1]?._request_id ?? "", { data: {} }));
  assertEquals(again.messages.all, []);
  assertEquals(link.log.lines.at(-1)?.level, "warn");
});

linked(
  "Link tells states again after a reconnect, and the new readiness in the handshake",
  {},
  async (rig) => {
    const { link, peer, server } = rig;
    await link.firstVerdict;
    link.setReadiness("playing");
    link.sendEvent("scene_changed", { current_scene: "a" });
    assertEquals((await peer.messages.next()).event, "readiness_changed");
    assertEquals((await peer.messages.next()).event, "scene_changed");
    peer.socket.terminate();
    const again = await server.peers.next();
    assertEquals(again.handshake.readiness, "playing");
    assertEquals((await again.messages.next()).data, { current_scene: "a" });
  },
);

Deno.test("Link goes on by itself where the right server takes the wrong one's place", async () => {
  const wrong = await EditorServer.start({ version: "2.3.0" });
  const { port } = wrong;
  const { link, events } = testLink(port, {
    expectedVersion: "^2.4",
    versionMatches: (_, actual) => actual.startsWith("2.4."),
  });
  await events.find(({ type }) => type === "blocked");
  assertEquals(await link.firstVerdict, { kind: "incompatible", expected: "^2.4", actual: "2.3.0" });
  await wrong.close();
  const right = await EditorServer.start({ port });
  link.unblock();
  assertEquals((await right.peers.next()).sessionId, link.sessionId);
  const verdict = await events.find(({ type }) => type === "verdict");
  assertEquals(verdict.type === "verdict" && verdict.verdict.kind, "ready");
  await link.close();
  await right.close();
});

linked("Link keeps its id and state through a server that is away for a while", {}, async (rig) => {
  const { link, events, server, peer } = rig;
  await link.firstVerdict;
  const { port } = server;
  await server.close();
  await events.find((event) => event.type === "reconnecting" && event.attempt === 1);
  const back = await EditorServer.start({ port });
  assertEquals((await back.peers.next()).sessionId, peer.sessionId);
  await link.close();
  await back.close();
});

const ping = { handlers: { ping: () => ({ data: {} }) } };

linked(
  "Link takes a drop in the middle of a frame for a drop",
  {},
  async ({ peer, link, events, server }) => {
    await link.firstVerdict;
    peer.socket._socket.write(new Uint8Array([0x81, 0x7e, 0x10, 0x00, 0x41, 0x42]));
    peer.socket._socket.destroy();
    const closed = await events.find(({ type }) => type === "closed");
    assertEquals(closed.type === "closed" && closed.code, 1006);
    await server.peers.next();
  },
);

linked("Link hangs up with 1009 on a message over 4 MiB, and comes back", {}, async ({ peer, ...rig }) => {
  await rig.link.firstVerdict;
  peer.socket.send("x".repeat(MESSAGE_LIMIT_BYTES + 1));
  const closed = await rig.events.find(({ type }) => type === "closed");
  assertEquals(closed.type === "closed" && closed.code, 1009);
  assertEquals((await peer.closed).code, 4009);
  await rig.server.peers.next();
});

linked("Link reads a message of exactly 4 MiB", { link: ping }, async ({ peer, events }) => {
  peer.socket.send("x".repeat(MESSAGE_LIMIT_BYTES));
  assertEquals((await peer.command("ping")).status, "ok");
  assert(!events.all.some(({ type }) => type === "closed"));
});

linked("Link leaves the first peer of its session id alone and takes a new id", {
  link: { sessionId: "demo@0000", ...ping },
}, async ({ peer, server }) => {
  const second = testLink(server.port, { sessionId: "demo@0000" });
  const closed = await second.events.find(({ type }) => type === "closed");
  assertEquals(closed, { type: "closed", code: 4001, reason: "session id already registered" });
  await second.events.find(({ type }) => type === "verdict");
  assertEquals([...server.sessions.keys()], ["demo@0000", second.link.sessionId]);
  assertEquals((await peer.command("ping")).status, "ok");
  await second.link.close();
});

const others: [string, (connection: Deno.Conn) => Promise<unknown>][] = [
  ["HTTP", (connection) => connection.write(new TextEncoder().encode("HTTP/1.1 404 Not Found\r\n\r\n"))],
  ["noise", (connection) => connection.write(new Uint8Array([0, 255, 10, 13, 10]))],
  ["a hang-up", () => Promise.resolve()],
];
for (const [what, answer] of others) {
  Deno.test(`Link keeps trying where ${what} is what listens`, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      for await (const connection of listener) {
        await connection.read(new Uint8Array(4_096));
        await answer(connection);
        connection.close();
      }
    })();
    const { link, events, sockets } = testLink(listener.addr.port);
    await events.find((event) => event.type === "reconnecting" && event.attempt === 2);
    assert(sockets.length >= 3);
    assert(events.all.every(({ type }) => type === "reconnecting" || type === "log"));
    await link.close();
    listener.close();
    await serving;
  });
}

Deno.test("Link keeps trying where nobody listens, and says why", async () => {
  const { link, events } = testLink(await freePort());
  const line = await events.find((event) => event.type === "log");
  assert(
    line.type === "log" && /attempt 1; next retry in 1s \(.+\)/.test(line.message),
    JSON.stringify(line),
  );
  await link.close();
});

Deno.test("Link gives up a half-open socket of the real network, and tries again", async () => {
  const clock = new FakeClock();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { link, events, sockets } = testLink(listener.addr.port, { clock });
  await seen(() => sockets.length === 1);
  const held = await listener.accept();
  await clock.advance(5_000);
  await events.find(({ type }) => type === "reconnecting");
  const again = await listener.accept();
  assertEquals(sockets.length, 2);
  const closing = link.close();
  await seen(() => clock.waiting > 0);
  await clock.advance(1_000);
  await closing;
  for (const each of [held, again, listener]) each.close();
});

Deno.test("linkUrl() puts an IPv6 address into brackets", () => {
  assertEquals([linkUrl("127.0.0.1", 9500), linkUrl("::1", 9500)], [
    "ws://127.0.0.1:9500",
    "ws://[::1]:9500",
  ]);
});
