import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Dispatcher, type Handler } from "../../src/link/dispatcher.ts";
import { DEFERRED, type HandlerResult } from "../../src/link/results.ts";
import type { JsonObject, Reply } from "../../src/link/wire.ts";
import { FakeClock, settle } from "../host/fake_clock.ts";

interface Rig {
  dispatcher: Dispatcher;
  clock: FakeClock;
  replies: [requestId: string, reply: Reply][];
  logs: string[];
  /** Whether answers can be sent. */
  line: { open: boolean; room: boolean };
  enqueue(command: string, params?: JsonObject, requestId?: string): void;
}

function rig(handlers: Record<string, Handler>, timeoutsMs: Record<string, number> = {}): Rig {
  const clock = new FakeClock();
  const replies: [string, Reply][] = [];
  const logs: string[] = [];
  const line = { open: true, room: true };
  const dispatcher = new Dispatcher(clock, {
    handlers: new Map(Object.entries(handlers)),
    fallback: null,
    timeoutsMs: new Map(Object.entries(timeoutsMs)),
    reply: (requestId, reply) => {
      if (line.open) replies.push([requestId, reply]);
      return line.open;
    },
    room: () => line.room,
    log: (level, message) => logs.push(`[${level}] ${message}`),
    wake: () => undefined,
  });
  const enqueue = (command: string, params: JsonObject = {}, requestId = command) => {
    dispatcher.enqueue({ requestId, command, params, size: 10 });
  };
  return { dispatcher, clock, replies, logs, line, enqueue };
}

const ids = (replies: [string, Reply][]) => replies.map(([requestId]) => requestId);

Deno.test("Dispatcher runs commands in order and leaves the rest after 4 ms", () => {
  const { dispatcher, clock, replies, enqueue } = rig({ slow: () => ({ data: {} }) });
  const monotonic = clock.monotonic.bind(clock);
  let spentMs = 0;
  clock.monotonic = () => monotonic() + (spentMs += 1);
  for (let n = 0; n < 10; n += 1) enqueue("slow", {}, `${n}`);
  dispatcher.tick();
  assertEquals(ids(replies), ["0", "1", "2", "3"]);
  assertEquals([dispatcher.queued, dispatcher.backlog], [6, 60]);
  dispatcher.tick();
  assertEquals(ids(replies), ["0", "1", "2", "3", "4", "5", "6", "7"]);
});

Deno.test("Dispatcher answers what is overdue before it runs anything", async () => {
  const { dispatcher, clock, replies, enqueue } = rig({ later: () => DEFERRED, ping: () => ({ data: {} }) });
  enqueue("later");
  dispatcher.tick();
  assertEquals(dispatcher.nextDeadlineMs, 4_500);
  enqueue("ping");
  await clock.advance(4_600);
  dispatcher.tick();
  assertEquals(ids(replies), ["later", "ping"]);
  assertEquals(replies[0]?.[1].error?.code, "DEFERRED_TIMEOUT");
  assertEquals(replies[0]?.[1].error?.data, { command: "later", elapsed_ms: 4_600, timeout_ms: 4_500 });
  assertEquals(dispatcher.pending, []);
});

Deno.test("Dispatcher waits as long as a command's own timeout says", async () => {
  const handlers = { take_screenshot: () => DEFERRED, render: () => DEFERRED, create_script: () => DEFERRED };
  const { dispatcher, clock, replies, enqueue } = rig(handlers, { render: 100 });
  for (const command of Object.keys(handlers)) enqueue(command);
  const answeredAt: [string, number][] = [];
  for (const ms of [100, 4_400, 25_500]) {
    dispatcher.tick();
    await clock.advance(ms);
    dispatcher.tick();
    for (const [requestId] of replies.splice(0)) answeredAt.push([requestId, clock.monotonic()]);
  }
  assertEquals(answeredAt, [["render", 100], ["create_script", 4_500], ["take_screenshot", 30_000]]);
});

Deno.test("Dispatcher names an unknown command and what is similar", () => {
  const { dispatcher, replies, enqueue } = rig({
    create_node: () => ({ data: {} }),
    ping: () => ({ data: {} }),
  });
  enqueue("create_nod");
  enqueue("zzz");
  enqueue("");
  dispatcher.tick();
  assertEquals(replies.map(([, reply]) => reply.error?.code), Array(3).fill("UNKNOWN_COMMAND"));
  assertStringIncludes(
    replies[0]?.[1].error?.message ?? "",
    '"create_nod". Did you mean create_node?',
  );
  assertEquals(replies[1]?.[1].error?.message, 'Unknown command "zzz".');
});

Deno.test("Dispatcher gives the request id in a copy of the params, and nowhere else", () => {
  const params = { frames: 3 };
  const seen: JsonObject[] = [];
  const { dispatcher, replies, logs, enqueue } = rig({
    bad: (given) => {
      seen.push(given);
      return {};
    },
  });
  enqueue("bad", params, "0123abcd");
  dispatcher.tick();
  assertEquals(seen, [{ frames: 3, _request_id: "0123abcd" }]);
  assertEquals(params, { frames: 3 });
  const told = JSON.stringify([replies.map(([, reply]) => reply), logs]);
  assert(!told.includes("_request_id") && !told.includes("0123abcd"), told);
});

