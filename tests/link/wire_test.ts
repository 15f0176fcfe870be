import { assertEquals } from "@std/assert";
import {
  decodeInbound,
  encodeEvent,
  encodeHandshake,
  encodeResponse,
  type Inbound,
  type Packet,
  utf8Bytes,
} from "../../src/link/wire.ts";

const inbound: [what: string, packet: Packet, expected: Inbound["kind"]][] = [
  ["an acknowledgement", '{"type":"handshake_ack","server_version":"2.4.2"}', "ack"],
  ["a command", '{"request_id":"ab","command":"ping","params":{}}', "command"],
  ["a command without params", '{"request_id":"ab","command":"ping"}', "command"],
  ["a command without an id", '{"command":"ping"}', "ignored"],
  ["a request id without a command", '{"request_id":"ab"}', "ignored"],
  ["a command whose id is a number", '{"request_id":1,"command":"ping"}', "ignored"],
  ["an unknown type", '{"type":"weather","request_id":"ab","command":"ping"}', "ignored"],
  ["a list", "[1,2]", "ignored"],
  ["a text", '"hello"', "ignored"],
  ["null", "null", "ignored"],
  ["text that is not JSON", "{nope", "unreadable"],
  ["an empty text", "", "unreadable"],
  ["a binary frame", { binaryBytes: 3 }, "unreadable"],
];

for (const [what, packet, kind] of inbound) {
  Deno.test(`decodeInbound() finds ${kind} in ${what}`, () => assertEquals(decodeInbound(packet).kind, kind));
}

const acks: [what: string, version: unknown, stored: string, noted: boolean][] = [
  ["a version", "2.4.2", "2.4.2", false],
  ["no version", undefined, "", false],
  ["a number", 2.4, "", true],
  ["null", null, "", true],
];

for (const [what, version, stored, noted] of acks) {
  Deno.test(`decodeInbound() stores "${stored}" for an acknowledgement with ${what}`, () => {
    const ack = decodeInbound(JSON.stringify({ type: "handshake_ack", server_version: version }));
    assertEquals(ack.kind, "ack");
    if (ack.kind === "ack") assertEquals([ack.serverVersion, ack.note !== null], [stored, noted]);
  });
}

Deno.test("decodeInbound() gives an empty object where params are none", () => {
  const text = '{"request_id":"ab","command":"ping","params":[1]}';
  const command = { requestId: "ab", command: "ping", params: {}, size: text.length };
  assertEquals(decodeInbound(text), { kind: "command", command });
});

Deno.test("encodeHandshake() names every field as the server reads it", () => {
  const text = encodeHandshake({
    sessionId: "demo@00ff",
    clientName: null,
    projectPath: "/games/demo",
    clientVersion: "2.4.2",
    runtimeVersion: "4.5.0",
    launchMode: "managed",
    editorPid: 812,
    readiness: "ready",
  });
  assertEquals(JSON.parse(text), {
    type: "handshake",
    session_id: "demo@00ff",
    godot_version: "4.5.0",
    project_path: "/games/demo",
    plugin_version: "2.4.2",
    protocol_version: 1,
    readiness: "ready",
    editor_pid: 812,
    server_launch_mode: "managed",
  });
});

Deno.test("encodeEvent() puts the name and the data side by side", () => {
  const text = encodeEvent("scene_changed", { current_scene: "res://a.tscn" });
  assertEquals(JSON.parse(text), {
    type: "event",
    event: "scene_changed",
    data: { current_scene: "res://a.tscn" },
  });
});

const error = { code: "WRONG_TYPE", message: "no" };
const statuses = [
  { reply: { data: {} }, status: "ok" },
  { reply: { error }, status: "error" },
  { reply: { error, data: {} }, status: "error" },
  { reply: { status: "error", data: {} }, status: "error" },
  { reply: {}, status: "error" },
] as const;

for (const { reply, status } of statuses) {
  Deno.test(`encodeResponse() says ${status} for ${JSON.stringify(reply)}`, () => {
    const sent = JSON.parse(encodeResponse("ab", reply, "importing"));
    assertEquals([sent.request_id, sent.status, sent.readiness], ["ab", status, "importing"]);
  });
}

Deno.test("utf8Bytes() counts what the encoder makes", () => {
  for (const text of ["", "abc", "é", "日本", "😀", "a😀é日", "\ud800", "\ud800x", "\udc00"]) {
    assertEquals(utf8Bytes(text), new TextEncoder().encode(text).length, JSON.stringify(text));
  }
});
