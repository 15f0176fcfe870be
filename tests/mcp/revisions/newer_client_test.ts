import { assertEquals } from "@std/assert";
import { type Fields, META, NEWER_REVISION } from "../../../src/mcp/revisions/messages.ts";
import { NewerClient } from "../../../src/mcp/revisions/newer_client.ts";
import { type Event, type Output, output, play } from "./play.ts";

const INFO = { name: "foster", version: "1" };
const CAPABILITIES = { elicitation: { url: {} }, sampling: {}, roots: {} };

function translator(): NewerClient {
  let handles = 0;
  return new NewerClient({
    clientInfo: INFO,
    clientCapabilities: CAPABILITIES,
    newHandle: () => `handle-${++handles}`,
  });
}

const envelope = (more: Fields = {}): Fields => ({
  [META.version]: NEWER_REVISION,
  [META.clientCapabilities]: CAPABILITIES,
  ...more,
});
const ask = (id: unknown, method: string, params: Fields = {}, x = 5, meta: Fields = {}): Event => ({
  c: { id, method, params: { ...params, _meta: { ...envelope(), ...meta } } },
  x,
});
const CALL = ask(7, "tools/call", { name: "add", arguments: { a: 1 } });
const INITIALIZED: Event = {
  s: {
    id: 1,
    result: {
      protocolVersion: "2025-11-25",
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true },
        logging: {},
        tasks: {},
        extensions: { "io.modelcontextprotocol/tasks": {}, "vendor/x": {} },
      },
      serverInfo: { name: "docs", version: "2" },
      instructions: "Be kind.",
    },
  },
};
/** Up to here the server has seen the ids 1 (initialize) and 2 (tools/list). */
const STARTED: Event[] = [ask("d", "tools/list", {}, 1), INITIALIZED, {
  s: { id: 2, result: { tools: [] } },
}];
const QUESTION: Event = { s: { id: "q", method: "elicitation/create", params: { message: "Who?" } } };
const RETRY = ask(8, "tools/call", {
  name: "add",
  arguments: { a: 1 },
  requestState: "handle-1",
  inputResponses: { question_1: { action: "accept", content: { n: 1 } }, unknown: {} },
}, 6);

/** Up to here the server has seen the id 1 alone. */
const WITH_TASKS: Event[] = [ask("d", "server/discover", {}, 1), {
  s: {
    id: 1,
    result: {
      protocolVersion: "2025-11-25",
      capabilities: { tools: {}, tasks: { requests: { tools: { call: {} } } } },
      serverInfo: { name: "docs", version: "2" },
    },
  },
}];
const AS_TASK: Event[] = [
  ...WITH_TASKS,
  CALL,
  { s: { id: 2, error: { code: -32601, message: "requires a task" } } },
  { s: { id: 3, result: { task: { taskId: "t", status: "working" } } } },
];

interface Row {
  title: string;
  events: Event[];
  last: Partial<Output>;
}

const answered = (result: Fields, x = 5, id: unknown = 7): Output => ({
  server: [],
  client: [[{ id, result }, x]],
});
const refused = (code: number, message: string, x = 5, id: unknown = 7): Partial<Output> => ({
  client: [[{ id, error: { code, message } }, x]],
});

