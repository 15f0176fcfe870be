import { assertEquals, assertStringIncludes } from "@std/assert";
import type { SingleMessage } from "../../src/relay/message.ts";
import {
  decideRefusal,
  decideRetry,
  interruptedError,
  isDoubtful,
  notReadyError,
  type Phase,
  type Refusal,
  type RefusalContext,
  type RefusalStep,
} from "../../src/relay/retry.ts";

const request = (method: string, params = {}): SingleMessage => ({
  kind: "request",
  id: "1",
  method,
  params,
});
const notification = (method: string): SingleMessage => ({ kind: "notification", method, params: {} });

const SAFE = [
  "initialize",
  "ping",
  "server/discover",
  "tools/list",
  "prompts/list",
  "prompts/get",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "resources/subscribe",
  "resources/unsubscribe",
  "subscriptions/listen",
  "completion/complete",
  "logging/setLevel",
];
const UNSAFE = ["tools/call", "tasks/cancel", "sampling/createMessage", "somebody/elses", "constructor"];

for (const method of SAFE) {
  Deno.test(`decideRetry() sends ${method} again when it may have been received`, () =>
    assertEquals(decideRetry(request(method), "sent"), { kind: "send" }));
}
for (const method of UNSAFE) {
  Deno.test(`decideRetry() refuses to send ${method} again when it may have been received`, () =>
    assertEquals(decideRetry(request(method), "sent"), { kind: "refuse" }));
  for (const phase of ["unsent", "rejected"] as const) {
    Deno.test(`decideRetry() sends ${method} when it was ${phase}`, () =>
      assertEquals(decideRetry(request(method), phase), { kind: "send" }));
  }
}

const OTHERS: [string, SingleMessage, Phase, ReturnType<typeof decideRetry>][] = [
  ["drops an answer to a server that is gone", { kind: "response", id: "1" }, "unsent", { kind: "drop" }],
  ["drops a cancellation", notification("notifications/cancelled"), "unsent", { kind: "drop" }],
  ["drops progress", notification("notifications/progress"), "unsent", { kind: "drop" }],
  ["sends news of roots", notification("notifications/roots/list_changed"), "unsent", { kind: "send" }],
  ["does not repeat news of roots", notification("notifications/roots/list_changed"), "sent", {
    kind: "drop",
  }],
  ["refuses a read that makes a task", request("prompts/get", { task: {} }), "sent", { kind: "refuse" }],
];
for (const [what, message, phase, expected] of OTHERS) {
  Deno.test(`decideRetry() ${what} when it was ${phase}`, () =>
    assertEquals(decideRetry(message, phase), expected));
}

Deno.test("interruptedError() says which server, and that the call may have run", () => {
  const error = interruptedError("docs", {
    method: "tools/call",
    reason: "connection reset",
    fate: "replaced",
  });
  assertStringIncludes(error.message, `"docs" restarted while tools/call was in flight (connection reset)`);
  assertStringIncludes(error.message, "may or may not have run");
  assertEquals(error.data, { server: "docs", method: "tools/call", may_have_run: true });
});

Deno.test("notReadyError() says how long was waited, and what to type", () => {
  const error = notReadyError("docs", { waitedMs: 1500, reason: "connection refused" });
  assertStringIncludes(error.message, "1.5 s (connection refused)");
  assertStringIncludes(error.message, `foster status "docs"`);
});

for (
  const [fate, expected] of [
    ["replaced", `Server "docs" restarted while`],
    ["stopped", `Server "docs" was stopped while`],
    ["same", `The connection to server "docs" was lost while`],
    ["unknown", `The connection to server "docs" was lost while`],
  ] as const
) {
  Deno.test(`interruptedError() says of a process that is ${fate} only what happened to it`, () => {
    const { message } = interruptedError("docs", { method: "tools/call", reason: "reset", fate });
    assertStringIncludes(message, expected);
  });
}

