import { assertEquals } from "@std/assert";
import { decodeRecord, encodeRecord, type ServerRecord } from "../../src/registry/record.ts";
import { sampleRecord } from "./sample.ts";

const FULL = sampleRecord({
  config: "/project/foster.json",
  last_exit: { code: null, signal: "SIGKILL", at: "2026-01-01T00:00:00.000Z" },
  supervisor: { pid: 700, start_token: "proc:boot:700" },
  next_attempt: "2026-01-01T00:00:02.000Z",
  owner_pid: 900,
  ws_port: 9500,
});

Deno.test("decodeRecord() reads what encodeRecord() wrote when every field is filled", () =>
  assertEquals(decodeRecord(encodeRecord(FULL), "docs"), { kind: "record", record: FULL }));

Deno.test("decodeRecord() reads a record whose process is not known yet", () => {
  const spawning = sampleRecord({
    state: "spawning",
    pid: null,
    start_token: null,
    pgid: null,
    launcher_pid: null,
    launcher_start_token: null,
    ready_at: null,
  });
  assertEquals(decodeRecord(encodeRecord(spawning), "docs"), { kind: "record", record: spawning });
});

Deno.test("decodeRecord() trusts no truncation of a record, wherever it is cut", () => {
  const whole = encodeRecord(FULL).trimEnd();
  for (let length = 0; length < whole.length; length++) {
    assertEquals(decodeRecord(whole.slice(0, length), "docs").kind, "corrupt", `cut after ${length}`);
  }
});

Deno.test("decodeRecord() trusts no record that misses a field", () => {
  for (const name of Object.keys(FULL)) {
    const { [name as keyof ServerRecord]: _gone, ...rest } = FULL;
    assertEquals(decodeRecord(JSON.stringify(rest), "docs"), {
      kind: "corrupt",
      why: `"${name}" is missing or malformed`,
    });
  }
});

const MALFORMED: [name: keyof ServerRecord, value: unknown][] = [
  ["schema", 2],
  ["schema", "1"],
  ["want", "sideways"],
  ["state", "unknown(2)"],
  ["state", "toString"],
  ["state", 3],
  ["started_by", "cron"],
  ["pid", "2000"],
  ["pid", 1.5],
  ["pid", true],
  ["start_token", 17],
  ["pgid", {}],
  ["token", null],
  ["argv", "server --port 3001"],
  ["argv", ["server", 3001]],
  ["env_names", null],
  ["port", null],
  ["port", "3001"],
  ["endpoint", null],
  ["last_exit", { code: "0", signal: null, at: "" }],
  ["last_exit", { code: 0 }],
  ["last_exit", []],
  ["supervisor", { pid: 700 }],
  ["supervisor", 700],
  ["restarts", null],
  ["log", 1],
];
for (const [name, value] of MALFORMED) {
  Deno.test(`decodeRecord() trusts no record whose ${name} is ${JSON.stringify(value)}`, () =>
    assertEquals(decodeRecord(JSON.stringify({ ...FULL, [name]: value }), "docs"), {
      kind: "corrupt",
      why: `"${name}" is missing or malformed`,
    }));
}

for (const text of ["null", "[]", "17", '"record"', "{}", "", "\0\0\0\0", "{]"]) {
  Deno.test(`decodeRecord() trusts nothing when the file holds ${JSON.stringify(text)}`, () =>
    assertEquals(decodeRecord(text, "docs").kind, "corrupt"));
}

Deno.test("decodeRecord() trusts no record of another server that was copied here", () =>
  assertEquals(decodeRecord(encodeRecord(FULL), "other"), {
    kind: "corrupt",
    why: "it belongs to another server",
  }));
