import { assertEquals } from "@std/assert";
import { classify, decodeHeader } from "../../src/gateway/classify.ts";
import { META, NEWER_REVISION } from "../../src/mcp/revisions/messages.ts";

const META_OK = { [META.version]: NEWER_REVISION, [META.clientCapabilities]: {} };
const VERSION = { "mcp-protocol-version": NEWER_REVISION };
const request = (method: string, params: Record<string, unknown> = {}) => ({
  jsonrpc: "2.0",
  id: 1,
  method,
  params,
});
const newer = (method: string, params: Record<string, unknown> = {}) =>
  request(method, { ...params, _meta: META_OK });

interface Row {
  title: string;
  body: unknown;
  headers?: Record<string, string>;
  /** The kind, or the status and the code of a refusal. */
  is: "older" | "newer" | [number, number];
}

const ROWS: Row[] = [
  { title: "a request without a claim is older", body: request("tools/list"), is: "older" },
  {
    title: "initialize is older, whatever version it names",
    body: request("initialize", { protocolVersion: "2030-01-01" }),
    is: "older",
  },
  {
    title: "a notification is older without a header",
    body: { jsonrpc: "2.0", method: "notifications/initialized" },
    is: "older",
  },
  { title: "a response is older", body: { jsonrpc: "2.0", id: 1, result: {} }, is: "older" },
  { title: "a batch is older", body: [request("tools/list"), { jsonrpc: "2.0", method: "x" }], is: "older" },
  {
    title: "an older version's header changes nothing",
    body: request("tools/list"),
    headers: { "mcp-protocol-version": "2025-06-18" },
    is: "older",
  },
  {
    title: "an unknown version's header is for the session to refuse",
    body: request("tools/list"),
    headers: { "mcp-protocol-version": "banana" },
    is: "older",
  },
  {
    title: "a header of a version yet to come, without an envelope",
    body: request("tools/list"),
    headers: { "mcp-protocol-version": "2030-01-01" },
    is: [400, -32022],
  },
  {
    title: "a whole request of the newer revision",
    body: newer("tools/list"),
    headers: { ...VERSION, "mcp-method": "tools/list" },
    is: "newer",
  },
  {
    title: "with its name",
    body: newer("tools/call", { name: "a" }),
    headers: { ...VERSION, "mcp-method": "tools/call", "mcp-name": " a " },
    is: "newer",
  },
  {
    title: "with its name encoded",
    body: newer("tools/call", { name: "é" }),
    headers: { ...VERSION, "mcp-method": "tools/call", "mcp-name": "=?base64?w6k=?=" },
    is: "newer",
  },
  {
    title: "a notification of the newer revision by its header",
    body: { jsonrpc: "2.0", method: "notifications/cancelled" },
    headers: VERSION,
    is: "newer",
  },
  { title: "no JSON-RPC", body: { id: 1 }, is: [400, -32600] },
  { title: "no object", body: "x", is: [400, -32600] },
  { title: "an id that is null", body: { jsonrpc: "2.0", id: null, method: "x" }, is: [400, -32600] },
  { title: "an id that is an object", body: { jsonrpc: "2.0", id: {}, method: "x" }, is: [400, -32600] },
  { title: "an empty batch", body: [], is: [400, -32600] },
  { title: "a batch with a newer element", body: [newer("tools/list")], is: [400, -32600] },
  { title: "a batch with initialize", body: [request("initialize")], is: [400, -32600] },
  {
    title: "a newer header without a claim",
    body: request("tools/list"),
    headers: VERSION,
    is: [400, -32602],
  },
  {
    title: "initialize with a newer header",
    body: request("initialize"),
    headers: VERSION,
    is: [400, -32020],
  },
  {
    title: "initialize with a claim",
    body: newer("initialize"),
    headers: { ...VERSION, "mcp-method": "initialize" },
    is: [404, -32601],
  },
  {
    title: "a response with a newer header",
    body: { jsonrpc: "2.0", id: 1, result: {} },
    headers: VERSION,
    is: [400, -32600],
  },
  {
    title: "a claim without capabilities",
    body: request("tools/list", { _meta: { [META.version]: NEWER_REVISION } }),
    headers: VERSION,
    is: [400, -32602],
  },
  {
    title: "a claim that is no text",
    body: request("tools/list", { _meta: { ...META_OK, [META.version]: 1 } }),
    headers: VERSION,
    is: [400, -32602],
  },
  {
    title: "a header that disagrees with the claim",
    body: newer("tools/list"),
    headers: { "mcp-protocol-version": "2025-11-25" },
    is: [400, -32020],
  },
  {
    title: "an unknown version in the claim",
    body: request("tools/list", { _meta: { ...META_OK, [META.version]: "2099-01-01" } }),
    headers: { "mcp-protocol-version": "2099-01-01" },
    is: [400, -32022],
  },
  {
    title: "no version header",
    body: newer("tools/list"),
    headers: { "mcp-method": "tools/list" },
    is: [400, -32020],
  },
  { title: "no method header", body: newer("tools/list"), headers: VERSION, is: [400, -32020] },
  {
    title: "another method in the header",
    body: newer("tools/list"),
    headers: { ...VERSION, "mcp-method": "tools/call" },
    is: [400, -32020],
  },
  {
    title: "no name header",
    body: newer("tools/call", { name: "a" }),
    headers: { ...VERSION, "mcp-method": "tools/call" },
    is: [400, -32020],
  },
  {
    title: "another name in the header",
    body: newer("resources/read", { uri: "a:1" }),
    headers: { ...VERSION, "mcp-method": "resources/read", "mcp-name": "a:2" },
    is: [400, -32020],
  },
  {
    title: "a name that is no base64",
    body: newer("tools/call", { name: "a" }),
    headers: { ...VERSION, "mcp-method": "tools/call", "mcp-name": "=?base64?a?=" },
    is: [400, -32020],
  },
];

for (const { title, body, headers = {}, is } of ROWS) {
  Deno.test(`classify(): ${title}`, () => {
    const got = classify({ body, header: (name) => headers[name] ?? null });
    assertEquals(got.kind === "refused" ? [got.status, got.error.code] : got.kind, is);
  });
}

Deno.test("decodeHeader() leaves plain text alone and refuses what is no UTF-8", () => {
  assertEquals(decodeHeader("plain"), "plain");
  assertEquals(decodeHeader("=?BASE64?w6k=?="), "=?BASE64?w6k=?=");
  assertEquals(decodeHeader("=?base64?/w==?="), null);
});
