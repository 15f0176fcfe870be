import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DEFERRED, type Handler, type HandlerResult, type LinkOptions } from "../../src/link/mod.ts";
import { type JsonObject, MESSAGE_LIMIT_BYTES, type WireError } from "../../src/link/wire.ts";
import { FakeClock } from "../host/fake_clock.ts";
import { WiredLink } from "./rig.ts";

function commanded(
  name: string,
  handlers: Record<string, Handler>,
  body: (wired: WiredLink) => Promise<void>,
  options?: Partial<LinkOptions>,
): void {
  Deno.test(name, async () => {
    await using wired = new WiredLink({ handlers, ...options });
    await wired.accept();
    await body(wired);
  });
}

const ids = ({ sent }: WiredLink) => sent.map(({ request_id }) => request_id);
const errorOf = (response: JsonObject | undefined) => response?.error as WireError | undefined;
const ping: Handler = () => ({ data: {} });
const later: Handler = () => DEFERRED;

Deno.test("Link runs commands in order and leaves the rest to the next turn after 4 ms", async () => {
  const clock = new FakeClock();
  const monotonic = clock.monotonic.bind(clock);
  let spentMs = 0;
  clock.monotonic = () => monotonic() + spentMs;
  /** How many had run at the end of each turn in which one ran. */
  const turns = new Set<number>();
  let ran = 0;
  const slow = () => {
    ran += 1;
    spentMs += 1;
    queueMicrotask(() => turns.add(ran));
    return { data: {} };
  };
  await using wired = new WiredLink({ handlers: { slow } }, clock);
  await wired.accept();
  await wired.receive(...Array.from({ length: 10 }, (_, n) => ({ request_id: `${n}`, command: "slow" })));
  assertEquals([...turns], [4, 8, 10]);
  assertEquals(ids(wired), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
});

commanded("Link answers what is overdue before it runs anything", { later, ping }, async (wired) => {
  await wired.command("later");
  wired.link.pause();
  await wired.command("ping");
  await wired.advance(4_600);
  assertEquals(wired.sent, []);
  wired.link.resume();
  await wired.turn();
  assertEquals(ids(wired), ["later", "ping"]);
  const error = errorOf(wired.sent[0]);
  assertEquals(error?.code, "DEFERRED_TIMEOUT");
  assertEquals(error?.data, { command: "later", elapsed_ms: 4_600, timeout_ms: 4_500 });
  assertEquals(wired.link.pending, []);
});

commanded(
  "Link waits for a later answer as long as its command may take: 4.5 s, less than the server's own 5 s",
  { render: later, take_screenshot: later, create_script: later, stop_project: later, constructor: later },
  async (wired) => {
    const answeredAtMs: Record<string, number> = {};
    for (const command of ["render", "take_screenshot", "create_script", "stop_project", "constructor"]) {
      await wired.command(command);
    }
    for (const ms of [100, 4_400, 25_500]) {
      const before = wired.sent.length;
      await wired.advance(ms);
      for (const { request_id } of wired.sent.slice(before)) {
        answeredAtMs[String(request_id)] = wired.clock.monotonic();
      }
    }
    assertEquals(answeredAtMs, {
      render: 100,
      create_script: 4_500,
      stop_project: 4_500,
      constructor: 4_500,
      take_screenshot: 30_000,
    });
  },
  { timeoutsMs: { render: 100 } },
);

commanded("Link gives all commands without a time of their own the default that it is told", {
  render: later,
  take_screenshot: later,
  other: later,
}, async (wired) => {
  for (const command of ["render", "take_screenshot", "other"]) await wired.command(command);
  await wired.advance(99);
  assertEquals(wired.sent, []);
  await wired.advance(1);
  assertEquals(ids(wired), ["render"]);
  await wired.advance(59_900);
  assertEquals(ids(wired), ["render", "take_screenshot", "other"]);
  assertEquals(errorOf(wired.sent[2])?.data?.timeout_ms, 60_000);
}, { timeoutsMs: { render: 100 }, defaultTimeoutMs: 60_000 });

commanded("Link names an unknown command and what is similar", {
  create_node: ping,
  ping,
}, async (wired) => {
  for (const command of ["create_nod", "zzz", ""]) await wired.command(command);
  assertEquals(wired.sent.map((response) => errorOf(response)?.code), Array(3).fill("UNKNOWN_COMMAND"));
  assertStringIncludes(errorOf(wired.sent[0])?.message ?? "", '"create_nod". Did you mean create_node?');
  assertEquals(errorOf(wired.sent[0])?.data, { command: "create_nod", similar: ["create_node"] });
  assertEquals(errorOf(wired.sent[1])?.message, 'Unknown command "zzz".');
});

const given: JsonObject[] = [];
commanded("Link gives a handler the request id in a copy of the params, and says it nowhere else", {
  bad: (params) => {
    given.push(params);
    return {};
  },
}, async (wired) => {
  await wired.command("bad", { frames: 3 }, "0123abcd");
  assertEquals(given, [{ frames: 3, _request_id: "0123abcd" }]);
  const told = JSON.stringify([wired.sent.map(({ error }) => error), wired.logs()]);
  assert(!told.includes("_request_id") && !told.includes("0123abcd"), told);
});

const malformed: [what: string, result: unknown][] = [
  ["nothing", undefined],
  ["null", null],
  ["an empty object", {}],
  ["a list as data", { data: [1] }],
  ["a text as error", { error: "no" }],
  ["a text", "done"],
];
for (const [what, result] of malformed) {
  commanded(`Link answers a handler that gives ${what} with an error and one log line`, {
    render: () => result as HandlerResult,
  }, async (wired) => {
    await wired.command("render", { fill: "x".repeat(1_000) });
    const error = errorOf(wired.sent[0]);
    assertEquals(error?.code, "INTERNAL_ERROR");
    assertStringIncludes(error?.message ?? "", 'malformed result of handler "render"');
    assertEquals(error?.data?.handler, "render");
    const { args, backtrace } = error?.data ?? {};
    // 400 characters and the three dots.
    assertEquals([String(args).length, String(args).endsWith("x...")], [403, true]);
    assert(Array.isArray(backtrace) && backtrace.length > 0 && backtrace.length <= 8);
    assertEquals(wired.logs(), [
      'server "docs": handler "render" gave a malformed result (neither data nor error)',
    ]);
    assertEquals(wired.link.log, {
      lines: [{ level: "error", message: wired.logs()[0] ?? "" }],
      total: 1,
    });
  });
}

commanded("Link cuts the arguments of a malformed result at 400 characters, not before", {
  render: () => ({}) as HandlerResult,
}, async (wired) => {
  const exact = { a: "x".repeat(400 - '{"a":""}'.length) };
  await wired.command("render", exact);
  assertEquals(errorOf(wired.sent[0])?.data?.args, JSON.stringify(exact));
});

const good: [what: string, result: HandlerResult, expected: JsonObject][] = [
  ["data", { data: { n: 1 } }, { status: "ok", data: { n: 1 } }],
  ["an error", { error: { code: "WRONG_TYPE", message: "no" } }, {
    status: "error",
    error: { code: "WRONG_TYPE", message: "no" },
  }],
];
for (const [what, result, expected] of good) {
  commanded(`Link answers a handler that gives ${what}`, { render: () => result }, async (wired) => {
    await wired.command("render", {}, "ab");
    assertEquals(wired.sent, [{ request_id: "ab", readiness: "ready", ...expected }]);
  });
}

commanded("Link answers for a handler that throws", {
  bad: () => {
    throw new TypeError("no such node");
  },
  ping,
}, async (wired) => {
  await wired.command("bad");
  await wired.command("ping");
  assertEquals(errorOf(wired.sent[0]), {
    code: "INTERNAL_ERROR",
    message: 'handler "bad" failed: no such node',
  });
  assertEquals(ids(wired), ["bad", "ping"]);
});

commanded("Link drops a late answer with a log line, and a second one too", { later }, async (wired) => {
  await wired.command("later", {}, "a");
  await wired.command("later", {}, "b");
  assert(wired.link.respond("a", { data: {} }));
  assert(!wired.link.respond("a", { data: {} }));
  await wired.advance(4_500);
  assert(!wired.link.respond("b", { data: {} }));
  assert(!wired.link.respond("never", { data: {} }));
  assertEquals(ids(wired), ["a", "b"]);
  assertEquals(wired.logs("warn").length, 3);
});

commanded("Link records a completion only if it was sent", { later }, async (wired) => {
  await wired.command("later", {}, "a");
  wired.link.pause();
  assert(!wired.link.respond("a", { data: {} }));
  assertEquals(wired.link.pending, ["a"]);
  wired.link.resume();
  assert(wired.link.respond("a", { data: {} }));
  assertEquals([ids(wired), wired.link.pending, wired.logs()], [["a"], [], []]);
});

commanded("Link tracks no empty request id, and always takes an answer to one", { later }, async (wired) => {
  await wired.command("later", {}, "");
  assertEquals(wired.link.pending, []);
  assert(wired.link.respond("", { data: {} }));
  assert(wired.link.respond("", { data: {} }));
  await wired.advance(600_000);
  assertEquals(ids(wired), ["", ""]);
});

const gates: PromiseWithResolvers<HandlerResult>[] = [];
commanded("Link takes a promise for a later answer, sent once that is possible", {
  slow: () => {
    const gate = Promise.withResolvers<HandlerResult>();
    gates.push(gate);
    return gate.promise;
  },
  bad: () => Promise.reject(new Error("no")),
  empty: () => Promise.resolve({} as HandlerResult),
}, async (wired) => {
  await wired.command("slow");
  await wired.command("bad");
  await wired.command("empty");
  assertEquals(wired.sent.map((response) => [response.request_id, errorOf(response)?.code]), [
    ["bad", "INTERNAL_ERROR"],
    ["empty", "INTERNAL_ERROR"],
  ]);
  assertEquals(wired.link.pending, ["slow"]);
  wired.socket.bufferedAmount = MESSAGE_LIMIT_BYTES;
  gates[0]?.resolve({ data: { frames: 3 } });
  await wired.advance(100);
  assertEquals(wired.link.pending, ["slow"]);
  wired.socket.bufferedAmount = 0;
  await wired.advance(5);
  assertEquals(wired.sent.at(-1)?.data, { frames: 3 });
  assertEquals(wired.link.pending, []);
});

commanded(
  "Link gives a promise's answer to the request that asked, not to one of the same id on a new connection",
  {
    slow: () => {
      const gate = Promise.withResolvers<HandlerResult>();
      gates.push(gate);
      return gate.promise;
    },
  },
  async (wired) => {
    const before = gates.length;
    await wired.command("slow", {}, "ab");
    await wired.drop();
    await wired.accept();
    await wired.command("slow", {}, "ab");
    gates[before]?.resolve({ data: { n: 1 } });
    await wired.turn();
    assertEquals([wired.sent, wired.link.pending], [[], ["ab"]]);
    gates[before + 1]?.resolve({ data: { n: 2 } });
    await wired.turn();
    assertEquals(wired.sent.map(({ data }) => data), [{ n: 2 }]);
  },
);

commanded("Link runs nothing new while the socket is full, and forgets all with the connection", {
  ping,
  later,
}, async (wired) => {
  await wired.command("later");
  wired.socket.bufferedAmount = MESSAGE_LIMIT_BYTES;
  await wired.command("ping");
  await wired.advance(100);
  assertEquals(wired.sent, []);
  await wired.drop();
  await wired.accept();
  await wired.advance(10_000);
  assertEquals([wired.sent, wired.link.pending], [[], []]);
});

commanded("Link reads no more commands while too many wait to be run", { ping }, async (wired) => {
  wired.socket.bufferedAmount = MESSAGE_LIMIT_BYTES;
  const fill = "x".repeat(4_000_000);
  for (let n = 0; n < 6; n += 1) await wired.command("ping", { fill }, `${n}`);
  wired.socket.bufferedAmount = 0;
  await wired.drop();
  // Five times 4 MB are more than the 16 MiB that may wait: the sixth was never read.
  assertStringIncludes(wired.logs("warn")[0] ?? "", "1 packets were lost with the connection");
});

commanded("Link keeps the newest 500 lines of its log and counts all", {
  bad: () => {
    throw new Error("no");
  },
}, async (wired) => {
  for (let n = 0; n < 1_234; n += 1) wired.socket.receive({ request_id: `${n}`, command: "bad" });
  for (let turns = 0; wired.sent.length < 1_234 && turns < 100; turns += 1) await wired.turn();
  const { lines, total } = wired.link.log;
  assertEquals([lines.length, total], [500, wired.logs().length]);
  assertEquals(lines.map(({ message }) => message), wired.logs().slice(-500));
});
