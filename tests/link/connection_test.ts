import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import type { LinkOptions } from "../../src/link/mod.ts";
import { MESSAGE_LIMIT_BYTES } from "../../src/link/wire.ts";
import { WiredLink } from "./rig.ts";

/** Runs `body` with a link that the server acknowledged. */
function met(name: string, body: (wired: WiredLink) => Promise<void>, options?: Partial<LinkOptions>): void {
  Deno.test(name, async () => {
    await using wired = new WiredLink(options);
    await wired.accept();
    await body(wired);
  });
}

// ------------------------------------------------------------------------------------------ handshake, reconnecting

met("Link sends the handshake before anything else when the socket opens", ({ socket }) => {
  assertEquals(socket.url, "ws://127.0.0.1:9500");
  assertEquals(socket.sent[0], {
    type: "handshake",
    session_id: "demo@0000",
    godot_version: "4.5.0",
    project_path: "/games/demo",
    plugin_version: "2.4.2",
    protocol_version: 1,
    readiness: "ready",
    editor_pid: 812,
    server_launch_mode: "managed",
  });
  return Promise.resolve();
});

Deno.test("Link sends its client's name where it has one", async () => {
  await using wired = new WiredLink({ clientName: "my editor" });
  await wired.accept();
  assertEquals(wired.socket.sent[0]?.client_name, "my editor");
});

met("Link reports open, acknowledgement and verdict in this order", ({ types, link }) => {
  assertEquals(types, ["open", "ack", "verdict"]);
  assertEquals([link.connected, link.serverVersion], [true, "2.4.2"]);
  return Promise.resolve();
});

met("Link reconnects at once after a drop, with a fresh socket to the same address", async (wired) => {
  await wired.drop();
  assertEquals(wired.sockets.length, 2);
  assertEquals(new Set(wired.sockets.map(({ url }) => url)).size, 1);
  await wired.accept();
  assertEquals(wired.socket.sent[0]?.session_id, "demo@0000");
  assertEquals(wired.events.filter(({ type }) => type === "reconnecting"), [
    { type: "reconnecting", attempt: 1, nextRetryS: 1 },
  ]);
});

Deno.test("Link waits after each attempt: 1, 2, 4, 8, 16, 30, 60 s, then 60 s for ever", async () => {
  await using wired = new WiredLink();
  await wired.turn();
  const at: number[] = [];
  for (let n = 0; n < 10; n += 1) {
    const before = wired.sockets.length;
    await wired.drop({ error: "connection refused" });
    while (wired.sockets.length === before) await wired.advance(500);
    at.push(wired.clock.monotonic());
  }
  const waits = at.map((ms, index) => (ms - (at[index - 1] ?? 0)) / 1_000);
  assertEquals(waits, [0, 1, 2, 4, 8, 16, 30, 60, 60, 60]);
  assertStringIncludes(wired.logs()[2] ?? "", "attempt 3; next retry in 4s (connection refused)");
});

Deno.test("Link logs attempts 1 to 5, then every tenth, and never gives up", async () => {
  await using wired = new WiredLink();
  await wired.turn();
  while (wired.attempts < 31) {
    await wired.drop();
    await wired.advance(60_000);
  }
  const logged = wired.logs("info").map((message) => Number(/attempt (\d+);/.exec(message)?.[1]));
  assertEquals(logged, [1, 2, 3, 4, 5, 10, 20, 30]);
  assertEquals(wired.events.filter((event) => event.type === "reconnecting").at(-1)?.attempt, 31);
});

Deno.test("Link resets count and wait on success, so that the next drop is met at once", async () => {
  await using wired = new WiredLink();
  await wired.turn();
  for (const waitMs of [0, 1_000, 2_000]) {
    await wired.drop();
    await wired.advance(waitMs);
  }
  assertEquals(wired.attempts, 3);
  await wired.accept();
  await wired.drop();
  assertEquals(wired.events.findLast((event) => event.type === "reconnecting")?.attempt, 1);
});

