import { assertEquals, assertStringIncludes } from "@std/assert";
import type { SingleMessage } from "../../src/relay/message.ts";
import { decideReplay, interruptedError, notReadyError, type Phase } from "../../src/relay/replay.ts";

const request = (method: string, params = {}): SingleMessage => ({ kind: "request", id: 1, method, params });
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
  Deno.test(`decideReplay() sends ${method} again when it may have been received`, () =>
    assertEquals(decideReplay(request(method), "sent"), { kind: "send" }));
}
for (const method of UNSAFE) {
  Deno.test(`decideReplay() refuses to send ${method} again when it may have been received`, () =>
    assertEquals(decideReplay(request(method), "sent"), { kind: "refuse" }));
  for (const phase of ["unsent", "rejected"] as const) {
    Deno.test(`decideReplay() sends ${method} when it was ${phase}`, () =>
      assertEquals(decideReplay(request(method), phase), { kind: "send" }));
  }
}

const OTHERS: [string, SingleMessage, Phase, ReturnType<typeof decideReplay>][] = [
  ["drops an answer to a server that is gone", { kind: "response", id: 1 }, "unsent", { kind: "drop" }],
  ["drops a cancellation", notification("notifications/cancelled"), "unsent", { kind: "drop" }],
  ["drops progress", notification("notifications/progress"), "unsent", { kind: "drop" }],
  ["sends news of roots", notification("notifications/roots/list_changed"), "unsent", { kind: "send" }],
  ["does not repeat news of roots", notification("notifications/roots/list_changed"), "sent", {
    kind: "drop",
  }],
  ["refuses a read that makes a task", request("prompts/get", { task: {} }), "sent", { kind: "refuse" }],
];
for (const [what, message, phase, expected] of OTHERS) {
  Deno.test(`decideReplay() ${what} when it was ${phase}`, () =>
    assertEquals(decideReplay(message, phase), expected));
}

Deno.test("interruptedError() says which server, and that the call may have run", () => {
  const error = interruptedError("docs", { method: "tools/call", reason: "connection reset" });
  assertStringIncludes(error.message, `"docs" restarted while tools/call was in flight (connection reset)`);
  assertStringIncludes(error.message, "may or may not have run");
  assertEquals(error.data, { server: "docs", method: "tools/call", may_have_run: true });
});

Deno.test("notReadyError() says how long was waited, and what to type", () => {
  const error = notReadyError("docs", { waitedMs: 1500, reason: "connection refused" });
  assertStringIncludes(error.message, "1.5 s (connection refused)");
  assertStringIncludes(error.message, `foster status "docs"`);
});
