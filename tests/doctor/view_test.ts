import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { allFields, childLines, foldLookalikes, processTable } from "../../src/doctor/view.ts";
import { ShellHint } from "../../src/base/shell_hint.ts";
import type { Finding } from "../../src/doctor/findings.ts";
import type { ProcessRow } from "../../src/doctor/rows.ts";

const NOW = 1_800_000_000_000;
const ROW: ProcessRow = {
  pid: 4_194_303,
  alive: true,
  executable_match: "yes",
  transport: "http",
  bind: "127.0.0.1:3001",
  http_path: "/mcp",
  cwd: "/a folder",
  started_unix_millis: NOW - (23 * 60 + 59) * 60_000,
  parent_pid_at_start: 1,
  current_parent_pid: 1,
  parent_alive_at_start: true,
  process_group_id: 12,
  current_process_group_id: 12,
  stale_client: false,
  record: "/state/servers/docs/record.json",
  server: "docs",
  verdict: "ours",
  child_pids: [13, 14],
};

const ROWS: { given: Partial<ProcessRow>; shown: string[] }[] = [
  { given: {}, shown: ["4194303", "docs", "http", "running", "23h 59m", "-"] },
  {
    given: { server: null, transport: "stdio", stale_client: true },
    shown: ["4194303", "(registered)", "stdio", "running", "23h 59m", "its client is gone"],
  },
  {
    given: { executable_match: "no", started_unix_millis: null },
    shown: ["4194303", "docs", "http", "running", "-", "-"],
  },
  {
    given: { verdict: "gone", alive: false },
    shown: ["4194303", "docs", "http", "gone", "-", "record is left over"],
  },
  {
    given: { verdict: "gone", alive: false, pid: null },
    shown: ["-", "docs", "http", "gone", "-", "start never finished"],
  },
  {
    given: { verdict: "recycled", alive: false },
    shown: ["4194303", "docs", "http", "gone", "-", "pid was given away"],
  },
  {
    given: { verdict: "unknown", alive: null, server: "a-server-of-a-long-name-0123abcd" },
    shown: ["4194303", "a-server-of-a-long-…", "http", "unknown", "-", "can't be told"],
  },
];
for (const { given, shown } of ROWS) {
  Deno.test(`processTable() shows ${shown.slice(1).join(" ")}`, () =>
    assertEquals(processTable([{ ...ROW, ...given }], NOW)[1], shown));
}

Deno.test("processTable() fits 80 columns with every kind of row in it", () => {
  const table = processTable(ROWS.map(({ given }) => ({ ...ROW, ...given })), NOW);
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((cells) => cells[column]?.length ?? 0))
  );
  const gaps = 2 * (widths.length - 1);
  assert(widths.reduce((sum, width) => sum + width, gaps) <= 80, widths.join(" "));
});

Deno.test("allFields() and childLines() leave nothing out", () => {
  const [heading = [], cells] = allFields([ROW]);
  const fields = Object.keys(ROW).filter((field) => field !== "child_pids");
  assertEquals(heading.map((each) => each.toLowerCase()).sort(), fields.sort());
  assertEquals(cells?.length, heading.length);
  assertEquals(childLines([ROW, { ...ROW, child_pids: [] }]), ["pid 4194303: child_pids=13,14"]);
});

const shell = new ShellHint({ windows: false, stateDir: "/state", config: null });
const other: Finding = { level: "warn", section: "processes", code: "orphan", message: "m", fix: "f" };
const alike = (pid: number): Finding => ({
  level: "info",
  section: "processes",
  code: "branded",
  message: `pid ${pid} looks like "docs"`,
  fix: `ps -p ${pid}`,
});

Deno.test("foldLookalikes() puts those that merely look like servers into one line", () => {
  const folded = foldLookalikes([other, alike(1), alike(2), alike(3)], shell);
  assertEquals(folded.length, 2);
  assertEquals([folded[0], folded[1]?.fix], [other, ""]);
  assertStringIncludes(folded[1]?.message ?? "", "3 processes look like a server");
  assertStringIncludes(
    folded[1]?.message ?? "",
    "foster doctor processes --verbose --state-dir /state lists them",
  );
  assertStringIncludes(foldLookalikes([alike(1)], shell)[0]?.message ?? "", "1 process looks");
});

Deno.test("foldLookalikes() leaves all else as it is", () =>
  assertEquals(foldLookalikes([other], shell), [other]));
