import { assert, assertEquals, assertThrows } from "@std/assert";
import { EventReader } from "../../src/relay/upstream/event_stream.ts";
import { FramingCheck } from "../../src/connect/framing.ts";
import { headersFor, headerValue, toolHeadersOf } from "../../src/relay/upstream/headers.ts";
import { idAtEdge, oneLine, readLines } from "../../src/relay/lines.ts";
import {
  errorLine,
  partsOf,
  readClientLine,
  readServerLine,
  withId,
  withParam,
  withProgressToken,
} from "../../src/relay/message.ts";
import { scanObject } from "../../src/relay/scan.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const bytes = (text: string) => encoder.encode(text);

const CLIENT_LINES: [string, string, unknown][] = [
  ["a request", '{"jsonrpc":"2.0","id":1,"method":"ping"}', {
    kind: "message",
    message: { kind: "request", id: "1", method: "ping", params: {} },
  }],
  ["a notification", '{"jsonrpc":"2.0","method":"a","params":{"b":1}}', {
    kind: "message",
    message: { kind: "notification", method: "a", params: { b: 1 } },
  }],
  ["an answer", '{"jsonrpc":"2.0","id":"x","result":{}}', {
    kind: "message",
    message: { kind: "response", id: '"x"' },
  }],
  ["a batch", '[{"id":1,"method":"ping"},{"method":"a"}]', {
    kind: "message",
    message: {
      kind: "batch",
      items: [
        { kind: "request", id: "1", method: "ping", params: {} },
        { kind: "notification", method: "a", params: {} },
      ],
    },
  }],
];
for (const [what, line, expected] of CLIENT_LINES) {
  Deno.test(`readClientLine() reads ${what}`, () =>
    assertEquals<unknown>(readClientLine(bytes(line)), expected));
}
for (
  const [line, code] of [
    ["garbage", -32700],
    ['{"id":1,"method":', -32700],
    ["42", -32600],
    ["{}", -32600],
    ["[]", -32600],
    ["[1]", -32600],
    ['{"id":{},"method":"a"}', -32600],
  ] as const
) {
  Deno.test(`readClientLine() gives ${code} for ${line}`, () => {
    const read = readClientLine(bytes(line));
    assert(read.kind === "invalid");
    assertEquals(read.code, code);
  });
}

const LONG = "x".repeat(100_000);
const SERVER_LINES: [string, string, unknown][] = [
  ["an answer", `{"jsonrpc":"2.0","id":7,"result":{"text":"%"}}`, {
    kind: "answer",
    id: "7",
    isError: false,
  }],
  ["an answer with its id at the end", `{"result":{"a":["%",{"id":3}]},"jsonrpc":"2.0","id":"b"}`, {
    kind: "answer",
    id: '"b"',
    isError: false,
  }],
  ["an error", `{"id":1,"error":{"code":1,"message":"%"}}`, { kind: "answer", id: "1", isError: true }],
  ["a request", `{"id":1,"method":"sampling/createMessage","params":{"text":"% \\" \\\\"}}`, {
    kind: "request",
    id: "1",
    method: "sampling/createMessage",
  }],
  ["nothing", `{"text":"%"}`, { kind: "garbage", text: "" }],
  ["an error without a request", `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"%"}}`, {
    kind: "answer",
    id: null,
    isError: true,
  }],
];
for (const [what, line, expected] of SERVER_LINES) {
  Deno.test(`readServerLine() finds ${what} in a short line`, () =>
    assertEquals<unknown>(readServerLine(bytes(line)), expected));
  Deno.test(`readServerLine() finds ${what} in a long line`, () =>
    assertEquals<unknown>(readServerLine(bytes(line.replace("%", LONG))), expected));
}

for (const params of [`{"method":"no","text":"${LONG}"}`, '{"method":"no","text":"%"}', undefined]) {
  const line = `{${params === undefined ? "" : `"params":${params},`}"method":"a"}`;
  Deno.test(`readServerLine() finds a notification with params of ${params?.length ?? 0} bytes`, () => {
    const read = readServerLine(bytes(line));
    assert(read.kind === "notification");
    assertEquals(read.method, "a");
  });
}

Deno.test("readServerLine() ends with the members that make an answer", () => {
  const line = `{"jsonrpc":"2.0","id":7,"result":{"text":"${LONG}`;
  assertEquals(readServerLine(bytes(line)), { kind: "answer", id: "7", isError: false });
});

Deno.test("readServerLine() keeps what an error without a request says", () => {
  assertEquals(readServerLine(bytes('{"error":"Session not found"}')), {
    kind: "garbage",
    text: '{"error":"Session not found"}',
  });
});

