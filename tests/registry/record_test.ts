import { assertEquals, assertMatch } from "@std/assert";
import {
  type CopyRecord,
  decodeCopy,
  decodeRecord,
  encodeRecord,
  type ServerRecord,
} from "../../src/registry/record.ts";
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

Deno.test("decodeRecord() reads a record of 0.1, which has none of the later keys", () => {
  const { pid_namespace: _a, revision: _b, on_demand: _c, ...older } = FULL;
  assertEquals(decodeRecord(JSON.stringify(older), "docs"), { kind: "record", record: FULL });
});

Deno.test("decodeRecord() keeps what a later version wrote besides", () => {
  const decoded = decodeRecord(JSON.stringify({ ...FULL, later: [1] }), "docs");
  assertEquals(JSON.parse(JSON.stringify(decoded)), { kind: "record", record: { ...FULL, later: [1] } });
});

Deno.test("decodeRecord() reads the parts of paths that came from the environment as they were written", () => {
  const masked = sampleRecord({ executable: "${env:TOOLS}/server", cwd: "${env:HOME}" });
  assertEquals(decodeRecord(encodeRecord(masked), "docs"), { kind: "record", record: masked });
});

Deno.test("encodeRecord() cuts what a server says of itself", () => {
  const decoded = decodeRecord(encodeRecord(sampleRecord({ server_name: "N".repeat(2_000_000) })), "docs");
  assertEquals(decoded.kind === "record" && decoded.record.server_name, "N".repeat(256));
});

Deno.test("decodeRecord() trusts no truncation of a record, wherever it is cut", () => {
  const whole = encodeRecord(FULL).trimEnd();
  for (let length = 0; length < whole.length; length++) {
    assertEquals(decodeRecord(whole.slice(0, length), "docs").kind, "corrupt", `cut after ${length}`);
  }
});

Deno.test("decodeRecord() trusts no record that misses a field", () => {
  const later = ["pid_namespace", "revision", "on_demand", "launch_tier"];
  for (const name of Object.keys(FULL).filter((name) => !later.includes(name))) {
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
  // Of the right type, and yet no value that foster ever wrote.
  ["pid", 0],
  ["pid", 1],
  ["pid", -2000],
  ["pid", 2 ** 40],
  ["pgid", 1],
  ["pgid", -1],
  ["launcher_pid", 1],
  ["start_token", ""],
  ["start_token", "2000"],
  ["token", ""],
  ["token", "folder:docs:"],
  ["token", ":docs:random"],
  ["token", "folder:other:random"],
  ["name", "\u001b[31mred"],
  ["name", ""],
  ["config", "foster.json"],
  ["executable", "server"],
  ["cwd", "."],
  ["log", "../../etc/passwd"],
  ["port", 0],
  ["port", 65536],
  ["ws_port", -1],
  ["endpoint", "x"],
  ["endpoint", ""],
  ["endpoint", "http://example.com:3001/mcp"],
  ["endpoint", "http://127.0.0.1:3002/mcp"],
  ["endpoint", "http://127.0.0.1:3001//example.com"],
  ["endpoint", "http://user@127.0.0.1:3001/mcp"],
  ["endpoint", "file:///etc/passwd"],
  ["started_at", "x"],
  ["started_at", "9"],
  ["ready_at", "tomorrow"],
  ["next_attempt", ""],
  ["last_exit", { code: 0, signal: null, at: "x" }],
  ["supervisor", { pid: 0, start_token: "proc:boot:700" }],
  ["supervisor", { pid: 700, start_token: "" }],
  ["owner_pid", -1],
  ["restarts", -1],
  ["pid_namespace", "../x"],
  ["on_demand", "yes"],
];
for (const [name, value] of MALFORMED) {
  Deno.test(`decodeRecord() trusts no record whose ${name} is ${JSON.stringify(value)}`, () => {
    const decoded = decodeRecord(JSON.stringify({ ...FULL, [name]: value }), "docs");
    assertMatch(
      decoded.kind === "corrupt" ? decoded.why : "",
      new RegExp(`^"${name}(\\.\\w+)?" is missing or malformed$`),
    );
  });
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

const COPY: CopyRecord = {
  ...sampleRecord({ port: 0, endpoint: "" }),
  copy: "0a1b2c",
  client: "claude",
  shared: false,
  owner: { pid: 700, start_token: "proc:boot:700" },
  session: "0123456789abcdef",
};

Deno.test("decodeCopy() reads what encodeRecord() wrote of a copy, under its own name alone", () => {
  const of = (id: string) => decodeCopy(encodeRecord(COPY), { key: "docs", id });
  assertEquals(of("0a1b2c"), { kind: "record", record: COPY });
  assertEquals(of("other").kind, "corrupt");
});

Deno.test("decodeCopy() trusts no copy that names a port, and decodeRecord() no record that names none", () => {
  const source = encodeRecord({ ...COPY, port: 3001, endpoint: "http://127.0.0.1:3001/mcp" });
  assertEquals(decodeCopy(source, { key: "docs", id: COPY.copy }).kind, "corrupt");
  assertEquals(decodeRecord(encodeRecord(COPY), "docs").kind, "corrupt");
});