Deno.test("Link meets a server that accepts and drops with growing delays, until one acknowledges", async () => {
  await using wired = new WiredLink();
  for (let n = 0; n < 4; n += 1) {
    await wired.open();
    await wired.drop({ code: 1000, reason: "no" });
  }
  // The fourth was met with the delay of the third.
  assertEquals([wired.sockets.length, wired.attempts], [4, 3]);
  assertEquals(
    wired.events.filter(({ type }) => type === "reconnecting").map((event) =>
      event.type === "reconnecting" && event.attempt
    ),
    [1, 1, 1],
  );
  assertStringIncludes(wired.logs("info").at(-1) ?? "", "(1000 no)");
  await wired.advance(999);
  assertEquals(wired.sockets.length, 4);
  await wired.advance(1);
  assertEquals(wired.events.findLast((event) => event.type === "reconnecting")?.attempt, 2);
  await wired.accept();
  await wired.drop();
  assertEquals(wired.events.findLast((event) => event.type === "reconnecting")?.attempt, 1);
});

Deno.test("Link gives up a half-open socket after 5 s and tries again", async () => {
  await using wired = new WiredLink();
  await wired.advance(4_999);
  assertEquals(wired.sockets.length, 1);
  await wired.advance(1);
  assertEquals(wired.sockets.length, 2);
  assertEquals(wired.sockets[0]?.left, { code: 1000, reason: "Plugin unloading" });
  assertStringIncludes(wired.logs()[0] ?? "", "no WebSocket handshake within 5000 ms");
});

Deno.test("Link goes on when the platform refuses to make a socket", async () => {
  await using wired = new WiredLink();
  await wired.accept();
  wired.sockets.push = () => {
    throw new Error("no sockets left");
  };
  await wired.drop();
  Reflect.deleteProperty(wired.sockets, "push");
  assertEquals(wired.sockets.length, 1);
  await wired.advance(1_000);
  assertStringIncludes(wired.logs("info").at(-1) ?? "", "(no sockets left)");
  await wired.accept();
  assert(wired.link.connected);
});

met("Link takes a new id at once where the server has its own already", async (wired) => {
  await wired.drop({ code: 4001, reason: "session id already registered" });
  assertEquals(wired.events.findLast(({ type }) => type === "closed"), {
    type: "closed",
    code: 4001,
    reason: "session id already registered",
  });
  await wired.accept();
  const { sessionId } = wired.link;
  assertNotEquals(sessionId, "demo@0000");
  assertEquals(wired.socket.sent[0]?.session_id, sessionId);
  assertStringIncludes(wired.logs("warn")[0] ?? "", `demo@0000 is taken; going on as ${sessionId}`);
  assert(wired.types.includes("session"));
});

const slugs: [path: string, slug: string][] = [
  ["/home/me/My Game", "my-game"],
  ["/home/me/my_game/", "my-game"],
  ["C:\\Users\\me\\Games\\Dungeon 2", "dungeon-2"],
  ["--Weird!!__Name--", "weird-name"],
  ["/a/Ünïcode", "n-code"],
  ["/a/日本", "project"],
  ["/", "project"],
  ["", "project"],
  ["/a/...", "project"],
];

for (const [projectPath, slug] of slugs) {
  Deno.test(`Link makes its id of ${JSON.stringify(projectPath)}: ${slug}@4hex`, async () => {
    await using wired = new WiredLink({ projectPath, sessionId: undefined });
    assertMatch(wired.link.sessionId, new RegExp(`^${slug}@[0-9a-f]{4}$`));
  });
}

Deno.test("Link makes another id for every link", async () => {
  const ids = await Promise.all(Array.from({ length: 8 }, async () => {
    await using wired = new WiredLink({ sessionId: undefined });
    return wired.link.sessionId;
  }));
  assertNotEquals(new Set(ids).size, 1);
});

// ---------------------------------------------------------------------------------------------------------- verdict

Deno.test("Link gives a server 5 s from the opening of the socket to acknowledge, not from the start", async () => {
  await using wired = new WiredLink();
  await wired.advance(4_000);
  await wired.open();
  await wired.advance(4_999);
  assertEquals(wired.types, ["open"]);
  await wired.advance(1);
  assertEquals(wired.types, ["open", "verdict", "closed", "blocked"]);
  assertEquals(wired.events.find(({ type }) => type === "verdict"), {
    type: "verdict",
    verdict: {
      kind: "unverified",
      expected: null,
      actual: "",
      error: "missing_handshake_ack",
      statusCode: 0,
    },
  });
  assertEquals(wired.socket.left, { code: 1000, reason: "Plugin unloading" });
});

