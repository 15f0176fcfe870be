import { assertEquals } from "@std/assert";
import {
  decodeProcessRecord,
  encodeProcessRecord,
  pidOfFileName,
  type ProcessRecord,
  readProcessRecord,
  removeProcessRecord,
  writeProcessRecord,
} from "../../src/registry/process_files.ts";
import { FakeHost } from "../host/fake_host.ts";

const RECORD: ProcessRecord = {
  schema: 1,
  pid: 700,
  start_token: "proc:boot:700",
  executable: "/usr/bin/node",
  cwd: "/home/user",
  started_unix_millis: 1_700_000_000_000,
  parent_pid_at_start: 600,
  process_group_id: 700,
  transport: "http",
  bind: "127.0.0.1:3001",
  http_path: "/mcp",
  register: { pid: 699, start_token: "proc:boot:699" },
};

Deno.test("decodeProcessRecord() reads what encodeProcessRecord() wrote", () =>
  assertEquals(decodeProcessRecord(encodeProcessRecord(RECORD), 700), { kind: "record", record: RECORD }));

Deno.test("decodeProcessRecord() reads an older record without parent, group and identity", () => {
  const { pid, executable, cwd, started_unix_millis, transport } = RECORD;
  const older = JSON.stringify({ pid, executable, cwd, started_unix_millis, transport });
  assertEquals(decodeProcessRecord(older, 700), {
    kind: "record",
    record: {
      ...RECORD,
      start_token: null,
      parent_pid_at_start: null,
      process_group_id: null,
      bind: null,
      http_path: null,
      register: null,
    },
  });
});

for (
  const [what, text, why] of [
    ["a truncated one", encodeProcessRecord(RECORD).slice(0, 40), "it is not JSON"],
    ["nothing", "", "it is not JSON"],
    ["a list", "[]", "it is not an object"],
    ["null", "null", "it is not an object"],
    ["another schema", JSON.stringify({ ...RECORD, schema: 2 }), "another version of foster wrote it"],
    ["a pid that is text", JSON.stringify({ ...RECORD, pid: "700" }), '"pid" is missing or malformed'],
    ["pid 1", JSON.stringify({ ...RECORD, pid: 1 }), '"pid" is missing or malformed'],
    [
      "a start time that is none",
      JSON.stringify({ ...RECORD, start_token: "" }),
      '"start_token" is missing or malformed',
    ],
    ["pid 0", JSON.stringify({ ...RECORD, pid: 0 }), '"pid" is missing or malformed'],
    ["another pid", JSON.stringify({ ...RECORD, pid: 701 }), "its name is not that of its pid"],
    [
      "another transport",
      JSON.stringify({ ...RECORD, transport: "sse" }),
      '"transport" is missing or malformed',
    ],
    [
      "half a register",
      JSON.stringify({ ...RECORD, register: { pid: 1 } }),
      '"register.start_token" is missing or malformed',
    ],
  ] as const
) {
  Deno.test(`decodeProcessRecord() trusts nothing in ${what}`, () =>
    assertEquals(decodeProcessRecord(text, 700), { kind: "corrupt", why }));
}

for (
  const [name, pid] of [
    ["700.json", 700],
    ["0.json", null],
    ["-1.json", null],
    ["7e2.json", null],
    ["700.json.draft", null],
    ["12345678901.json", null],
    [".json", null],
  ] as const
) {
  Deno.test(`pidOfFileName() of ${name} is ${pid}`, () => assertEquals(pidOfFileName(name), pid));
}

Deno.test("writeProcessRecord() makes private folders and a private file", async () => {
  const host = new FakeHost();
  const path = await writeProcessRecord(host, "/state", RECORD);
  assertEquals(path, "/state/processes/700.json");
  assertEquals((await host.files.stat("/state/processes"))?.mode, 0o700);
  assertEquals((await host.files.stat(path))?.mode, 0o600);
  assertEquals(await readProcessRecord(host, path, { pid: 700 }), { kind: "record", record: RECORD });
});

Deno.test("readProcessRecord() follows no link and reads nothing that is huge or another user's", async () => {
  const host = new FakeHost();
  host.files.put("/elsewhere.json", encodeProcessRecord(RECORD));
  host.files.putLink("/state/processes/700.json", "/elsewhere.json");
  const read = (ownerUid: number | null) =>
    readProcessRecord(host, "/state/processes/700.json", { pid: 700, ownerUid });
  assertEquals(await read(null), { kind: "corrupt", why: "it is a link" });

  host.files.put("/state/processes/700.json", encodeProcessRecord(RECORD) + " ".repeat(10_000_000));
  const huge = await read(null);
  assertEquals(huge.kind === "corrupt" && / bytes large$/.test(huge.why), true);

  host.files.put("/state/processes/700.json", encodeProcessRecord(RECORD));
  assertEquals(await read(4711), { kind: "corrupt", why: "it belongs to another user (1000)" });
  host.files.refuse("/state/processes/700.json", "denied");
  assertEquals((await read(null)).kind, "corrupt");
});

Deno.test("removeProcessRecord() leaves the record of a later process with the same pid", async () => {
  const host = new FakeHost();
  const path = await writeProcessRecord(host, "/state", { ...RECORD, start_token: "proc:boot:999" });
  assertEquals(await removeProcessRecord(host, path, RECORD), false);
  await writeProcessRecord(host, "/state", RECORD);
  assertEquals(await removeProcessRecord(host, path, RECORD), true);
  assertEquals(await removeProcessRecord(host, path, RECORD), false);
});
