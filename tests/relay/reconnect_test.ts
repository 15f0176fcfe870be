import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Failure } from "../../src/relay/upstream/upstream.ts";
import { Life, Scene } from "./scene.ts";

const SENT: Failure = { phase: "sent", reason: "it broke" };
const UNSENT: Failure = { phase: "unsent", reason: "connection refused" };

/** Lets a relay go through its delays. */
async function later(scene: Scene): Promise<void> {
  for (let n = 0; n < 40; n++) await scene.settle(50);
}

Deno.test("Relay sends a read again, and lets it wait no longer than it may", async () => {
  const life = new Life();
  const scene = await new Scene([life]).start();
  await scene.say({ id: 1, method: "tools/list" });
  life.isLost();
  assertEquals(scene.told, []);
  await later(scene);
  assertEquals(scene.told.map(({ id, error }) => [id, error.code]), [[1, -32001]]);
});

Deno.test("Relay answers a call that may have run, and never sends it again", async () => {
  const [life, next] = [new Life(), new Life()];
  const scene = await new Scene([life, next]).start();
  const exchange = await scene.say({ id: 1, method: "tools/call" });
  life.isLost();
  await later(scene);
  assertEquals(next.received, []);
  assertStringIncludes(scene.told[0]?.error.message, `"scene" restarted while tools/call`);
  assertStringIncludes(scene.told[0]?.error.message, "may or may not have run");
  assertEquals(scene.to, [{ kind: "answer", exchange, isLast: true }]);
});

Deno.test("Relay says that a server restarted only of one that did", async () => {
  const life = new Life({ sharesStream: false });
  const scene = await new Scene([life]).start();
  scene.fate = "same";
  await scene.say({ id: 1, method: "tools/call" });
  life.fails(SENT);
  await scene.settle(100);
  assertEquals(scene.told, []);
  await later(scene);
  const { message } = scene.told[0]?.error ?? {};
  assertStringIncludes(message, 'The connection to server "scene" was lost while tools/call');
  await scene.say({ id: 2, method: "ping" });
  await later(scene);
  assertEquals(life.messages.map(({ id }) => id), [1, 2]);
});

Deno.test("Relay waits a moment before it says that a server was stopped: it may be restarted", async () => {
  for (
    const [next, expected] of [["replaced", "restarted while"], ["stopped", "was stopped while"]] as const
  ) {
    const life = new Life({ sharesStream: false });
    const scene = await new Scene([life]).start();
    scene.fate = "stopped";
    await scene.say({ id: 1, method: "tools/call" });
    life.fails(SENT);
    await scene.settle(100);
    assertEquals(scene.told, []);
    scene.fate = next;
    await later(scene);
    assertStringIncludes(scene.told[0]?.error.message, `"scene" ${expected}`);
  }
});

Deno.test("Relay gives up a read that every server dies of", async () => {
  const lives = Array.from({ length: 12 }, () => new Life());
  const scene = await new Scene(lives, { timeoutMs: 600_000 }).start();
  await scene.say({ id: 1, method: "tools/list" });
  for (const life of lives) {
    life.isLost();
    await later(scene);
  }
  assertEquals(lives.flatMap(({ received }) => received).length, 10);
  assertEquals(scene.told.map(({ id }) => id), [1]);
});

Deno.test("Relay decides on each request of a batch that a server may have seen", async () => {
  const [life, next] = [new Life(), new Life()];
  const scene = await new Scene([life, next]).start();
  const exchange = await scene.say([{ id: 1, method: "tools/call" }, { id: 2, method: "ping" }]);
  life.isLost();
  await later(scene);
  assertEquals(scene.told.map(({ id }) => id), [1]);
  assertEquals(next.messages, [{ jsonrpc: "2.0", id: 2, method: "ping", params: {} }]);
  await next.says({ jsonrpc: "2.0", id: 2, result: {} });
  assertEquals(scene.to.at(-1), { kind: "answer", exchange, isLast: true });
});

Deno.test("Relay keeps a batch whole that no server saw", async () => {
  const [life, next] = [new Life({ sharesStream: false }), new Life()];
  const scene = await new Scene([life, next]).start();
  const batch = [{ id: 1, method: "tools/call" }, { id: 2, method: "ping" }];
  await scene.say(batch);
  life.fails(UNSENT);
  await later(scene);
  assertEquals(next.messages, [batch]);
});