Deno.test("Link accepts an acknowledgement that is read in the turn of the deadline", async () => {
  await using wired = new WiredLink();
  await wired.open();
  wired.link.pause();
  await wired.receive({ type: "handshake_ack", server_version: "2.4.2" });
  await wired.advance(60_000);
  wired.link.resume();
  await wired.turn();
  assertEquals(wired.types, ["open", "ack", "verdict"]);
  assertEquals((await wired.link.firstVerdict)?.kind, "ready");
});

Deno.test("Link gives each connection its own 5 s to acknowledge", async () => {
  await using wired = new WiredLink();
  await wired.open();
  await wired.advance(4_000);
  await wired.drop();
  await wired.open();
  await wired.advance(4_999);
  assert(!wired.types.includes("blocked"));
  await wired.advance(1);
  assert(wired.types.includes("blocked"));
});

Deno.test("Link asks the given predicate whether a version is right, and nothing for an expected null", async () => {
  const asked: string[] = [];
  const versionMatches = (expected: string, actual: string) => {
    asked.push(`${expected} ${actual}`);
    return actual === "2.4.9";
  };
  await using right = new WiredLink({ expectedVersion: "^2.4", versionMatches });
  await right.accept("2.4.9");
  assertEquals(await right.link.firstVerdict, { kind: "ready", expected: "^2.4", actual: "2.4.9" });
  await using any = new WiredLink({ expectedVersion: null, versionMatches });
  await any.accept("3.0.0");
  assertEquals(await any.link.firstVerdict, { kind: "ready", expected: null, actual: "3.0.0" });
  assertEquals(asked, ["^2.4 2.4.9"]);
});

Deno.test("Link blocks itself and leaves where the version is another one", async () => {
  await using wired = new WiredLink({ expectedVersion: "2.4.2" });
  await wired.accept("2.3.0");
  assertEquals(wired.socket.left, { code: 1000, reason: "Plugin unloading" });
  assertEquals(wired.types, ["open", "ack", "verdict", "closed", "blocked"]);
  assertEquals(await wired.link.firstVerdict, { kind: "incompatible", expected: "2.4.2", actual: "2.3.0" });
  const [reason, ...more] = wired.logs("error");
  assertStringIncludes(reason ?? "", 'server "docs": it says version 2.3.0, but version 2.4.2');
  assertStringIncludes(reason ?? "", 'foster status "docs"');
  assertEquals(more, []);
  await wired.advance(600_000);
  assertEquals([wired.sockets.length, `server "docs": ${wired.link.blocked}`], [1, reason]);
});

Deno.test("Link that is blocked goes on by itself when it is unblocked, with a verdict of its own", async () => {
  await using wired = new WiredLink({ expectedVersion: "2.4.2" });
  await wired.accept("2.3.0");
  wired.link.sendEvent("scene_changed", { current_scene: "a" });
  wired.link.unblock();
  assertEquals([wired.link.blocked, wired.link.serverVersion], [null, ""]);
  await wired.accept("2.4.2");
  assertEquals(wired.types, [
    ...["open", "ack", "verdict", "closed", "blocked"],
    ...["unblocked", "reconnecting", "open", "ack", "verdict"],
  ]);
  assertEquals(wired.socket.sent[0]?.session_id, "demo@0000");
  assertEquals(wired.sent.map(({ data }) => data), [{ current_scene: "a" }]);
});

Deno.test("Link that is unblocked goes to the port, and by the versions, that it is given", async () => {
  await using wired = new WiredLink({ expectedVersion: "2.4.2" });
  await wired.accept("2.3.0");
  wired.link.unblock({ port: 9700, expectedVersion: "2.5.0", clientVersion: "2.5.0", launchMode: "uvx" });
  await wired.accept("2.5.0");
  assertEquals(wired.socket.url, "ws://127.0.0.1:9700");
  const { plugin_version, server_launch_mode, session_id } = wired.socket.sent[0] ?? {};
  assertEquals([plugin_version, server_launch_mode, session_id], ["2.5.0", "uvx", "demo@0000"]);
  assertEquals((await wired.link.firstVerdict)?.kind, "incompatible");
  const verdicts = wired.events.filter((event) => event.type === "verdict");
  assertEquals(verdicts.map(({ verdict }) => verdict.kind), ["incompatible", "ready"]);
});