const ROWS: Row[] = [
  {
    title: "the first request makes the session",
    events: [CALL],
    last: {
      server: [{
        id: 1,
        method: "initialize",
        params: { protocolVersion: "2025-11-25", capabilities: CAPABILITIES, clientInfo: INFO },
      }],
      client: [],
    },
  },
  {
    title: "what waits for the session follows its initialized, in order and without the envelope",
    events: [CALL, ask(8, "prompts/list", {}, 6), INITIALIZED],
    last: {
      server: [
        { method: "notifications/initialized" },
        { id: 2, method: "tools/call", params: { name: "add", arguments: { a: 1 } } },
        { id: 3, method: "prompts/list" },
      ],
      client: [],
    },
  },
  {
    title: "a refused session is an error for all who wait",
    events: [CALL, { s: { id: 1, error: { code: -32603, message: "no" } } }],
    last: refused(-32603, "no"),
  },
  {
    title: "the request after a refused session asks once more",
    events: [CALL, { s: { id: 1, error: { code: -32603, message: "no" } } }, { ...CALL, x: 6 }],
    last: {
      server: [{
        id: 2,
        method: "initialize",
        params: { protocolVersion: "2025-11-25", capabilities: CAPABILITIES, clientInfo: INFO },
      }],
    },
  },
  {
    title: "discover is built from initialize",
    events: [...STARTED, ask(7, "server/discover")],
    last: answered({
      supportedVersions: [NEWER_REVISION],
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true },
        logging: {},
        extensions: { "vendor/x": {} },
      },
      instructions: "Be kind.",
      resultType: "complete",
      ttlMs: 0,
      cacheScope: "private",
      _meta: { [META.serverInfo]: { name: "docs", version: "2" } },
    }),
  },
  {
    title: "the progress token and a vendor's keys stay",
    events: [
      ...STARTED,
      ask(7, "tools/list", {}, 5, { progressToken: "p", vendor: 1, [META.clientInfo]: INFO }),
    ],
    last: { server: [{ id: 3, method: "tools/list", params: { _meta: { progressToken: "p", vendor: 1 } } }] },
  },
  {
    title: "a result is complete",
    events: [...STARTED, CALL, { s: { id: 3, result: { content: [], vendor: 1 } } }],
    last: answered({ content: [], vendor: 1, resultType: "complete" }),
  },
  {
    title: "a tool's result without content has none",
    events: [...STARTED, CALL, { s: { id: 3, result: { structuredContent: { a: 1 } } } }],
    last: answered({ structuredContent: { a: 1 }, content: [], resultType: "complete" }),
  },
  {
    title: "a list is private and stale at once; tools that only run as tasks are left out",
    events: [...STARTED, ask(7, "tools/list"), {
      s: {
        id: 3,
        result: {
          tools: [
            { name: "b", execution: { taskSupport: "optional" } },
            { name: "a", execution: { taskSupport: "required" } },
            { name: "c" },
          ],
        },
      },
    }],
    last: answered({
      ttlMs: 0,
      cacheScope: "private",
      tools: [{ name: "b" }, { name: "c" }],
      resultType: "complete",
    }),
  },
  {
    title: "tools that only run as tasks are offered where the server takes tasks",
    events: [...WITH_TASKS, ask(7, "tools/list"), {
      s: { id: 2, result: { tools: [{ name: "a", execution: { taskSupport: "required" } }] } },
    }],
    last: answered({ ttlMs: 0, cacheScope: "private", tools: [{ name: "a" }], resultType: "complete" }),
  },
  {
    title: "a tool that turns out to run only as a task is called as one: it did not run before",
    events: [...WITH_TASKS, CALL, { s: { id: 2, error: { code: -32601, message: "requires a task" } } }],
    last: {
      server: [{
        id: 3,
        method: "tools/call",
        params: { name: "add", arguments: { a: 1 }, task: { ttl: 3_600_000 } },
      }],
      client: [],
    },
  },
  {
    title: "a tool's own error is the answer, whatever its code: it may have run",
    events: [...WITH_TASKS, CALL, { s: { id: 2, error: { code: -32601, message: "no such row" } } }],
    last: { server: [], ...refused(-32601, "no such row") },
  },
  {
    title: "a second refusal is the answer",
    events: [
      ...WITH_TASKS,
      CALL,
      { s: { id: 2, error: { code: -32601, message: "requires a task" } } },
      { s: { id: 3, error: { code: -32601, message: "no such tool" } } },
    ],
    last: { server: [], ...refused(-32601, "no such tool") },
  },
  {
    title: "a task is waited for",
    events: AS_TASK,
    last: { server: [{ id: 4, method: "tasks/result", params: { taskId: "t" } }], client: [] },
  },
  {
    title: "the task's result answers the call",
    events: [...AS_TASK, { s: { id: 4, result: { content: [{ type: "text", text: "done" }] } } }],
    last: answered({ content: [{ type: "text", text: "done" }], resultType: "complete" }),
  },
  {
    title: "a task's question parks its call",
    events: [...AS_TASK, { ...QUESTION, via: 4 }],
    last: answered({
      resultType: "input_required",
      inputRequests: { question_1: { method: "elicitation/create", params: { message: "Who?" } } },
      requestState: "handle-1",
    }),
  },
  {
    title: "a call that is cancelled cancels its task",
    events: [...AS_TASK, { c: { method: "notifications/cancelled", params: { requestId: 7 } } }],
    last: {
      server: [
        { id: 5, method: "tasks/cancel", params: { taskId: "t" } },
        { method: "notifications/cancelled", params: { requestId: 4 } },
      ],
      client: [],
    },
  },
  {
    title: "a completion has no cache fields",
    events: [...STARTED, ask(7, "completion/complete"), {
      s: { id: 3, result: { completion: { values: [] } } },
    }],
    last: answered({ completion: { values: [] }, resultType: "complete" }),
  },
  {
    title: "a missing resource is an invalid parameter",
    events: [...STARTED, ask(7, "resources/read", { uri: "x:1" }), {
      s: { id: 3, error: { code: -32002, message: "Resource not found" } },
    }],
    last: refused(-32602, "Resource not found"),
  },
  {
    title: "an elicitation by URL that an error asks for is an input request",
    events: [...STARTED, CALL, {
      s: {
        id: 3,
        error: {
          code: -32042,
          message: "url",
          data: { elicitations: [{ mode: "url", url: "https://x", message: "m", elicitationId: "e" }] },
        },
      },
    }],
    last: answered({
      resultType: "input_required",
      inputRequests: {
        elicitation_1: {
          method: "elicitation/create",
          params: { mode: "url", url: "https://x", message: "m" },
        },
      },
    }),
  },
  {
    title: "methods of the older revision are unknown",
    events: [...STARTED, ask(7, "ping")],
    last: { server: [], ...refused(-32601, "ping: not a method of 2026-07-28") },
  },
  {
    title: "the server's ping is answered here",
    events: [...STARTED, { s: { id: "q", method: "ping" } }],
    last: { server: [{ id: "q", result: {} }], client: [] },
  },
  {
    title: "a question parks the call and answers it with a handle",
    events: [...STARTED, CALL, QUESTION],
    last: answered({
      resultType: "input_required",
      inputRequests: { question_1: { method: "elicitation/create", params: { message: "Who?" } } },
      requestState: "handle-1",
    }),
  },
  {
    title: "the retry takes the answer to the server, without running the call again",
    events: [...STARTED, CALL, QUESTION, RETRY],
    last: { server: [{ id: "q", result: { action: "accept", content: { n: 1 } } }], client: [] },
  },
  {
    title: "the call's result answers the retry",
    events: [...STARTED, CALL, QUESTION, RETRY, { s: { id: 3, result: { content: [] } } }],
    last: answered({ content: [], resultType: "complete" }, 6, 8),
  },
  {
    title: "a call that ended while it was parked answers its retry",
    events: [...STARTED, CALL, QUESTION, { s: { id: 3, result: { content: [] } } }, RETRY],
    last: { client: [[{ id: 8, result: { content: [], resultType: "complete" } }, 6]] },
  },
  {
    title:
      "a call that ends while it is parked leaves no question open: another process may use its id again",
    events: [...STARTED, CALL, QUESTION, { s: { id: 3, error: { code: -32000, message: "it restarted" } } }],
    last: { server: [{ id: "q", result: { action: "cancel" } }], client: [] },
  },
  {
    title: "the retry of a call that has ended takes no answer to the server",
    events: [
      ...STARTED,
      CALL,
      QUESTION,
      { s: { id: 3, error: { code: -32000, message: "it restarted" } } },
      RETRY,
    ],
    last: { server: [], ...refused(-32000, "it restarted", 6, 8) },
  },
  {
    title: "a vendor's notification goes with the call on whose stream it came, and else to nobody",
    events: [
      ...STARTED,
      CALL,
      { s: { method: "notifications/vendor", params: { a: 1 } } },
      { s: { method: "notifications/vendor", params: { a: 2 } }, via: 3 },
    ],
    last: { client: [[{ method: "notifications/vendor", params: { a: 2 } }, 5]] },
  },
  {
    title: "a retry without all answers is asked for the rest",
    events: [
      ...STARTED,
      CALL,
      QUESTION,
      { s: { id: "r", method: "roots/list" } },
      RETRY,
    ],
    last: {
      server: [{ id: "q", result: { action: "accept", content: { n: 1 } } }],
      client: [[{
        id: 8,
        result: {
          resultType: "input_required",
          inputRequests: { question_2: { method: "roots/list" } },
          requestState: "handle-2",
        },
      }, 6]],
    },
  },
  {
    title: "a handle is good once",
    events: [...STARTED, CALL, QUESTION, RETRY, { ...RETRY, x: 9 }],
    last: {
      server: [],
      ...refused(
        -32602,
        "requestState: unknown or expired; the call may or may not have run. Call again without requestState",
        9,
        8,
      ),
    },
  },
  {
    title: "a handle is good for its own call alone",
    events: [
      ...STARTED,
      CALL,
      QUESTION,
      ask(8, "tools/call", { name: "remove", arguments: { a: 1 }, requestState: "handle-1" }, 6),
    ],
    last: { server: [], ...refused(-32602, "requestState: it belongs to another call", 6, 8) },
  },
  {
    title: "a question is refused at once where two calls are open",
    events: [...STARTED, CALL, { ...CALL, x: 6 }, QUESTION],
    last: {
      server: [{
        id: "q",
        error: {
          code: -32601,
          message:
            "elicitation/create is not answered here: no single call that the question could belong to is open",
        },
      }],
      client: [],
    },
  },
  {
    title: "a question on a call's own stream belongs to that call",
    events: [...STARTED, CALL, { ...CALL, x: 6 }, { ...QUESTION, via: 4 }],
    last: answered(
      {
        resultType: "input_required",
        inputRequests: { question_1: { method: "elicitation/create", params: { message: "Who?" } } },
        requestState: "handle-1",
      },
      6,
    ),
  },
  {
    title: "a question in a list is refused, and the list stays a complete result",
    events: [...STARTED, ask(7, "tools/list"), { s: { id: "q", method: "roots/list" } }],
    last: {
      server: [{
        id: "q",
        error: {
          code: -32601,
          message:
            "roots/list is not answered here: no single call that the question could belong to is open",
        },
      }],
      client: [],
    },
  },
  {
    title: "a question about what the client did not declare is refused",
    events: [...STARTED, {
      c: {
        id: 7,
        method: "tools/call",
        params: { name: "a", _meta: envelope({ [META.clientCapabilities]: {} }) },
      },
      x: 5,
    }, QUESTION],
    last: {
      server: [{
        id: "q",
        error: {
          code: -32601,
          message: "elicitation/create is not answered here: the client did not declare elicitation",
        },
      }],
      client: [],
    },
  },
  {
    title: "a listen is acknowledged with what the server reports",
    events: [
      ...STARTED,
      ask("l", "subscriptions/listen", {
        notifications: { toolsListChanged: true, promptsListChanged: true },
      }),
    ],
    last: {
      server: [],
      client: [[{
        method: "notifications/subscriptions/acknowledged",
        params: { notifications: { toolsListChanged: true }, _meta: { [META.subscriptionId]: "l" } },
      }, 5]],
    },
  },
  {
    title: "a listen for resources is acknowledged once the server confirmed them, without the refused ones",
    events: [
      ...STARTED,
      ask("l", "subscriptions/listen", { notifications: { resourceSubscriptions: ["a:1", "b:1"] } }),
      { s: { id: 3, result: {} } },
      { s: { id: 4, error: { code: -32602, message: "no" } } },
    ],
    last: {
      client: [[{
        method: "notifications/subscriptions/acknowledged",
        params: { notifications: { resourceSubscriptions: ["a:1"] }, _meta: { [META.subscriptionId]: "l" } },
      }, 5]],
    },
  },
  {
    title: "a change goes to the listens that asked for it, each with its own id",
    events: [
      ...STARTED,
      ask("l", "subscriptions/listen", { notifications: { toolsListChanged: true } }, 5),
      ask("m", "subscriptions/listen", { notifications: {} }, 6),
      { s: { method: "notifications/tools/list_changed" } },
    ],
    last: {
      client: [[{
        method: "notifications/tools/list_changed",
        params: { _meta: { [META.subscriptionId]: "l" } },
      }, 5]],
    },
  },
  {
    title: "an update of what lies below a resource is one of the resource",
    events: [
      ...STARTED,
      ask("l", "subscriptions/listen", { notifications: { resourceSubscriptions: ["file:///d"] } }),
      { s: { id: 3, result: {} } },
      { s: { method: "notifications/resources/updated", params: { uri: "file:///d/f" } } },
    ],
    last: {
      client: [[{
        method: "notifications/resources/updated",
        params: { uri: "file:///d/f", _meta: { [META.subscriptionId]: "l" } },
      }, 5]],
    },
  },
  {
    title: "two listens for one resource are one subscription, which ends with the last of them",
    events: [
      ...STARTED,
      ask("l", "subscriptions/listen", { notifications: { resourceSubscriptions: ["a:1"] } }, 5),
      { s: { id: 3, result: {} } },
      ask("m", "subscriptions/listen", { notifications: { resourceSubscriptions: ["a:1"] } }, 6),
      { c: { method: "notifications/cancelled", params: { requestId: "l" } } },
      { c: { method: "notifications/cancelled", params: { requestId: "m" } } },
    ],
    last: { server: [{ id: 4, method: "resources/unsubscribe", params: { uri: "a:1" } }], client: [] },
  },
  {
    title: "a log level raises the session's, and only its own request hears",
    events: [...STARTED, ask(7, "tools/call", { name: "a" }, 5, { [META.logLevel]: "info" })],
    last: {
      server: [
        { id: 3, method: "logging/setLevel", params: { level: "info" } },
        { id: 4, method: "tools/call", params: { name: "a" } },
      ],
    },
  },
  {
    title: "a log message goes to nobody where two requests asked for such",
    events: [
      ...STARTED,
      ask(7, "tools/call", { name: "a" }, 5, { [META.logLevel]: "info" }),
      ask(8, "tools/call", { name: "a" }, 6, { [META.logLevel]: "debug" }),
      { s: { method: "notifications/message", params: { level: "error", data: "x" } } },
    ],
    last: { client: [] },
  },
  {
    title: "a log message below the request's level is dropped",
    events: [
      ...STARTED,
      ask(7, "tools/call", { name: "a" }, 5, { [META.logLevel]: "error" }),
      { s: { method: "notifications/message", params: { level: "info", data: "x" } } },
    ],
    last: { client: [] },
  },
  {
    title: "progress goes to its request, that of an unknown token to nobody",
    events: [...STARTED, ask(7, "tools/call", { name: "a" }, 5, { progressToken: 3 }), {
      s: { method: "notifications/progress", params: { progressToken: 3, progress: 1 } },
    }],
    last: { client: [[{ method: "notifications/progress", params: { progressToken: 3, progress: 1 } }, 5]] },
  },
  {
    title: "a cancel carries the server's id",
    events: [...STARTED, CALL, { c: { method: "notifications/cancelled", params: { requestId: 7 } } }],
    last: { server: [{ method: "notifications/cancelled", params: { requestId: 3 } }], client: [] },
  },
];

for (const { title, events, last } of ROWS) {
  Deno.test(`NewerClient: ${title}`, () => {
    const got = play(translator(), events).at(-1);
    assertEquals({ ...got, ...last }, got);
  });
}

Deno.test("NewerClient.cancel() ends what the closed exchange waited for", () => {
  const client = translator();
  play(client, [...STARTED, CALL]);
  assertEquals(output(client.cancel(5)).server, [{
    method: "notifications/cancelled",
    params: { requestId: 3 },
  }]);
  assertEquals(output(client.cancel(5)).server, []);
});

Deno.test("NewerClient.expire() answers the server for the client, and cancels the parked call", () => {
  const client = translator();
  play(client, [...STARTED, CALL, QUESTION]);
  assertEquals(client.parked, 1);
  assertEquals(output(client.expire("handle-1")), {
    server: [
      { id: "q", result: { action: "cancel" } },
      { method: "notifications/cancelled", params: { requestId: 3 } },
    ],
    client: [],
  });
  assertEquals(client.parked, 0);
});
