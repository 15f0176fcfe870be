export type LogLevel = "info" | "warn" | "error";

export interface LogLine {
  level: LogLevel;
  message: string;
}

/** How many lines a ring keeps. */
export const LOG_RING_LINES = 500;

/** Keeps the newest lines and counts all that ever came. */
export class LogRing {
  #lines: LogLine[] = [];
  #total = 0;

  /** Lines ever added; never goes back. */
  get total(): number {
    return this.#total;
  }

  /** Lines kept at present. */
  get size(): number {
    return this.#lines.length;
  }

  add(line: LogLine): void {
    this.#lines[this.#total % LOG_RING_LINES] = line;
    this.#total += 1;
  }

  /** The kept lines, oldest first. */
  lines(): LogLine[] {
    const oldest = this.size < LOG_RING_LINES ? 0 : this.#total % LOG_RING_LINES;
    return [...this.#lines.slice(oldest), ...this.#lines.slice(0, oldest)];
  }
}