Deno.test("Link that is not blocked is not changed by unblock()", async () => {
  await using wired = new WiredLink();
  await wired.accept();
  wired.link.unblock({ port: 9700 });
  await wired.turn();
  assertEquals(wired.types, ["open", "ack", "verdict"]);
  assertEquals(wired.sockets.length, 1);
});

Deno.test("Link that is closed while it is blocked ends", async () => {
  const wired = new WiredLink({ blockedReason: "wrong server" });
  await wired.turn();
  assertEquals(wired.link.blocked, "wrong server");
  await wired.link.close();
  await wired.link.ended;
  wired.link.unblock();
  await wired.turn();
  assertEquals([wired.sockets, wired.types], [[], ["blocked"]]);
});

Deno.test("Link that was blocked before it began opens nothing, says why once, and goes on when unblocked", async () => {
  await using wired = new WiredLink({ blockedReason: "wrong server" });
  await wired.advance(60_000);
  assertEquals([wired.sockets.length, wired.logs()], [0, ['server "docs": wrong server']]);
  wired.link.unblock();
  await wired.accept();
  assertEquals(wired.types, ["blocked", "unblocked", "open", "ack", "verdict"]);
});

met("Link takes the first acknowledgement and ignores a second", async (wired) => {
  await wired.receive({ type: "handshake_ack", server_version: "9.9.9" });
  assertEquals(wired.link.serverVersion, "2.4.2");
  assertEquals(wired.types, ["open", "ack", "verdict"]);
  assertEquals(wired.logs("warn"), ['server "docs": ignored a second acknowledgement']);
});

Deno.test("Link waits on for a version after an acknowledgement with a number", async () => {
  await using wired = new WiredLink();
  await wired.accept(2.4);
  assertEquals(wired.link.serverVersion, "");
  await wired.receive({ type: "handshake_ack", server_version: "2.4.2" });
  assertEquals(wired.types, ["open", "ack", "ack", "verdict"]);
});

// --------------------------------------------------------------------------------------------------- leaving, pauses

met(
  "Link leaves with 1000 and is not connected, with no server version, from that moment on",
  async (wired) => {
    const closing = wired.link.close();
    assertEquals([wired.link.connected, wired.link.serverVersion], [false, ""]);
    assertEquals(wired.socket.left, { code: 1000, reason: "Plugin unloading" });
    await closing;
    await wired.link.close();
    assertEquals(wired.types, ["open", "ack", "verdict", "closed"]);
  },
);

met("Link reports an opening and an end once each", async (wired) => {
  await wired.drop({ code: 1000, reason: "done" });
  assertEquals(wired.events.findLast(({ type }) => type === "closed"), {
    type: "closed",
    code: 1000,
    reason: "done",
  });
  await wired.accept();
  await wired.link.close();
  assertEquals(wired.types.filter((type) => type === "open" || type === "closed"), [
    "open",
    "closed",
    "open",
    "closed",
  ]);
});

met("Link forgets version and spill with the connection, but keeps the pause depth", async (wired) => {
  wired.link.pause();
  wired.link.pause();
  await wired.receive(...pings(40));
  wired.link.resume();
  await wired.drop();
  assertEquals([wired.link.connected, wired.link.serverVersion, wired.link.paused], [true, "2.4.2", true]);
  wired.link.resume();
  await wired.turn();
  assertEquals([wired.link.connected, wired.link.serverVersion, wired.link.spilled], [false, "", 0]);
});