Deno.test("Dispatcher answers a malformed result with an error and one log line", () => {
  for (const result of [{}, null, undefined]) {
    const { dispatcher, replies, logs, enqueue } = rig({ render: () => result as HandlerResult });
    enqueue("render", { fill: "x".repeat(1_000) });
    dispatcher.tick();
    const error = replies[0]?.[1].error;
    assertEquals(error?.code, "INTERNAL_ERROR");
    assertStringIncludes(error?.message ?? "", "malformed result");
    assertStringIncludes(error?.message ?? "", `x...`);
    assertEquals(error?.data?.handler, "render");
    const backtrace = error?.data?.backtrace;
    assert(Array.isArray(backtrace) && backtrace.length > 0 && backtrace.length <= 8);
    assertEquals(logs, ['[error] handler "render" gave a malformed result (neither data nor error)']);
  }
});

Deno.test("Dispatcher answers for a handler that throws", () => {
  const { dispatcher, replies, enqueue } = rig({
    bad: () => {
      throw new TypeError("no such node");
    },
    ping: () => ({ data: {} }),
  });
  enqueue("bad");
  enqueue("ping");
  dispatcher.tick();
  assertEquals(replies[0]?.[1].error, {
    code: "INTERNAL_ERROR",
    message: 'handler "bad" failed: no such node',
  });
  assertEquals(ids(replies), ["bad", "ping"]);
});

Deno.test("Dispatcher drops a late answer with a log line, and a second one too", async () => {
  const { dispatcher, clock, replies, logs, enqueue } = rig({ later: () => DEFERRED });
  enqueue("later", {}, "a");
  enqueue("later", {}, "b");
  dispatcher.tick();
  assert(dispatcher.respond("a", { data: {} }));
  assert(!dispatcher.respond("a", { data: {} }));
  await clock.advance(4_500);
  dispatcher.tick();
  assert(!dispatcher.respond("b", { data: {} }));
  assert(!dispatcher.respond("never", { data: {} }));
  assertEquals(ids(replies), ["a", "b"]);
  assertEquals(logs.length, 3);
});

Deno.test("Dispatcher records a completion only if it was sent", () => {
  const { dispatcher, line, replies, logs, enqueue } = rig({ later: () => DEFERRED });
  enqueue("later", {}, "a");
  dispatcher.tick();
  line.open = false;
  assert(!dispatcher.respond("a", { data: {} }));
  assertEquals(dispatcher.pending, ["a"]);
  line.open = true;
  assert(dispatcher.respond("a", { data: {} }));
  assertEquals([ids(replies), logs], [["a"], []]);
});

Deno.test("Dispatcher tracks no empty request id, and always takes an answer to one", () => {
  const { dispatcher, replies, enqueue } = rig({ later: () => DEFERRED });
  enqueue("later", {}, "");
  dispatcher.tick();
  assertEquals([dispatcher.pending, dispatcher.nextDeadlineMs], [[], null]);
  assert(dispatcher.respond("", { data: {} }));
  assert(dispatcher.respond("", { data: {} }));
  assertEquals(ids(replies), ["", ""]);
});

Deno.test("Dispatcher takes a promise for a later answer, sent once that is possible", async () => {
  const gate = Promise.withResolvers<HandlerResult>();
  const { dispatcher, line, replies, enqueue } = rig({
    slow: () => gate.promise,
    bad: () => Promise.reject(new Error("no")),
    empty: () => Promise.resolve({}),
  });
  enqueue("slow");
  enqueue("bad");
  enqueue("empty");
  dispatcher.tick();
  assertEquals([replies, dispatcher.pending], [[], ["slow", "bad", "empty"]]);
  await settle();
  assertEquals(replies.map(([requestId, { error }]) => [requestId, error?.code]), [
    ["bad", "INTERNAL_ERROR"],
    ["empty", "INTERNAL_ERROR"],
  ]);
  line.open = false;
  gate.resolve({ data: { frames: 3 } });
  await settle();
  assert(dispatcher.hasUnsent);
  line.open = true;
  dispatcher.tick();
  assertEquals(replies.at(-1), ["slow", { status: undefined, data: { frames: 3 }, error: undefined }]);
  assertEquals([dispatcher.pending, dispatcher.hasUnsent], [[], false]);
});

Deno.test("Dispatcher runs nothing new while the socket is full, and forgets all on reset", () => {
  const { dispatcher, line, replies, enqueue } = rig({ ping: () => ({ data: {} }), later: () => DEFERRED });
  enqueue("later");
  dispatcher.tick();
  line.room = false;
  enqueue("ping");
  dispatcher.tick();
  assertEquals([replies, dispatcher.queued], [[], 1]);
  dispatcher.reset();
  line.room = true;
  dispatcher.tick();
  assertEquals([replies, dispatcher.queued, dispatcher.backlog, dispatcher.pending], [[], 0, 0, []]);
});
