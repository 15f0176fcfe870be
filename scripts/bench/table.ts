/**
 * The benchmark's table: a line for each figure, its spread beside its goal and its peers.
 *
 * @module
 */
import { type Goal, type Missing, quantile, type Taken, type Unit } from "./figures.ts";

export interface Spread {
  median: number;
  /** The 10th and the 90th percentile. */
  low: number;
  high: number;
  runs: number;
}

/** One line of the table. */
export interface Row extends Spread {
  what: string;
  unit: Unit;
  goal: Goal | null;
  /** `ratio`: how many times foster's median the peer's is; null where one of them cannot be told from nothing. */
  peers: (Spread & { name: string; ratio: number | null })[];
}

/** All that is kept of a run. */
export interface Report {
  taken_at: string;
  machine: { system: string; arch: string; cores: number };
  /** Few rounds. */
  quick: boolean;
  /** Which ones were taken. */
  parts: string[];
  rows: (Row | Missing)[];
}

const heads = ["Figure", "Median", "10–90 %", "Goal", "", "Peers, times foster's"];

export function rowOf(taken: Taken): Row | Missing {
  if ("why" in taken) return taken;
  const { what, unit, goal, values } = taken;
  const own = spread(values);
  if (own === null) return { what, why: "nothing was measured" };
  const peers = (taken.peers ?? []).flatMap(({ name, values }) => {
    const its = spread(values);
    if (its === null) return [];
    const ratio = its.median > 0 && own.low > 0 ? its.median / own.median : null;
    return [{ name, ...its, ratio }];
  });
  return { what, unit, goal, ...own, peers };
}

/** Null without values. */
export function spread(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const at = (share: number) => quantile(values, share);
  return { median: at(0.5), low: at(0.1), high: at(0.9), runs: values.length };
}

export function verdict({ goal, median }: Pick<Row, "goal" | "median">): "" | "met" | "MISSED" {
  if (goal === null) return "";
  const isMet = goal.side === "at most" ? median <= goal.value : median >= goal.value;
  return isMet ? "met" : "MISSED";
}

/** One for each of the heads. */
export function cells(row: Row | Missing): string[] {
  if ("why" in row) return [row.what, "–", "", "", "", row.why];
  const { what, unit, goal, median, low, high, runs } = row;
  const peers = row.peers.map((peer) =>
    `${peer.name} ${amount(peer.median, unit)}${peer.ratio === null ? "" : ` (${short(peer.ratio)} ×)`}`
  );
  return [
    what,
    amount(median, unit),
    runs === 1 ? "" : `${short(low)}–${short(high)}`,
    goal === null ? "" : `${goal.side === "at most" ? "≤" : "≥"} ${amount(goal.value, unit)}`,
    verdict(row),
    peers.join(", "),
  ];
}

function amount(value: number, unit: Unit): string {
  return `${short(value)} ${unit}`.trimEnd();
}

function short(value: number): string {
  const digits = Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return String(Number(value.toFixed(digits)));
}

/** For a terminal. */
export function columns(rows: readonly (Row | Missing)[]): string {
  const lines = [heads, ...rows.map(cells)];
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => [...line[column] ?? ""].length)));
  const padded = (line: readonly string[]) =>
    line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd();
  return lines.map(padded).join("\n");
}

/** The figures that README.md shows, by the beginning of their names. */
const shown = [
  "start command → port open",
  "killed → port open again",
  "list of 10 servers",
  "connect: first tools/list",
  "connect: echo over direct, p50",
  "connect: resident",
];

/** For docs/benchmarks.md: all of it. */
export function markdown(report: Report): string {
  return `${takenOn(report)}\n\n${tableOf(report.rows)}`;
}

/** For README.md: what foster and its peers are compared by. */
export function shortMarkdown(report: Report): string {
  const rows = shown.flatMap((start) => report.rows.find(({ what }) => what.startsWith(start)) ?? []);
  return `${takenOn(report)}\n\n${tableOf(rows, ["Figure", "Median", "Peers, times foster's"])}`;
}

function takenOn({ taken_at, machine: { system, arch, cores }, quick }: Report): string {
  const rounds = quick ? ", in few rounds" : "";
  return `Taken on ${taken_at.slice(0, 10)} on ${system} ${arch} with ${cores} cores${rounds}.`;
}

function tableOf(rows: readonly (Row | Missing)[], columns = heads): string {
  const line = (each: readonly string[]) => `| ${each.join(" | ")} |`;
  const pick = (each: string[]) => each.filter((_, index) => columns.includes(heads[index] ?? ""));
  return [line(columns), line(columns.map(() => "---")), ...rows.map((row) => line(pick(cells(row))))].join(
    "\n",
  );
}