met("Link that is paused reads, sends and reconnects nothing", async (wired) => {
  wired.link.pause();
  await wired.command("ping");
  assert(!wired.link.sendEvent("custom", {}));
  wired.link.sendEvent("scene_changed", { current_scene: "a" });
  assertEquals([wired.sent, wired.link.respond("", { data: {} })], [[], false]);
  await wired.drop();
  await wired.advance(60_000);
  assertEquals(wired.sockets.length, 1);
  wired.link.resume();
  await wired.accept();
  assertEquals(wired.sent, [{ type: "event", event: "scene_changed", data: { current_scene: "a" } }]);
}, { handlers: { ping: () => ({ data: {} }) } });

met("Link counts its pauses and never below none", ({ link }) => {
  link.resume();
  link.pause();
  link.pause();
  link.resume();
  assert(link.paused);
  link.resume();
  assert(!link.paused);
  return Promise.resolve();
});

// ---------------------------------------------------------------------------------------------------------- reading

function pings(count: number): unknown[] {
  return Array.from({ length: count }, (_, n) => ({ request_id: `${n}`, command: "ping" }));
}

const answering = { handlers: { ping: () => ({ data: {} }) } };

met("Link reads 32 packets a turn; exactly 32 are no spill", async (wired) => {
  await wired.receive(...pings(32));
  assertEquals([wired.sent.length, wired.link.spilled, wired.logs("warn")], [32, 0, []]);
}, answering);

met("Link adds up what stays behind at each turn, and loses none of it", async (wired) => {
  await wired.receive(...pings(2 * 32 + 5));
  assertEquals(wired.link.spilled, 37 + 5);
  assertEquals(wired.logs("warn"), [
    'server "docs": 37 packets wait for a later tick (32 are read in one; 37 waited so far)',
    'server "docs": 5 packets wait for a later tick (32 are read in one; 42 waited so far)',
  ]);
  assertEquals(
    wired.sent.map(({ request_id }) => Number(request_id)),
    Array.from({ length: 69 }, (_, n) => n),
  );
}, answering);

met("Link ignores what it does not know, warns of what it can't read, and lives on", async (wired) => {
  wired.socket.receiveRaw("{nope");
  wired.socket.receiveRaw(new Uint8Array([1, 2, 3]).buffer);
  await wired.receive([], 5, "text", null, { type: "weather" }, { command: "x" });
  await wired.command("ping");
  assertEquals(wired.sent.length, 1);
  assertEquals(wired.logs("warn"), [
    'server "docs": ignored text that is not JSON (5 characters)',
    'server "docs": ignored a binary frame of 3 bytes',
  ]);
}, answering);

met(
  "Link hangs up on a server that sends without end while nobody reads, frames without text included",
  async (wired) => {
    wired.link.pause();
    const empty = new Uint8Array(0).buffer;
    for (let n = 0; n < 2_000_000 && wired.socket.left === null; n += 1) wired.socket.receiveRaw(empty);
    assertEquals(wired.socket.left?.code, 4009);
    wired.link.resume();
    await wired.turn();
    const closed = wired.events.findLast(({ type }) => type === "closed");
    assertEquals(closed?.type === "closed" && closed.code, 1009);
  },
);

// ---------------------------------------------------------------------------------------------------------- sending

/** An event whose message has exactly that many bytes; `character` fills it. */
function eventOf(bytes: number, character = "x"): { fill: string } {
  const frame = JSON.stringify({ type: "event", event: "big", data: { fill: "" } }).length;
  return { fill: character.repeat((bytes - frame) / new TextEncoder().encode(character).length) };
}

met("Link sends a message of exactly 4 194 304 bytes, and refuses one byte more", ({ link, socket }) => {
  assertEquals(MESSAGE_LIMIT_BYTES, 4_194_304);
  assert(!link.sendEvent("big", eventOf(MESSAGE_LIMIT_BYTES + 1)));
  assertEquals(socket.sent.length, 1);
  assert(link.sendEvent("big", eventOf(MESSAGE_LIMIT_BYTES)));
  assertEquals(socket.sent.length, 2);
  return Promise.resolve();
});

met("Link counts bytes, not characters, towards the limit", ({ link }) => {
  assert(link.sendEvent("big", eventOf(MESSAGE_LIMIT_BYTES - 1, "é")));
  assert(!link.sendEvent("big", eventOf(MESSAGE_LIMIT_BYTES + 1, "é")));
  assert(!link.sendEvent("big", eventOf(MESSAGE_LIMIT_BYTES * 2, "日")));
  return Promise.resolve();
});

