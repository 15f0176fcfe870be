/**
 * stdout is the answer, stderr is talk; JSON and table come from one value.
 *
 * @module
 */
import { printable } from "../base/printable.ts";
import * as colors from "@std/fmt/colors";
import type { Terminal } from "../host/host.ts";

export type Tone = "good" | "bad" | "warn" | "dim" | "plain";

export interface OutputOptions {
  json: boolean;
  quiet: boolean;
  verbose: boolean;
  color: boolean;
}

const SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";

export class Output {
  readonly #terminal: Terminal;
  readonly options: OutputOptions;
  #progressShown = false;
  #frame = 0;

  constructor(terminal: Terminal, options: OutputOptions) {
    this.#terminal = terminal;
    this.options = options;
  }

  get json(): boolean {
    return this.options.json;
  }

  /** The answer as one JSON document. */
  document(value: unknown): void {
    this.clearProgress();
    this.#terminal.out(jsonText(value, 2) + "\n");
  }

  /** One object of a streaming answer. */
  event(value: { type: string } & Record<string, unknown>): void {
    this.#terminal.out(jsonText(value, 0) + "\n");
  }

  line(text = ""): void {
    this.clearProgress();
    this.#terminal.out(text + "\n");
  }

  raw(text: string): void {
    this.#terminal.out(text);
  }

  talk(text: string): void {
    if (!this.options.quiet) this.problem(text);
  }

  /** Said even when quiet: the reason of a failure. */
  problem(text: string): void {
    this.#err(printable(text));
  }

  detail(text: string): void {
    if (this.options.verbose && !this.options.quiet) this.#err(this.paint(printable(text), "dim"));
  }

  #err(text: string): void {
    this.clearProgress();
    this.#terminal.err(text + "\n");
  }

  /** A line that the next one overwrites; only on a terminal. */
  progress(text: string): void {
    if (this.options.quiet || this.options.json || !this.#terminal.stderrIsTerminal) return;
    const frame = SPINNER[this.#frame++ % SPINNER.length] ?? "";
    const room = Math.max(10, this.#terminal.columns() - 3);
    this.#terminal.err(`\r\x1b[2K${this.paint(frame, "good")} ${printable(text).slice(0, room)}`);
    this.#progressShown = true;
  }

  clearProgress(): void {
    if (!this.#progressShown) return;
    this.#terminal.err("\r\x1b[2K");
    this.#progressShown = false;
  }

  /** Columns aligned by width as shown; the first row is the heading. */
  table(cells: readonly (readonly string[])[], tone?: (row: number, column: number) => Tone): void {
    const rows = cells.map((row) => row.map(printable));
    const widths: number[] = [];
    for (const row of rows) {
      row.forEach((cell, column) => widths[column] = Math.max(widths[column] ?? 0, widthOf(cell)));
    }
    rows.forEach((row, index) => {
      const cells = row.map((cell, column) => {
        const painted = index === 0
          ? this.paint(cell, "dim")
          : this.paint(cell, tone?.(index, column) ?? "plain");
        const last = column === row.length - 1;
        return last ? painted : painted + " ".repeat((widths[column] ?? 0) - widthOf(cell));
      });
      this.line(cells.join("  "));
    });
  }

  paint(text: string, tone: Tone): string {
    if (!this.options.color) return text;
    colors.setColorEnabled(true);
    switch (tone) {
      case "good":
        return colors.green(text);
      case "bad":
        return colors.red(text);
      case "warn":
        return colors.yellow(text);
      case "dim":
        return colors.dim(text);
      case "plain":
        return text;
    }
  }
}

/** What servers say of themselves is in it: JSON leaves some control characters as they are. */
function jsonText(value: unknown, indent: number): string {
  return JSON.stringify(value, null, indent).replace(
    /[\u007f-\u009f]/g,
    (character) => `\\u00${character.charCodeAt(0).toString(16)}`,
  );
}

/** Columns that a text without escapes takes; server names are plain ASCII. */
function widthOf(text: string): number {
  return [...text].length;
}
