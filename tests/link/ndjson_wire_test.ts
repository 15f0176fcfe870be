import { assertEquals } from "@std/assert";
import type { LinkEvent } from "../../src/link/events.ts";
import { eventLine, parseInput } from "../../src/link/ndjson_wire.ts";

const inputs: [line: string, kind: string][] = [
  ['{"type":"event","event":"scene_changed","data":{"current_scene":"a"}}', "event"],
  ['{"type":"event","event":"scene_changed"}', "event"],
  ['{"type":"event"}', "bad"],
  ['{"type":"event","event":"x","data":[]}', "bad"],
  ['{"type":"response","request_id":"a","data":{}}', "response"],
  ['{"type":"response","request_id":"a","data":{},"error":null}', "response"],
  ['{"type":"response","request_id":"a","error":{"code":"C","message":"m"}}', "response"],
  ['{"type":"response","request_id":"a"}', "bad"],
  ['{"type":"response","data":{}}', "bad"],
  ['{"type":"response","request_id":"a","data":"text"}', "bad"],
  ['{"type":"response","request_id":"a","error":"text"}', "bad"],
  ['{"type":"response","request_id":"a","data":{},"status":"fine"}', "bad"],
  ['{"type":"readiness","readiness":"playing"}', "readiness"],
  ['{"type":"readiness"}', "bad"],
  ['{"type":"pause"}', "pause"],
  ['{"type":"resume"}', "resume"],
  ['{"type":"close"}', "close"],
  ['{"type":"dance"}', "bad"],
  ["[]", "bad"],
  ["null", "bad"],
  ["nonsense", "bad"],
];

for (const [line, kind] of inputs) {
  Deno.test(`parseInput() finds ${kind} in ${line}`, () => assertEquals(parseInput(line).kind, kind));
}

const lines: [event: LinkEvent, line: unknown][] = [
  [{ type: "open", sessionId: "demo@00ff" }, { type: "open", session_id: "demo@00ff" }],
  [{ type: "ack", serverVersion: "2.4.2" }, { type: "ack", server_version: "2.4.2" }],
  [
    { type: "verdict", verdict: { kind: "incompatible", expected: "2.4.2", actual: "2.3.0" } },
    { type: "verdict", state: "incompatible", expected: "2.4.2", actual: "2.3.0" },
  ],
  [
    {
      type: "verdict",
      verdict: {
        kind: "unverified",
        expected: null,
        actual: "",
        error: "missing_handshake_ack",
        statusCode: 0,
      },
    },
    { type: "verdict", state: "incompatible", expected: null, actual: "", error: "missing_handshake_ack" },
  ],
  [{ type: "reconnecting", attempt: 2, nextRetryS: 2 }, {
    type: "reconnecting",
    attempt: 2,
    next_retry_s: 2,
  }],
  [{ type: "closed", code: 1006, reason: "" }, { type: "closed", code: 1006, reason: "" }],
  [
    {
      type: "backpressure",
      requestId: "ab",
      action: "replaced",
      overflow: { bufferedBytes: 1, messageBytes: 2, limitBytes: 3 },
    },
    {
      type: "backpressure",
      action: "replaced",
      request_id: "ab",
      buffered_bytes: 1,
      message_bytes: 2,
      limit_bytes: 3,
    },
  ],
  [{ type: "log", level: "warn", message: "m" }, { type: "log", level: "warn", message: "m" }],
  [{ type: "session", sessionId: "a" }, null],
  [{ type: "blocked", reason: "r" }, null],
];

for (const [event, line] of lines) {
  Deno.test(`eventLine() gives the line of ${event.type} (${JSON.stringify(line).slice(0, 60)})`, () => {
    const given = eventLine(event);
    assertEquals(given === null ? null : JSON.parse(JSON.stringify(given)), line);
  });
}