const REFUSAL: Refusal = { status: 200, code: null, text: "" };
const CONTEXT: RefusalContext = { hasSession: true, fate: "same", isRepeatable: false, refusals: 0 };
const REFUSALS: [string, Partial<Refusal>, Partial<RefusalContext>, RefusalStep][] = [
  ["404 as the protocol wants it", { status: 404, code: -32001 }, {}, "rejected"],
  ["404 for a method that is not known", { status: 404, code: -32601 }, {}, "deliver"],
  ["400 that speaks of sessions", { status: 400, text: "No valid session ID provided" }, {}, "rejected"],
  ["422 that wants initialize", { status: 422, text: "expect initialize request" }, {}, "rejected"],
  ["401 of another process", { status: 401, text: "no" }, { fate: "replaced" }, "rejected"],
  ["401 of the same process", { status: 401, text: "no" }, {}, "deliver"],
  [
    "an error in a 200 that speaks of initialization",
    {
      code: -32602,
      text: "before initialization was complete",
    },
    {},
    "rejected",
  ],
  ["an error in a 200 of another process, for a call", { code: -32000, text: "no" }, {
    fate: "replaced",
  }, "renew"],
  ["an error in a 200 of another process, for a read", { code: -32000, text: "no" }, {
    fate: "replaced",
    isRepeatable: true,
  }, "rejected"],
  ["the same refusal again", { status: 400, text: "no session" }, { refusals: 1 }, "deliver"],
  ["404 without a session", { status: 404, text: "session" }, { hasSession: false }, "deliver"],
  ["500 of another process, for a call", { status: 500, text: "oops" }, { fate: "replaced" }, "renew"],
  ["499", { status: 499 }, { hasSession: false }, "sent"],
  ["a tool's error that speaks of a session, where the server knows the client's", {
    text: "session expired",
  }, {
    knowsSession: true,
  }, "deliver"],
  ["the same from another process", { text: "session expired" }, {
    knowsSession: true,
    fate: "replaced",
  }, "renew"],
  ["503 that says that nothing was run", { status: 503, code: -32603, wasNotRun: true }, {}, "deliver"],
  ["503 of a gateway that is about to end", { status: 503, code: -32603, wasNotRun: true, isEnding: true }, {
    hasSession: false,
    refusals: 5,
  }, "rejected"],
  ["503 with an error", { status: 503, code: -32000, text: "closing" }, {}, "sent"],
  [
    "a call that a gateway says may have run, in words that speak of a session",
    {
      code: -32000,
      text: "was lost while tools/call was in flight (it does not know the session any more)",
      mayHaveRun: true,
    },
    {},
    "deliver",
  ],
  ["the same of a read", { text: "it does not know the session any more", mayHaveRun: true }, {
    isRepeatable: true,
  }, "sent"],
  ["a read that a gateway which ended says may have run", { code: -32603, mayHaveRun: true }, {
    isRepeatable: true,
    hasSession: false,
  }, "sent"],
  ["the same once more", { code: -32603, mayHaveRun: true }, { isRepeatable: true, refusals: 1 }, "deliver"],
  ["the last words of a process that ends", { code: -32000, text: "Connection closed" }, {
    fate: "stopped",
    hasSession: false,
  }, "sent"],
  ["an error of the tool's", { code: -32602, text: "unknown tool" }, {}, "deliver"],
];
Deno.test("isDoubtful() is what a call is answered in a 200, in words that speak of a session", () => {
  const refusal = { ...REFUSAL, text: "no such session" };
  assertEquals(isDoubtful(refusal, CONTEXT), true);
  assertEquals(isDoubtful({ ...refusal, status: 400 }, CONTEXT), false);
  assertEquals(isDoubtful(refusal, { ...CONTEXT, isRepeatable: true }), false);
  assertEquals(isDoubtful(refusal, { ...CONTEXT, hasSession: false }), false);
  assertEquals(isDoubtful({ ...refusal, text: "no" }, CONTEXT), false);
  assertEquals(isDoubtful({ ...refusal, mayHaveRun: true }, CONTEXT), false);
});
for (const [what, refusal, context, expected] of REFUSALS) {
  Deno.test(`decideRefusal() is ${expected} for ${what}`, () =>
    assertEquals(decideRefusal({ ...REFUSAL, ...refusal }, { ...CONTEXT, ...context }), expected));
}