Deno.test("scanObject() agrees with JSON.parse() about the top of an object", () => {
  const value = { a: 1, 'b\n"': "c\\", d: [1, { e: "}]" }], f: true, g: null, h: -1.5e3, id: "ü" };
  const line = bytes(JSON.stringify(value, null, 2));
  const found = [...scanObject(line) ?? []].map((
    [key, { start, end }],
  ) => [key, JSON.parse(decoder.decode(line.subarray(start, end)))]);
  assertEquals(Object.fromEntries(found), value);
});
for (const broken of ['{"a":1', '{"a":"b}', '{"a"1}', "[1]", "", '{"a":[1}']) {
  Deno.test(`scanObject() gives nothing for ${broken || "no bytes"}`, () =>
    assertEquals(scanObject(bytes(broken)), null));
}

const BIG = "9007199254740993";
Deno.test("An id that no number of JavaScript holds comes back as it was", () => {
  const read = readClientLine(bytes(`{"id":${BIG},"method":"ping"}`));
  assert(read.kind === "message" && read.message.kind === "request");
  assertEquals(read.message.id, BIG);
  const line = decoder.decode(errorLine(read.message.id, { code: 1, message: "no" }));
  assertEquals(line, `{"jsonrpc":"2.0","id":${BIG},"error":{"code":1,"message":"no"}}`);
  const inBatch = readClientLine(bytes(`[{"method":"a"}, {"id": ${BIG} ,"method":"b"}]`));
  assert(inBatch.kind === "message" && inBatch.message.kind === "batch");
  assertEquals(inBatch.message.items[1], { kind: "request", id: BIG, method: "b", params: {} });
});

Deno.test("withId(), withParam() and withProgressToken() change nothing else", () => {
  const text =
    `{"method":"x", "params" : {"a":1.0,"_meta":{"progressToken":"t","b":${BIG}}} ,"id": "one","z":[ 1 ]}`;
  const changed = decoder.decode(withId(bytes(text), "7"));
  assertEquals(changed, text.replace('"one"', "7"));
  assertEquals(decoder.decode(withProgressToken(bytes(text), "12")), text.replace('"t"', "12"));
  assertEquals(decoder.decode(withParam(bytes(text), ["none"], "1")), text);
});

Deno.test("partsOf() gives the messages of a batch as they stand in it", () =>
  assertEquals(partsOf(bytes('[{"a":[1, 2]} , {"b":"]"}]')).map((part) => decoder.decode(part)), [
    '{"a":[1, 2]}',
    '{"b":"]"}',
  ]));

Deno.test("readLines() cuts at every line end, wherever the chunks end", async () => {
  const text = 'one\r\n\n  \ntwo\nthree ü\n{"four"}';
  const whole = bytes(text);
  for (const size of [1, 2, 3, 7, 100]) {
    const chunks = Array.from(
      { length: Math.ceil(whole.length / size) },
      (_, n) => whole.subarray(n * size, (n + 1) * size),
    );
    const lines = await Array.fromAsync(
      readLines(ReadableStream.from(chunks)),
      (read) => read.kind === "line" ? decoder.decode(read.line) : read.kind,
    );
    assertEquals(lines, ["one", "two", "three ü", '{"four"}']);
  }
});

for (const size of [1, 10, 1000]) {
  Deno.test(`readLines() keeps only the ends of a line that is too long, in chunks of ${size}`, async () => {
    const start = `{"jsonrpc":"2.0","id":"me","result":"`;
    const whole = bytes(`{"a":1}\n${start}${"x".repeat(200)}"}\n{"b":2}\n`);
    const chunks = Array.from(
      { length: Math.ceil(whole.length / size) },
      (_, n) => whole.subarray(n * size, (n + 1) * size),
    );
    const kinds: string[] = [];
    for await (const read of readLines(ReadableStream.from(chunks), 100)) {
      kinds.push(read.kind === "line" ? decoder.decode(read.line) : String(idAtEdge(read)));
    }
    assertEquals(kinds, ['{"a":1}', '"me"', '{"b":2}']);
  });
}

Deno.test("idAtEdge() finds an id behind a long result", () =>
  assertEquals(
    idAtEdge({ head: bytes('{"result":{"id":5,"x":"'), tail: bytes('yyy"},"id": 12,"jsonrpc":"2.0"} ') }),
    "12",
  ));

Deno.test("oneLine() joins what a server spread over several lines", () =>
  assertEquals(decoder.decode(oneLine(bytes('{\r\n "a": 1\n}\n'))), '{   "a": 1 }'));

Deno.test("EventReader reads events, wherever the chunks end", () => {
  const text =
    ': hello\r\nid: 7\r\nevent: message\r\ndata: {"a":\r\ndata: 1}\r\n\r\nretry: 250\ndata:x\n\nid\nevent: ping\n\n';
  const whole = bytes(text);
  for (const size of [1, 3, 1000]) {
    const reader = new EventReader(1000);
    const found: [string, string | null][] = [];
    for (let at = 0; at < whole.length; at += size) {
      for (const { name, data } of reader.add(whole.subarray(at, at + size))) {
        found.push([name, data === null ? null : decoder.decode(data)]);
      }
    }
    assertEquals(found, [["message", '{"a":\n1}'], ["message", "x"], ["ping", null]]);
    assertEquals([reader.lastId, reader.retryMs], [null, 250]);
  }
});

