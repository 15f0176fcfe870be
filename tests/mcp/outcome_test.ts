import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  classifyProbeError,
  connectionFailure,
  type ConnectionReason,
  type ProbeFailure,
} from "../../src/mcp/outcome.ts";

const FOUND = {
  server: { name: "docs", version: "1", protocol: "2025-06-18" },
  tools: ["echo"],
  missing: ["add"],
};

const RETRIED: ProbeFailure[] = [
  { kind: "timeout", afterMs: 500 },
  { kind: "cancelled" },
  { kind: "connection", reason: "refused", detail: "" },
  { kind: "connection", reason: "reset", detail: "" },
  { kind: "connection", reason: "aborted", detail: "" },
  { kind: "connection", reason: "timeout", detail: "" },
  { kind: "connection", reason: "unreachable", detail: "" },
  { kind: "connection", reason: "failed", detail: "something else" },
  { kind: "http", status: 404, detail: "" },
  { kind: "http", status: 502, detail: "" },
  { kind: "http", status: 503, detail: "starting" },
];

const FINAL: ProbeFailure[] = [
  { kind: "connection", reason: "no_permission", detail: "" },
  { kind: "http", status: 400, detail: "" },
  { kind: "http", status: 401, detail: "" },
  { kind: "http", status: 500, detail: "boom" },
  { kind: "http", status: 504, detail: "" },
  {
    kind: "redirect",
    status: 302,
    location: "http://127.0.0.1:9/",
    from: new URL("http://127.0.0.1:8/mcp"),
  },
  { kind: "too_large", limitBytes: 10 },
  { kind: "rpc", code: -32603, message: "no" },
  { kind: "answer", detail: "not JSON" },
  { kind: "cross_origin", detail: "http://127.0.0.1:9" },
  { kind: "wrong_name", expected: "docs", actual: "other" },
  { kind: "missing_tools", found: FOUND },
];

for (const [kind, failures] of [["retry", RETRIED], ["permanent", FINAL]] as const) {
  for (const failure of failures) {
    Deno.test(`classifyProbeError() says ${kind} when it saw ${JSON.stringify(failure)}`, () => {
      assertEquals(classifyProbeError(failure).kind, kind);
    });
  }
}

Deno.test("classifyProbeError() keeps the status and the answer when HTTP failed", () => {
  const outcome = classifyProbeError({ kind: "http", status: 503, detail: "starting" });
  assertEquals(outcome.statusCode, 503);
  assertEquals(outcome.tag, "http_503");
  assertEquals(outcome.reason, "HTTP 503: starting");
});

Deno.test("classifyProbeError() lists missing and available when tools are missing", () => {
  const outcome = classifyProbeError({ kind: "missing_tools", found: FOUND });
  assertStringIncludes(outcome.reason, "missing tools: add");
  assertStringIncludes(outcome.reason, "available: echo");
  assertEquals(outcome.found, FOUND);
});

const THROWN: [string, Error, ConnectionReason][] = [
  [
    "a Linux refusal",
    new TypeError("error sending request: tcp connect error: Connection refused (os error 111)"),
    "refused",
  ],
  ["a Windows refusal", new TypeError("target machine actively refused it. (os error 10061)"), "refused"],
  ["a Bun refusal", Object.assign(new Error("Unable to connect."), { code: "ConnectionRefused" }), "refused"],
  [
    "a reset in the cause",
    new TypeError("error sending request", { cause: new Error("Connection reset by peer") }),
    "reset",
  ],
  ["a closed connection", new TypeError("connection closed before message completed"), "reset"],
  ["a Bun reset", Object.assign(new Error("The socket was closed"), { code: "ECONNRESET" }), "reset"],
  ["an operating system timeout", new TypeError("tcp connect error: Connection timed out"), "timeout"],
  ["no route", new TypeError("tcp connect error: Network is unreachable (os error 101)"), "unreachable"],
  ["a missing permission", new Deno.errors.NotCapable("Requires net access"), "no_permission"],
  ["anything else", new TypeError("bad luck"), "failed"],
];

for (const [name, error, reason] of THROWN) {
  Deno.test(`connectionFailure() says ${reason} when it gets ${name}`, () => {
    assertEquals(connectionFailure(error), { kind: "connection", reason, detail: error.message });
  });
}
