import { assertEquals } from "@std/assert";
import { META, NEWER_REVISION } from "../../../src/mcp/revisions/messages.ts";
import { OlderClient, ROUND_LIMIT } from "../../../src/mcp/revisions/older_client.ts";
import { type Event, type Output, output, play } from "./play.ts";

const INFO = { name: "editor", version: "1" };
const CAPABILITIES = { elicitation: { url: {} }, sampling: {}, roots: {} };
const ENVELOPE = {
  [META.version]: NEWER_REVISION,
  [META.clientInfo]: INFO,
  [META.clientCapabilities]: CAPABILITIES,
};
const INITIALIZE: Event = {
  c: {
    id: "a",
    method: "initialize",
    params: { protocolVersion: "2025-06-18", capabilities: CAPABILITIES, clientInfo: INFO },
  },
};
const DISCOVERED: Event = {
  s: {
    id: 1,
    result: {
      resultType: "complete",
      ttlMs: 60_000,
      cacheScope: "public",
      supportedVersions: [NEWER_REVISION],
      capabilities: { tools: {}, resources: { subscribe: true }, logging: {}, vendor: { x: 1 } },
      instructions: "Be kind.",
      _meta: { [META.serverInfo]: { name: "docs", version: "2" }, "vendor/key": 1 },
    },
  },
};
const INITIALIZED: Event = { c: { method: "notifications/initialized" } };
const ACKNOWLEDGED: Event = {
  s: {
    method: "notifications/subscriptions/acknowledged",
    params: {
      notifications: { toolsListChanged: true, resourcesListChanged: true },
      _meta: { [META.subscriptionId]: 2 },
    },
  },
};
/** Up to here the server has seen the ids 1 (discover) and 2 (listen). */
const STARTED = [INITIALIZE, DISCOVERED, INITIALIZED, ACKNOWLEDGED];
const CALL: Event = {
  c: { id: 7, method: "tools/call", params: { name: "add", arguments: { a: 1 } } },
  x: 5,
};
const ASKED: Event = {
  s: {
    id: 3,
    result: {
      resultType: "input_required",
      requestState: "opaque é ",
      inputRequests: {
        who: { method: "elicitation/create", params: { message: "Who?", requestedSchema: {} } },
      },
    },
  },
};

interface Row {
  title: string;
  events: Event[];
  /** What the last event leads to. */
  last: Partial<Output>;
}

const answered = (result: Record<string, unknown>, x = 5, id: unknown = 7): Output => ({
  server: [],
  client: [[{ id, result }, x]],
});

