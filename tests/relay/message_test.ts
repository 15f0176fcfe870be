import { assert, assertEquals } from "@std/assert";
import { EventReader } from "../../src/relay/upstream/event_stream.ts";
import { FramingCheck } from "../../src/relay/framing.ts";
import { headersFor, headerValue, toolHeadersOf } from "../../src/relay/upstream/headers.ts";
import { oneLine, readLines } from "../../src/relay/lines.ts";
import { readClientLine, readServerLine } from "../../src/relay/message.ts";
import { parcelOf } from "../../src/relay/parcel.ts";
import { skim } from "../../src/relay/skim.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const bytes = (text: string) => encoder.encode(text);

const CLIENT_LINES: [string, string, unknown][] = [
  ["a request", '{"jsonrpc":"2.0","id":1,"method":"ping"}', {
    kind: "message",
    message: { kind: "request", id: 1, method: "ping", params: {} },
  }],
  ["a notification", '{"jsonrpc":"2.0","method":"a","params":{"b":1}}', {
    kind: "message",
    message: { kind: "notification", method: "a", params: { b: 1 } },
  }],
  ["an answer", '{"jsonrpc":"2.0","id":"x","result":{}}', {
    kind: "message",
    message: { kind: "response", id: "x" },
  }],
  ["a batch", '[{"id":1,"method":"ping"},{"method":"a"}]', {
    kind: "message",
    message: {
      kind: "batch",
      items: [
        { kind: "request", id: 1, method: "ping", params: {} },
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
  ["an answer", `{"jsonrpc":"2.0","id":7,"result":{"text":"%"}}`, { kind: "answer", id: 7, isError: false }],
  ["an answer with its id at the end", `{"result":{"a":["%",{"id":3}]},"jsonrpc":"2.0","id":"b"}`, {
    kind: "answer",
    id: "b",
    isError: false,
  }],
  ["an error", `{"id":1,"error":{"code":1,"message":"%"}}`, { kind: "answer", id: 1, isError: true }],
  ["a request", `{"id":1,"method":"sampling/createMessage","params":{"text":"% \\" \\\\"}}`, {
    kind: "request",
    id: 1,
    method: "sampling/createMessage",
  }],
  ["a notification", `{"params":{"method":"no","text":"%"},"method":"a"}`, {
    kind: "notification",
    method: "a",
  }],
  ["nothing", `{"text":"%"}`, { kind: "garbage" }],
  ["an error without a request", `{"id":null,"error":{"code":1,"message":"%"}}`, {
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

Deno.test("skim() agrees with JSON.parse() about the top of an object", () => {
  const value = { a: 1, 'b\n"': "c\\", d: [1, { e: "}]" }], f: true, g: null, h: -1.5e3, id: "ü" };
  assertEquals(skim(bytes(JSON.stringify(value, null, 2))), value);
});
for (const broken of ['{"a":1', '{"a":"b}', '{"a"1}', "[1]", "", '{"a":[1}']) {
  Deno.test(`skim() gives nothing for ${broken || "no bytes"}`, () =>
    assertEquals(skim(bytes(broken)), null));
}

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
      (line) => decoder.decode(line),
    );
    assertEquals(lines, ["one", "two", "three ü", '{"four"}']);
  }
});

Deno.test("oneLine() joins what a server spread over several lines", () =>
  assertEquals(decoder.decode(oneLine(bytes('{\r\n "a": 1\n}\n'))), '{   "a": 1 }'));

Deno.test("EventReader reads events, wherever the chunks end", () => {
  const text =
    ': hello\r\nid: 7\r\nevent: message\r\ndata: {"a":\r\ndata: 1}\r\n\r\nretry: 250\ndata:x\n\nid\nevent: ping\n\n';
  const whole = bytes(text);
  for (const size of [1, 3, 1000]) {
    const reader = new EventReader();
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
  const { accept: _, "content-type": __, ...rest } = headersFor(parcelOf(line, read.message), {
    session,
    tools: toolHeadersOf(tools),
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
