import { assert, assertEquals } from "@std/assert";
import { keysOf, press, type TopState } from "../../../src/cli/top/keys.ts";
import type { TopRow } from "../../../src/cli/top/sample.ts";
import { sparkline, tableLines } from "../../../src/cli/top/view.ts";

const ROW: TopRow = {
  name: "demo",
  key: "demo",
  state: "ready",
  process: "ours",
  pid: 12,
  endpoint: "http://127.0.0.1:3001/mcp",
  on_demand: false,
  uptime_ms: 125_000,
  restarts: 3,
  memory_bytes: 52_428_800,
  cpu_percent: 12.34,
  last_event: { at: "2026-01-01T00:00:00.000Z", event: "ready", message: "" },
  latency_ms: 4,
  latencies: [8, null, 4],
};
const GONE: TopRow = {
  ...ROW,
  name: "x",
  state: "crashed",
  process: "gone",
  uptime_ms: null,
  memory_bytes: null,
  cpu_percent: null,
  last_event: null,
  latency_ms: null,
  latencies: [],
};

const now = Date.parse("2026-01-01T00:00:10Z");
const plain = (text: string) => text;

Deno.test("tableLines() puts everything that is known in columns, and a dash elsewhere", () => {
  assertEquals(tableLines([ROW, GONE], { columns: null, selected: null, now, paint: plain }), [
    "NAME  STATE    UPTIME  RESTARTS  MEMORY    CPU    LATENCY   LAST EVENT",
    "demo  ready    2m 5s   3         50.0 MiB  12.3%  █·▅ 4 ms  ready 10s ago",
    "x     crashed  -       3         -         -      -         -",
  ]);
});

Deno.test("tableLines() marks the chosen row and cuts every line to the terminal", () => {
  const lines = tableLines([ROW, GONE], { columns: 30, selected: 1, now, paint: plain });
  assertEquals(lines.map((line) => line.slice(0, 2)), ["  ", "  ", "> "]);
  for (const line of lines) assert([...line].length <= 30, line);
});

Deno.test("tableLines() lets no control character of a server through", () => {
  const row = {
    ...ROW,
    last_event: { at: ROW.last_event?.at ?? "", event: "crashed", message: "a\x1b[2J\nb" },
  };
  const [, line = ""] = tableLines([row], { columns: null, selected: null, now, paint: plain });
  assert(!line.includes("\x1b") && !line.includes("\n"), JSON.stringify(line));
});

Deno.test("sparkline() scales to the highest value and leaves a dot for a failed check", () => {
  for (
    const [values, bars] of [
      [[], ""],
      [[5], "█"],
      [[0, 0], "▁▁"],
      [[1, 2, 4, 8], "▂▃▅█"],
      [[null, 1, null], "·█·"],
    ] as const
  ) assertEquals(sparkline(values), bars);
});

Deno.test("keysOf() keeps an arrow in one piece and tells keys apart", () => {
  assertEquals(keysOf("jk\x1b[A\x1bOBq\x03"), ["j", "k", "\x1b[A", "\x1bOB", "q", "\x03"]);
});

const table: TopState = { mode: { kind: "table" }, selected: 0 };
const asking: TopState = { mode: { kind: "confirm_stop" }, selected: 1 };
const log: TopState = { mode: { kind: "log" }, selected: 1 };

for (
  const { what, state, key, count, next, deed } of [
    { what: "moves down", state: table, key: "j", count: 2, next: { ...table, selected: 1 }, deed: "none" },
    { what: "stops at the end", state: table, key: "\x1b[B", count: 1, next: table, deed: "none" },
    { what: "stops at the beginning", state: table, key: "k", count: 2, next: table, deed: "none" },
    { what: "restarts", state: table, key: "r", count: 1, next: table, deed: "restart" },
    { what: "does nothing without a server", state: table, key: "r", count: 0, next: table, deed: "none" },
    {
      what: "asks before it stops",
      state: { ...table, selected: 1 },
      key: "s",
      count: 2,
      next: asking,
      deed: "none",
    },
    {
      what: "stops after y",
      state: asking,
      key: "y",
      count: 2,
      next: { ...table, selected: 1 },
      deed: "stop",
    },
    {
      what: "does not stop else",
      state: asking,
      key: "q",
      count: 2,
      next: { ...table, selected: 1 },
      deed: "none",
    },
    {
      what: "stops nothing that is gone",
      state: asking,
      key: "y",
      count: 1,
      next: { ...table, selected: 1 },
      deed: "none",
    },
    { what: "shows the log", state: { ...table, selected: 1 }, key: "l", count: 2, next: log, deed: "none" },
    { what: "leaves the log", state: log, key: "q", count: 2, next: { ...table, selected: 1 }, deed: "none" },
    { what: "quits", state: table, key: "q", count: 0, next: table, deed: "quit" },
    {
      what: "is interrupted anywhere",
      state: asking,
      key: "\x03",
      count: 2,
      next: asking,
      deed: "interrupt",
    },
    { what: "ignores other keys", state: table, key: "x", count: 2, next: table, deed: "none" },
  ] as const
) {
  Deno.test(`press() ${what}`, () => assertEquals(press(state, key, count), { state: next, deed }));
}