const ROWS: Row[] = [
  {
    title: "initialize asks the server to discover itself",
    events: [INITIALIZE],
    last: { server: [{ id: 1, method: "server/discover", params: { _meta: ENVELOPE } }], client: [] },
  },
  {
    title: "a discovery answers initialize in the client's version, with a change message for every list",
    events: [INITIALIZE, DISCOVERED],
    last: answered(
      {
        protocolVersion: "2025-06-18",
        capabilities: {
          tools: { listChanged: true },
          resources: { subscribe: true, listChanged: true },
          logging: {},
          vendor: { x: 1 },
        },
        serverInfo: { name: "docs", version: "2" },
        instructions: "Be kind.",
        _meta: { "vendor/key": 1 },
      },
      1,
      "a",
    ),
  },
  {
    title: "an unknown version is answered with the newest of the older ones",
    events: [{
      c: {
        id: 1,
        method: "initialize",
        params: { protocolVersion: "1999-01-01", capabilities: {}, clientInfo: INFO },
      },
    }, { s: { id: 1, result: { capabilities: {}, supportedVersions: [NEWER_REVISION] } } }],
    last: answered(
      {
        protocolVersion: "2025-11-25",
        capabilities: {},
        serverInfo: { name: "unknown", version: "0" },
      },
      1,
      1,
    ),
  },
  {
    title: "initialized is dropped, and opens one listen for the lists that exist",
    events: [INITIALIZE, DISCOVERED, INITIALIZED],
    last: {
      server: [{
        id: 2,
        method: "subscriptions/listen",
        params: { notifications: { toolsListChanged: true, resourcesListChanged: true }, _meta: ENVELOPE },
      }],
      client: [],
    },
  },
  { title: "an acknowledgement is consumed", events: STARTED, last: { server: [], client: [] } },
  {
    title: "ping is answered without the server",
    events: [{ c: { id: 4, method: "ping" }, x: 9 }],
    last: answered({}, 9, 4),
  },
  {
    title: "setLevel is answered, and is the level of later requests",
    events: [
      ...STARTED,
      { c: { id: 4, method: "logging/setLevel", params: { level: "info" } } },
      { c: { id: 5, method: "tools/list" } },
    ],
    last: {
      server: [{ id: 3, method: "tools/list", params: { _meta: { ...ENVELOPE, [META.logLevel]: "info" } } }],
    },
  },
  {
    title: "a request keeps its own _meta beside the envelope, without reserved keys of the client's own",
    events: [...STARTED, {
      c: {
        id: 5,
        method: "tools/call",
        params: {
          name: "t",
          task: { ttl: 1 },
          _meta: { progressToken: "p", [META.version]: "x", vendor: 1 },
        },
      },
    }],
    last: {
      server: [{
        id: 3,
        method: "tools/call",
        params: { name: "t", _meta: { progressToken: "p", vendor: 1, ...ENVELOPE } },
      }],
    },
  },
  {
    title: "a result loses what the older revision does not know, and keeps a vendor's keys",
    events: [...STARTED, CALL, {
      s: {
        id: 3,
        result: {
          resultType: "complete",
          content: [],
          vendor: true,
          _meta: { [META.serverInfo]: {}, own: 1 },
        },
      },
    }],
    last: answered({ content: [], vendor: true, _meta: { own: 1 } }),
  },
  {
    title: "a list loses its cache fields",
    events: [...STARTED, { c: { id: 7, method: "prompts/list" }, x: 5 }, {
      s: { id: 3, result: { prompts: [], ttlMs: 5, cacheScope: "public", resultType: "complete" } },
    }],
    last: answered({ prompts: [] }),
  },
  {
    title: "an output schema that is no object's is put under result",
    events: [...STARTED, { c: { id: 7, method: "tools/list" }, x: 5 }, {
      s: {
        id: 3,
        result: {
          tools: [{
            name: "n",
            inputSchema: { type: "object" },
            outputSchema: {
              type: "array",
              items: { $ref: "#/$defs/a" },
              $defs: { a: { const: { $ref: "#" } } },
            },
          }],
        },
      },
    }],
    last: answered({
      tools: [{
        name: "n",
        inputSchema: { type: "object" },
        outputSchema: {
          type: "object",
          properties: {
            result: {
              type: "array",
              items: { $ref: "#/properties/result/$defs/a" },
              $defs: { a: { const: { $ref: "#" } } },
            },
          },
          required: ["result"],
        },
      }],
    }),
  },
  {
    title: "an output that may be an object or not loses its schema: no answer can be said to break it",
    events: [...STARTED, { c: { id: 7, method: "tools/list" }, x: 5 }, {
      s: {
        id: 3,
        result: {
          tools: [{ name: "a", outputSchema: {} }, { name: "b", outputSchema: { type: ["object", "null"] } }],
        },
      },
    }],
    last: answered({ tools: [{ name: "a" }, { name: "b" }] }),
  },
  {
    title: "structured content that is an object stays as it is, whatever the list said of its tool",
    events: [...STARTED, CALL, { s: { id: 3, result: { content: [], structuredContent: { a: 1 } } } }],
    last: answered({ content: [], structuredContent: { a: 1 } }),
  },
  {
    title: "a listen that ends before it was confirmed fails the subscriptions that wait for it",
    events: [
      ...STARTED,
      { c: { id: 8, method: "resources/subscribe", params: { uri: "file:///a" } }, x: 6 },
      { s: { method: "notifications/cancelled", params: { requestId: 3 } } },
    ],
    last: {
      client: [[{
        id: 8,
        error: { code: -32603, message: "The server ended the subscription before it confirmed it" },
      }, 6]],
    },
  },
  {
    title: "an answer goes back under any key that the server chose",
    events: [...STARTED, CALL, {
      s: {
        id: 3,
        result: {
          resultType: "input_required",
          inputRequests: JSON.parse('{"__proto__":{"method":"roots/list"}}'),
        },
      },
    }, { c: { id: 4, result: { roots: [] } } }],
    last: {
      server: [{
        id: 5,
        method: "tools/call",
        params: {
          name: "add",
          arguments: { a: 1 },
          inputResponses: JSON.parse('{"__proto__":{"roots":[]}}'),
          _meta: ENVELOPE,
        },
      }],
    },
  },
  {
    title: "structured content that is no object is put under result",
    events: [...STARTED, CALL, {
      s: { id: 3, result: { content: [{ type: "text", text: "[1]" }], structuredContent: [1] } },
    }],
    last: answered({ content: [{ type: "text", text: "[1]" }], structuredContent: { result: [1] } }),
  },
  {
    title: "an unknown result type is never passed on as complete",
    events: [...STARTED, CALL, { s: { id: 3, result: { resultType: "later", content: [] } } }],
    last: answered({
      content: [{ type: "text", text: 'tools/call failed: the server answered with resultType "later"' }],
      isError: true,
    }),
  },
  {
    title: "a question becomes a request of the server, in the exchange of its call",
    events: [...STARTED, CALL, ASKED],
    last: {
      server: [],
      client: [[
        { id: 4, method: "elicitation/create", params: { message: "Who?", requestedSchema: {} } },
        5,
      ]],
    },
  },
  {
    title: "the answer goes back with the state byte for byte, under a new id",
    events: [...STARTED, CALL, ASKED, { c: { id: 4, result: { action: "accept", content: { n: 1 } } } }],
    last: {
      server: [{
        id: 5,
        method: "tools/call",
        params: {
          name: "add",
          arguments: { a: 1 },
          inputResponses: { who: { action: "accept", content: { n: 1 } } },
          requestState: "opaque é ",
          _meta: ENVELOPE,
        },
      }],
      client: [],
    },
  },
  {
    title: "the retried call is answered under the client's id",
    events: [
      ...STARTED,
      CALL,
      ASKED,
      { c: { id: 4, result: { action: "decline" } } },
      { s: { id: 5, result: { content: [] } } },
    ],
    last: answered({ content: [] }),
  },
  {
    title: "an elicitation that the client refuses with an error is a cancel",
    events: [...STARTED, CALL, ASKED, { c: { id: 4, error: { code: -1, message: "no" } } }],
    last: {
      server: [{
        id: 5,
        method: "tools/call",
        params: {
          name: "add",
          arguments: { a: 1 },
          inputResponses: { who: { action: "cancel" } },
          requestState: "opaque é ",
          _meta: ENVELOPE,
        },
      }],
    },
  },
  {
    title: "a state without questions is retried at once",
    events: [...STARTED, CALL, { s: { id: 3, result: { resultType: "input_required", requestState: "s" } } }],
    last: {
      server: [{
        id: 4,
        method: "tools/call",
        params: { name: "add", arguments: { a: 1 }, requestState: "s", _meta: ENVELOPE },
      }],
      client: [],
    },
  },
  {
    title: "neither questions nor a state is an error, never a second run",
    events: [...STARTED, CALL, { s: { id: 3, result: { resultType: "input_required" } } }],
    last: answered({
      content: [{ type: "text", text: "tools/call failed: the server asked for input without saying which" }],
      isError: true,
    }),
  },
  {
    title: "a question about a capability that the client lacks fails the call, naming it",
    events: [
      {
        c: {
          id: 1,
          method: "initialize",
          params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: INFO },
        },
      },
      { s: { id: 1, result: { capabilities: {} } } },
      { c: { id: 7, method: "prompts/get", params: { name: "p" } }, x: 5 },
      {
        s: {
          id: 2,
          result: { resultType: "input_required", inputRequests: { r: { method: "roots/list" } } },
        },
      },
    ],
    last: {
      server: [],
      client: [[{
        id: 7,
        error: {
          code: -32603,
          message:
            "prompts/get failed: the server's question needs the capability roots, which the client did not declare",
        },
      }, 5]],
    },
  },
  {
    title: "an elicitation by URL gets an id",
    events: [...STARTED, CALL, {
      s: {
        id: 3,
        result: {
          resultType: "input_required",
          inputRequests: {
            u: { method: "elicitation/create", params: { mode: "url", url: "https://x", message: "m" } },
          },
        },
      },
    }],
    last: {
      client: [[{
        id: 4,
        method: "elicitation/create",
        params: { mode: "url", url: "https://x", message: "m", elicitationId: "4" },
      }, 5]],
    },
  },
  {
    title: "a cancelled request is cancelled under the server's id, and its late answer dropped",
    events: [...STARTED, CALL, {
      c: { method: "notifications/cancelled", params: { requestId: 7, reason: "slow" } },
    }],
    last: {
      server: [{ method: "notifications/cancelled", params: { requestId: 3, reason: "slow" } }],
      client: [],
    },
  },
  {
    title: "a cancel that could mean two requests cancels neither",
    events: [...STARTED, CALL, { ...CALL, x: 6 }, {
      c: { method: "notifications/cancelled", params: { requestId: 7 } },
    }],
    last: { server: [], client: [] },
  },
  {
    title: "a cancel while the client is asked takes the question back",
    events: [...STARTED, CALL, ASKED, { c: { method: "notifications/cancelled", params: { requestId: 7 } } }],
    last: { server: [], client: [[{ method: "notifications/cancelled", params: { requestId: 4 } }, 5]] },
  },
  {
    title: "a subscription is a listen with one resource more",
    events: [...STARTED, { c: { id: 8, method: "resources/subscribe", params: { uri: "file:///a" } }, x: 6 }],
    last: {
      server: [{
        id: 3,
        method: "subscriptions/listen",
        params: {
          notifications: {
            toolsListChanged: true,
            resourcesListChanged: true,
            resourceSubscriptions: ["file:///a"],
          },
          _meta: ENVELOPE,
        },
      }],
      client: [],
    },
  },
  {
    title: "the new listen's acknowledgement answers the subscription, and only then ends the old listen",
    events: [
      ...STARTED,
      { c: { id: 8, method: "resources/subscribe", params: { uri: "file:///a" } }, x: 6 },
      {
        s: {
          method: "notifications/subscriptions/acknowledged",
          params: {
            notifications: { resourceSubscriptions: ["file:///a"] },
            _meta: { [META.subscriptionId]: 3 },
          },
        },
      },
    ],
    last: {
      server: [{ method: "notifications/cancelled", params: { requestId: 2 } }],
      client: [[{ id: 8, result: {} }, 6]],
    },
  },
  {
    title: "a resource that the server does not report is an error",
    events: [
      ...STARTED,
      { c: { id: 8, method: "resources/subscribe", params: { uri: "file:///a" } }, x: 6 },
      {
        s: {
          method: "notifications/subscriptions/acknowledged",
          params: { notifications: {}, _meta: { [META.subscriptionId]: 3 } },
        },
      },
    ],
    last: {
      client: [[{
        id: 8,
        error: { code: -32602, message: "The server does not report changes of file:///a" },
      }, 6]],
    },
  },
  {
    title: "a list change is passed on plainly",
    events: [...STARTED, {
      s: { method: "notifications/tools/list_changed", params: { _meta: { [META.subscriptionId]: 2 } } },
    }],
    last: { client: [[{ method: "notifications/tools/list_changed" }, null]] },
  },
  {
    title: "progress goes to the exchange that gave the token, an unknown token to nobody",
    events: [
      ...STARTED,
      { c: { id: 7, method: "tools/call", params: { name: "a", _meta: { progressToken: 1 } } }, x: 5 },
      { s: { method: "notifications/progress", params: { progressToken: 2, progress: 1 } } },
      { s: { method: "notifications/progress", params: { progressToken: 1, progress: 1 } } },
    ],
    last: { client: [[{ method: "notifications/progress", params: { progressToken: 1, progress: 1 } }, 5]] },
  },
  {
    title: "a log message goes to the request on whose stream it came",
    events: [...STARTED, CALL, {
      s: { method: "notifications/message", params: { level: "info", data: 1 } },
      via: 3,
    }],
    last: { client: [[{ method: "notifications/message", params: { level: "info", data: 1 } }, 5]] },
  },
  {
    title: "an error of the hop is translated, any other passed on with its data",
    events: [...STARTED, CALL, { s: { id: 3, error: { code: -32022, message: "Unsupported", data: {} } } }],
    last: {
      client: [[
        { id: 7, error: { code: -32603, message: "The server refused the request: Unsupported" } },
        5,
      ]],
    },
  },
  {
    title: "an error of the tool stays as it is",
    events: [...STARTED, CALL, { s: { id: 3, error: { code: -32602, message: "no such tool", data: [1] } } }],
    last: { client: [[{ id: 7, error: { code: -32602, message: "no such tool", data: [1] } }, 5]] },
  },
  {
    title: "tasks are unknown",
    events: [...STARTED, { c: { id: 7, method: "tasks/get", params: { taskId: "t" } }, x: 5 }],
    last: {
      server: [],
      client: [[{ id: 7, error: { code: -32601, message: "tasks/get: unknown method" } }, 5]],
    },
  },
  {
    title: "roots/list_changed has no counterpart",
    events: [...STARTED, { c: { method: "notifications/roots/list_changed" } }],
    last: { server: [], client: [] },
  },
  {
    title: "a request of the server is refused: this revision has none",
    events: [...STARTED, { s: { id: "q", method: "roots/list" } }],
    last: {
      server: [{ id: "q", error: { code: -32601, message: "roots/list: not a request of 2026-07-28" } }],
      client: [],
    },
  },
];

