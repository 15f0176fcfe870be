/**
 * stdout is the answer, stderr is talk; JSON and table come from one value. Whatever is shown is made printable here,
 * once: most of it comes from servers, processes, files or the environment.
 *
 * @module
 */
import { oneLine, printable, printableJson } from "../base/printable.ts";
import type { Terminal } from "../host/host.ts";

export type Tone = "good" | "bad" | "warn" | "dim" | "plain";

export interface OutputOptions {
  json: boolean;
  quiet: boolean;
  verbose: boolean;
  color: boolean;
}

/** Stand for the begin and end of a colour until the text has been made printable: no text may bring its own. */
const MARKS: Readonly<Record<Exclude<Tone, "plain">, string>> = {
  good: "\ufdd0",
  bad: "\ufdd1",
  warn: "\ufdd2",
  dim: "\ufdd3",
};
const MARK_END = "\ufdd4";
const SEQUENCES: Readonly<Record<string, string>> = {
  [MARKS.good]: "\x1b[32m",
  [MARKS.bad]: "\x1b[31m",
  [MARKS.warn]: "\x1b[33m",
  [MARKS.dim]: "\x1b[2m",
  [MARK_END]: "\x1b[0m",
};

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
    this.#terminal.out(printableJson(JSON.stringify(value, null, 2)) + "\n");
  }

  /** One object of a streaming answer. */
  event(value: { type: string } & Record<string, unknown>): void {
    this.jsonLine(JSON.stringify(value));
  }

  /** As {@link event}, for an object that is JSON already. */
  jsonLine(json: string): void {
    this.#terminal.out(printableJson(json) + "\n");
  }

  /** One line of the answer, whatever the text holds. */
  line(text = ""): void {
    this.clearProgress();
    this.#terminal.out(this.shown(oneLine(text)) + "\n");
  }

  /** More of the answer, below a line of it; nothing for an empty text. */
  indented(text: string): void {
    if (text === "") return;
    for (const line of printable(text).split("\n")) this.line(`  ${line}`);
  }

  /** foster's own text, as it is. */
  raw(text: string): void {
    this.#terminal.out(text);
  }

  talk(text: string): void {
    if (!this.options.quiet) this.problem(text);
  }

  /** Said even when quiet: the reason of a failure. */
  problem(text: string): void {
    this.#err(text);
  }

  detail(text: string): void {
    if (this.options.verbose && !this.options.quiet) this.#err(this.paint(text, "dim"));
  }

  /** Lines after the first are indented: none of them can look like a message of its own. */
  #err(text: string): void {
    this.clearProgress();
    const [first = "", ...rest] = printable(text).split("\n");
    const indented = rest.map((line) => /^ {2}/.test(line) ? line : `  ${line}`);
    this.#terminal.err([first, ...indented].map((line) => this.shown(line) + "\n").join(""));
  }

  /** A line that the next one overwrites; only on a terminal. */
  progress(text: string): void {
    if (this.options.quiet || this.options.json || !this.#terminal.stderrIsTerminal) return;
    const frame = SPINNER[this.#frame++ % SPINNER.length] ?? "";
    const room = Math.max(10, this.#terminal.columns() - 3);
    this.#terminal.err(
      `\r\x1b[2K${this.shown(`${this.paint(frame, "good")} ${oneLine(text).slice(0, room)}`)}`,
    );
    this.#progressShown = true;
  }

  clearProgress(): void {
    if (!this.#progressShown) return;
    this.#terminal.err("\r\x1b[2K");
    this.#progressShown = false;
  }

  /** Columns aligned by width as shown; the first row is the heading. */
  table(cells: readonly (readonly string[])[], tone?: (row: number, column: number) => Tone): void {
    const rows = cells.map((row) => row.map(oneLine));
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

  /** The text in a colour once it is shown. */
  paint(text: string, tone: Tone): string {
    return tone === "plain" ? text : `${MARKS[tone]}${text}${MARK_END}`;
  }

  /** A printable text with its colours, for who writes to the terminal itself. */
  shown(text: string): string {
    return text.replace(/[\ufdd0-\ufdd4]/g, (mark) => this.options.color ? SEQUENCES[mark] ?? "" : "");
  }
}

/** Columns that a printable text takes, each character counted as one. */
function widthOf(text: string): number {
  return [...text].length;
}