Deno.test("Relay takes a subscription for new when it has held for a while", async () => {
  const lives = Array.from({ length: 15 }, () => new Life());
  const scene = await new Scene(lives).start();
  await scene.say({ id: 1, method: "subscriptions/listen" });
  for (const life of lives.slice(0, -1)) {
    await later(scene);
    await scene.settle(5001);
    life.isLost();
  }
  await later(scene);
  assertEquals(lives.map(({ received }) => received.length), lives.map(() => 1));
  assertEquals(scene.told, []);
});

Deno.test("Relay restores a session with requests of its own, of which the client hears nothing", async () => {
  const [life, next] = [new Life(), new Life()];
  const scene = await new Scene([life, next]).start();
  const params = { protocolVersion: "2025-06-18" };
  await scene.say({ id: "i", method: "initialize", params });
  await life.says({ jsonrpc: "2.0", id: "i", result: {} });
  await scene.say({ method: "notifications/initialized" });
  const count = scene.told.length;
  life.isLost();
  await later(scene);
  assertEquals(next.messages.map(({ method, params }) => [method, params]), [["initialize", params]]);
  await next.says({ jsonrpc: "2.0", id: next.messages[0].id, result: {} });
  await later(scene);
  assertEquals(next.messages[1].method, "notifications/initialized");
  assertEquals(scene.told.length, count);
});

Deno.test("Relay takes no refused handshake for a restored session", async () => {
  const [life, next, last] = [new Life(), new Life(), new Life()];
  const scene = await new Scene([life, next, last], { timeoutMs: 60_000 }).start();
  await scene.say({ id: "i", method: "initialize" });
  await life.says({ jsonrpc: "2.0", id: "i", result: {} });
  life.isLost();
  await scene.say({ id: 1, method: "tools/list" });
  await later(scene);
  await next.says({ jsonrpc: "2.0", id: next.messages[0].id, error: { code: -32000, message: "no" } });
  await later(scene);
  assertEquals(next.messages.map(({ method }) => method), ["initialize"]);
  await last.says({ jsonrpc: "2.0", id: last.messages[0].id, result: {} });
  await later(scene);
  assertEquals(last.messages.map(({ method }) => method), ["initialize", "tools/list"]);
});

Deno.test("Relay gives a session up that a server of another revision does not know, and tells who waits", async () => {
  const [life, next, last] = [new Life(), new Life(), new Life()];
  let refused = 0;
  const scene = await new Scene([life, next, last], { timeoutMs: 60_000, onSessionRefused: () => refused++ })
    .start();
  await scene.say({ id: "i", method: "initialize" });
  await life.says({ jsonrpc: "2.0", id: "i", result: {} });
  life.isLost();
  await scene.say({ id: 1, method: "tools/call", params: { name: "a" } });
  await later(scene);
  const error = { code: -32022, message: "Unsupported protocol version" };
  await next.says({ jsonrpc: "2.0", id: next.messages[0].id, error });
  await later(scene);
  assertEquals([refused, last.messages.length], [1, 0]);
  const answer = scene.told.find(({ id }) => id === 1);
  assertMatch(answer.error.message, /does not know the session \(Unsupported protocol version\).*not sent/);
  assertEquals(answer.error.data.may_have_run, false);
});

Deno.test("Relay waits 15 s for an answer to a request of its own, then tries again", async () => {
  const [life, silent, last] = [new Life(), new Life(), new Life()];
  const scene = await new Scene([life, silent, last]).start();
  await scene.say({ id: "i", method: "initialize" });
  await life.says({ jsonrpc: "2.0", id: "i", result: {} });
  life.isLost();
  await later(scene);
  assertEquals(silent.received.length, 1);
  assertEquals(last.received.length, 0);
  await scene.settle(15_000);
  await later(scene);
  assertEquals(last.received.length, 1);
});