for (const { title, events, last } of ROWS) {
  Deno.test(`OlderClient: ${title}`, () => {
    const got = play(new OlderClient(), events).at(-1);
    assertEquals({ ...got, ...last }, got);
  });
}

Deno.test("OlderClient ends a call that asks back without end", () => {
  const client = new OlderClient();
  play(client, [...STARTED, CALL]);
  for (let round = 1, id = 3; round <= ROUND_LIMIT; round++, id++) {
    const [{ server } = { server: [] }] = play(client, [
      { s: { id, result: { resultType: "input_required", requestState: `${round}` } } },
    ]);
    assertEquals(server.length, 1);
  }
  const [end] = play(client, [
    { s: { id: 3 + ROUND_LIMIT, result: { resultType: "input_required", requestState: "x" } } },
  ]);
  assertEquals(end?.server, []);
  assertEquals((end?.client[0]?.[0] as { result: { isError: boolean } }).result.isError, true);
});

Deno.test("OlderClient.expire() takes the question back and fails the call", () => {
  const client = new OlderClient();
  play(client, [...STARTED, CALL, ASKED]);
  const { client: told, server } = output(client.expire(5));
  assertEquals(server, []);
  assertEquals(told.map(([message]) => message.method ?? (message.result as { isError?: boolean }).isError), [
    "notifications/cancelled",
    true,
  ]);
  assertEquals(output(client.expire(5)).client, []);
});

Deno.test("OlderClient.reopenListen() asks for the same lists and resources again", () => {
  const client = new OlderClient();
  play(client, [...STARTED, { c: { id: 8, method: "resources/subscribe", params: { uri: "file:///a" } } }, {
    s: {
      method: "notifications/subscriptions/acknowledged",
      params: {
        notifications: { resourceSubscriptions: ["file:///a"] },
        _meta: { [META.subscriptionId]: 3 },
      },
    },
  }]);
  const [listen] = output(client.reopenListen()).server;
  assertEquals((listen?.params as { notifications: unknown }).notifications, {
    toolsListChanged: true,
    resourcesListChanged: true,
    resourceSubscriptions: ["file:///a"],
  });
});
