import { assertEquals } from "@std/assert";
import { parseClientMessage, parseHandshake } from "../../src/demo/wire.ts";

const REQUIRED = {
  type: "handshake",
  session_id: "game@a1b2",
  godot_version: "4.4",
  project_path: "/game",
  plugin_version: "2.4.2",
};

Deno.test("parseHandshake() fills the defaults when only the required fields are there", () => {
  assertEquals(parseHandshake(JSON.stringify(REQUIRED)), {
    sessionId: "game@a1b2",
    clientName: null,
    runtimeVersion: "4.4",
    projectPath: "/game",
    clientVersion: "2.4.2",
    protocolVersion: 1,
    readiness: "ready",
    ownerPid: 0,
    launchMode: "unknown",
  });
});

Deno.test("parseHandshake() takes everything when everything is there", () => {
  const whole = {
    ...REQUIRED,
    protocol_version: 2,
    readiness: "importing",
    editor_pid: 7,
    server_launch_mode: "uvx",
    client_name: "my editor",
  };
  const handshake = parseHandshake(JSON.stringify(whole));
  assertEquals(
    [handshake?.protocolVersion, handshake?.readiness, handshake?.ownerPid, handshake?.launchMode],
    [2, "importing", 7, "uvx"],
  );
  assertEquals(handshake?.clientName, "my editor");
  assertEquals(
    [handshake?.clientVersion, handshake?.runtimeVersion],
    ["2.4.2", "4.4"],
  );
});

const INVALID: [string, string][] = [
  ["it is no JSON", "hello"],
  ["it is an array", "[]"],
  ["it is null", "null"],
  ["the type is another", JSON.stringify({ ...REQUIRED, type: "event" })],
  ["the session id is empty", JSON.stringify({ ...REQUIRED, session_id: "" })],
  ["the process id is text", JSON.stringify({ ...REQUIRED, editor_pid: "7" })],
  ...["session_id", "godot_version", "project_path", "plugin_version"].map((key): [string, string] => [
    `there is no ${key}`,
    JSON.stringify({ ...REQUIRED, [key]: undefined }),
  ]),
];

for (const [name, text] of INVALID) {
  Deno.test(`parseHandshake() refuses when ${name}`, () => assertEquals(parseHandshake(text), null));
}

const MESSAGES: [string, unknown, string][] = [
  ["event", { type: "event", event: "scene_changed", data: { current_scene: "a" } }, "event"],
  ["event without data", { type: "event", event: "scene_changed" }, "event"],
  ["event with a list as data", { type: "event", event: "scene_changed", data: [] }, "unreadable_event"],
  ["event without a name", { type: "event", data: {} }, "unreadable_event"],
  ["good response", { request_id: "1", status: "ok", data: {} }, "response"],
  ["error response", { request_id: "1", status: "error", error: { code: "X", message: "x" } }, "response"],
  ["response without a status", { request_id: "1", data: {} }, "broken"],
  ["response without a request", { status: "ok" }, "broken"],
  ["list", [], "broken"],
];

for (const [name, message, kind] of MESSAGES) {
  Deno.test(`parseClientMessage() says ${kind} when it reads a ${name}`, () => {
    assertEquals(parseClientMessage(JSON.stringify(message)).kind, kind);
  });
}

Deno.test("parseClientMessage() says broken when it is no JSON", () => {
  assertEquals(parseClientMessage("{"), { kind: "broken" });
});