Deno.test("Relay gives a process that still starts the time that its client would wait", async () => {
  const [life, next] = [new Life(), new Life()];
  next.isFresh = true;
  const scene = await new Scene([life, next, new Life()], { timeoutMs: 60_000 }).start();
  await scene.say({ id: 1, method: "initialize", params: {} });
  await life.says({ id: 1, result: {} });
  await scene.say({ id: 2, method: "resources/read" });
  life.isLost();
  await later(scene);
  await scene.settle(40_000);
  await next.says({ id: next.messages[0].id, result: {} });
  await scene.settle();
  assertEquals(next.messages.map(({ method }) => method), ["initialize", "resources/read"]);
  assertEquals(scene.lives.length, 1);
});

Deno.test("Relay gives two open requests under one id their own answers, and cancels neither", async () => {
  const life = new Life();
  const scene = await new Scene([life]).start();
  const [first, second] = [
    await scene.say({ id: 5, method: "tools/call", params: { name: "a" } }),
    await scene.say({ id: 5, method: "tools/call", params: { name: "b" } }),
  ];
  await scene.say({ method: "notifications/cancelled", params: { requestId: 5 } });
  const [a, b] = life.messages;
  assertEquals(life.messages.length, 2);
  assert(a.id !== b.id);
  await life.says({ jsonrpc: "2.0", id: b.id, result: "b" });
  await life.says({ jsonrpc: "2.0", id: a.id, result: "a" });
  assertEquals(scene.told.map(({ id, result }) => [id, result]), [[5, "b"], [5, "a"]]);
  assertEquals(scene.to.map((to) => to.kind === "answer" && to.exchange), [second, first]);
});

Deno.test("Relay passes a cancellation on under the id that the server knows, and none that names nothing", async () => {
  const life = new Life();
  const scene = await new Scene([life]).start();
  await scene.say({ id: 5, method: "ping" });
  await scene.say({ id: 5, method: "tools/call" });
  await life.says({ jsonrpc: "2.0", id: 5, result: {} });
  await scene.say({ method: "notifications/cancelled", params: { requestId: 5 } });
  await scene.say({ method: "notifications/cancelled", params: { requestId: 5 } });
  await scene.say({ method: "notifications/cancelled", params: { requestId: 9 } });
  const [, call, ...cancelled] = life.messages;
  assertEquals(cancelled.map(({ params }) => params.requestId), [call.id]);
  await life.says({ jsonrpc: "2.0", id: call.id, result: {} });
  assertEquals(scene.told.length, 1);
});

Deno.test("Relay says where its messages belong", async () => {
  const life = new Life();
  const scene = await new Scene([life]).start();
  const params = { _meta: { progressToken: 7 } };
  const call = await scene.say({ id: 1, method: "tools/call", params });
  await life.says({ method: "notifications/progress", params: { progressToken: 7, progress: 1 } });
  await life.says({ id: 0, method: "roots/list" }, life.pendings[0]);
  await life.says({ method: "notifications/message", params: {} });
  await life.says({ id: "1", result: {} });
  assertEquals(scene.to, [
    { kind: "related", exchange: call },
    { kind: "related", exchange: call },
    { kind: "session" },
    { kind: "answer", exchange: call, isLast: true },
  ]);
  assertEquals(scene.told.at(-1), { id: 1, result: {} });
});

Deno.test("Relay tells when the first call is in flight, and when none is", async () => {
  const life = new Life();
  const scene = await new Scene([life]).start();
  await scene.say({ id: 1, method: "tools/call" });
  await scene.settle(500);
  await scene.say({ id: 2, method: "tools/call" });
  assertEquals([scene.busy, scene.relay.oldestCallMs], [[true], 0]);
  await life.says({ id: 1, result: {} });
  assertEquals(scene.relay.oldestCallMs, 500);
  await life.says({ id: 2, result: {} });
  assertEquals([scene.busy, scene.relay.oldestCallMs], [[true, false], null]);
});

Deno.test("Relay keeps no more than a thousand requests for a server that is not there", async () => {
  const scene = await new Scene([], { timeoutMs: 60_000 }).start();
  for (let id = 0; id < 1001; id++) await scene.say({ id, method: "ping" });
  assertEquals(scene.told.map(({ id }) => id), [1000]);
  assertStringIncludes(scene.told[0].error.message, "1000 requests wait");
});

