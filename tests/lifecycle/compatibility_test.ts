import { assertEquals } from "@std/assert";
import {
  type Compatibility,
  type Expectation,
  expectedWsPort,
  judge,
} from "../../src/lifecycle/observe/compatibility.ts";
import { type StatusSnapshot, UNREACHED } from "../../src/mcp/snapshot.ts";
import { says } from "./observations.ts";

const WANTED: Expectation = { name: "docs", version: "2.4.2", wsPort: 9500 };
const RIGHT = says({ name: "docs", version: "2.4.2", wsPort: 9500 });

const CASES: {
  name: string;
  live: StatusSnapshot;
  expected?: Partial<Expectation>;
  reason: Compatibility["reason"];
}[] = [
  { name: "name, version and WebSocket port are right", live: RIGHT, reason: "exact" },
  { name: "it does not tell its version", live: { ...RIGHT, version: "" }, reason: "unknown" },
  { name: "it is another version", live: { ...RIGHT, version: "2.4.3" }, reason: "version_mismatch" },
  {
    name: "the version differs by a suffix",
    live: { ...RIGHT, version: "2.4.2-rc.1" },
    reason: "version_mismatch",
  },
  {
    name: "the same version has another WebSocket port",
    live: { ...RIGHT, wsPort: 9501 },
    reason: "ws_port_mismatch",
  },
  { name: "it does not tell its WebSocket port", live: { ...RIGHT, wsPort: 0 }, reason: "ws_port_mismatch" },
  {
    name: "the name is another one although all else is right",
    live: { ...RIGHT, name: "other" },
    reason: "name_mismatch",
  },
  {
    name: "it does not tell its name although all else is right",
    live: { ...RIGHT, name: "" },
    reason: "name_mismatch",
  },
  { name: "nobody answered", live: UNREACHED, reason: "name_mismatch" },
  {
    name: "no WebSocket port is expected",
    live: { ...RIGHT, wsPort: 1 },
    expected: { wsPort: null },
    reason: "exact",
  },
  {
    name: "any version will do",
    live: { ...RIGHT, version: "9" },
    expected: { version: null },
    reason: "any",
  },
  {
    name: "any version will do and none is told",
    live: { ...RIGHT, version: "" },
    expected: { version: null },
    reason: "any",
  },
  { name: "the version is within the range", live: RIGHT, expected: { version: "^2.4" }, reason: "range" },
  {
    name: "the version is outside of the range",
    live: RIGHT,
    expected: { version: "^3" },
    reason: "version_mismatch",
  },
  {
    name: "a range is wanted and no version is told",
    live: { ...RIGHT, version: "" },
    expected: { version: "^2" },
    reason: "unknown",
  },
  {
    name: "a range is wanted and the version is no version",
    live: { ...RIGHT, version: "main" },
    expected: { version: "^2" },
    reason: "version_mismatch",
  },
  {
    name: "the name does not matter",
    live: { ...RIGHT, name: "other" },
    expected: { name: null },
    reason: "exact",
  },
];
for (const { name, live, expected, reason } of CASES) {
  Deno.test(`judge() says ${reason} when ${name}`, () =>
    assertEquals(judge(live, { ...WANTED, ...expected }).reason, reason));
}

Deno.test("judge() is compatible for exact, range and any, and for nothing else", () => {
  for (const { live, expected, reason } of CASES) {
    const compatible = ["exact", "range", "any"].includes(reason);
    assertEquals(judge(live, { ...WANTED, ...expected }).kind, compatible ? "compatible" : "incompatible");
  }
});

const PORTS: {
  name: string;
  recorded: [number | null, string | null];
  wanted?: { version: string | null; wsPort: number | null };
  port: number | null;
}[] = [
  { name: "the recorded one under the wanted version", recorded: [9600, "2.4.2"], port: 9600 },
  { name: "the fresh one when the record is of another version", recorded: [9600, "2.4.1"], port: 9500 },
  { name: "the fresh one when the record has no version", recorded: [9600, null], port: 9500 },
  { name: "the fresh one when the record has an empty version", recorded: [9600, ""], port: 9500 },
  {
    name: "the fresh one when both versions are unknown",
    recorded: [9600, null],
    wanted: { version: null, wsPort: 9500 },
    port: 9500,
  },
  { name: "the fresh one when the record has no WebSocket port", recorded: [null, "2.4.2"], port: 9500 },
  { name: "the fresh one when the recorded port is 0", recorded: [0, "2.4.2"], port: 9500 },
  { name: "the fresh one when the recorded port is negative", recorded: [-1, "2.4.2"], port: 9500 },
  {
    name: "none for a server without a WebSocket side",
    recorded: [9600, "2.4.2"],
    wanted: { version: "2.4.2", wsPort: null },
    port: null,
  },
];
for (const { name, recorded, wanted = WANTED, port } of PORTS) {
  Deno.test(`expectedWsPort() is ${name}`, () =>
    assertEquals(
      expectedWsPort({ wsPort: recorded[0], version: recorded[1] }, wanted),
      port,
    ));
}