for (const end of ["\n", "\r\n", "\r"]) {
  Deno.test(`EventReader takes a byte order mark and lines that end with ${JSON.stringify(end)}`, () => {
    const whole = bytes(`\ufeffid: 1${end}data: a${end}data: b${end}${end}data:c${end}${end}:`);
    for (const size of [1, 2, 1000]) {
      const reader = new EventReader(1000);
      const found: string[] = [];
      for (let at = 0; at < whole.length; at += size) {
        for (const { data } of reader.add(whole.subarray(at, at + size))) {
          found.push(data === null ? "none" : decoder.decode(data));
        }
      }
      assertEquals(found, ["a\nb", "c"]);
      assertEquals(reader.lastId, "1");
    }
  });
}

Deno.test("EventReader reads an event of many lines in a time that grows with them", () => {
  const timeOf = (lines: number) => {
    const chunk = bytes("data: \n".repeat(lines) + "data: x\n\n");
    const startedAt = performance.now();
    const [event] = [...new EventReader(10_000_000).add(chunk)];
    assertEquals(event?.data?.length, lines + 1);
    return performance.now() - startedAt;
  };
  timeOf(10_000);
  assert(timeOf(400_000) < 4000);
});

Deno.test("EventReader takes no event without end", () => {
  const lines = new EventReader(1000);
  assertThrows(
    () => {
      for (let n = 0; n < 1000; n++) [...lines.add(bytes("data: xx\n"))];
    },
    Error,
    "more than 1000 bytes",
  );
  const one = new EventReader(1000);
  assertThrows(
    () => {
      for (let n = 0; n < 1000; n++) [...one.add(bytes("data: xx"))];
    },
    Error,
    "more than 1000 bytes",
  );
});

Deno.test("FramingCheck answers headers once and lets lines pass", () => {
  const check = new FramingCheck();
  const kinds = [
    '{"id":1}',
    "Content-Length: 20",
    '{"id":2}Content-Length: 7',
    "content-type: x",
    '{"id":3}',
  ];
  assertEquals(kinds.map((line) => check.look(bytes(line)).kind), [
    "line",
    "headers",
    "ignored",
    "ignored",
    "line",
  ]);
});

const session = { id: "s", protocol: "2025-11-25" };
function headers(message: unknown, tools: unknown[] = []): Record<string, string> {
  const line = bytes(JSON.stringify(message));
  const read = readClientLine(line);
  assert(read.kind === "message");
  const declared = toolHeadersOf(tools);
  const { accept: _, "content-type": __, ...rest } = headersFor(read.message, {
    session,
    toolHeaders: (tool) => declared.get(tool) ?? null,
  });
  return rest;
}

Deno.test("headersFor() names the session, but not to a handshake", () => {
  assertEquals(headers({ id: 1, method: "tools/list" }), {
    "mcp-session-id": "s",
    "mcp-protocol-version": "2025-11-25",
  });
  assertEquals(headers({ id: 1, method: "initialize" }), {});
});

Deno.test("headersFor() repeats what a request of the newer revision says of itself", () => {
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  const tools = [{
    name: "müll",
    inputSchema: {
      properties: { a: { type: "object", properties: { b: { type: "string", "x-mcp-header": "Region" } } } },
    },
  }];
  assertEquals(
    headers(
      { id: 1, method: "tools/call", params: { name: "müll", arguments: { a: { b: "eu" } }, _meta } },
      tools,
    ),
    {
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "tools/call",
      "mcp-name": "=?base64?bcO8bGw=?=",
      "mcp-param-region": "eu",
    },
  );
});

Deno.test("headersFor() takes no header that a tool declares and that can't be one", () => {
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  const tools = [{
    name: "t",
    inputSchema: { properties: { a: { type: "string", "x-mcp-header": "not a\r\nheader" } } },
  }];
  const call = (name: string) => ({
    id: 1,
    method: "tools/call",
    params: { name, arguments: { a: "x" }, _meta },
  });
  assertThrows(() => headers(call("t"), tools), Error, "can't be one");
  assertEquals(headers(call("other"), tools)["mcp-name"], "other");
});

for (
  const [text, expected] of [
    ["plain", "plain"],
    ["", "=?base64??="],
    [" a", "=?base64?IGE=?="],
    ["=?base64?x?=", "=?base64?PT9iYXNlNjQ/eD89?="],
  ] as const
) {
  Deno.test(`headerValue() writes ${JSON.stringify(text)} as ${expected}`, () =>
    assertEquals(headerValue(text), expected));
}