met("Link counts what waits in the socket towards the limit", ({ link, socket }) => {
  socket.bufferedAmount = MESSAGE_LIMIT_BYTES - 1_000;
  assert(!link.sendEvent("big", eventOf(1_001)));
  assert(link.sendEvent("big", eventOf(1_000)));
  return Promise.resolve();
});

met("Link puts an error in the place of an answer over the limit, which counts as sent", async (wired) => {
  wired.socket.bufferedAmount = 10;
  wired.link.setReadiness("playing");
  await wired.command("big", {}, "ab");
  const message_bytes = MESSAGE_LIMIT_BYTES +
    JSON.stringify({ request_id: "ab", status: "ok", data: { fill: "" }, readiness: "playing" }).length;
  const answer = wired.sent.at(-1);
  assertEquals(answer, {
    request_id: "ab",
    status: "error",
    data: {},
    error: {
      code: "INTERNAL_ERROR",
      message: (answer?.error as { message: string }).message,
      data: { buffered_bytes: 10, message_bytes, limit_bytes: MESSAGE_LIMIT_BYTES },
    },
    readiness: "playing",
  });
  assertEquals(wired.events.at(-1), {
    type: "backpressure",
    requestId: "ab",
    action: "replaced",
    overflow: { bufferedBytes: 10, messageBytes: message_bytes, limitBytes: MESSAGE_LIMIT_BYTES },
  });
}, { handlers: { big: () => ({ data: { fill: "x".repeat(MESSAGE_LIMIT_BYTES) } }) } });

met("Link drops, logs and fails an answer where not even the error fits", async (wired) => {
  await wired.command("later");
  wired.socket.bufferedAmount = MESSAGE_LIMIT_BYTES - 100;
  assert(!wired.link.respond("later", { data: { fill: "x".repeat(500) } }));
  assertEquals(wired.sent, []);
  assertEquals(wired.logs("error").length, 1);
  const told = wired.events.findLast((event) => event.type === "backpressure");
  assertEquals([told?.requestId, told?.action], ["later", "dropped"]);
  assertEquals(told?.overflow.bufferedBytes, MESSAGE_LIMIT_BYTES - 100);
  assertEquals(wired.link.pending, ["later"]);
}, { handlers: { later: () => ({ deferred: true }) } });

// ----------------------------------------------------------------------------------------------------------- states

const scene = (current_scene: string) => ({ current_scene });

met("Link sends a state that did not fit as soon as it does, the latest value only", async (wired) => {
  wired.socket.bufferedAmount = MESSAGE_LIMIT_BYTES;
  wired.link.sendEvent("scene_changed", scene("a"));
  wired.link.sendEvent("scene_changed", scene("b"));
  await wired.advance(50);
  assertEquals(wired.sent, []);
  wired.socket.bufferedAmount = 0;
  await wired.advance(5);
  assertEquals(wired.sent.map(({ data }) => data), [scene("b")]);
  await wired.advance(600_000);
  assertEquals(wired.sent.length, 1);
});

met("Link takes the handshake's readiness for sent, and repeats the other states", async (wired) => {
  wired.link.setReadiness("ready");
  assertEquals(wired.sent, []);
  wired.link.setReadiness("playing");
  wired.link.setReadiness("playing");
  wired.link.sendEvent("scene_changed", scene("a"));
  wired.link.sendEvent("scene_changed", scene("a"));
  assertEquals(wired.sent.map(({ data }) => data), [{ readiness: "playing" }, scene("a"), scene("a")]);
  await wired.drop();
  await wired.accept();
  assertEquals(wired.socket.sent[0]?.readiness, "playing");
  assertEquals(wired.sent.map(({ data }) => data), [scene("a")]);
});

met("Link keeps states, but no other event, while there is no connection", async (wired) => {
  await wired.drop();
  assert(!wired.link.sendEvent("custom", {}));
  assert(wired.link.sendEvent("play_state_changed", { play_state: "playing" }));
  wired.link.setReadiness("playing");
  await wired.accept();
  assertEquals(wired.sent.map(({ event }) => event), ["play_state_changed"]);
});
