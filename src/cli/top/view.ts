/**
 * The live table as lines of text.
 *
 * @module
 */
import { oneLine } from "../../base/printable.ts";
import type { Tone } from "../output.ts";
import { duration } from "../../base/text.ts";
import { stateText, toneOf } from "../rows.ts";
import type { TopRow } from "./sample.ts";

export interface TableLook {
  /** Lines are cut to so many columns; null leaves them whole. */
  columns: number | null;
  /** Index of the row that the keys act on, null where there are no keys. */
  selected: number | null;
  /** Now, in ms since the epoch: events are shown by their age. */
  now: number;
  paint(text: string, tone: Tone): string;
}

const HEAD = ["NAME", "STATE", "UPTIME", "RESTARTS", "MEMORY", "CPU", "LATENCY", "LAST EVENT"];
const STATE_COLUMN = 1;
const BARS = "▁▂▃▄▅▆▇█";

/** The heading and one line for each server. */
export function tableLines(rows: readonly TopRow[], look: TableLook): string[] {
  const table = [
    HEAD,
    ...rows.map((row) => cellsOf(row, look.now).map((cell) => oneLine(cell).replaceAll(/\s+/g, " "))),
  ];
  const widths = HEAD.map((_, column) => Math.max(...table.map((cells) => widthOf(cells[column] ?? ""))));
  return table.map((cells, index) => {
    const row = rows[index - 1];
    const mark = look.selected === null ? "" : look.selected === index - 1 ? "> " : "  ";
    let room = look.columns === null ? Infinity : look.columns - mark.length;
    const shown = cells.map((cell, column) => {
      const padded = column === HEAD.length - 1 ? cell : cell.padEnd(widths[column] ?? 0) + "  ";
      const cut = [...padded].slice(0, Math.max(0, room)).join("");
      room -= widthOf(padded);
      if (row === undefined) return look.paint(cut, "dim");
      return column === STATE_COLUMN ? look.paint(cut, toneOf(row.state)) : cut;
    });
    return mark + shown.join("");
  });
}

function cellsOf(row: TopRow, now: number): string[] {
  return [
    row.name,
    stateText(row, { isServed: true }),
    row.uptime_ms === null ? "-" : duration(row.uptime_ms),
    String(row.restarts),
    row.memory_bytes === null ? "-" : megabytes(row.memory_bytes),
    row.cpu_percent === null ? "-" : `${row.cpu_percent.toFixed(1)}%`,
    latency(row),
    row.last_event === null ? "-" : eventText(row.last_event, now),
  ];
}

function latency({ latencies, latency_ms }: TopRow): string {
  if (latencies.length === 0) return "-";
  return `${sparkline(latencies)} ${latency_ms === null ? "no answer" : `${latency_ms} ms`}`;
}

function eventText({ at, event, message }: NonNullable<TopRow["last_event"]>, now: number): string {
  const age = duration(Math.max(0, now - Date.parse(at)));
  return `${event} ${age} ago${message === "" ? "" : `: ${message}`}`;
}

/** One bar for each value, the highest of them a full one; a gap for a check that failed. */
export function sparkline(values: readonly (number | null)[]): string {
  const highest = Math.max(0, ...values.map((value) => value ?? 0));
  return values.map((value) => {
    if (value === null) return "·";
    const step = highest === 0 ? 0 : Math.round(value / highest * (BARS.length - 1));
    return BARS[step] ?? "";
  }).join("");
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function widthOf(text: string): number {
  return [...text].length;
}