Deno.test("Relay answers what is open when its client has ended its side and the time is over", async () => {
  const life = new Life();
  const scene = await new Scene([life]).start();
  await scene.say({ id: 1, method: "tools/call" });
  await scene.say({ id: 2, method: "tools/call" });
  const finished = scene.relay.finish(1000);
  await life.says({ id: 1, result: {} });
  await scene.settle(1000);
  await finished;
  assertEquals(scene.told.map(({ id, error }) => [id, error?.data.may_have_run]), [[1, undefined], [
    2,
    true,
  ]]);
});

Deno.test("Relay continues a session that an earlier relay kept", async () => {
  const life = new Life();
  const scene = await new Scene([life]).start();
  await scene.say({ id: "i", method: "initialize", params: { protocolVersion: "2025-06-18" } });
  await life.says({ id: "i", result: {} });
  await scene.say({ id: 1, method: "logging/setLevel", params: { level: "error" } });
  await life.says({ id: 1, result: {} });
  const kept = JSON.parse(JSON.stringify(scene.relay.session));
  assertEquals([kept.initialize, kept.logLevel], [{ protocolVersion: "2025-06-18" }, { level: "error" }]);
});

Deno.test("Relay never runs a call twice whose server is gone, or silent, when it is asked about the session", async () => {
  for (const end of ["gone", "silent"] as const) {
    const [life, next] = [new Life({ sharesStream: false }), new Life({ sharesStream: false })];
    life.hasSession = true;
    life.isGood = false;
    const scene = await new Scene([life, next]).start();
    scene.fate = "same";
    await scene.say({ id: 1, method: "tools/call" });
    const answered = life.says({ id: 1, error: { code: -32000, message: "no session with the database" } });
    await scene.settle();
    assertEquals(life.messages.map(({ method }) => method), ["tools/call", "tools/list"]);
    if (end === "gone") life.fails(UNSENT);
    await scene.settle(20_000);
    await answered;
    assertEquals(next.received, [], end);
    assertEquals(scene.told.map(({ id, error }) => [id, error.message]), [[
      1,
      "no session with the database",
    ]]);
  }
});

Deno.test("Relay answers a request once that is refused while it is looked into", async () => {
  const life = new Life({ sharesStream: false });
  life.hasSession = true;
  const scene = await new Scene([life]).start();
  scene.fate = "same";
  await scene.say({ id: 1, method: "tools/call" });
  const answered = life.says({ id: 1, error: { code: -32000, message: "no session with the database" } });
  await scene.settle();
  await scene.say({ method: "notifications/cancelled", params: { requestId: 1 } });
  await life.says({ id: JSON.parse(life.received[1] ?? "{}").id, result: { tools: [] } });
  await answered;
  assertEquals(scene.told, []);
});

Deno.test("Relay asks the next gateway for a read that the one before says may have run, once", async () => {
  const life = new Life({ sharesStream: false });
  const scene = await new Scene([life]).start();
  scene.fate = "unknown";
  const read = { id: 1, method: "resources/read" };
  const lost = { id: 1, error: { code: -32603, message: "lost", data: { may_have_run: true } } };
  await scene.say(read);
  await life.says(lost);
  await later(scene);
  assertEquals(scene.told, []);
  assertEquals(life.messages.length, 2);
  await life.says(lost);
  await later(scene);
  assertEquals(scene.told, [lost]);
});

Deno.test("Relay carries a call past a gateway that is about to end, however often that refuses it", async () => {
  const lives = Array.from({ length: 15 }, () => new Life({ sharesStream: false }));
  const scene = await new Scene(lives, { timeoutMs: 60_000 }).start();
  await scene.say({ id: 1, method: "tools/call" });
  const refusal = { status: 503, code: -32603, text: "", lines: [], wasNotRun: true, isEnding: true };
  for (const life of lives.slice(0, -1)) {
    const [pending] = life.pendings;
    if (pending !== undefined) await life.events?.refused(life, pending, refusal);
    await later(scene);
  }
  await lives.at(-1)?.says({ id: 1, result: {} });
  assertEquals(lives.map(({ received }) => received.length), lives.map(() => 1));
  assertEquals(scene.told, [{ id: 1, result: {} }]);
});
